"""The daily look: all that the sequences say about one group, or about the model as a whole, up to today."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cds_wrapper.monitoring.formulas.budget import Share
from cds_wrapper.monitoring.formulas.material import BAND, log_e_ratio_outside, log_e_to_rest_outside
from cds_wrapper.monitoring.formulas.restarts import (
    PLANNED_MONTHS,
    Days,
    likeliest_start,
    log_e_ratio_restarts,
    log_e_restarts,
    start_places,
)
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    Sides,
    log_e_ratio,
    log_e_running,
    log_ratio_to_rest,
    ratio_sequence,
    ratio_to_rest_sequence,
    steps,
)
from cds_wrapper.monitoring.values import Interval, WhyNot


@dataclass(frozen=True, slots=True)
class Evidence:
    """An e-value over time: its logarithm today, at its highest, and the first day at the bar, if ever."""

    now: float
    highest: float
    first_day: int | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a daily look says. Days count from go-live.

    `ratio` is O/E (the model), or O/E to that of the rest day by day (a group), with its confidence
    sequence at the level of the sum since go-live. `since_live` and `restarts` are the two sequences that
    may ring; `alarm_day` is the first day either did. `since_day` is where the restart with the most
    evidence began, on the day of the alarm or else today, and `ratio_since` the ratio from then to today:
    after a change, that since go-live comes late. `log_e_material` is today's evidence that the ratio is
    outside the band of no consequence. `on_watch` puts a group on the internal list.
    """

    ratio: float
    sequence: Interval
    events: float
    expected: float
    since_live: Evidence
    restarts: Evidence
    alarm_day: int | None
    since_day: int
    ratio_since: float
    log_e_material: float
    on_watch: bool
    share: Share
    divisor: float


def watch(
    sides: Sides, days: Days, share: Share, log_watch_bar: float, months: int = PLANNED_MONTHS
) -> Watched | WhyNot:
    """One group against the rest, from go-live to today; `days` are those of `sides`, ascending."""
    best = log_ratio_to_rest(sides)
    if best is None:
        return (
            WhyNot.NO_REST
            if sides.rest_expected.sum() == 0 < sides.group_expected.sum()
            else WhyNot.NO_EVENTS
        )
    collected = np.cumsum(steps(sides), axis=0)
    running = log_e_running(collected)
    restarted = log_e_restarts(collected, days, months)
    since_live, restarts = evidence(running, days, share), evidence(restarted, days, share)
    alarm_day = first_of(since_live.first_day, restarts.first_day)
    place = likeliest_start(collected, days, place_of(alarm_day, days), months)
    since = log_ratio_to_rest(sides.days(place))
    return Watched(
        ratio=math.exp(best),
        sequence=ratio_to_rest_sequence(sides, share.each),
        events=float(sides.group.sum()),
        expected=float(sides.group_expected.sum()),
        since_live=since_live,
        restarts=restarts,
        alarm_day=alarm_day,
        since_day=int(days[place]),
        ratio_since=math.exp(best if since is None else since),
        log_e_material=log_e_to_rest_outside(sides, BAND),
        on_watch=ever_watched(running, restarted, log_watch_bar),
        share=share,
        divisor=sides.divisor,
    )


def watch_model(
    events: Floats,
    expected: Floats,
    days: Days,
    share: Share,
    divisor: float = 1.0,
    months: int = PLANNED_MONTHS,
) -> Watched | WhyNot:
    """The model as a whole: daily events and summed probabilities, from go-live to today."""
    if expected.sum() == 0:
        return WhyNot.NO_ROWS
    seen, mean = np.cumsum(events) / divisor, np.cumsum(expected) / divisor
    running = log_e_ratio(seen, mean)
    restarted = log_e_ratio_restarts(seen, mean, days, months)
    since_live, restarts = evidence(running, days, share), evidence(restarted, days, share)
    alarm_day = first_of(since_live.first_day, restarts.first_day)
    place = likeliest_start_of_ratio(seen, mean, days, place_of(alarm_day, days), months)
    return Watched(
        ratio=float(seen[-1] / mean[-1]),
        sequence=ratio_sequence(float(seen[-1]), float(mean[-1]), share.each),
        events=float(events.sum()),
        expected=float(expected.sum()),
        since_live=since_live,
        restarts=restarts,
        alarm_day=alarm_day,
        since_day=int(days[place]),
        ratio_since=float(events[place:].sum() / expected[place:].sum()),
        log_e_material=float(log_e_ratio_outside(seen[-1], mean[-1], BAND)),
        on_watch=False,
        share=share,
        divisor=divisor,
    )


def evidence(log_e: Floats, days: Days, share: Share) -> Evidence:
    """Today's, the highest, and the first day at the bar."""
    reached = np.flatnonzero(log_e >= share.log_bar)
    return Evidence(float(log_e[-1]), float(log_e.max()), int(days[reached[0]]) if reached.size else None)


def first_of(one: int | None, other: int | None) -> int | None:
    """The earlier of two days, if there is any."""
    return min((day for day in (one, other) if day is not None), default=None)


def place_of(day: int | None, days: Days) -> int:
    """Where a day stands, today if there is none."""
    return days.size - 1 if day is None else int(np.searchsorted(days, day))


def ever_watched(running: Floats, restarted: Floats, log_bar: float) -> bool:
    """Whether the mean of both sequences, an e-process too, ever reached the bar of the internal list."""
    return bool((np.logaddexp(running, restarted) - math.log(2)).max() >= log_bar)


def likeliest_start_of_ratio(seen: Floats, mean: Floats, days: Days, at: int, months: int) -> int:
    """`restarts.likeliest_start` for O/E."""
    places = start_places(days, months)
    places = places[places <= at]
    before = np.concatenate([[0.0], seen]), np.concatenate([[0.0], mean])
    return int(places[np.argmax(log_e_ratio(seen[at] - before[0][places], mean[at] - before[1][places]))])
