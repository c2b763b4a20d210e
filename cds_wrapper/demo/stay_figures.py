"""How well a probability fits what came of it: figures with intervals, with the person as the unit.

Stays of one patient are alike, so a plain interval is too narrow. Each figure is a ratio of sums over
patients; the variance of its residuals by patient over the variance of independent rows is a design effect
(at least 1), and the usual interval is taken on the counts divided by it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from cds_wrapper.demo.logistic import Observation, expit, fit_logistic

LEVEL: Final = 0.95
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)
_LOGIT_FROM: Final = 100
"""Events and non-events from which DeLong's interval on the logit scale is taken for the AUROC."""
SLOPE_FROM: Final = 100
_HALVINGS: Final = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction and what came of it."""

    person: Hashable
    probability: float
    event: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate with the limits of its 95 % interval."""

    estimate: float
    low: float
    high: float
    method: str


def by_person(judged: Iterable[Judged], residual: Callable[[Judged], float]) -> float:
    """Sum of squares of the persons' summed residuals, times G/(G-1)."""
    parts: dict[Hashable, list[float]] = {}
    for one in judged:
        parts.setdefault(one.person, []).append(residual(one))
    if len(parts) < 2:
        return math.nan
    return len(parts) / (len(parts) - 1) * math.fsum(math.fsum(values) ** 2 for values in parts.values())


def _effect(variance: float, independent: float) -> float:
    """Design effect, never below 1."""
    return max(1.0, variance / independent) if independent > 0 else 1.0


def share(judged: Sequence[Judged], of: Callable[[Judged], bool], among: Callable[[Judged], bool]) -> Figure:
    """A share with Wilson's interval: sensitivity, predictive value, share flagged."""
    inside = [one for one in judged if among(one)]
    count, hits = len(inside), sum(map(of, inside))
    rate = hits / count
    variance = by_person(inside, lambda one: of(one) - rate) / count**2
    effect = _effect(variance, rate * (1 - rate) / count)
    low, high = wilson(hits / effect, count / effect)
    return Figure(rate, low, high, "Wilson, patient-clustered")


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Wilson's limits of a share."""
    rate, shrink = hits / count, 1 + _Z**2 / count
    middle = rate + _Z**2 / (2 * count)
    reach = _Z * math.sqrt(rate * (1 - rate) / count + _Z**2 / (4 * count**2))
    return (middle - reach) / shrink, (middle + reach) / shrink


def observed_over_expected(judged: Sequence[Judged]) -> Figure:
    """Events over the sum of probabilities, with the score interval."""
    events = sum(one.event for one in judged)
    expected = math.fsum(one.probability for one in judged)
    squares = math.fsum(one.probability**2 for one in judged)
    ratio = events / expected
    variance = by_person(judged, lambda one: one.event - ratio * one.probability) / expected**2
    effect = _effect(variance, (ratio * expected - ratio**2 * squares) / expected**2)
    low, high = score_limits(events / effect, expected / effect, squares / effect)
    return Figure(ratio, low, high, "score interval, patient-clustered")


def score_limits(events: float, expected: float, squares: float) -> tuple[float, float]:
    """Roots of r^2 (E^2 + z^2 Q) - r (2 O E + z^2 E) + O^2 = 0."""
    a = expected**2 + _Z**2 * squares
    b = 2 * events * expected + _Z**2 * expected
    root = math.sqrt(b * b - 4 * a * events**2)
    return (b - root) / (2 * a), (b + root) / (2 * a)


def auroc(judged: Sequence[Judged]) -> Figure:
    """Area under the ROC curve, ties counted half; DeLong's error summed by person (Obuchowski 1997)."""
    events = sorted(one.probability for one in judged if one.event)
    others = sorted(one.probability for one in judged if not one.event)
    m, n = len(events), len(others)
    placed = [_placement(one, events, others) for one in judged]
    area = math.fsum(value for one, value in zip(judged, placed, strict=True) if one.event) / m
    residuals = {
        id(one): (value - area) / (m if one.event else n) for one, value in zip(judged, placed, strict=True)
    }
    variance = by_person(judged, lambda one: residuals[id(one)])
    if min(m, n) >= _LOGIT_FROM:
        reach = _Z * math.sqrt(variance) / (area * (1 - area))
        logit = math.log(area / (1 - area))
        return Figure(area, expit(logit - reach), expit(logit + reach), "DeLong (logit), patient-clustered")
    effect = _effect(variance, _delong(judged, placed, area))
    low, high = newcombe(area, m / effect, n / effect)
    return Figure(area, low, high, "Newcombe 5, patient-clustered")


def _placement(one: Judged, events: Sequence[float], others: Sequence[float]) -> float:
    """Share of the other side that lies where it should: below an event, above a non-event."""
    side = others if one.event else events
    below, up_to = bisect_left(side, one.probability), bisect_right(side, one.probability)
    lower = (below + up_to) / 2 / len(side)
    return lower if one.event else 1 - lower


def _delong(judged: Sequence[Judged], placed: Sequence[float], area: float) -> float:
    """DeLong's variance of independent rows."""
    total = 0.0
    for event in (True, False):
        values = [value for one, value in zip(judged, placed, strict=True) if one.event is event]
        if len(values) > 1:
            spread = math.fsum((value - area) ** 2 for value in values) / (len(values) - 1)
            total += spread / len(values)
    return total


def newcombe(area: float, m: float, n: float) -> tuple[float, float]:
    """Newcombe's method 5 (2006): limits theta with |A - theta| = z sqrt(V(theta)), by halving."""

    def excess(theta: float) -> float:
        half = (m + n) / 2 - 1
        inside = 1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)
        return abs(area - theta) - _Z * math.sqrt(theta * (1 - theta) * inside / (m * n))

    return _root(excess, 0.0, area), _root(excess, 1.0, area)


def _root(excess: Callable[[float], float], far: float, near: float) -> float:
    """Where `excess` changes its sign: not below 0 at `far`, at most 0 at `near`."""
    for _ in range(_HALVINGS):
        middle = (far + near) / 2
        if excess(middle) > 0:
            far = middle
        else:
            near = middle
    return (far + near) / 2


def calibration_slope(judged: Sequence[Judged]) -> Figure:
    """Slope of the outcome on the logit of the probability: 1 when risks are as far apart as predicted."""
    rows = [
        Observation((1.0, math.log(one.probability / (1 - one.probability))), one.event, one.person)
        for one in judged
    ]
    fit = fit_logistic(rows)
    slope, error = fit.coefficients[1], fit.errors[1]
    return Figure(slope, slope - _Z * error, slope + _Z * error, "logistic regression, patient-clustered")
