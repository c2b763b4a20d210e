"""What several rounds of one measurement say together: percentiles of each, the spread over all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of all values does not exceed: one of them.

    `ValueError` without values: an empty round has no percentile.
    """
    if not values:
        raise ValueError("no values, so no percentile")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds, with the lowest and the highest of them."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, rounds: Iterable[float]) -> Self:
        """The spread of one value per round; `statistics.StatisticsError` without rounds."""
        values = list(rounds)
        return cls(statistics.median(values), min(values), max(values))

    def plain(self) -> dict[str, float]:
        """For JSON."""
        return {"median": self.median, "lowest": self.lowest, "highest": self.highest}


def paired(
    combine: Callable[[float, float], float], ours: Sequence[float], theirs: Sequence[float]
) -> Spread:
    """The spread of a comparison made round by round: neighbours in time met the same machine."""
    return Spread.of(combine(one, other) for one, other in zip(ours, theirs, strict=True))
