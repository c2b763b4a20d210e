"""Shares with their intervals: sensitivity, specificity, predictive values, how many are flagged.

Wilson's interval (Brown, Cai, DasGupta 2001 Stat Sci 16:101); Clopper-Pearson where a level must be
guaranteed. Counts may be fractions: divided by a design effect where patients come again.
"""

from __future__ import annotations

import math
from typing import Literal

from scipy.stats import beta

from cds_wrapper.monitoring.formulas.figure import Z95, Figure, quantile
from cds_wrapper.monitoring.values import Interval, WhyNot


def wilson(x: float, n: float, z: float = Z95) -> Interval:
    """Wilson's limits of x out of n; `n` must be above 0."""
    p = x / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if x <= 0 else max(middle - half, 0.0)
    high = 1.0 if x >= n else min(middle + half, 1.0)
    return low, high


def clopper_pearson(x: float, n: float, level: float = 0.95) -> Interval:
    """Limits that cover at least as often as they say."""
    tail = (1 - level) / 2
    low = 0.0 if x <= 0 else float(beta.ppf(tail, x, n - x + 1))
    high = 1.0 if x >= n else float(beta.ppf(1 - tail, x + 1, n - x))
    return low, high


def share(
    x: float,
    n: float,
    nothing: WhyNot,
    design_effect: float = 1.0,
    method: Literal["wilson", "clopper-pearson"] = "wilson",
    level: float = 0.95,
) -> Figure:
    """X out of n; with nothing to divide by, `nothing` says why there is no figure."""
    if n <= 0:
        return Figure.none(nothing)
    seen, of = x / design_effect, n / design_effect
    if method == "clopper-pearson":
        return Figure.of(x / n, clopper_pearson(seen, of, level))
    return Figure.of(x / n, wilson(seen, of, quantile(level)))


def newcombe_difference(x1: float, n1: float, x2: float, n2: float, z: float = Z95) -> Interval:
    """Limits of x1/n1 - x2/n2 from the two Wilson intervals (Newcombe 1998 Stat Med 17:873, method 10)."""
    p1, p2 = x1 / n1, x2 / n2
    (l1, u1), (l2, u2) = wilson(x1, n1, z), wilson(x2, n2, z)
    difference = p1 - p2
    low = difference - math.hypot(p1 - l1, u2 - p2)
    high = difference + math.hypot(u1 - p1, p2 - l2)
    return low, high
