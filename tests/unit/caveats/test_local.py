"""What this hospital's own results are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.caveats.evidence import Estimate, EvidenceSource, Grade, Metric, grade
from cds_wrapper.caveats.local import Interval, local_results

OWN = Estimate(
    id="own",
    metric=Metric.OE_RATIO,
    source=EvidenceSource.LOCAL,
    outcome="event",
    horizon="P10Y",
    estimate=1.0,
    ci=(0.9, 1.1),
    n=5_000,
    positives=400,
)


@pytest.mark.parametrize(
    ("n", "events", "expected"),
    [
        (10, 5, Grade.NONE),
        (11, 0, Grade.NONE),
        (11, 1, Grade.THIN),
        (1_000, 19, Grade.THIN),
        (30, 15, Grade.THIN),
        (1_000, 20, Grade.PARTIAL),
        (1_000, 99, Grade.PARTIAL),
        (150, 110, Grade.PARTIAL),  # 40 without the event
        (1_000, 100, Grade.ADEQUATE),
    ],
)
def test_a_grade_counts_events_and_those_without(n: int, events: int, expected: Grade) -> None:
    assert grade(n, events) is expected


@pytest.mark.parametrize(
    ("oe", "auroc", "unknown", "expected"),
    [
        ((0.9, 1.35), (0.70, 0.84), 0.30, Grade.ADEQUATE),
        ((0.9, 1.36), None, 0.0, Grade.PARTIAL),
        (None, (0.70, 0.86), 0.0, Grade.PARTIAL),
        (None, None, 0.31, Grade.PARTIAL),
    ],
)
def test_wide_intervals_and_unknown_outcomes_are_not_enough(
    oe: Interval | None, auroc: Interval | None, unknown: float, expected: Grade
) -> None:
    found = grade(1_000, 200, oe_interval=oe, auroc_interval=auroc, unknown_share=unknown)
    assert found is expected


def test_grades_have_an_order() -> None:
    assert max(Grade) is Grade.ADEQUATE
    assert Grade.NONE < Grade.THIN < Grade.PARTIAL < Grade.ADEQUATE


@pytest.mark.parametrize(
    ("interval", "holds"),
    [((0.9, 1.1), True), ((0.67, 1.0), True), ((0.66, 0.98), False), ((1.1, 1.51), False), (None, False)],
)
def test_a_result_holds_up_when_its_interval_is_near_one(interval: Interval | None, holds: bool) -> None:
    (result,) = local_results([replace(OWN, ci=interval)])
    assert (result.grade, result.holds_up) == (Grade.ADEQUATE, holds)


@pytest.mark.parametrize(("gap_low", "holds"), [(-0.10, True), (-0.11, False)])
def test_a_gap_to_the_rest_must_be_ruled_out(gap_low: float, holds: bool) -> None:
    gap = replace(
        OWN, id="gap", metric=Metric.SENSITIVITY, estimate=0.7, ci=None, threshold=0.1, gap_low=gap_low
    )
    (result,) = local_results([OWN, gap])
    assert result.holds_up is holds


def test_groups_are_kept_apart_and_a_group_without_a_ratio_has_no_result() -> None:
    black = replace(OWN, id="black", where={"race": ("black",)}, n=100, positives=5)
    auroc_only = replace(OWN, id="white", where={"race": ("white",)}, metric=Metric.AUROC)
    published = replace(OWN, id="published", source=EvidenceSource.EXTERNAL)
    results = {
        tuple(sorted(result.attributes)): result
        for result in local_results([OWN, black, auroc_only, published])
    }
    assert set(results) == {(), ("race",)}
    assert results["race",].grade is Grade.THIN
    assert results[()].estimate_ids == ("own",)
