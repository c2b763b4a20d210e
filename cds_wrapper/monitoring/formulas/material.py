"""Evidence of a difference that matters: against every ratio within a band, not only against 1.

The e-value of a composite hypothesis is the smallest over its members, so its chance of ever reaching
1/alpha is at most alpha whichever ratio of the band is the true one.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from cds_wrapper.monitoring.formulas.sequences import (
    SHAPE,
    Floats,
    Sides,
    log_e_of_ratio,
    log_e_ratio,
    log_ratio_to_rest,
)
from cds_wrapper.monitoring.values import Interval

BAND: Final[Interval] = (0.8, 1.25)
"""Ratios that would change nobody's decision: a convention which a site may change."""


def log_e_ratio_outside(
    observed: ArrayLike, expected: ArrayLike, band: Interval = BAND, shape: float = SHAPE
) -> Floats:
    """Evidence against "O/E lies within the band". Arrays of any one shape; `expected` above 0."""
    seen = np.asarray(observed, dtype=np.float64)
    mean = np.asarray(expected, dtype=np.float64)
    return log_e_ratio(seen, mean * np.clip(seen / mean, *band), shape)


def log_e_to_rest_outside(sides: Sides, band: Interval = BAND) -> float:
    """Evidence at the last of the days against "the ratio to the rest lies within the band", for one group.

    The log likelihood is concave, so its maximum over the band is at the likeliest ratio, or at the end
    next to it.
    """
    best = log_ratio_to_rest(sides)
    if best is None:
        return 0.0
    return log_e_of_ratio(sides, min(max(best, math.log(band[0])), math.log(band[1])))
