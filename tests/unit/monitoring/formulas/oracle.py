"""Forty rows whose figures are known: 1 to 25 of group A, 26 to 40 of group B, flagged from 0.30."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.formulas.bins import Floats


def counted(place: NDArray[np.integer[Any]], weights: Floats | None = None, minlength: int = 0) -> Floats:
    """How many rows, or the sum of their weights, at each place."""
    return np.bincount(place, weights, minlength).astype(np.float64)


def _numbers(text: str) -> Floats:
    return np.array([float(word) for word in text.split()])


P: Final = _numbers(
    """0.66 0.20 0.72 0.68 0.22 0.49 0.15 0.21 0.38 0.42 0.55 0.42 0.60 0.05 0.28 0.43 0.10 0.49 0.09 0.25
       0.17 0.14 0.36 0.28 0.18 0.75 0.67 0.30 0.53 0.30 0.31 0.45 0.31 0.28 0.67 0.16 0.09 0.06 0.74 0.25"""
)
Y: Final = _numbers("1 0 0 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 1 1 0 0 1 0 0  1 1 1 1 0 1 1 0 1 0 0 0 0 0 0")
NEED: Final = _numbers("3 1 4 3 1 2 0 1 2 1 2 1 3 0 1 2 0 2 0 1 0 0 2 1 0  5 4 2 4 3 1 3 2 2 4 1 0 0 5 1")
COST: Final = _numbers(
    """90 10 80 75 15 40 5 10 30 35 50 30 60 0 20 40 5 45 0 20 10 5 30 20 10
       85 70 25 50 30 25 35 30 20 65 10 0 0 95 15"""
)
THRESHOLD: Final = 0.30
ROW: Final = np.arange(1, 41)
IS_B: Final = ROW > 25
PATIENT: Final = np.where(ROW <= 25, np.ceil(ROW / 3), 9 + np.ceil((ROW - 25) / 3)).astype(np.int64)
"""Fourteen people, up to three rows each."""

FLAGGED: Final = P >= THRESHOLD


def by_value(rows: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> tuple[Floats, Floats]:
    """Events and non-events at each distinct score, in ascending order."""
    chosen = np.ones(40, dtype=bool) if rows is None else rows
    values, place = np.unique(P[chosen], return_inverse=True)
    events = counted(place, Y[chosen], len(values))
    return events, counted(place, None, len(values)) - events


def of_patients(values: Floats) -> Floats:
    """The sum of a column within each patient."""
    return counted(PATIENT, values)[1:]
