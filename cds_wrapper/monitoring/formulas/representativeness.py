"""Are the patients here those of the training data? Shares against shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chisquare

from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.proportions import wilson
from cds_wrapper.monitoring.values import WhyNot


def participation(count: float, total: float, training_share: float) -> Figure:
    """The local share over the training share, with Wilson limits of the local one.

    0.8 to 1.2 is read as comparable (a convention of drug-trial snapshots). No share in training, no ratio.
    """
    if total <= 0:
        return Figure.none(WhyNot.NO_ROWS)
    if training_share <= 0:
        return Figure.none(WhyNot.NOT_COMPARABLE)
    low, high = wilson(count, total)
    return Figure.of(count / total / training_share, (low / training_share, high / training_share))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One attribute whole: population stability index, standardised difference, and a p value never used.

    `noise` is what sampling alone would give the index: (k - 1)/n.
    """

    psi: float
    noise: float
    difference: float
    p: float


def compare(counts: Sequence[float], shares: Sequence[float]) -> Comparison | WhyNot:
    """Local counts against training shares of the same levels, all above 0."""
    total = float(sum(counts))
    if total <= 0:
        return WhyNot.NO_ROWS
    if len(counts) < 2 or min(counts) <= 0 or min(shares) <= 0:
        return WhyNot.NOT_COMPARABLE
    e = np.asarray(shares, dtype=np.float64) / float(sum(shares))
    a = np.asarray(counts, dtype=np.float64) / total
    psi = float(((a - e) * np.log(a / e)).sum())
    return Comparison(
        psi, (len(counts) - 1) / total, standardised(a, e), float(chisquare(a * total, e * total).pvalue)
    )


def standardised(a: Floats, e: Floats) -> float:
    """The standardised difference of two distributions, one level left out (Yang and Dalton 2012)."""
    d = (a - e)[1:]
    spread = (_covariance(a)[1:, 1:] + _covariance(e)[1:, 1:]) / 2
    return math.sqrt(float(d @ np.linalg.solve(spread, d)))


def standardised_level(a: float, e: float) -> float:
    """The same for one level alone."""
    spread = (a * (1 - a) + e * (1 - e)) / 2
    return (a - e) / math.sqrt(spread) if spread > 0 else 0.0


def _covariance(p: Floats) -> Floats:
    return np.asarray(np.diag(p) - np.outer(p, p))
