"""Net benefit at the threshold: true positives less false ones weighed by what the threshold says they cost.

Vickers and Elkin 2006 Med Decis Making 26:565. Within a group it is compared with flagging all and nobody;
the raw figure is not comparable between groups whose outcome is not equally frequent.
"""

from __future__ import annotations

import math

from cds_wrapper.monitoring.formulas.figure import Z95, Figure
from cds_wrapper.monitoring.values import WhyNot


def weight(threshold: float) -> float:
    """What a false alarm costs against a missed case: t/(1 - t)."""
    return threshold / (1 - threshold)


def net_benefit(
    tp: float, fp: float, n: float, threshold: float, design_effect: float = 1.0, z: float = Z95
) -> Figure:
    """TP/n - w FP/n with its normal interval; SE^2 = [(TP + w^2 FP)/n - NB^2]/n."""
    if n <= 0:
        return Figure.none(WhyNot.NO_ROWS)
    if not 0 < threshold < 1:
        return Figure.none(WhyNot.NOT_A_PROBABILITY)
    value = (tp - weight(threshold) * fp) / n
    half = z * math.sqrt(independent_variance(tp, fp, n, threshold) * design_effect)
    return Figure.of(value, (value - half, value + half))


def independent_variance(tp: float, fp: float, n: float, threshold: float) -> float:
    """SE^2 of the net benefit of independent rows."""
    w = weight(threshold)
    value = (tp - w * fp) / n
    return max((tp + w * w * fp) / n - value**2, 0.0) / n


def flag_all(events: float, n: float, threshold: float) -> float:
    """What flagging everybody would give; flagging nobody gives 0."""
    rate = events / n
    return rate - (1 - rate) * weight(threshold)
