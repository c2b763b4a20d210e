"""Calibration intercept and slope by an unpenalised logistic fit, and observed against expected by risk band.

A penalised fit shrinks the slope towards 0. Reported from 100 events and 100 non-events; below, observed over
expected only (Van Calster 2016 J Clin Epidemiol 74:167).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationError, PerfectSeparationWarning

from cds_wrapper.monitoring.formulas.bins import Floats, logit
from cds_wrapper.monitoring.formulas.figure import Z95, Figure
from cds_wrapper.monitoring.formulas.proportions import wilson
from cds_wrapper.monitoring.values import WhyNot

ENOUGH: Final = 100
BANDS: Final = (0.0, 0.05, 0.10, 0.20, 0.30, 0.50, 1.0)
_STEEPEST: Final = 50.0
"""A slope, or an error of it, beyond this is a fit that has not ended: the groups are separated."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Intercept, slope, and the intercept with the slope held at 1 (calibration in the large)."""

    intercept: Figure
    slope: Figure
    in_the_large: Figure


def calibration(p: Floats, events: Floats, n: Floats, clusters: NDArray[Any] | None = None) -> Calibration:
    """Fit binomial counts at the probability of each bin, or rows (`n` all 1) clustered by patient.

    `events` out of `n` at each of `p`. `clusters` names the patient of each row.
    """
    total, positive = float(n.sum()), float(events.sum())
    if min(positive, total - positive) < ENOUGH:
        why = Figure.none(WhyNot.TOO_FEW_EVENTS)
        return Calibration(why, why, why)
    return fitted(p, events, n, clusters)


def fitted(p: Floats, events: Floats, n: Floats, clusters: NDArray[Any] | None = None) -> Calibration:
    """The fit of `calibration`, however few there are; scores that are all alike have no slope."""
    there = n > 0
    x, counts = logit(p[there]), np.column_stack([events[there], n[there] - events[there]])
    people = None if clusters is None else clusters[there]
    alone = _fit(counts, np.ones((len(x), 1)), x, people) if len(x) else None
    in_the_large = Figure.none(WhyNot.SEPARATED) if alone is None else _normal(alone, 0)
    if not len(x) or np.ptp(x) == 0:
        why = Figure.none(WhyNot.NOT_COMPARABLE if len(x) else WhyNot.NO_ROWS)
        return Calibration(why, why, in_the_large if len(x) else why)
    both = _fit(counts, np.column_stack([np.ones(len(x)), x]), None, people)
    if both is None or max(abs(both[0][1]), both[1][1]) > _STEEPEST:
        why = Figure.none(WhyNot.SEPARATED)
        return Calibration(why, why, in_the_large)
    return Calibration(_normal(both, 0), _normal(both, 1), in_the_large)


def _fit(
    counts: Floats, design: Floats, offset: Floats | None, clusters: NDArray[Any] | None
) -> tuple[Floats, Floats] | None:
    """Coefficients and standard errors; None when the groups are separated or the fit does not end."""
    model = GLM(counts, design, family=Binomial(), offset=offset)
    robust = {} if clusters is None else {"cov_type": "cluster", "cov_kwds": {"groups": clusters}}
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = model.fit(**robust)
        except (PerfectSeparationError, PerfectSeparationWarning, np.linalg.LinAlgError):
            return None
    return (np.asarray(fit.params), np.asarray(fit.bse)) if fit.converged else None


def _normal(fit: tuple[Floats, Floats], place: int) -> Figure:
    value, se = float(fit[0][place]), float(fit[1][place])
    return Figure.of(value, (value - Z95 * se, value + Z95 * se))


@dataclass(frozen=True, slots=True)
class BandFigures:
    """One risk band: how many, how many events, what was expected, and the share with its interval."""

    low: float
    high: float
    n: float
    events: float
    expected: float
    share: Figure


def edges_with(threshold: float | None, edges: Sequence[float] = BANDS) -> tuple[float, ...]:
    """The fixed edges and the threshold, in order."""
    return tuple(sorted({*edges, *([threshold] if threshold is not None else [])}))


def by_band(p: Floats, events: Floats, n: Floats, edges: Sequence[float]) -> tuple[BandFigures, ...]:
    """Observed and expected per fixed band; the last one holds its upper edge."""
    place = np.clip(np.searchsorted(np.asarray(edges), p, side="right") - 1, 0, len(edges) - 2)
    found = []
    for band in range(len(edges) - 1):
        inside = place == band
        total, positive = float(n[inside].sum()), float(events[inside].sum())
        known = Figure.of(positive / total, wilson(positive, total)) if total else Figure.none(WhyNot.NO_ROWS)
        expected = float((p[inside] * n[inside]).sum())
        found.append(BandFigures(edges[band], edges[band + 1], total, positive, expected, known))
    return tuple(found)
