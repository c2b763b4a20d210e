"""What outcomes that are not known could change: bounds for censored episodes, a correction for testing."""

from __future__ import annotations

from dataclasses import dataclass

from cds_wrapper.monitoring.values import Interval


def censoring_bounds(x: float, n: float, unknown: float) -> Interval:
    """A share of x in n if none, and if all, of the unknown had the event: [x/(n + c), (x + c)/(n + c)]."""
    total = n + unknown
    return (x / total, (x + unknown) / total) if total > 0 else (0.0, 1.0)


def crosses(bounds: Interval, margin: float) -> bool:
    """Whether the answer to "is it above the margin?" depends on what is not known."""
    return bounds[0] <= margin <= bounds[1]


@dataclass(frozen=True, slots=True)
class Verified:
    """Episodes on one side of the threshold: all, those tested, and those of them with the event."""

    all: float
    tested: float
    events: float

    @property
    def share(self) -> float:
        """Events among the tested; 0 where nobody was."""
        return self.events / self.tested if self.tested else 0.0


def begg_greenes(flagged: Verified, unflagged: Verified) -> tuple[float | None, float | None]:
    """Sensitivity and specificity corrected for testing more when flagged (Begg and Greenes 1983).

    It holds where testing depends on the score alone: those tested on each side then stand for the rest of
    it. None where there is nothing to divide by.
    """
    with_event = flagged.all * flagged.share + unflagged.all * unflagged.share
    without = flagged.all * (1 - flagged.share) + unflagged.all * (1 - unflagged.share)
    sensitivity = flagged.all * flagged.share / with_event if with_event else None
    specificity = unflagged.all * (1 - unflagged.share) / without if without else None
    return sensitivity, specificity
