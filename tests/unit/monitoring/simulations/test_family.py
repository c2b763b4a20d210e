"""The whole budget end to end: a fair model, overlapping groups, patients who return, lost outcomes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cds_wrapper.monitoring.formulas.budget import Budget, contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.clustered import (
    PatientSums,
    design_effect,
    independent_oe,
    independent_share,
)
from cds_wrapper.monitoring.formulas.equal_score import Rows, band_edges, clustered, merged
from cds_wrapper.monitoring.formulas.figure import quantile
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.formulas.restarts import log_e_ratio_restarts, log_e_restarts
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    Sides,
    log_e_ratio,
    log_e_running,
    log_ratio_to_rest,
    steps,
)
from cds_wrapper.monitoring.formulas.supporting_sign import more_missed_than_predicted
from tests.unit.monitoring.simulations.courses import RUNS, Hits, compares, holds

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

PATIENTS, WEEKS, REVIEWS, THRESHOLD = 700, 104, 4, 0.18
DAYS = np.arange(0, 7 * WEEKS, 7, dtype=np.int64)
Members = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Two years of one site. `members` [groups, patients]; episodes by patient, week, probability, event."""

    members: Members
    patient: NDArray[np.int64]
    week: NDArray[np.int64]
    p: Floats
    event: NDArray[np.bool_]

    def until(self, week: int) -> Site:
        """What is mature at the end of a week."""
        known = self.week < week
        return Site(self.members, self.patient[known], self.week[known], self.p[known], self.event[known])

    def by_patient(self, values: Floats) -> Floats:
        return np.bincount(self.patient, weights=values, minlength=PATIENTS).astype(np.float64)


def fair_site(rng: np.random.Generator) -> Site:
    """A calibrated model: risks differ by age and race, insurance goes with age.

    The episodes of one patient go together, by an effect which the model does not see. A tenth of the
    outcomes is lost, three tenths where race is not recorded.
    """
    age = rng.choice(4, PATIENTS, p=[0.25, 0.3, 0.3, 0.15])
    race = rng.choice(5, PATIENTS, p=[0.55, 0.2, 0.12, 0.05, 0.08])
    public = rng.random(PATIENTS) < np.array([0.2, 0.3, 0.6, 0.95])[age]
    female = rng.random(PATIENTS) < 0.5
    levels = [age == level for level in range(4)] + [race == level for level in range(5)]
    members = np.stack([*levels, public, ~public, female, ~female, (race == 1) & (age == 0)])
    episodes = 1 + rng.poisson(1.5, PATIENTS)
    patient = np.repeat(np.arange(PATIENTS), episodes)
    usual = np.array([0.05, 0.09, 0.14, 0.22])[age] * np.array([1, 1.2, 1, 0.8, 1])[race]
    p = np.clip(usual[patient] * rng.lognormal(-0.125, 0.5, patient.size), 0.005, 0.6)
    # With mean 1, it leaves the model calibrated.
    own = rng.choice([0.4, 1.6], PATIENTS)
    event = rng.random(patient.size) < p * own[patient]
    known = rng.random(patient.size) >= np.where(race == 4, 0.3, 0.1)[patient]
    week = rng.integers(0, WEEKS, patient.size)
    return Site(members, patient[known], week[known], p[known], event[known])


def sums_of(site: Site, x: Floats, y: Floats, of: Members) -> list[PatientSums]:
    """What a ratio of two sums needs, for each row of members."""
    of_x, of_y, people = site.by_patient(x), site.by_patient(y), site.by_patient(np.ones(site.p.size)) > 0
    columns = np.stack([of_x, of_y, of_x**2, of_x * of_y, of_y**2, people], axis=1)
    return [PatientSums(x, y, xx, xy, yy, int(came)) for x, y, xx, xy, yy, came in of.astype(float) @ columns]


def oe_effects(site: Site, of: Members) -> list[tuple[float, float]]:
    """Events and design effect of O/E for each row of members; everybody is the last row."""
    x = site.event.astype(float)
    squares = of.astype(float) @ site.by_patient(site.p**2)
    with_event = of.astype(float) @ (site.by_patient(x) > 0)
    found: list[tuple[float, float]] = []
    everybody = 1.0
    for row, sums in reversed(list(enumerate(sums_of(site, x, site.p, of)))):
        alone = independent_oe(sums.x, sums.y, squares[row]) if sums.x else 0.0
        everybody = found[0][1] if found else everybody
        found.append((sums.x, design_effect(sums.variance, alone, int(with_event[row]), everybody)))
    return found[::-1]


