"""The sign that turns a lower sensitivity into a fault: more is missed than predicted, or a lower AUROC.

At one threshold a calibrated model has a truly lower sensitivity in a group at lower risk, so an interval
of the gap says nothing about a fault. O/E among the unflagged is 1 for a calibrated model in every group;
the finding's error is bounded only if the sign is held to it as well.
"""

from __future__ import annotations

import enum
from typing import Final

from cds_wrapper.monitoring.formulas.figure import Figure

LEAST_RATIO: Final = 1.25
"""O/E among the unflagged from which more are missed than matters: a convention."""


class Sign(enum.Enum):
    """What goes with a lower sensitivity."""

    MORE_MISSED = "more_missed"
    LOWER_AUROC = "lower_auroc"


def supporting_sign(unflagged: Figure, area_gap: Figure, area_margin: float) -> Sign | None:
    """O/E among the unflagged above 1.25 and surely above 1; else an AUROC lower by the margin, and surely.

    `unflagged` is that O/E, `area_gap` the AUROC less that of the rest, both with limits at the error of the
    review. A figure that cannot be given is no sign.
    """
    if (
        unflagged.value is not None
        and unflagged.low is not None
        and unflagged.value > LEAST_RATIO
        and unflagged.low > 1
    ):
        return Sign.MORE_MISSED
    if (
        area_gap.value is not None
        and area_gap.high is not None
        and area_gap.value <= -area_margin
        and area_gap.high < 0
    ):
        return Sign.LOWER_AUROC
    return None
