"""Observed over expected: how often the outcome came, against the sum of the scores.

The score interval needs O, E and the sum of squared scores Q: the variance of O under a common ratio r is
rE - r^2 Q, that of independent outcomes with different risks. Garwood's exact Poisson interval is up to 40 %
wider than needed; it serves below five expected events and where Q is not known.
"""

from __future__ import annotations

import math
from typing import Final

from scipy.stats import chi2

from cds_wrapper.monitoring.formulas.figure import Z95, Figure, quantile
from cds_wrapper.monitoring.values import Interval, WhyNot

FEW_EXPECTED: Final = 5.0
NOTHING_EXPECTED: Final = 1e-9
"""Fewer expected events than this are none: what is left of scores of 0, and a ratio to it means nothing."""


def score_interval(observed: float, expected: float, squares: float, z: float = Z95) -> Interval:
    """The roots of r^2 (E^2 + z^2 Q) - r (2OE + z^2 E) + O^2 = 0."""
    a = expected**2 + z * z * squares
    b = 2 * observed * expected + z * z * expected
    root = math.sqrt(max(b * b - 4 * a * observed**2, 0.0))
    return (b - root) / (2 * a), (b + root) / (2 * a)


def garwood(observed: float, expected: float, level: float = 0.95) -> Interval:
    """The exact Poisson interval of O over E; the lower limit is 0 without an event."""
    tail = (1 - level) / 2
    low = 0.0 if observed <= 0 else float(chi2.ppf(tail, 2 * observed)) / (2 * expected)
    return low, float(chi2.ppf(1 - tail, 2 * observed + 2)) / (2 * expected)


def oe_ratio(
    observed: float,
    expected: float,
    squares: float | None,
    design_effect: float = 1.0,
    level: float = 0.95,
) -> Figure:
    """O over E with its interval; a design effect divides O, E and Q."""
    if expected < NOTHING_EXPECTED:
        return Figure.none(WhyNot.NOTHING_EXPECTED)
    o, e = observed / design_effect, expected / design_effect
    if squares is None or e < FEW_EXPECTED:
        return Figure.of(observed / expected, garwood(o, e, level))
    limits = score_interval(o, e, squares / design_effect, quantile(level))
    return Figure.of(observed / expected, limits)


def method_for(expected: float, squares: float | None) -> str:
    """Which interval applies."""
    return "Garwood" if squares is None or expected < FEW_EXPECTED else "score"


def ratio_to_rest(o1: float, e1: float, o2: float, e2: float, z: float = Z95) -> Figure:
    """The group's ratio over that of the rest; SE^2 of its logarithm 1/O1 + 1/O2 (Poisson, conservative).

    With a design effect the caller divides O1 and O2; the ratio itself does not change.
    """
    if min(e1, e2) < NOTHING_EXPECTED:
        return Figure.none(WhyNot.NO_REST)
    if o1 <= 0 or o2 <= 0:
        return Figure.none(WhyNot.NO_EVENTS)
    ratio = (o1 / e1) / (o2 / e2)
    half = z * math.sqrt(1 / o1 + 1 / o2)
    return Figure.of(ratio, (ratio * math.exp(-half), ratio * math.exp(half)))
