"""The sign that turns a lower sensitivity into a fault: more events among the unflagged than predicted.

At one threshold a calibrated model has a truly lower sensitivity in a group at lower risk, so an interval
of the gap says nothing about a fault. O/E among the unflagged is 1 for a calibrated model in every group;
the finding's error is bounded only if this sign is held to it as well.
"""

from __future__ import annotations

from typing import Final

from cds_wrapper.monitoring.formulas.figure import quantile
from cds_wrapper.monitoring.formulas.oe_ratio import FEW_EXPECTED, garwood, score_interval

LEAST_RATIO: Final = 1.25
"""O/E among the unflagged from which more are missed than matters: a convention."""


def more_missed_than_predicted(
    observed: float, expected: float, squares: float, design_effect: float, error: float
) -> bool:
    """Whether O/E among the unflagged is above 1.25, and above 1 at the error of the review.

    `squares` adds up the squared probabilities. Counts are divided by the design effect first.
    """
    if expected <= 0 or observed <= LEAST_RATIO * expected:
        return False
    o, e, q = observed / design_effect, expected / design_effect, squares / design_effect
    limits = garwood(o, e, 1 - error) if e < FEW_EXPECTED else score_interval(o, e, q, quantile(1 - error))
    return limits[0] > 1
