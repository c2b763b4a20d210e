"""Counts from 1 to 10: not on the pages, nor to be worked out from a total, a rate or a neighbour."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cds_wrapper.caveats.evidence import Estimate, EvidenceSource, Metric, ModelCard, TrainingGroup
from cds_wrapper.pages.published import NOT_SHOWN, studies_of, training_rows
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme

BANDS = {"30-39": "people aged 30 to 39", "40-49": "people aged 40 to 49", "80+": "people aged 80 and over"}
SCHEME = SubgroupScheme(
    {"age_band": AttributePolicy("age_band", core=True, monitor=True, display=Display.SHOW, labels=BANDS)}
)


def row(where: Mapping[str, tuple[str, ...]], n: int | None, **changes: object) -> Estimate:
    base = {
        "id": "r",
        "metric": Metric.AUROC,
        "source": EvidenceSource.EXTERNAL,
        "outcome": "sepsis",
        "horizon": "P30D",
        "estimate": 0.7,
        "cite": "Doe 2025",
    }
    return Estimate(where=where, n=n, **(base | changes))  # type: ignore[arg-type]  # each test names fields of its own


def band(level: str, n: int | None, **changes: object) -> Estimate:
    return row({"age_band": (level,)}, n, **changes)


def card(rows: tuple[Estimate, ...] = (), training: tuple[TrainingGroup, ...] = ()) -> ModelCard:
    return ModelCard("m", "1", "M", "D", "sha256:0", estimates=rows, training=training)


def shown(*rows: Estimate, all_groups: bool = False) -> list[tuple[str, str, str, str]]:
    """Group, figure, number of people and note of every row, as a page has them."""
    studies = studies_of(card(rows), SCHEME, all_groups=all_groups)
    return [(one.group, one.figure, one.people, one.note) for study in studies for one in study.rows]


ALL = row({}, 900)


@pytest.mark.parametrize("all_groups", [False, True])
def test_a_small_group_hides_its_figures_and_the_next_smallest_hides_with_it(all_groups: bool) -> None:
    limits = {"ci": (0.6, 0.8)}
    rows = (ALL, band("30-39", 8, note="5 events", **limits), band("40-49", 500, **limits), band("80+", 392))
    assert shown(*rows, all_groups=all_groups) == [
        ("everybody", "0.70", "900", ""),
        ("people aged 30 to 39", NOT_SHOWN, "fewer than 11", ""),
        ("people aged 40 to 49", "0.70 (0.60 to 0.80, 95 % interval)", "500", ""),
        ("people aged 80 and over", NOT_SHOWN, NOT_SHOWN, ""),
    ]


ALERTS = {"metric": Metric.ALERT_RATE, "threshold": 0.2}


@pytest.mark.parametrize(
    ("n", "changes", "is_shown"),
    [
        (500, {"positives": 11}, True),
        (500, {"positives": 0}, True),
        (500, {"positives": 10}, False),
        (500, {"positives": 489}, True),
        (500, {"positives": 490}, False),
        (500, {"positives": 1}, False),
        (None, {"positives": 5}, False),
        (None, {}, True),
        (11, {}, True),
        (10, {}, False),
        (500, {**ALERTS, "estimate": 0.02}, False),
        (500, {**ALERTS, "estimate": 0.99}, False),
        (500, {**ALERTS, "estimate": 0.2}, True),
    ],
)
def test_few_people_few_events_few_others_and_few_alerts_hide_the_figure(
    n: int | None, changes: dict[str, object], is_shown: bool
) -> None:
    ((_, figure, people, _),) = shown(band("30-39", n, **changes))
    assert (figure != NOT_SHOWN) is is_shown
    assert people == {10: "fewer than 11", None: ""}.get(n, str(n) if is_shown else NOT_SHOWN)


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ((100, 200, 300), []),
        ((8, 200, 300), ["30-39", "40-49"]),
        ((8, 9, 300), ["30-39", "40-49"]),
        ((3, 4, 300), ["30-39", "40-49", "80+"]),
        ((8, None, 300), ["30-39", "80+"]),
        ((300, 295, 300), ["40-49"]),
        ((300, 200, 400), []),
        ((600, 500, 400), []),
    ],
    ids=[
        "none small",
        "one small: the next smallest too",
        "two small hide each other",
        "two whose sum is small: a third too",
        "a group without a number cannot stand in",
        "what the groups leave of all 900 is small",
        "nobody is left over",
        "groups that overlap",
    ],
)
def test_no_small_number_can_be_worked_out_from_a_total(counts: tuple[int, ...], hidden: list[str]) -> None:
    rows = [band(level, n) for level, n in zip(BANDS, counts, strict=True)]
    found = shown(ALL, *rows)[1:]
    assert [level for level, one in zip(BANDS, found, strict=True) if one[1] == NOT_SHOWN] == hidden


def test_few_alerts_at_one_threshold_hide_nothing_but_that_rate() -> None:
    rates = [band("30-39", 500, **(ALERTS | {"threshold": at, "estimate": 0.2 * at})) for at in (0.05, 0.5)]
    assert [one[1] for one in shown(band("30-39", 500), *rates)] == ["0.70", NOT_SHOWN, "0.10"]


def test_one_study_says_nothing_about_the_groups_of_another() -> None:
    rows = (band("30-39", 8), band("40-49", 500, cite="Roe 2026"))
    assert [one[1] == NOT_SHOWN for one in shown(*rows)] == [True, False]


def told(*training: TrainingGroup) -> list[tuple[str, str]]:
    return [(one.people, one.figure) for one in training_rows(card(training=training), SCHEME)]


def test_a_small_training_group_hides_its_share_and_the_next_smallest_with_it() -> None:
    assert told(
        TrainingGroup({}, n=1000),
        TrainingGroup({"sex": ("other",)}, n=4, share=0.004),
        TrainingGroup({"sex": ("female",)}, n=496, share=0.496),
        TrainingGroup({"sex": ("male",)}, share=0.5),
    ) == [("1,000", ""), ("fewer than 11", NOT_SHOWN), (NOT_SHOWN, NOT_SHOWN), ("", "50 %")]


def test_a_share_of_a_known_total_is_a_number_too_and_nobody_is_not_a_small_one() -> None:
    assert told(
        TrainingGroup({}, n=1000),
        TrainingGroup({"race": ("nhpi",)}, share=0.002),
        TrainingGroup({"race": ("black",)}, share=0.1),
        TrainingGroup({"race": ("white",)}, share=0.898),
        TrainingGroup({"tribal_affiliation": ("yes",)}, share=0.0),
    ) == [("1,000", ""), ("", NOT_SHOWN), ("", NOT_SHOWN), ("", "89.8 %"), ("", "0 %")]


def test_training_numbers_that_leave_a_few_over_hide_the_smallest() -> None:
    everybody, women = TrainingGroup({}, n=1000), TrainingGroup({"sex": ("female",)}, n=400)
    men = TrainingGroup({"sex": ("male",)}, n=595)
    assert [people for people, _ in told(everybody, women, men)] == ["1,000", NOT_SHOWN, "595"]
