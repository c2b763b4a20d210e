"""A figure to reach: what was aimed at, what was measured, and in words whether it was met. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, assert_never

from cds_wrapper.bench.spread import Spread


class Bound(enum.Enum):
    """On which side of the target a good measurement lies."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `measured` is None when it could not be measured here, and `why_not` says why.

    `places` is how many digits after the point are worth printing. The verdict is the median's.
    """

    name: str
    bound: Bound
    target: float
    unit: str
    measured: Spread | None
    places: int = 2
    why_not: str = ""

    @property
    def missed_by(self) -> float | None:
        """How far the median lies on the wrong side of the target, in the figure's unit; 0 when met."""
        if self.measured is None:
            return None
        match self.bound:
            case Bound.AT_MOST:
                return max(0.0, self.measured.median - self.target)
            case Bound.AT_LEAST:
                return max(0.0, self.target - self.measured.median)
            case _:
                assert_never(self.bound)

    @property
    def verdict(self) -> str:
        """`met`, `missed by ...` or `not measured: ...`."""
        missed = self.missed_by
        if missed is None:
            return f"not measured: {self.why_not}"
        if not missed:
            return "met"
        share = f" ({missed / self.target:.0%})" if self.target else ""
        return f"missed by {self._number(missed)}{share}"

    def cells(self) -> tuple[str, ...]:
        """Name, target, measured, spread and verdict, for a table."""
        target = f"{self.bound.value} {self._number(self.target)}"
        if self.measured is None:
            return self.name, target, "-", "-", self.verdict
        low, high = self._digits(self.measured.lowest), self._digits(self.measured.highest)
        return self.name, target, self._number(self.measured.median), f"{low} to {high}", self.verdict

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "bound": self.bound.value,
            "target": self.target,
            "unit": self.unit,
            "measured": self.measured.plain() if self.measured else None,
            "missed_by": self.missed_by,
            "verdict": self.verdict,
        }

    def _number(self, value: float) -> str:
        return f"{self._digits(value)} {self.unit}".rstrip()

    def _digits(self, value: float) -> str:
        return f"{value:,.{self.places}f}"


FIGURE_HEAD = ("figure", "target", "measured", "rounds", "verdict")
