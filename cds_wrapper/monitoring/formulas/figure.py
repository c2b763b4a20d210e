"""A figure with its limits, or the reason why there is none: never a number in its place."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from cds_wrapper.monitoring.values import Interval, WhyNot

Z95: Final = NormalDist().inv_cdf(0.975)
"""The 0.975 quantile of the normal distribution: 95 % limits."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its limits; all None when it cannot be given, and `why_not` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    why_not: WhyNot | None = None

    @classmethod
    def of(cls, value: float, interval: Interval | None) -> Figure:
        """A figure that can be given; without limits where none are defined."""
        return cls(value, *interval) if interval else cls(value)

    @classmethod
    def none(cls, why: WhyNot) -> Figure:
        """That it cannot be given."""
        return cls(why_not=why)

    @property
    def interval(self) -> Interval | None:
        """Both limits, if there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def quantile(level: float) -> float:
    """The normal quantile of a two-sided interval of this level: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)
