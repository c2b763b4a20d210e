"""The area under the ROC curve from counts per bin of the score, ties counted one half, and its interval.

Newcombe's method 5 below 100 events or non-events, DeLong on the logit scale from 100 up: with five events in
100 the usual interval covers 84 % of the time instead of 95 (Newcombe 2006 Stat Med 25:559; DeLong 1988
Biometrics 44:837).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.figure import Z95, Figure
from cds_wrapper.monitoring.values import Interval, WhyNot

ENOUGH_FOR_DELONG: Final = 100
_ALMOST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Ranks:
    """An area and what each bin contributes to it.

    `v10` is the share of non-events below an event of the bin (ties one half), `v01` the share of events
    above a non-event of it; `se` is DeLong's standard error, as if every row were another patient.
    """

    area: float
    events: float
    non_events: float
    v10: Floats
    v01: Floats
    se: float


def ranks(events: Floats, non_events: Floats) -> Ranks | WhyNot:
    """The area of counts per bin, in ascending order of the score."""
    m, n = float(events.sum()), float(non_events.sum())
    if m <= 0:
        return WhyNot.NO_EVENTS
    if n <= 0:
        return WhyNot.NO_NON_EVENTS
    below = np.cumsum(non_events) - non_events
    above = m - np.cumsum(events)
    v10 = (below + non_events / 2) / n
    v01 = (above + events / 2) / m
    area = float((events * v10).sum() / m)
    return Ranks(area, m, n, v10, v01, _delong(events, non_events, v10, v01, area, m, n))


def _delong(
    events: Floats, non_events: Floats, v10: Floats, v01: Floats, area: float, m: float, n: float
) -> float:
    """Infinite where a class has one row only: its spread is not known."""
    if m <= 1 or n <= 1:
        return math.inf
    s10 = float((events * (v10 - area) ** 2).sum()) / (m - 1)
    s01 = float((non_events * (v01 - area) ** 2).sum()) / (n - 1)
    return math.sqrt(s10 / m + s01 / n)


def newcombe5(area: float, m: float, n: float, z: float = Z95) -> Interval:
    """Newcombe's method 5 from the area and the two counts alone."""
    star = (m + n) / 2 - 1

    def beyond(theta: float) -> float:
        spread = 1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta)
        return abs(area - theta) - z * math.sqrt(max(theta * (1 - theta) * spread / (m * n), 0.0))

    # Where the end of the scale itself is not beyond, no limit lies inside it.
    is_open_below, is_open_above = beyond(_ALMOST) <= 0, beyond(1 - _ALMOST) <= 0
    low = 0.0 if is_open_below else float(brentq(beyond, _ALMOST, min(area, 1 - _ALMOST)))
    high = 1.0 if is_open_above else float(brentq(beyond, max(area, _ALMOST), 1 - _ALMOST))
    return low, high


def delong_logit(area: float, se: float, z: float = Z95) -> Interval:
    """DeLong's interval on the logit scale, which stays between 0 and 1."""
    middle = math.log(area / (1 - area))
    half = z * se / (area * (1 - area))
    return float(expit(middle - half)), float(expit(middle + half))


def method_for(m: float, n: float) -> str:
    """Which interval applies to so many events and non-events."""
    return "DeLong (logit)" if min(m, n) >= ENOUGH_FOR_DELONG else "Newcombe 5"


def area(found: Ranks | WhyNot, design_effect: float = 1.0, z: float = Z95) -> Figure:
    """The area with its interval; a design effect divides both counts."""
    if isinstance(found, WhyNot):
        return Figure.none(found)
    return Figure.of(found.area, area_interval(found, design_effect, z))


def area_interval(found: Ranks, design_effect: float = 1.0, z: float = Z95) -> Interval:
    """The limits of `area`; Newcombe's too where DeLong's error is 0 (all scores alike) or not known."""
    m, n = found.events / design_effect, found.non_events / design_effect
    is_inside = 0 < found.area < 1 and 0 < found.se < math.inf
    if min(m, n) >= ENOUGH_FOR_DELONG and is_inside:
        return delong_logit(found.area, found.se * math.sqrt(design_effect), z)
    return newcombe5(found.area, m, n, z)


def mover_difference(one: Figure, other: Figure) -> Figure:
    """The difference of two independent figures from their limits (MOVER; Zou and Donner 2008)."""
    values = (one.value, one.low, one.high, other.value, other.low, other.high)
    a1, l1, u1, a2, l2, u2 = values
    if a1 is None or l1 is None or u1 is None or a2 is None or l2 is None or u2 is None:
        return Figure.none(one.why_not or other.why_not or WhyNot.NO_REST)
    gap = a1 - a2
    return Figure.of(gap, (gap - math.hypot(a1 - l1, u2 - a2), gap + math.hypot(u1 - a1, a2 - l2)))
