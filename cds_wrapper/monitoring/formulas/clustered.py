"""Patients who come again: the exact cheap standard error, and by how much it widens an interval.

Every measure is a ratio R = X/Y of sums. With x_g and y_g the sums of patient g and u_g = x_g - R y_g,

    SE(R)^2 = G/(G-1) * sum(u_g^2) / Y^2

where G counts the patients of the group: three sums in a database. A design effect is that over the variance
of independent rows; each measure has its own, since the same few patients may be flagged again and again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

FEW_PATIENTS: Final = 50
"""With fewer patients who have an event, a group's design effect is not taken below everybody's."""


@dataclass(frozen=True, slots=True)
class PatientSums:
    """What a ratio needs of the patients of a group: X, Y, the sums of x^2, xy and y^2, and how many."""

    x: float
    y: float
    xx: float
    xy: float
    yy: float
    patients: int

    @property
    def ratio(self) -> float | None:
        """X over Y."""
        return self.x / self.y if self.y > 0 else None

    @property
    def variance(self) -> float | None:
        """SE(R)^2; None with nothing to divide by or with fewer than two patients."""
        if self.y <= 0 or self.patients < 2:
            return None
        ratio = self.x / self.y
        squares = self.xx - 2 * ratio * self.xy + ratio**2 * self.yy
        return self.patients / (self.patients - 1) * max(squares, 0.0) / self.y**2


def variance_of_linear(squares: float, patients: int) -> float | None:
    """SE^2 of a sum over patients, from their squared contributions (Obuchowski 1997)."""
    return patients / (patients - 1) * squares if patients > 1 else None


def design_effect(
    variance: float | None, independent: float, patients_with_event: int, everybody: float
) -> float:
    """How much wider than for independent rows, never less than 1.

    Where fewer than 50 patients have an event, the larger of the group's and everybody's is taken: it is
    measured too badly in the group alone.
    """
    if variance is None or independent <= 0 or not math.isfinite(independent):
        return max(1.0, everybody)
    own = max(1.0, variance / independent)
    return max(own, everybody) if patients_with_event < FEW_PATIENTS else own


def independent_share(x: float, y: float) -> float:
    """Variance of a share of independent rows: R(1 - R)/Y."""
    ratio = x / y
    return ratio * (1 - ratio) / y


def independent_oe(observed: float, expected: float, squares: float) -> float:
    """Variance of O/E of independent rows: (RE - R^2 Q)/E^2."""
    ratio = observed / expected
    return max(ratio * expected - ratio**2 * squares, 0.0) / expected**2
