"""A group against everybody else: is a gap confirmed, ruled out, or not decided? And how many were looked at.

Never "p below 0.05": an interval is held against a margin that was fixed ahead.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from statsmodels.stats.multitest import multipletests

from cds_wrapper.monitoring.formulas.figure import Z95, Figure


class Reading(enum.Enum):
    """What an interval says about a gap against its margin."""

    CONFIRMED = "confirmed"
    RULED_OUT = "ruled_out"
    UNDETERMINED = "undetermined"


def read_difference(gap: Figure, margin: float) -> Reading:
    """A difference, where 0 is no gap: wholly beyond the margin on one side, wholly within, or neither."""
    return _read(gap, -margin, margin)


def read_ratio(ratio: Figure, low: float, high: float) -> Reading:
    """A ratio, where 1 is no gap and `low` to `high` is within the margin."""
    return _read(ratio, low, high)


def _read(figure: Figure, low: float, high: float) -> Reading:
    if figure.low is None or figure.high is None:
        return Reading.UNDETERMINED
    if figure.high < low or figure.low > high:
        return Reading.CONFIRMED
    if low <= figure.low and figure.high <= high:
        return Reading.RULED_OUT
    return Reading.UNDETERMINED


def p_value(gap: Figure, is_ratio: bool, z: float = Z95) -> float | None:
    """The two-sided p value of "no gap" that goes with an interval, as if it were a normal one.

    Its width gives the error, of a ratio on the logarithm. For ordering many gaps, never for deciding one.
    """
    if gap.value is None or gap.low is None or gap.high is None:
        return None
    value, low, high = gap.value, gap.low, gap.high
    if is_ratio:
        if min(value, low, high) <= 0:
            return None
        value, low, high = math.log(value), math.log(low), math.log(high)
    error = (high - low) / (2 * z)
    return 2 * (1 - NormalDist().cdf(abs(value) / error)) if error > 0 else None


def adjusted(p: Sequence[float], method: Literal["holm", "fdr_bh"]) -> tuple[float, ...]:
    """P values adjusted for how many there are: Holm for what is acted on, Benjamini-Hochberg for a table."""
    if not p:
        return ()
    return tuple(float(one) for one in multipletests(np.asarray(p), method=method)[1])
