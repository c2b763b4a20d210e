"""Evidence that may be looked at every day: O/E, proportions, and a group against the rest.

Each `log_e_*` gives the natural logarithm of an e-value: the chance that it *ever* reaches 1/alpha, at any
look, is at most alpha if the hypothesis named holds (Ville's inequality). Counts and sums run from the
first day on, in order of maturity; predictions were recorded before their outcomes. Refs: Robbins 1970, Ann
Math Stat 41:1397; Howard, Ramdas, McAuliffe, Sekhon 2021, Ann Stat 49:1055.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaln, gammaln, logsumexp, xlog1py, xlogy

from cds_wrapper.monitoring.values import Interval

Floats = NDArray[np.float64]

SHAPE: Final = 4.0
"""Shape of the gamma mixture, fixed ahead: intervals are tightest near 8 * SHAPE events."""

LOG_RATIOS: Final[Floats] = np.linspace(-1.5, 1.5, 61)
"""The grid of log ratios of a group to the rest, 0.22 to 4.48."""

LOG_WEIGHTS: Final[Floats] = -0.5 * (LOG_RATIOS / 0.5) ** 2 - logsumexp(-0.5 * (LOG_RATIOS / 0.5) ** 2)
"""Logarithms of the grid's weights, which add up to 1."""

NOTHING_KNOWN: Final[Interval] = (0.0, math.inf)


def log_e_ratio(observed: ArrayLike, expected: ArrayLike, shape: float = SHAPE) -> Floats:
    """Evidence against "the expected count is the sum of the probabilities", by a gamma mixture.

    Arrays of any one shape. Against a ratio r give `expected` times r. Valid for rare and for common
    events, and for the running average of a ratio that drifts (E[exp(ly)] <= exp(p(e^l - 1))). Counts
    divided by a design effect are taken as they are.
    """
    seen = np.asarray(observed, dtype=np.float64)
    mean = np.asarray(expected, dtype=np.float64)
    constant = shape * math.log(shape) - math.lgamma(shape)
    log_e: Floats = constant + gammaln(shape + seen) - (shape + seen) * np.log(shape + mean) + mean
    return log_e


def ratio_sequence(observed: float, expected: float, alpha: float, shape: float = SHAPE) -> Interval:
    """The ratios O/E that have not been refuted at any look so far, at level 1 - alpha."""
    if expected <= 0:
        return NOTHING_KNOWN

    def excess(mean: float) -> float:
        return float(log_e_ratio(observed, mean, shape)) + math.log(alpha)

    low = 0.0 if observed == 0 or excess(0.0) < 0 else root(excess, 0.0, observed)
    return low / expected, root(excess, observed, first_above(excess, observed)) / expected


def log_e_proportion(successes: ArrayLike, trials: ArrayLike, proportion: ArrayLike) -> Floats:
    """Evidence against a constant chance of success, by a Beta(1/2, 1/2) mixture of binomials: exact."""
    x = np.asarray(successes, dtype=np.float64)
    n = np.asarray(trials, dtype=np.float64)
    q = np.asarray(proportion, dtype=np.float64)
    log_e: Floats = betaln(0.5 + x, 0.5 + n - x) - betaln(0.5, 0.5) - xlogy(x, q) - xlog1py(n - x, -q)
    return log_e


def proportion_sequence(successes: float, trials: float, alpha: float) -> Interval:
    """The proportions that have not been refuted at any look so far, at level 1 - alpha."""
    if trials <= 0:
        return 0.0, 1.0

    def excess(proportion: float) -> float:
        return float(log_e_proportion(successes, trials, proportion)) + math.log(alpha)

    point = successes / trials
    low = 0.0 if successes == 0 else root(excess, 0.0, point)
    high = 1.0 if successes == trials else root(excess, point, 1.0)
    return low, high


@dataclass(frozen=True, slots=True)
class ProportionGap:
    """Confidence sequences of two proportions, of their difference and of their ratio (group to rest)."""

    group: Interval
    rest: Interval
    difference: Interval
    ratio: Interval


def proportion_gap_sequence(
    group: tuple[float, float], rest: tuple[float, float], alpha: float
) -> ProportionGap:
    """A proportion in a group against the rest, each (successes, trials), by the union bound.

    Nine tenths of the error go to the group, which is small and decides the width. Valid and wasteful: for
    charts.
    """
    low, high = proportion_sequence(*group, 0.9 * alpha)
    rest_low, rest_high = proportion_sequence(*rest, 0.1 * alpha)
    return ProportionGap(
        group=(low, high),
        rest=(rest_low, rest_high),
        difference=(low - rest_high, high - rest_low),
        ratio=(low / rest_high, high / rest_low if rest_low > 0 else math.inf),
    )


