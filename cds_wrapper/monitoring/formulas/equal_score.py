"""Does a score mean the same for a group? Its outcome against that of others with the same score.

Discrimination and predictive values can be equal while one group is sicker at every score (Obermeyer 2019
Science 366:447). Within narrow bands of the score, O is the group's total, E what the rest's mean at the same
scores would give; R = O/E reads "so many times the illness of others with the same score".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.formulas.figure import Z95, Figure
from cds_wrapper.monitoring.values import Interval, WhyNot

BANDS: Final = 200
FEWEST_OF_THE_REST: Final = 10
CONTROL: Final[Interval] = (0.97, 1.03)
"""The estimator run on the score itself must give this; else the bands are too wide to compare."""

HIGH: Final = 0.90
"""The quantile of all amounts above which one is high."""

FEWEST_AMOUNTS: Final = 500
"""No finding on costs with fewer amounts above 0: their intervals cover too seldom."""


def band_edges(scores: Floats, bands: int = BANDS) -> Floats:
    """Inner edges at quantiles of the score; equal ones are one edge."""
    # Scores in order are parted for 199 quantiles in half the time.
    inner = np.quantile(np.sort(scores), np.arange(1, bands) / bands)
    return np.unique(inner)


def merged(rest_counts: Floats, fewest: int = FEWEST_OF_THE_REST) -> NDArray[np.int64]:
    """The new number of each band, neighbours put together until each holds enough of the rest.

    A last band that stays too small, or has none of the rest, goes to the one before it.
    """
    # Plain numbers in a list: one by one, those of an array take five times as long.
    numbers: list[int] = []
    number, held = 0, 0.0
    for count in rest_counts.tolist():
        numbers.append(number)
        held += count
        if held >= fewest:
            number, held = number + 1, 0.0
    place = np.array(numbers, dtype=np.int64)
    return np.minimum(place, number - 1) if number and held < fewest else place


@dataclass(frozen=True, slots=True)
class BandSums:
    """Per band: how many rows, and the sums of the outcome and of its square, for the group and the rest."""

    n_group: Floats
    y_group: Floats
    yy_group: Floats
    n_rest: Floats
    y_rest: Floats
    yy_rest: Floats


@dataclass(frozen=True, slots=True)
class EqualScore:
    """The ratio with its interval, and the means at equal score: the group's and what the rest would have."""

    ratio: Figure
    se: float | None
    observed: float
    expected: float
    group_mean: float
    rest_mean: float


def _nothing(why: WhyNot) -> EqualScore:
    return EqualScore(Figure.none(why), None, 0.0, 0.0, 0.0, 0.0)


def from_bands(sums: BandSums, z: float = Z95) -> EqualScore:
    """The ratio when every row is another patient: from sums per band alone."""
    usable = (sums.n_rest > 0) & (sums.n_group > 0)
    if not usable.any():
        return _nothing(WhyNot.NO_REST if sums.n_group.any() else WhyNot.NO_ROWS)
    n_g, y_g, yy_g = sums.n_group[usable], sums.y_group[usable], sums.yy_group[usable]
    n_r, y_r, yy_r = sums.n_rest[usable], sums.y_rest[usable], sums.yy_rest[usable]
    m = y_r / n_r
    observed, expected = float(y_g.sum()), float((n_g * m).sum())
    if expected <= 0:
        return _nothing(WhyNot.NO_EVENTS)
    ratio = observed / expected
    group = float((yy_g - 2 * ratio * m * y_g + ratio**2 * m**2 * n_g).sum())
    rest = float(((n_g / n_r) ** 2 * (yy_r - 2 * m * y_r + m**2 * n_r)).sum())
    people, others = float(n_g.sum()), float(n_r.sum())
    return _weighed(observed, expected, people, (people, group), (others, ratio**2 * rest), z)


@dataclass(frozen=True, slots=True)
class Rows:
    """One row per episode: its band, its outcome, whether it is of the group, and its patient's number."""

    band: NDArray[np.int64]
    y: Floats
    in_group: NDArray[np.bool_]
    patient: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """O, E and each row's part of R's error; `counts` are the rows of bands that hold both sides."""

    observed: float
    expected: float
    parts: Floats
    counts: NDArray[np.bool_]


def contributions(rows: Rows) -> Contributions | WhyNot:
    """Each row's part: y - R m in the group, R (n_g/n_r)(y - m) in the rest, 0 in a band with one side."""
    bands = int(rows.band.max()) + 1 if len(rows.band) else 0
    group, rest = rows.in_group, ~rows.in_group
    if not group.any():
        return WhyNot.NO_ROWS
    n_g = np.bincount(rows.band[group], minlength=bands).astype(np.float64)
    n_r = np.bincount(rows.band[rest], minlength=bands).astype(np.float64)
    y_r = np.bincount(rows.band[rest], weights=rows.y[rest], minlength=bands)
    usable = (n_g > 0) & (n_r > 0)
    if not usable.any():
        return WhyNot.NO_REST
    m = np.divide(y_r, n_r, out=np.zeros(bands), where=n_r > 0)
    weight = np.divide(n_g, n_r, out=np.zeros(bands), where=usable)
    counts = usable[rows.band]
    observed = float(rows.y[group & counts].sum())
    expected = float((n_g * m)[usable].sum())
    if expected <= 0:
        return WhyNot.NO_EVENTS
    ratio, mean = observed / expected, m[rows.band]
    parts = np.where(group, rows.y - ratio * mean, -ratio * weight[rows.band] * (rows.y - mean))
    return Contributions(observed, expected, np.where(counts, parts, 0.0), counts)


