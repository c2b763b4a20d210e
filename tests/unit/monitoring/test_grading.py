"""From figures to the evidence that cards are made with: amount, whether it holds up, and steadiness."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds_wrapper.caveats.evidence import Figures, Grade, Limits, LocalEvidence
from cds_wrapper.ledger.edition_values import StoredFinding, Subject
from cds_wrapper.monitoring.grading import (
    changes_cards,
    estimates_of,
    evidence_of,
    findings_of,
    results_of,
    steadied,
)
from cds_wrapper.monitoring.values import GroupFigures, ServiceFigures
from cds_wrapper.services import load_services
from tests.unit.monitoring.figures import AS_OF, BLACK, daily, figures_of, service_figures

(SERVICE,) = load_services(Path(__file__).parents[3] / "hooks").of("readmission")
MONTH = timedelta(days=31)


def evidence(
    figures: ServiceFigures, last: LocalEvidence | None = None, *standing: StoredFinding
) -> LocalEvidence:
    return evidence_of(figures, SERVICE, standing, last, {})


def graded(group: GroupFigures) -> tuple[Grade, bool]:
    figures = service_figures(group)
    (_, result) = results_of(figures, tuple(estimates_of(figures, SERVICE)), Limits())
    return result.grade, result.holds_up


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (figures_of(BLACK), (Grade.ADEQUATE, True)),
        (figures_of(BLACK, events=60), (Grade.PARTIAL, False)),
        (figures_of(BLACK, events=15), (Grade.THIN, False)),
        (figures_of(BLACK, events=0), (Grade.NONE, False)),
        (replace(figures_of(BLACK), oe_design_effect=4.0), (Grade.PARTIAL, False)),
        (figures_of(BLACK, oe_ratio=(1.3, 1.1, 1.55)), (Grade.ADEQUATE, False)),
        (figures_of(BLACK, oe_ratio=(1.0, 0.8, 1.3)), (Grade.PARTIAL, False)),
        (figures_of(BLACK, sensitivity_gap=(-0.05, -0.13, 0.03)), (Grade.ADEQUATE, False)),
        (figures_of(BLACK, auroc_gap=(-0.05, -0.12, 0.02)), (Grade.ADEQUATE, False)),
        (figures_of(BLACK, sensitivity_gap=None), (Grade.ADEQUATE, False)),
        (figures_of(BLACK, oe_ratio=None), (Grade.ADEQUATE, False)),
        (figures_of(BLACK, sensitivity=None, sensitivity_gap=None), (Grade.ADEQUATE, True)),
    ],
)
def test_a_group_holds_up_only_with_enough_evidence_that_rules_out_what_matters(
    group: GroupFigures, expected: tuple[Grade, bool]
) -> None:
    assert graded(group) == expected


def test_outcomes_that_are_due_and_unknown_lower_the_grade() -> None:
    one = figures_of(BLACK)
    unknown = replace(one, counts={**one.counts, "unverified": 1000})
    assert graded(unknown) == (Grade.PARTIAL, False)


def test_ids_of_figures_tell_nothing_of_a_group() -> None:
    rows = list(estimates_of(service_figures(figures_of(BLACK)), SERVICE))
    assert all(row.id.removeprefix("local-").isdigit() for row in rows)
    assert len({row.id for row in rows}) == len(rows)


# Steadiness -------------------------------------------------------------------------------------------------


def of_group(local: LocalEvidence) -> tuple[Grade, bool]:
    return local.results[1].grade, local.results[1].holds_up


def later(figures: ServiceFigures, days: int) -> ServiceFigures:
    return replace(figures, as_of=AS_OF + timedelta(days=days))


GOOD = service_figures(figures_of(BLACK))
BAD = service_figures(figures_of(BLACK, oe_ratio=(1.4, 1.2, 1.6)))


def test_better_results_count_from_the_second_monthly_edition_in_a_row() -> None:
    first = evidence(GOOD)
    daily_one = evidence(later(GOOD, 5), first)
    second = evidence(later(GOOD, 31), daily_one)
    assert [of_group(one) for one in (first, daily_one, second)] == [
        (Grade.NONE, False),
        (Grade.NONE, False),
        (Grade.ADEQUATE, True),
    ]
    assert (first.monthly_on, daily_one.monthly_on, second.monthly_on) == (AS_OF, AS_OF, AS_OF + MONTH)


def test_worse_results_count_at_once_and_have_to_be_better_twice_again() -> None:
    good = evidence(later(GOOD, 31), evidence(GOOD))
    worse = evidence(later(BAD, 32), good)
    once = evidence(later(GOOD, 62), worse)
    twice = evidence(later(GOOD, 93), once)
    held = [of_group(one)[1] for one in (good, worse, once, twice)]
    assert held == [True, False, False, True]


def test_a_month_that_is_no_better_breaks_the_row() -> None:
    first = evidence(BAD)
    better = evidence(later(GOOD, 31), first)
    relapse = evidence(later(BAD, 62), better)
    assert not of_group(evidence(later(GOOD, 93), relapse))[1]


def test_results_that_are_held_back_decide_nothing_alone() -> None:
    (_, group) = evidence(GOOD).results
    assert group.seen is not None and not group.seen.adequate
    assert group.n == 2000


def test_an_edition_is_due_when_cards_could_change_or_a_month_has_passed() -> None:
    first = evidence(GOOD)
    assert changes_cards(first, None)
    same = evidence(later(GOOD, 1), first)
    assert not changes_cards(same, first)
    assert changes_cards(evidence(later(GOOD, 31), same), same)
    assert changes_cards(evidence(later(GOOD, 1), first, finding()), first)


def test_evidence_of_the_first_review_is_steady_by_itself() -> None:
    fresh = evidence(GOOD)
    assert steadied(fresh, None).results == fresh.results


# Findings on cards ------------------------------------------------------------------------------------------


def finding(kind: str = "group_drift", direction: str = "scores_too_low", **more: object) -> StoredFinding:
    stored = StoredFinding(
        "here-1", Subject("s", "m", "1"), "o", kind, {"race": ("black",)}, True, direction, AS_OF, {}
    )
    return replace(stored, **more)  # type: ignore[arg-type]  # each test names a field of its own


def carded(one: StoredFinding, group: GroupFigures) -> list[tuple[bool, Figures | None, bool]]:
    figures = service_figures(group)
    rows = tuple(estimates_of(figures, SERVICE))
    return [(f.signed, f.figures, f.label_mismatch) for f in findings_of([one], figures, rows, Limits())]


TOO_LOW = figures_of(BLACK, events=400, oe_ratio=(1.5, 1.3, 1.7))


@pytest.mark.parametrize(
    ("one", "group", "expected"),
    [
        (finding(), figures_of(BLACK, oe_ratio=(0.5, 0.4, 0.6)), [(True, None, False)]),
        (finding(kind="threshold_effect"), TOO_LOW, []),
        (finding(kind="follow_up_falling"), TOO_LOW, []),
        (finding(closed_at=date(2026, 1, 1)), TOO_LOW, []),
        (finding(kind="equal_score", detail={"label_mismatch": True}), TOO_LOW, [(False, None, True)]),
        (finding(kind="equal_score", outcome="another"), TOO_LOW, [(False, None, False)]),
        (
            finding(kind="misses_more", direction="misses_more"),
            figures_of(BLACK, sensitivity=(0.4, 0.3, 0.5), sensitivity_gap=(-0.2, -0.3, -0.1)),
            [(False, Figures(40, 60), False)],
        ),
        (
            finding(kind="misses_more", direction="misses_more"),
            figures_of(BLACK, events=20, sensitivity=(0.4, 0.3, 0.5), sensitivity_gap=(-0.2, -0.3, -0.1)),
            [(False, None, False)],
        ),
    ],
)
def test_cards_speak_of_open_findings_with_figures_that_fit_and_hide_nobody(
    one: StoredFinding, group: GroupFigures, expected: list[tuple[bool, Figures | None, bool]]
) -> None:
    assert carded(one, group) == expected


def test_predicted_and_observed_are_given_in_100_where_both_may_be_shown() -> None:
    one = replace(
        figures_of(BLACK, events=400, oe_ratio=(1.5, 1.3, 1.7), sums=daily(400, 267, 3600, 3600)),
        counts={"event": 400, "no_event": 1600, "pending": 0, "censored": 0, "unverified": 0},
    )
    assert carded(finding(), one) == [(True, Figures(13, 20), False)]