# --- a group against the rest ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Events and summed probabilities of a group and of the rest: the last axis are days of maturity.

    `group` and `rest` count events on each day, `group_expected` and `rest_expected` add up the
    probabilities of the same episodes. `divisor` is the design effect of repeated patients (1: none comes
    twice).
    """

    group: Floats
    rest: Floats
    group_expected: Floats
    rest_expected: Floats
    divisor: float = 1.0

    def days(self, first: int, last: int | None = None) -> Sides:
        """The same for some days only."""
        part = np.s_[..., first:last]
        return Sides(
            self.group[part],
            self.rest[part],
            self.group_expected[part],
            self.rest_expected[part],
            self.divisor,
        )

    @property
    def share(self) -> Floats:
        """The group's share of each day's expected events; 0 where nothing was expected."""
        total = self.group_expected + self.rest_expected
        return np.divide(self.group_expected, total, out=np.zeros_like(total), where=total > 0)

    @property
    def group_told(self) -> Floats:
        """Events of the group on days that compare: no event counts where its probability was 0."""
        return np.where(self.group_expected > 0, self.group, 0.0)

    @property
    def rest_told(self) -> Floats:
        return np.where(self.rest_expected > 0, self.rest, 0.0)


def steps(sides: Sides, log_ratios: ArrayLike = LOG_RATIOS) -> Floats:
    """What each day adds to the log likelihood of a ratio to the rest over that of 1, by the design effect.

    Returns the days' shape with the ratios as a further last axis. Whatever the day's level common to both
    sides, the expectation of exp(step) is at most 1 if the ratio is 1.
    """
    log_ratio = np.asarray(log_ratios, dtype=np.float64)
    group, rest = sides.group_told, sides.rest_told
    spread = np.log1p(sides.share[..., None] * np.expm1(log_ratio))
    step: Floats = (group[..., None] * log_ratio - (group + rest)[..., None] * spread) / sides.divisor
    return step


def log_e_running(log_likelihoods: Floats) -> Floats:
    """Evidence against "no different from the rest" out of summed `steps` on the grid, for each day."""
    weighed = log_likelihoods + LOG_WEIGHTS
    # As `scipy.special.logsumexp`, which takes three times as long; every night asks for it a million times.
    highest: Floats = weighed.max(axis=-1)
    weighed -= highest[..., None]
    log_e: Floats = highest + np.log(np.exp(weighed, out=weighed).sum(axis=-1))
    return log_e


def log_e_against_rest(sides: Sides) -> Floats:
    """Evidence against "no different from the rest" on each day, immune to drift common to both."""
    return log_e_running(np.cumsum(steps(sides), axis=-2))


def log_e_of_ratio(sides: Sides, log_ratio: float) -> float:
    """Evidence of one group at the last of the days against one ratio to the rest."""
    grid = steps(sides).sum(axis=0)
    return float(log_e_running(grid)) - log_likelihood_of(sides)(log_ratio)


def log_likelihood_of(sides: Sides) -> Callable[[float], float]:
    """The sum of all days' `steps` of one group as a function of the log ratio, for looking for a root."""
    group, all_told, share = sides.group_told.sum(), sides.group_told + sides.rest_told, sides.share
    telling = all_told > 0
    all_told, share = all_told[telling], share[telling]

    def log_likelihood(log_ratio: float) -> float:
        spread = np.log1p(share * math.expm1(log_ratio))
        return float(group * log_ratio - all_told @ spread) / sides.divisor

    return log_likelihood


def log_ratio_to_rest(sides: Sides) -> float | None:
    """The likeliest log ratio to the rest, day compared with day; infinite where one side has no event.

    None where no day tells anything. The log likelihood is concave in the log ratio, so there is one.
    """
    share = sides.share
    both = (share > 0) & (share < 1)
    group, rest, share = sides.group_told[both], sides.rest_told[both], share[both]
    if group.sum() + rest.sum() == 0:
        return None
    if group.sum() == 0 or rest.sum() == 0:
        return -math.inf if group.sum() == 0 else math.inf

    def slope(log_ratio: float) -> float:
        odds = share * math.exp(log_ratio)
        return float(np.sum((group + rest) * odds / (1 - share + odds)) - group.sum())

    return root(slope, -first_above(lambda far: -slope(-far), 0.0), first_above(slope, 0.0))


def ratio_to_rest_sequence(sides: Sides, alpha: float) -> Interval:
    """The ratios to the rest that have not been refuted at any look so far, at level 1 - alpha."""
    best = log_ratio_to_rest(sides)
    if best is None:
        return NOTHING_KNOWN
    evidence = float(log_e_running(steps(sides).sum(axis=0)))
    log_likelihood = log_likelihood_of(sides)

    def excess(log_ratio: float) -> float:
        return evidence - log_likelihood(log_ratio) + math.log(alpha)

    middle = best if math.isfinite(best) else inside(excess, best)
    low = -math.inf if best == -math.inf else -far_end(lambda far: excess(-far), -middle)
    high = math.inf if best == math.inf else far_end(excess, middle)
    return math.exp(low), math.exp(high) if math.isfinite(high) else math.inf


def far_end(excess: Callable[[float], float], start: float) -> float:
    """Where `excess` becomes positive, from `start` upwards."""
    return root(excess, start, first_above(excess, start))


def inside(excess: Callable[[float], float], towards: float) -> float:
    """A log ratio that is not refuted, when the likeliest is infinitely far in one direction."""
    step = math.copysign(1.0, towards)
    at = step
    while excess(at) >= 0:
        at += step
    return at


def first_above(excess: Callable[[float], float], start: float) -> float:
    """A place above `start` where a function that grows without end is positive."""
    width = 1.0
    while excess(start + width) <= 0:
        width *= 2
    return start + width


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The one root between two places."""
    return float(brentq(function, low, high, xtol=1e-13))
