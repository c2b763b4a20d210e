"""Rows to figures: known figures, and what must not be said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.values import EVERYBODY, Group, Measure, ServiceFigures, WhyNot
from cds_wrapper.services.outcomes import Index
from tests.unit.monitoring.formulas.oracle import IS_B, PATIENT, P, Y
from tests.unit.monitoring.made import AS_OF, DAY, QUESTION, figure, group_of, measured

AB = MonitoredAttributes(("race",), levels={"race": ("A", "B", "C")})


def rows(alone: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "patient_key": f"p{number}" if alone else f"p{patient}",
            "score": float(p),
            "state": "event" if y else "no_event",
            "race": "B" if is_b else "A",
        }
        for number, (p, y, is_b, patient) in enumerate(zip(P, Y, IS_B, PATIENT, strict=True))
    ]


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> ServiceFigures:
    return measured(tmp_path_factory.mktemp("episodes"), rows(), AB)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        (Measure.SENSITIVITY, 10 / 15),
        (Measure.PPV, 10 / 22),
        (Measure.SPECIFICITY, 0.52),
        (Measure.NPV, 13 / 18),
        (Measure.AUROC, 0.624),
        (Measure.OE_RATIO, 1.042391),
        (Measure.BRIER, 0.237708),
        (Measure.NET_BENEFIT, 0.121429),
        (Measure.FLAG_ALL_BENEFIT, 0.107143),
        (Measure.EVENT_RATE, 0.375),
        (Measure.FLAG_RATE, 0.55),
        (Measure.EXPECTED_SENSITIVITY, 0.780403),
        (Measure.EXPECTED_PPV, 0.510455),
        (Measure.EXPECTED_AUROC, 0.755354),
    ],
)
def test_everybody_has_the_values_that_are_known(
    clustered: ServiceFigures, what: Measure, value: float
) -> None:
    assert figure(clustered.everybody, what).value == pytest.approx(value, abs=1e-6)


def test_patients_who_come_again_widen_the_intervals_as_is_known(clustered: ServiceFigures) -> None:
    oe = figure(clustered.everybody, Measure.OE_RATIO)
    assert oe.interval == pytest.approx((0.566421, 1.519248), abs=1e-6)
    assert oe.design_effect == pytest.approx(2.0556, abs=1e-4)
    assert clustered.everybody.oe_design_effect == oe.design_effect
    sensitivity = figure(clustered.everybody, Measure.SENSITIVITY)
    assert sensitivity.interval == pytest.approx((0.386528, 0.863919), abs=1e-6)
    assert sensitivity.design_effect == pytest.approx(1.2923, abs=1e-4)
    assert figure(clustered.everybody, Measure.EVENT_RATE).design_effect == pytest.approx(1.82, abs=1e-4)
    assert figure(clustered.everybody, Measure.PPV).design_effect == pytest.approx(1.5991, abs=1e-4)
    assert figure(clustered.everybody, Measure.AUROC).design_effect == 1
    assert figure(clustered.everybody, Measure.AUROC).patients == 14


def test_patients_seen_once_have_the_known_areas_by_group(tmp_path: Path) -> None:
    found = measured(tmp_path, rows(alone=True), AB)
    a = figure(group_of(found, Group((("race", "A"),))), Measure.AUROC)
    b = figure(group_of(found, Group((("race", "B"),))), Measure.AUROC)
    gap = figure(group_of(found, Group((("race", "B"),))), Measure.AUROC_GAP)
    assert a.value == pytest.approx(0.533088, abs=1e-6)
    assert b.value == pytest.approx(0.723214, abs=1e-6)
    assert gap.value == pytest.approx(0.723214 - 0.533088, abs=1e-6)


def test_a_listed_level_that_nobody_has_is_a_group_without_figures(clustered: ServiceFigures) -> None:
    nobody = group_of(clustered, Group((("race", "C"),)))
    assert figure(nobody, Measure.OE_RATIO).why_not is WhyNot.NO_ROWS
    assert figure(nobody, Measure.AUROC).value is None
    assert nobody.counts == dict.fromkeys(("event", "no_event", "pending", "censored", "unverified"), 0)


def test_a_missing_value_is_a_group_whose_rest_are_those_with_a_value(tmp_path: Path) -> None:
    some = [*rows(), {"score": 0.4, "race": "missing:declined"}, {"score": 0.5, "race": None}]
    found = measured(tmp_path, some, AB)
    declined = group_of(found, Group((("race", "missing:declined"),)))
    assert declined.counts["no_event"] == 1
    assert sum(declined.daily.rest_events) == 15
    assert group_of(found, Group((("race", "missing:not_fetched"),))).counts["no_event"] == 1
    of_b = group_of(found, Group((("race", "B"),)))
    assert sum(of_b.daily.rest_expected) == pytest.approx(sum(P[:25]))


def test_a_prediction_whose_horizon_is_not_over_is_nowhere_a_negative(tmp_path: Path) -> None:
    """Neither one that says so, nor one that fell due after the day that is asked about."""
    late = {"score": 0.9, "race": "A", "due_on": AS_OF + dt.timedelta(days=1)}
    found = measured(tmp_path, [*rows(), {**late, "state": "pending"}, {**late, "state": "no_event"}], AB)
    assert found.everybody.counts["pending"] == 2
    assert figure(found.everybody, Measure.OE_RATIO).n == 40
    assert figure(found.everybody, Measure.KNOWN_SHARE).value == 1


def test_lost_outcomes_lower_the_known_share_and_enter_no_denominator(tmp_path: Path) -> None:
    lost = [{"score": 0.9, "race": "A", "state": state} for state in ("censored", "unverified")]
    found = measured(tmp_path, [*rows(), *lost], AB)
    assert figure(found.everybody, Measure.KNOWN_SHARE).value == pytest.approx(40 / 42)
    assert figure(found.everybody, Measure.VERIFIED_SHARE).value == pytest.approx(40 / 41)
    assert figure(found.everybody, Measure.SENSITIVITY).value == pytest.approx(10 / 15)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"index": Index.MAXIMUM}, WhyNot.INDEX_LOOKS_AHEAD),
        ({"score_kind": "rank"}, WhyNot.NOT_A_PROBABILITY),
    ],
)
def test_what_cannot_be_calibrated_is_not_held_against_what_came(
    tmp_path: Path, question: Mapping[str, Any], why: WhyNot
) -> None:
    asked = Question("s", "m", "1", "o", AS_OF, 0.3, **question)
    kind = question.get("score_kind", "probability")
    found = measured(tmp_path, [{**row, "score_kind": kind} for row in rows()], AB, asked).everybody
    for what in (Measure.OE_RATIO, Measure.CALIBRATION_SLOPE, Measure.BRIER, Measure.EXPECTED_AUROC):
        assert figure(found, what).why_not is why
    assert figure(found, Measure.AUROC).value == pytest.approx(0.624)
    assert found.daily.days == ()


def test_without_a_threshold_nothing_is_flagged_and_nothing_is_missed(tmp_path: Path) -> None:
    found = measured(tmp_path, rows(), AB, Question("s", "m", "1", "o", AS_OF)).everybody
    for what in (Measure.SENSITIVITY, Measure.PPV, Measure.NET_BENEFIT, Measure.OE_FLAGGED):
        assert figure(found, what).why_not is WhyNot.NO_THRESHOLD
    assert figure(found, Measure.OE_RATIO).value == pytest.approx(1.042391, abs=1e-6)


def test_other_services_versions_and_outcomes_do_not_enter(tmp_path: Path) -> None:
    other = [{"score": 0.9, "race": "A", key: "x"} for key in ("service_id", "model_version", "outcome")]
    found = measured(tmp_path, [*rows(), *other], AB)
    assert figure(found.everybody, Measure.OE_RATIO).n == 40


def test_no_episode_at_all_gives_groups_that_say_so(tmp_path: Path) -> None:
    found = measured(tmp_path, [{"score": 0.1, "service_id": "other"}], AB)
    assert [one.group for one in found.groups][:2] == [EVERYBODY, Group((("race", "A"),))]
    assert {one.why_not for one in found.everybody.figures} == {WhyNot.NO_ROWS}


def test_crossings_and_races_in_combination_are_groups_of_their_own(tmp_path: Path) -> None:
    some = [
        {"score": 0.2, "race": "multiple", "sex": "female", "race_members": "|black|white|"},
        {"score": 0.2, "race": "white", "sex": "female", "race_members": "|white|", "state": "event"},
        {"score": 0.3, "race": "white", "sex": "missing:absent", "race_members": "|white|"},
        {"score": 0.4, "race": "missing:absent", "sex": "male"},
    ]
    asked = MonitoredAttributes(("race", "sex"), (("race", "sex"),), ("black",))
    found = measured(tmp_path, some, asked)
    cell = group_of(found, Group((("race", "white"), ("sex", "female"))))
    assert cell.counts["event"] == 1 and cell.counts["no_event"] == 0
    assert sum(cell.daily.rest_expected) == pytest.approx(0.2)
    assert not any("missing" in one.group.level for one in found.groups if len(one.group.where) > 1)
    black = group_of(found, Group((("race", "black"),), exclusive=False))
    assert black.counts["no_event"] == 1
    assert sum(black.daily.rest_expected) == pytest.approx(0.5)


def test_an_attribute_of_the_site_is_read_from_the_list_of_groups(tmp_path: Path) -> None:
    some = [
        {"score": 0.2, "subgroups": '["sex=female","shelter=none"]'},
        {"score": 0.3, "subgroups": '["sex=female","shelter=street"]', "state": "event"},
    ]
    found = measured(tmp_path, some, MonitoredAttributes(("shelter",)))
    assert group_of(found, Group((("shelter", "street"),))).counts["event"] == 1


def test_the_period_and_the_days_are_those_of_the_episodes(tmp_path: Path) -> None:
    later = DAY + dt.timedelta(days=40)
    some = [*rows(), {"score": 0.5, "race": "A", "day": later, "due_on": later + dt.timedelta(days=31)}]
    found = measured(tmp_path, some, AB)
    assert figure(found.everybody, Measure.AUROC).period == (DAY, later)
    assert found.everybody.daily.days == (DAY + dt.timedelta(days=31), later + dt.timedelta(days=31))
    assert found.everybody.daily.group_events == (15.0, 0.0)
    since = Question(**{**{f: getattr(QUESTION, f) for f in QUESTION.__slots__}, "since": later})
    assert figure(measured(tmp_path, some, AB, since).everybody, Measure.OE_RATIO).n == 1
