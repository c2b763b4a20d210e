"""What this hospital has seen of patients with a score and a group like one patient's, and which way it errs.

A cell is one score band of one level. It speaks only when it holds enough; else the level over all bands
does, else the band over everybody, else nobody. The patient who is asked about, and open episodes, are left
out by whoever counts.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cds_wrapper.caveats.evidence import DEFAULT_LIMITS, Grade, Limits, grade
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.proportions import share
from cds_wrapper.monitoring.formulas.sequences import ratio_sequence
from cds_wrapper.monitoring.values import Interval, WhyNot

UNREMARKABLE: Final[Interval] = (0.80, 1.25)
"""Observed over expected within this is not worth a direction (a convention)."""


class Basis(enum.Enum):
    """Whom the statement is about, the closest first."""

    BAND_AND_LEVEL = "band_and_level"
    LEVEL = "level"
    BAND = "band"


class Says(enum.Enum):
    """What may be said of scores here."""

    FEWER_THAN_PREDICTED = "fewer_than_predicted"
    MORE_THAN_PREDICTED = "more_than_predicted"
    AS_PREDICTED = "about_as_predicted"
    TOO_FEW = "too_few_to_say"


@dataclass(frozen=True, slots=True)
class Cell:
    """Mature episodes of one cell: how many, events, the sum of scores, and O/E's design effect."""

    basis: Basis
    n: float
    events: float
    expected: float
    design_effect: float = 1.0


@dataclass(frozen=True, slots=True)
class OwnBand:
    """The cell that was used, its share of events, O/E with its confidence sequence, and the words."""

    cell: Cell
    share: Figure
    ratio: Figure
    says: Says


def own_band(
    cells: Sequence[Cell], error: float, watched: int, limits: Limits = DEFAULT_LIMITS
) -> OwnBand | None:
    """The statement of the closest cell that is not thin; None where all are.

    The direction rests on the confidence sequence at `error` over the `watched` groups, since it may be read
    on any day: a fixed interval read daily is wrong far more often than it says.
    """
    order = list(Basis)
    for cell in sorted(cells, key=lambda one: order.index(one.basis)):
        amount = grade(cell.n / cell.design_effect, cell.events / cell.design_effect, limits=limits)
        if amount > Grade.THIN and cell.expected > 0:
            return _statement(cell, error / watched, limits)
    return None


def _statement(cell: Cell, error: float, limits: Limits) -> OwnBand:
    d = cell.design_effect
    low, high = ratio_sequence(cell.events / d, cell.expected / d, error)
    ratio = Figure(cell.events / cell.expected, low, high)
    return OwnBand(
        cell,
        share(cell.events, cell.n, WhyNot.NO_ROWS, d),
        ratio,
        _says(cell.events / cell.expected, (low, high), limits),
    )


def _says(point: float, sequence: Interval, limits: Limits) -> Says:
    low, high = sequence
    if high < 1 and point < UNREMARKABLE[0]:
        return Says.FEWER_THAN_PREDICTED
    if low > 1 and point > UNREMARKABLE[1]:
        return Says.MORE_THAN_PREDICTED
    if limits.supported_oe_low <= low and high <= limits.supported_oe_high:
        return Says.AS_PREDICTED
    return Says.TOO_FEW
