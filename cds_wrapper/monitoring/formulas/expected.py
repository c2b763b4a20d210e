"""What performance would be if the scores were right, before outcomes are known.

It assumes the calibration that is to be checked: it sees a change of patients, not a score that errs. Reports
only, labelled so; never evidence (Białek et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

from cds_wrapper.monitoring.formulas.auroc import Ranks, ranks
from cds_wrapper.monitoring.formulas.bins import Floats


@dataclass(frozen=True, slots=True)
class Expected:
    """Counts that the scores promise, and what follows; None where there is nothing to divide by."""

    tp: float
    fp: float
    fn: float
    sensitivity: float | None
    ppv: float | None
    auroc: float | None


def expected(p: Floats, n: Floats, flagged: Floats) -> Expected:
    """From the probability of each bin, how many have it, and how many of those are flagged."""
    tp = float((p * flagged).sum())
    fp = float(((1 - p) * flagged).sum())
    fn = float((p * (n - flagged)).sum())
    found = ranks(p * n, (1 - p) * n)
    return Expected(
        tp,
        fp,
        fn,
        tp / (tp + fn) if tp + fn > 0 else None,
        tp / (tp + fp) if tp + fp > 0 else None,
        found.area if isinstance(found, Ranks) else None,
    )
