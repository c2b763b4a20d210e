"""Partial pooling of one attribute's groups: orders them and steadies charts, and never decides a level.

Beta-binomial with a uniform-shrinkage prior on how alike the groups are (Christiansen and Morris 1997 Ann
Intern Med 127:764; Daniels 1999 Can J Stat 27:567). A maximum likelihood fit would say with certainty that
all groups are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import beta

from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.values import WhyNot

FEWEST_GROUPS: Final = 4
_STRENGTHS: Final = np.geomspace(0.5, 50_000, 400)


@dataclass(frozen=True, slots=True)
class Pooled:
    """The overall value, and each group's pulled towards it."""

    overall: float
    groups: tuple[Figure, ...]


def pooled_shares(x: Sequence[float], n: Sequence[float], level: float = 0.95) -> Pooled | WhyNot:
    """Shares x/n of at least four groups with somebody in them; an empty one gets the overall value."""
    counts, totals = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if totals.sum() <= 0:
        return WhyNot.NO_ROWS
    if np.count_nonzero(totals > 0) < FEWEST_GROUPS:
        return WhyNot.NOT_COMPARABLE
    mean = float(counts.sum() / totals.sum())
    if not 0 < mean < 1:
        return WhyNot.NO_EVENTS if mean <= 0 else WhyNot.NO_NON_EVENTS
    a, b = mean * _STRENGTHS[:, None], (1 - mean) * _STRENGTHS[:, None]
    evidence = (betaln(a + counts, b + totals - counts) - betaln(a, b)).sum(axis=1)
    weights = _weights(evidence, float(np.median(totals[totals > 0])))
    groups = tuple(
        _mixture(beta(a[:, 0] + one, b[:, 0] + of - one), weights, level)
        for one, of in zip(counts, totals, strict=True)
    )
    return Pooled(mean, groups)


def _weights(evidence: Floats, usual: float) -> Floats:
    """Likelihood times the uniform-shrinkage prior, on points that are equal steps of the logarithm."""
    prior = np.log(usual * _STRENGTHS / (usual + _STRENGTHS) ** 2)
    total = evidence + prior
    weights = np.exp(total - total.max())
    return np.asarray(weights / weights.sum())


def _mixture(parts: Any, weights: Floats, level: float) -> Figure:
    """Mean and equal-tailed limits of a mixture of distributions."""
    tail = (1 - level) / 2
    # The mixture's quantile lies between the least and the greatest of its parts'.
    most = float(parts.ppf(1 - tail).max()) * (1 + 1e-9)

    def beyond(value: float, share: float) -> float:
        return float((weights * parts.cdf(value)).sum()) - share

    mean = float((weights * parts.mean()).sum())
    low = float(brentq(beyond, 0.0, most, args=(tail,)))
    high = float(brentq(beyond, 0.0, most, args=(1 - tail,)))
    return Figure.of(mean, (low, high))