def weekly(site: Site) -> Sides:
    """Both sides of each group by week: [groups, weeks]."""
    columns = []
    for values in (site.event.astype(float), site.p):
        everybody = np.bincount(site.week, weights=values, minlength=WEEKS)
        of_group = np.stack(
            [
                np.bincount(site.week[there], weights=values[there], minlength=WEEKS)
                for there in site.members[:, site.patient]
            ]
        )
        columns += [of_group, np.maximum(everybody - of_group, 0.0)]
    return Sides(*columns)


def divisors(site: Site) -> tuple[Floats, Floats]:
    """The divisor in force in each half-year of each group [halves, groups] and of the model [halves]."""
    groups = site.members.shape[0]
    of = np.concatenate([site.members, ~site.members, np.ones((1, PATIENTS), dtype=bool)])
    in_force: list[float | None] = [None] * groups
    for_groups, for_model = [], []
    for review in range(1, REVIEWS + 1):
        found = oe_effects(site.until(review * WEEKS // REVIEWS), of)
        now = []
        for group, ((seen, own), (others, rest)) in enumerate(
            zip(found[:groups], found[groups : 2 * groups], strict=True)
        ):
            estimate = contrast_design_effect(own, seen, rest, others) if seen and others else found[-1][1]
            now.append(divisor(estimate, seen, in_force[group]))
            in_force[group] = now[-1] if seen >= 100 else None
        for_groups.append(now)
        for_model.append(found[-1][1])
    return np.array(for_groups), np.maximum.accumulate(for_model)


@dataclass(frozen=True, slots=True)
class Accused:
    """What was said of a fair model in two years."""

    daily: bool
    reduced: bool
    by_points: bool
    sensitivity: bool
    equal_score: bool
    model: bool
    watched: float


def judge(seed: int) -> Accused:
    """The daily sequences of all groups, the reviews, and the model as a whole."""
    site = fair_site(np.random.default_rng(seed))
    budget = Budget(site.members.shape[0])
    share = budget.daily([False] * budget.groups)[0]
    by_half, for_model = divisors(site)
    half = np.arange(WEEKS) * REVIEWS // WEEKS
    sides = weekly(site)
    collected = np.cumsum(steps(sides), axis=1)
    highest, mixed = np.full(budget.groups, -np.inf), np.full(budget.groups, -np.inf)
    for number in range(REVIEWS):
        divided = collected[:, half <= number] / by_half[number][:, None, None]
        days, now = DAYS[half <= number], (half == number)[half <= number]
        both = log_e_running(divided)[:, now], log_e_restarts(divided, days)[:, now]
        highest = np.maximum(highest, np.maximum(*both).max(axis=1))
        mixed = np.maximum(mixed, (np.logaddexp(*both) - math.log(2)).max(axis=1))
    rung = highest >= share.log_bar
    findings = [reviewed(site.until(q * WEEKS // REVIEWS), budget.review(q)) for q in range(1, REVIEWS + 1)]
    return Accused(
        daily=bool(rung.any()),
        reduced=any(outside(sides, int(group)) for group in np.flatnonzero(rung)),
        by_points=any(found for found, _, _ in findings),
        sensitivity=any(found for _, found, _ in findings),
        equal_score=any(found for _, _, found in findings),
        model=model_rings(sides, for_model[-1], budget),
        watched=float((mixed >= budget.log_watch_bar).mean()),
    )


def outside(sides: Sides, group: int) -> bool:
    """Whether the point ratio to the rest is outside the band, too."""
    one = Sides(
        sides.group[group], sides.rest[group], sides.group_expected[group], sides.rest_expected[group]
    )
    ratio = log_ratio_to_rest(one)
    return ratio is not None and not 0.8 <= math.exp(ratio) <= 1.25


def model_rings(sides: Sides, effect: float, budget: Budget) -> bool:
    """The model as a whole, at its own error."""
    seen = np.cumsum(sides.group[0] + sides.rest[0]) / effect
    mean = np.cumsum(sides.group_expected[0] + sides.rest_expected[0]) / effect
    highest = max(log_e_ratio(seen, mean).max(), log_e_ratio_restarts(seen, mean, DAYS).max())
    return bool(highest >= budget.for_model.log_bar)


def reviewed(site: Site, error: float) -> tuple[bool, bool, bool]:
    """What a dated review finds anywhere: a sensitivity gap by points, one for sure, an unequal score."""
    by_points, for_sure = misses_more(site, error)
    return by_points, for_sure, unequal_anywhere(site, quantile(1 - error))


def misses_more(site: Site, error: float) -> tuple[bool, bool]:
    """A gap below 0 and by -0.05, with O/E above 1.25 among the unflagged: by points, and for sure."""
    flagged = site.p >= THRESHOLD
    caught, events = (site.event & flagged).astype(float), site.event.astype(float)
    group, rest = sums_of(site, caught, events, site.members), sums_of(site, caught, events, ~site.members)
    gaps = [gap_below(one, other, quantile(1 - error)) for one, other in zip(group, rest, strict=True)]
    missed = sums_of(site, events * ~flagged, site.p * ~flagged, site.members)
    squares = site.members.astype(float) @ site.by_patient(site.p**2 * ~flagged)
    by_points = [gap and side.x > 1.25 * side.y for gap, side in zip(gaps, missed, strict=True)]
    for_sure = [
        found and more_missed_than_predicted(side.x, side.y, square, effect_of(side, square), error)
        for found, side, square in zip(by_points, missed, squares, strict=True)
    ]
    return any(by_points), any(for_sure)


def effect_of(side: PatientSums, squares: float) -> float:
    """The design effect of O/E."""
    return design_effect(side.variance, independent_oe(side.x, side.y, squares), 50, 1.0)


def gap_below(group: PatientSums, rest: PatientSums, z: float) -> bool:
    """Whether the sensitivity is lower than in the rest for sure, and by five points."""
    if not group.y or not rest.y:
        return False
    effects = [
        design_effect(side.variance, independent_share(side.x, side.y), 50, 1.0) for side in (group, rest)
    ]
    d, e = effects
    high = newcombe_difference(group.x / d, group.y / d, rest.x / e, rest.y / e, z)[1]
    return high < 0 and group.x / group.y - rest.x / rest.y <= -0.05


def unequal_anywhere(site: Site, z: float) -> bool:
    """Whether the events of a group with 20 or more are beyond 0.80 to 1.25 times those at equal scores."""
    bands = np.searchsorted(band_edges(site.p), site.p).astype(np.int64)
    for members in site.members[:, site.patient]:
        if site.event[members].sum() < 20:
            continue
        counts = np.bincount(bands[~members], minlength=int(bands.max()) + 1).astype(float)
        rows = Rows(merged(counts)[bands], site.event.astype(float), members, site.patient)
        ratio = clustered(rows, z).ratio
        if ratio.low is not None and ratio.high is not None and (ratio.low > 1.25 or ratio.high < 0.8):
            return True
    return False


SETTING = "Fair model, 14 overlapping groups, two years"
PARTS = [
    ("daily", "any group, daily sequences", 0.025),
    ("reduced", "any group rung and outside 0.80 to 1.25", 0.025),
    ("sensitivity", "a lower sensitivity with its sign for sure, four reviews", 0.0125),
    ("equal_score", "any finding at equal score in four reviews", 0.0125),
    ("model", "the model as a whole", 0.05),
]


def test_a_fair_model_is_accused_within_the_budget_of_the_family() -> None:
    family = [judge(seed) for seed in range(RUNS)]

    def hits(name: str) -> Hits:
        return np.array([getattr(accused, name) for accused in family])

    any_of_all = hits("daily") | hits("sensitivity") | hits("equal_score")
    holds(f"{SETTING}: any group, daily or reviewed", any_of_all, 0.05)
    for name, words, bound in PARTS:
        holds(f"{SETTING}: {words}", hits(name), bound)
    # What a sign by points alone would do to the budget.
    by_points = f"{SETTING}: a lower sensitivity with its sign by points, four reviews"
    assert compares(by_points, hits("by_points")) > 0.05
    on_the_list = np.concatenate([np.arange(14) < round(14 * accused.watched) for accused in family])
    holds(f"{SETTING}: a group on the internal list", on_the_list, 0.05)
