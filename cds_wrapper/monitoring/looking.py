"""The daily look at every group and at the model as a whole, out of the sums of each day. Pure.

What is looked at and how much error each may spend is fixed by the groups that are declared, before looking.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np

from cds_wrapper.caveats.plan import MonitoringPlan
from cds_wrapper.monitoring.formulas.budget import Budget, Share, contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.sequences import Floats, Sides
from cds_wrapper.monitoring.formulas.time_to_find import TimeToFind, times_to_find
from cds_wrapper.monitoring.formulas.watching import Watched, watch, watch_model
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, Group, GroupFigures, ServiceFigures, WhyNot

TYPICAL_DAYS: Final = 28
"""Days of outcomes that a typical day is taken from: of fewer no time to find is told."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the daily look says of one group; `alarm_on` is the first day on which it rang, if ever.

    `begins` is the first day looked at: the day after a closed finding, else the earliest there is.
    """

    group: Group
    watched: Watched | WhyNot
    divisor: float
    alarm_on: date | None
    since: date | None
    times: tuple[TimeToFind, ...]
    begins: date = date.min


@dataclass(frozen=True, slots=True)
class Before:
    """What is known from before: groups with a finding from elsewhere, divisors in force, closed findings.

    `went_live` is the first day. What a person has closed is looked at anew from the day after.
    """

    went_live: date
    suspected: frozenset[Group] = frozenset()
    divisors: Mapping[str, float] = field(default_factory=dict)
    closed: Mapping[Group, date] = field(default_factory=dict)


def look(figures: ServiceFigures, budget: Budget, before: Before) -> tuple[Looked, ...]:
    """Everybody first, then every group, each with its share of the error."""
    everybody = figures.everybody
    found = [_everybody(everybody, budget.for_model, before)]
    for one, share in _shared(figures, budget, before):
        found.append(_group(one, everybody, share, budget.log_watch_bar, before))
    return tuple(found)


def times_of(figures: ServiceFigures, budget: Budget, before: Before) -> dict[Group, tuple[TimeToFind, ...]]:
    """How long the daily look takes to find that each group's scores are too low; see `_times`.

    Groups of which it cannot be told are left out.
    """
    return {
        one.group: times
        for one, share in _shared(figures, budget, before)
        if (times := _times(one.daily, share, _divisor(one, figures.everybody, before)))
    }


def _shared(figures: ServiceFigures, budget: Budget, before: Before) -> Iterator[tuple[GroupFigures, Share]]:
    """Every group but everybody with its share of the error."""
    groups = figures.groups[1:]
    return zip(groups, budget.daily([one.group in before.suspected for one in groups]), strict=True)


def families(figures: ServiceFigures) -> int:
    """How many groups the error is split over."""
    return max(1, len(figures.groups) - 1)


def budget_of(figures: ServiceFigures, plan: MonitoringPlan) -> Budget:
    """The error that a plan allows, split over every group there is."""
    return Budget(families(figures), plan.family_error, plan.model_error)


def _everybody(one: GroupFigures, share: Share, before: Before) -> Looked:
    sums = _after(one.daily, before.closed.get(EVERYBODY))
    by = divisor(one.oe_design_effect, sum(sums.group_events), before.divisors.get(str(EVERYBODY)))
    found: Watched | WhyNot = WhyNot.NO_ROWS
    if sums.days:
        found = watch_model(
            _floats(sums.group_events), _floats(sums.group_expected), _days(sums, before.went_live), share, by
        )
    return _looked(EVERYBODY, found, by, before, ())


def _group(
    one: GroupFigures, everybody: GroupFigures, share: Share, log_bar: float, before: Before
) -> Looked:
    sums, by = _after(one.daily, before.closed.get(one.group)), _divisor(one, everybody, before)
    found: Watched | WhyNot = WhyNot.NO_ROWS
    if sums.days:
        found = watch(_sides(sums, by), _days(sums, before.went_live), share, log_bar)
    return _looked(one.group, found, by, before, _times(one.daily, share, by))


def _divisor(one: GroupFigures, everybody: GroupFigures, before: Before) -> float:
    """By how much a group's evidence is divided, out of what is looked at and what is in force."""
    sums = _after(one.daily, before.closed.get(one.group))
    events, others = sum(sums.group_events), sum(sums.rest_events)
    effect = 1.0
    if events > 0 and others > 0:
        effect = contrast_design_effect(one.oe_design_effect, events, everybody.oe_design_effect, others)
    return divisor(effect, events, before.divisors.get(name_of(one.group)))


def _looked(
    group: Group, found: Watched | WhyNot, by: float, before: Before, times: tuple[TimeToFind, ...]
) -> Looked:
    closed = before.closed.get(group)
    begins = date.min if closed is None else closed + timedelta(days=1)
    if isinstance(found, WhyNot):
        return Looked(group, found, by, None, None, times, begins)
    alarm = None if found.alarm_day is None else before.went_live + timedelta(days=found.alarm_day)
    return Looked(group, found, by, alarm, before.went_live + timedelta(days=found.since_day), times, begins)


def name_of(group: Group) -> str:
    """A group by a name of its own: a race also in combination is another group than that race alone."""
    return f"{group}" if group.exclusive else f"{group} (also in combination)"


def divisors_of(looked: Collection[Looked], figures: ServiceFigures) -> dict[str, float]:
    """The divisors that are in force from now on: those of groups with enough events."""
    events = {one.group: one.counts["event"] for one in figures.groups}
    return {name_of(one.group): one.divisor for one in looked if events[one.group] >= 100}


def _after(sums: DailySums, closed: date | None) -> DailySums:
    if closed is None:
        return sums
    left = np.asarray([day > closed for day in sums.days], dtype=np.bool_)

    def later(column: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(float(one) for one in _floats(column)[left])

    return DailySums(
        tuple(day for day in sums.days if day > closed),
        later(sums.group_events),
        later(sums.group_expected),
        later(sums.rest_events),
        later(sums.rest_expected),
    )


def _sides(sums: DailySums, by: float) -> Sides:
    return Sides(
        _floats(sums.group_events),
        _floats(sums.rest_events),
        _floats(sums.group_expected),
        _floats(sums.rest_expected),
        by,
    )


def _days(sums: DailySums, went_live: date) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray([max(0, (day - went_live).days) for day in sums.days], dtype=np.int64)


def _floats(values: tuple[float, ...]) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _times(sums: DailySums, share: Share, by: float) -> tuple[TimeToFind, ...]:
    """At what the group brings on a typical day, those on which nothing matured included."""
    if len(sums.days) < TYPICAL_DAYS or sum(sums.group_expected) <= 0:
        return ()
    first = min(sums.days)
    length = (max(sums.days) - first).days + 1
    group, rest = np.zeros(length), np.zeros(length)
    for day, own, others in zip(sums.days, sums.group_expected, sums.rest_expected, strict=True):
        group[(day - first).days] += own
        rest[(day - first).days] += others
    return times_to_find(group, rest, share, by)
