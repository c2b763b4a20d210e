"""What outcomes that are not known could change: bounds for censored episodes, a correction for testing."""

from __future__ import annotations

from dataclasses import dataclass

from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.values import Interval, WhyNot


def censoring_bounds(x: float, n: float, unknown: float) -> Interval:
    """A share of x in n if none, and if all, of the unknown had the event: [x/(n + c), (x + c)/(n + c)]."""
    total = n + unknown
    return (x / total, (x + unknown) / total) if total > 0 else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Verified:
    """Episodes on one side of the threshold: all, those tested, and those of them with the event."""

    all: float
    tested: float
    events: float

    @property
    def with_event(self) -> float | None:
        """How many of all would have it as the tested do; None where there are some and none was tested."""
        if self.tested <= 0:
            return 0.0 if self.all <= 0 else None
        return self.all * self.events / self.tested


def begg_greenes(flagged: Verified, unflagged: Verified) -> tuple[Figure, Figure]:
    """Sensitivity and specificity corrected for testing more when flagged, without limits.

    Begg and Greenes 1983 Biometrics 39:207. It holds where testing depends on the flag alone: those tested on
    each side then stand for the rest of it. It is wrong where, on one side, higher scores are tested more.
    Where nobody of a side was tested nothing stands for it.
    """
    found, missed = flagged.with_event, unflagged.with_event
    if found is None or missed is None:
        why = Figure.none(WhyNot.NOT_COMPARABLE)
        return why, why
    with_event = found + missed
    without = flagged.all + unflagged.all - with_event
    return (
        Figure.of(found / with_event, None) if with_event > 0 else Figure.none(WhyNot.NO_EVENTS),
        Figure.of((unflagged.all - missed) / without, None)
        if without > 0
        else Figure.none(WhyNot.NO_NON_EVENTS),
    )
