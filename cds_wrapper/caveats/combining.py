"""What was published elsewhere and what was seen here, put together into one probability.

The ratio of observed over expected here is r. Elsewhere says that ln r is about theta, give or take a spread;
here `observed` events were seen where `expected` were foretold, which under r happen with a likelihood of
r^O exp(-rE) (Poisson). Their product is integrated on a grid: 20 quiet events weigh something against a
published gap, 100 decide alone (Debray 2019 Stat Methods Med Res 28:2768 for the spread).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_POINTS: Final = 4001
_REACH: Final = 12.0
"""Standard deviations to either side of theta: beyond it is nothing that a sum would notice."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected of ln r before anything was seen here; `degrees` of a t, None for the normal."""

    theta: float
    spread: float
    degrees: int | None = None

    def log_density(self, log_ratio: float) -> float:
        """Logarithm of the density, up to a constant."""
        z = (log_ratio - self.theta) / self.spread
        if self.degrees is None:
            return -z * z / 2
        return -(self.degrees + 1) / 2 * math.log1p(z * z / self.degrees)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is held of r after both: points of ln r with their weights, which add up to 1."""

    log_ratios: tuple[float, ...]
    weights: tuple[float, ...]

    def above(self, ratio: float) -> float:
        """P(r > ratio)."""
        edge = math.log(ratio)
        return math.fsum(w for x, w in zip(self.log_ratios, self.weights, strict=True) if x > edge)

    def below(self, ratio: float) -> float:
        """P(r < ratio)."""
        edge = math.log(ratio)
        return math.fsum(w for x, w in zip(self.log_ratios, self.weights, strict=True) if x < edge)

    @property
    def centre(self) -> float:
        """The ratio at the mean of ln r."""
        return math.exp(math.fsum(w * x for x, w in zip(self.log_ratios, self.weights, strict=True)))

    def limit(self, share: float) -> float:
        """The ratio below which that share of the weight lies."""
        total = 0.0
        for x, weight in zip(self.log_ratios, self.weights, strict=True):
            total += weight
            if total >= share:
                return math.exp(x)
        return math.exp(self.log_ratios[-1])


def combined(prior: Prior, observed: float, expected: float) -> Posterior:
    """Elsewhere and here together; counts are divided by the design effect where patients come again."""
    step = 2 * _REACH * prior.spread / (_POINTS - 1)
    points = tuple(prior.theta - _REACH * prior.spread + step * place for place in range(_POINTS))
    logs = [prior.log_density(x) + observed * x - expected * math.exp(x) for x in points]
    top = max(logs)
    weights = [math.exp(one - top) for one in logs]
    total = math.fsum(weights)
    return Posterior(points, tuple(weight / total for weight in weights))
