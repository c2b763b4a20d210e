"""From what rang in the daily look to findings: a group drifted from the rest, a model is off. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import date

from cds_wrapper.caveats.found import Direction, Limits
from cds_wrapper.monitoring.findings import FindingKind, Observed
from cds_wrapper.monitoring.formulas.oe_ratio import garwood
from cds_wrapper.monitoring.formulas.watching import Watched
from cds_wrapper.monitoring.looking import Looked
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, ServiceFigures


def of_daily(looked: Iterable[Looked], figures: ServiceFigures, limits: Limits) -> Iterator[Observed]:
    """What rang and is large enough to matter: a group against the rest, or the model as a whole.

    Where one group's scores are too low, everybody else's are too high beside it. So the group's own events
    must lie on that side of what was expected of them, and farther from it than the others'; where they do
    not, the fault is the others'.
    """
    sums = {one.group: one.daily for one in figures.groups}
    for one in looked:
        found = one.watched
        if isinstance(found, Watched) and one.alarm_on is not None and one.since is not None:
            whole, since = _direction(found.ratio, limits), _direction(found.ratio_since, limits)
            direction = whole or since
            first = one.begins if whole else one.since
            if direction is not None and _is_its_own(sums[one.group], first, one.divisor, direction):
                yield _rang(one, found, one.alarm_on, one.since, direction, figures)


def _is_its_own(sums: DailySums, first: date, by: float, direction: Direction) -> bool:
    """Whether the group's own O/E since a day is surely on that side of 1 (95 %), farther than the rest's.

    A large group with a small fault of its own, beside a small one with a large fault the other way, rings
    with it. The side that is farther from 1 (as a logarithm) is at fault; so one of the two always is.
    """
    places = [place for place, day in enumerate(sums.days) if day >= first]
    observed, expected, rest_observed, rest_expected = (
        sum(column[place] for place in places) / by
        for column in (sums.group_events, sums.group_expected, sums.rest_events, sums.rest_expected)
    )
    if expected <= 0:
        return False
    low, high = garwood(observed, expected)
    if not (low > 1 if direction is Direction.SCORES_TOO_LOW else high < 1):
        return False
    return rest_expected <= 0 or _distance(observed, expected) >= _distance(rest_observed, rest_expected)


def _distance(observed: float, expected: float) -> float:
    """How far O/E is from 1; without an event it is as far as can be."""
    return abs(math.log(observed / expected)) if observed > 0 else math.inf


def _direction(ratio: float, limits: Limits) -> Direction | None:
    """Which way scores err at this ratio of observed over expected; None where it is of no consequence."""
    if ratio > limits.ratio_too_low:
        return Direction.SCORES_TOO_LOW
    return Direction.SCORES_TOO_HIGH if ratio < limits.ratio_too_high else None


def _rang(
    one: Looked,
    found: Watched,
    alarm_on: date,
    since: date,
    direction: Direction,
    figures: ServiceFigures,
) -> Observed:
    low, high = found.sequence
    of_whom = "expected" if one.group == EVERYBODY else "expected from how the others fared"
    what = f"{found.ratio:.2f} times the events {of_whom} (since {since}: {found.ratio_since:.2f})"
    if direction is Direction.SCORES_TOO_HIGH:
        what += "; may reflect treatment that worked"
    return Observed(
        kind=FindingKind.MODEL_OFF if one.group == EVERYBODY else FindingKind.GROUP_DRIFT,
        group=one.group,
        outcome=figures.outcome,
        direction=direction,
        since=since,
        what=what,
        sure=f"rang on {alarm_on}; looked at daily, the ratio lies in {low:.2f} to {high:.2f}; such an alarm"
        f" without a cause has a chance of 1 in {round(1 / found.share.error):,} in the life of the version",
        detail={
            "ratio": round(found.ratio, 3),
            "ratio_since": round(found.ratio_since, 3),
            "low": round(low, 3),
            "high": round(high, 3),
            "alarm_on": alarm_on.isoformat(),
        },
    )
