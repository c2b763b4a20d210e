"""The demonstration's year, over many seeds: what is planted is found, and nobody else is accused.

A hospital looks every day, and says at once what it finds. So each seed's year is looked at on each of its
days; one year has a whole review on the engine beside it. Dated reviews of other years are not counted here.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from cds_wrapper.demo.year_lives import Truth
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.daily_findings import of_daily
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.formulas.budget import Budget
from cds_wrapper.monitoring.looking import Before, look, name_of
from cds_wrapper.monitoring.past import Past
from cds_wrapper.monitoring.review import looked_at
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures
from tests.unit.monitoring.made import written
from tests.unit.monitoring.simulations.courses import Hits, holds, printed, takes
from tests.unit.monitoring.simulations.lived import (
    ENDS,
    SERVICE,
    Rows,
    Split,
    divisors_by_day,
    episode_rows,
    figures_of,
    lived,
    mature_rows,
    rings_on,
    splits,
    table,
    truly,
    usual_by_day,
)

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

YEARS: Final = 15
FIRST_SEED: Final = 1000
PLANTED: Final = Group(tuple(Truth.crossing.items()))
DRIFTING: Final = Group(tuple(Truth.drifting.items()))
NOTHING_BEFORE: Final = Past((), 0, None, {}, None)
AFFECTED: Final = 1.1
"""From so many times the events predicted on, truly, by itself and beside the rest, a group is affected by
what is planted in some of its members: people of one race of every age, say. To name it is right."""


@dataclass(frozen=True, slots=True)
class Found:
    """One group found, on which day of the year, and whether its scores truly err that way."""

    group: Group
    kind: FindingKind
    day: int
    is_true: bool


@functools.cache
def found_daily(seed: int) -> tuple[Found, ...]:
    """Every first finding of a year that is looked at daily, by the program's own rules."""
    year = lived(seed)
    rows = mature_rows(year, episode_rows(year))
    return tuple(_each(rows, splits(rows)))


def _each(rows: Rows, every: tuple[Split, ...]) -> Iterator[Found]:
    """What could ring at all is looked at again day by day, with what was known on that day."""
    budget, usual = Budget(len(every) - 1), usual_by_day(rows)
    whole = figures_of(rows, every, ENDS, effects=False)
    for split, one in zip(every, whole.groups, strict=True):
        rings = rings_on(one, 1.0, budget, rows.first)
        if rings is not None:
            by_day = divisors_by_day(rows, split, rings, usual)
            yield from _first(rows, every[0], split, one, budget, rings, by_day)


def _first(
    rows: Rows,
    everybody: Split,
    split: Split,
    whole: GroupFigures,
    budget: Budget,
    rings: dt.date,
    by_day: list[float],
) -> Iterator[Found]:
    """The first finding about a group. Days on which it cannot ring yet are not looked at.

    A divisor rings on no day on which a smaller one does not, and no day knows of later ones: so the least
    divisor to come tells the first day that matters.
    """
    wanted = (everybody,) if split.group == EVERYBODY else (everybody, split)
    number, has_rung = 0, False
    while number < len(by_day):
        if not has_rung:
            earliest = rings_on(whole, min(by_day[number:]), budget, rows.first)
            if earliest is None:
                return
            number = max(number, (earliest - rings).days)
        day = rings + dt.timedelta(days=number)
        figures = figures_of(rows, wanted, day)
        in_force = {name_of(split.group): by_day[number]}
        looked = look(figures, budget, Before(rows.first, divisors=in_force))
        for one in of_daily(looked[-1:], figures, SERVICE.plan.limits):
            ratios = [truly(rows, split, since, day) for since in (rows.first, one.since)]
            is_low = one.direction is not None and one.direction.value == "scores_too_low"
            yield Found(split.group, one.kind, (day - rows.first).days, _is_true(ratios, is_low=is_low))
            return
        has_rung = looked[-1].alarm_on is not None
        number += 1


def _is_true(ratios: list[tuple[float, float]], *, is_low: bool) -> bool:
    """Whether both ratios are truly off that way, since the first day or since the day that is named."""
    return any(min(both) >= AFFECTED if is_low else max(both) <= 1 / AFFECTED for both in ratios)


def every_year() -> list[tuple[Found, ...]]:
    return [found_daily(FIRST_SEED + number) for number in range(YEARS)]


def days_until(group: Group) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The day on which each year finds a group, infinite where it does not."""
    first = (next((one.day for one in year if one.group == group), np.inf) for year in every_year())
    return np.asarray(list(first), dtype=np.float64)


def hits(years: Iterator[bool]) -> Hits:
    return np.asarray(list(years), dtype=np.bool_)


def test_the_short_way_from_a_year_to_its_daily_sums_gives_what_the_engine_measures(tmp_path: Path) -> None:
    year = lived(FIRST_SEED)
    rows = episode_rows(year)
    with parquet_source(written(tmp_path, table(rows))) as source:
        done = looked_at(source, SERVICE, ENDS, NOTHING_BEFORE, len(rows), lambda _: None)
    short = mature_rows(year, rows)
    ours = figures_of(short, splits(short), ENDS)

    assert [one.group for one in ours.groups] == [one.group for one in done.figures.groups]
    for mine, theirs in zip(ours.groups, done.figures.groups, strict=True):
        assert mine.daily.days == theirs.daily.days, mine.group
        for name in ("group_events", "group_expected", "rest_events", "rest_expected"):
            assert getattr(mine.daily, name) == pytest.approx(getattr(theirs.daily, name)), mine.group
        assert mine.oe_design_effect == pytest.approx(theirs.oe_design_effect), mine.group
    looked = look(ours, Budget(len(ours.groups) - 1), Before(short.first))
    alarms = [one.alarm_on for one in done.looked]
    assert [one.alarm_on for one in looked] == alarms
    budget = Budget(len(ours.groups) - 1)
    both = zip(ours.groups, looked, strict=True)
    assert [rings_on(one, by.divisor, budget, short.first) for one, by in both] == alarms


def test_what_is_planted_is_found_within_the_year_and_the_page_says_when() -> None:
    for group, name, least, about in (
        (PLANTED, "planted gap", 0.85, 260),
        (DRIFTING, "drifting group", 0.8, 300),
    ):
        days = days_until(group)
        share = float(np.isfinite(days).mean())
        assert share >= least - 3 * np.sqrt(least * (1 - least) / YEARS)
        printed(
            f"A year of the demonstration, {YEARS} seeds: {name} found", f"at least {least}", share, YEARS
        )
        takes(f"A year of the demonstration, {YEARS} seeds: day the {name} is found", days, about)


def test_nobody_else_is_accused_in_a_year_of_daily_looks() -> None:
    others = hits(
        any(not one.is_true for one in year if one.kind is FindingKind.GROUP_DRIFT) for year in every_year()
    )
    model = hits(any(one.kind is FindingKind.MODEL_OFF for one in year) for year in every_year())

    holds(f"A year of the demonstration, {YEARS} seeds: any group that is not affected", others, 0.025)
    holds(f"A year of the demonstration, {YEARS} seeds: the model as a whole", model, 0.05)
