"""Shares against shares: what is not represented, what is not reported, and what moved since last quarter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cds_wrapper.caveats.evidence import Estimate, EvidenceSource, Metric, ModelCard, State, TrainingGroup
from cds_wrapper.monitoring.drift import (
    AttributeShares,
    Presence,
    ScoreSums,
    missing_shares,
    representativeness,
    score_drift,
)
from cds_wrapper.monitoring.formulas.representativeness import Comparison
from cds_wrapper.monitoring.populations import (
    Kind,
    Population,
    external_populations,
    last_quarter,
    training_population,
)
from cds_wrapper.monitoring.values import EVERYBODY, Group, WhyNot
from cds_wrapper.services import load_services

HOOKS = Path(__file__).resolve().parents[3] / "hooks"
CARD = ModelCard("m", "1", "M", "somebody", "sha256:0")


def training(**shares: float | None) -> Population:
    return Population(Kind.TRAINING, "t", {"race": {(level,): share for level, share in shares.items()}})


def only(counts: dict[str, int], population: Population) -> AttributeShares:
    (found,) = representativeness({"race": counts}, population)
    return found


def words(found: AttributeShares) -> dict[str, Presence]:
    return {" or ".join(row.levels): row.presence for row in found.levels}


def test_the_known_figures_of_five_groups_come_out() -> None:
    given = training(a=0.60, b=0.20, c=0.12, d=0.05, e=0.03)
    found = only({"a": 420, "b": 310, "c": 160, "d": 80, "e": 30}, given)
    assert isinstance(found.comparison, Comparison)
    assert found.comparison.psi == pytest.approx(0.138017, abs=1e-6)
    assert found.comparison.difference == pytest.approx(0.375580, abs=1e-6)
    assert [row.ratio.value for row in found.levels] == pytest.approx([0.7, 1.55, 4 / 3, 1.6, 1.0])
    assert found.shifted


def test_not_represented_and_not_reported_are_two_words() -> None:
    found = only({"white": 800, "nhpi": 100, "aian": 100}, training(white=0.9, nhpi=0.0, aian=None))
    assert words(found) == {
        "white": Presence.COMPARABLE,
        "nhpi": Presence.NOT_REPRESENTED,
        "aian": Presence.NOT_REPORTED,
    }


def test_a_group_the_card_does_not_even_name_is_not_reported_and_has_no_ratio() -> None:
    found = only({"white": 900, "asian": 100}, training(white=1.0))
    assert words(found)["asian"] is Presence.NOT_REPORTED
    assert found.levels[1].ratio.why_not is WhyNot.NOT_COMPARABLE
    assert found.levels[1].other_share is None
    assert found.covered == 0.9


def test_no_share_is_made_up_where_one_side_has_nobody() -> None:
    assert only({"a": 100, "b": 0}, training(a=0.5, b=0.5)).comparison is WhyNot.NOT_COMPARABLE
    assert words(only({"a": 100, "b": 0}, training(a=0.5, b=0.5)))["b"] is Presence.NONE_HERE


def test_a_fifth_of_the_local_share_is_hardly_represented() -> None:
    assert words(only({"a": 700, "b": 300}, training(a=0.95, b=0.05)))["b"] is Presence.HARDLY_REPRESENTED


def test_more_and_fewer_here_need_the_whole_interval() -> None:
    assert words(only({"a": 13, "b": 37}, training(a=0.2, b=0.8)))["a"] is Presence.COMPARABLE
    many = words(only({"a": 2600, "b": 7400}, training(a=0.2, b=0.8)))
    assert many["a"] is Presence.MORE_HERE
    assert words(only({"a": 1000, "b": 9000}, training(a=0.2, b=0.8)))["a"] is Presence.FEWER_HERE


def test_levels_a_card_gives_together_are_counted_together() -> None:
    given = Population(Kind.TRAINING, "t", {"race": {("asian", "nhpi"): 0.2, ("white",): 0.8}})
    found = only({"asian": 150, "nhpi": 50, "white": 800}, given)
    assert [(row.levels, row.count) for row in found.levels] == [(("asian", "nhpi"), 200), (("white",), 800)]


def test_a_missing_value_of_the_card_is_missing_for_whatever_reason() -> None:
    found = only({"white": 90, "missing:absent": 6, "missing:declined": 4}, training(white=0.9, missing=0.1))
    assert [row.count for row in found.levels] == [90, 10]


def test_the_shipped_card_says_not_reported_of_two_races_and_of_every_language() -> None:
    service = load_services(HOOKS).of("readmission")[0]
    counts = {
        "race": {"white": 700, "black": 200, "aian": 50, "nhpi": 50},
        "language": {"en": 900, "es": 100},
    }
    race, language = representativeness(counts, training_population(service.card))
    assert words(race)["aian"] is words(race)["nhpi"] is Presence.NOT_REPORTED
    assert set(words(language).values()) == {Presence.NOT_REPORTED}
    assert language.comparison is WhyNot.NOT_COMPARABLE


def test_a_share_is_the_cards_own_or_people_over_everybody() -> None:
    groups = (
        TrainingGroup({}, n=1000),
        TrainingGroup({"sex": ("female",)}, n=400),
        TrainingGroup({"sex": ("male",)}, share=0.55),
        TrainingGroup({"sex": ("other",)}, State.NOT_REPORTED),
        TrainingGroup({"sex": ("female",), "race": ("black",)}, n=10),
    )
    found = training_population(replace(CARD, training=groups)).shares
    assert found == {"sex": {("female",): 0.4, ("male",): 0.55, ("other",): None}}


def test_a_study_elsewhere_is_a_population_of_its_own() -> None:
    rows = tuple(
        Estimate(str(n), Metric.AUROC, source, "o", "P1Y", where=where, n=n, cite=cite)
        for source, where, n, cite in (
            (EvidenceSource.EXTERNAL, {}, 1000, "A"),
            (EvidenceSource.EXTERNAL, {"sex": ("female",)}, 600, "A"),
            (EvidenceSource.EXTERNAL, {"sex": ("female",)}, 50, "B, without everybody"),
            (EvidenceSource.DEVELOPMENT, {"sex": ("female",)}, 70, "C"),
        )
    )
    (found,) = external_populations(replace(CARD, estimates=rows))
    assert (found.name, found.shares) == ("A", {"sex": {("female",): 0.6}})


def test_last_quarter_is_a_population_too() -> None:
    found = only({"a": 500, "b": 500}, last_quarter({"race": {"a": 900, "b": 100}, "sex": {}}))
    assert found.shifted
    assert not only({"a": 90, "b": 11}, last_quarter({"race": {"a": 900, "b": 100}})).shifted


def test_missing_values_are_told_by_reason_and_by_trend() -> None:
    now = {"race": {"white": 700, "missing:absent": 200, "missing:declined": 100}, "sex": {"female": 10}}
    before = {"race": {"white": 900, "missing:absent": 100}, "sex": {}}
    race, sex = missing_shares(now, before)
    assert (race.share, race.before, race.reasons) == (0.3, 0.1, (("absent", 200), ("declined", 100)))
    assert race.rising
    assert (sex.share, sex.before, sex.rising) == (0.0, None, False)
    assert not missing_shares(before, now)[0].rising


def test_scores_that_moved_are_told_by_group() -> None:
    group = Group((("sex", "female"),))
    steady = ScoreSums(1000, 100.0, 20.0, 100)
    now = {group: ScoreSums(1000, 150.0, 32.5, 180), EVERYBODY: steady, Group((("sex", "x"),)): steady}
    everybody, female = score_drift(now, {group: steady, EVERYBODY: steady})
    assert (everybody.group, everybody.difference, everybody.shifted) == (EVERYBODY, 0.0, False)
    assert (female.mean, female.mean_before, female.alert_rate) == (0.15, 0.1, 0.18)
    assert female.difference == pytest.approx(0.05 / 0.1)
    assert female.shifted


def test_a_service_without_a_threshold_has_no_alert_rate() -> None:
    sums = ScoreSums(100, 10.0, 2.0, None)
    (only_one,) = score_drift({EVERYBODY: sums}, {EVERYBODY: sums})
    assert (only_one.alert_rate, only_one.alert_change) == (None, None)