def _squares(rows: Rows, side: NDArray[np.bool_], parts: Floats) -> tuple[int, float]:
    """How many patients, and the sum of their squared contributions."""
    _, place = np.unique(rows.patient[side], return_inverse=True)
    of_patient = np.bincount(place, weights=parts[side])
    return len(of_patient), float((of_patient**2).sum())


def clustered(rows: Rows, z: float = Z95) -> EqualScore:
    """The ratio when patients come again: contributions are summed within a patient first."""
    found = contributions(rows)
    if isinstance(found, WhyNot):
        return _nothing(found)
    g, group = _squares(rows, rows.in_group & found.counts, found.parts)
    h, rest = _squares(rows, ~rows.in_group & found.counts, found.parts)
    n = float((rows.in_group & found.counts).sum())
    return _weighed(found.observed, found.expected, n, (g, group), (h, rest), z)


def _weighed(
    observed: float,
    expected: float,
    n: float,
    group: tuple[float, float],
    rest: tuple[float, float],
    z: float,
) -> EqualScore:
    """Limits R exp(+-z SE/R); Var(R) E^2 = G/(G-1) group + H/(H-1) rest, each (people, sum of squares).

    `n` are the group's rows. Without an event in the group the ratio is 0 and has no limits.
    """
    ratio, (g, inside), (h, outside) = observed / expected, group, rest
    if g < 2 or h < 2 or ratio <= 0:
        figure, se = Figure(ratio, why_not=WhyNot.TOO_FEW_EVENTS), None
    else:
        se = math.sqrt(g / (g - 1) * max(inside, 0.0) + h / (h - 1) * max(outside, 0.0)) / expected
        half = z * se / ratio
        figure = Figure.of(ratio, (ratio * math.exp(-half), ratio * math.exp(half)))
    return EqualScore(figure, se, observed, expected, observed / n, expected / n)


def against_label(need: Rows, label: Floats, z: float = Z95) -> tuple[Figure, float | None]:
    """R of the need over R of the label (of the same rows), and the standard error of its logarithm.

    Paired: the error is that of u_need/O_need - u_label/O_label, summed within a patient. Outside 1 the score
    is fair to what it was trained on and unfair to what it is used for.
    """
    one, other = contributions(need), contributions(replace(need, y=label))
    if isinstance(one, WhyNot) or isinstance(other, WhyNot):
        return Figure.none(one if isinstance(one, WhyNot) else WhyNot.NO_OUTCOME_OF_THIS_KIND), None
    if one.observed <= 0 or other.observed <= 0:
        return Figure.none(WhyNot.NO_EVENTS), None
    parts, variance = one.parts / one.observed - other.parts / other.observed, 0.0
    for side in (need.in_group, ~need.in_group):
        people, squares = _squares(need, side & one.counts, parts)
        if people < 2:
            return Figure.none(WhyNot.TOO_FEW_EVENTS), None
        variance += people / (people - 1) * squares
    se = math.sqrt(variance)
    ratio = (one.observed / one.expected) / (other.observed / other.expected)
    return Figure.of(ratio, (ratio * math.exp(-z * se), ratio * math.exp(z * se))), se


@dataclass(frozen=True, slots=True)
class CostScales:
    """Costs at equal score as amounts, as the share of high ones, and as the mean of ln(1 + amount)."""

    amounts: EqualScore
    high_share: EqualScore
    logs: EqualScore
    positive: int

    @property
    def agrees(self) -> bool:
        """Whether all three say more, or all three say less: else nothing is decided, and all are printed."""
        ratios = [one.ratio.value for one in (self.amounts, self.high_share, self.logs)]
        known = [one for one in ratios if one is not None]
        return len(known) == len(ratios) and (min(known) >= 1 or max(known) <= 1)

    @property
    def may_decide(self) -> bool:
        """Whether a finding may rest on the amounts: the scales agree and enough of them are above 0."""
        return self.agrees and self.are_many

    @property
    def are_many(self) -> bool:
        """Whether enough amounts are above 0 for their interval to be believed."""
        return self.positive >= FEWEST_AMOUNTS


def cost_scales(rows: Rows, z: float = Z95) -> CostScales:
    """Money is spent in money, so the ratio is one of amounts; few of them can make it, so two more scales.

    A high amount is one above the 0.90 quantile of all. `positive` counts the group's amounts above 0.
    """
    high = float(np.quantile(rows.y, HIGH)) if len(rows.y) else 0.0
    return CostScales(
        clustered(rows, z),
        clustered(replace(rows, y=(rows.y > high).astype(np.float64)), z),
        clustered(replace(rows, y=np.log1p(rows.y)), z),
        int((rows.y[rows.in_group] > 0).sum()),
    )


def is_comparable(control: float | None) -> bool:
    """Whether the bands are narrow enough: the estimator run on the score itself gives nearly 1."""
    return control is not None and CONTROL[0] <= control <= CONTROL[1]
