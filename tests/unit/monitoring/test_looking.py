"""How long finding takes, and what a day knew of findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cds_wrapper.ledger.edition_values import StoredFinding, Subject
from cds_wrapper.monitoring.formulas.budget import Budget
from cds_wrapper.monitoring.looking import Before, look, times_of
from cds_wrapper.monitoring.past import stood_on
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, ServiceFigures
from tests.unit.monitoring.figures import BLACK, LIVE, daily, figures_of, service_figures

FOUND = StoredFinding(
    "here-1",
    Subject("s", "m", "1"),
    "o",
    "equal_score",
    {"race": ("black",)},
    True,
    "scores_too_low",
    date(2026, 5, 1),
    {},
    "r2",
)
REVIEWED = {"r1": date(2026, 5, 1), "r2": date(2026, 8, 1)}


def with_sums(sums: DailySums) -> ServiceFigures:
    everybody = figures_of(EVERYBODY, events=2000, sums=daily(2000, 2000, 0, 0))
    return service_figures(figures_of(BLACK, sums=sums), everybody=everybody)


def every_other_day(sums: DailySums) -> DailySums:
    parts = (sums.days, sums.group_events, sums.group_expected, sums.rest_events, sums.rest_expected)
    days, *others = (part[::2] for part in parts)
    return DailySums(days, *others)  # type: ignore[arg-type]  # each a part of its own kind


def test_days_on_which_nothing_matured_count_for_the_time_to_find() -> None:
    whole = daily(400, 400, 1800, 1800)
    often, seldom = (
        times_of(with_sums(sums), Budget(1), Before(LIVE))[BLACK] for sums in (whole, every_other_day(whole))
    )
    for one, other in zip(often, seldom, strict=True):
        assert one.from_live is not None
        assert other.from_live is not None
        assert other.from_live > 1.8 * one.from_live


def test_times_are_those_of_the_look_whatever_is_in_force() -> None:
    figures, before = (
        with_sums(daily(400, 400, 1800, 1800)),
        Before(LIVE, frozenset({BLACK}), {str(BLACK): 3.0}),
    )
    for known in (before, replace(before, closed={BLACK: date(2026, 5, 1)})):
        looked = {one.group: one.times for one in look(figures, Budget(1), known) if one.times}
        assert times_of(figures, Budget(1), known) == looked
        assert looked != times_of(figures, Budget(1), Before(LIVE))


@pytest.mark.parametrize(("day", "is_known"), [(date(2026, 7, 31), False), (date(2026, 8, 1), True)])
def test_a_finding_is_known_from_the_review_on_that_opened_it(day: date, is_known: bool) -> None:
    """It says that it was so since May: in July nobody knew."""
    assert bool(stood_on([FOUND], REVIEWED, day)) is is_known


def test_a_finding_is_open_on_every_day_before_it_was_closed() -> None:
    closed = replace(
        FOUND, closed_at=datetime(2026, 9, 3, 9, tzinfo=UTC), closed_by=("owner", "chair"), why="a test"
    )
    assert stood_on([closed], REVIEWED, date(2026, 9, 2)) == (FOUND,)
    assert stood_on([closed], REVIEWED, date(2026, 9, 3)) == (closed,)
