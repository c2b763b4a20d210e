"""The whole budget end to end: a fair model, overlapping groups, patients who return, lost outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cds_wrapper.caveats.plan import MonitoringPlan
from cds_wrapper.monitoring.formulas.auroc import area, mover_difference
from cds_wrapper.monitoring.formulas.budget import Budget, contrast_design_effect, divisor
from cds_wrapper.monitoring.formulas.clustered import (
    PatientSums,
    design_effect,
    independent_oe,
    independent_share,
)
from cds_wrapper.monitoring.formulas.equal_score import Rows, band_edges, clustered, merged
from cds_wrapper.monitoring.formulas.figure import Figure, quantile
from cds_wrapper.monitoring.formulas.oe_ratio import oe_ratio
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.formulas.restarts import log_e_ratio_restarts, log_e_restarts, start_places
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    Sides,
    log_e_ratio,
    log_e_running,
    log_ratio_to_rest,
    steps,
)
from cds_wrapper.monitoring.formulas.supporting_sign import Sign, supporting_sign
from cds_wrapper.monitoring.group_figures import RATIOS, SHARES
from cds_wrapper.monitoring.row_figures import Rows as PatientRows
from cds_wrapper.monitoring.row_figures import area_by_patient
from cds_wrapper.monitoring.values import Measure
from tests.unit.monitoring.simulations.courses import RUNS, Hits, compares, holds, standard_error

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

PATIENTS, WEEKS, REVIEWS, THRESHOLD = 700, 104, 4, 0.18
PLAN = MonitoringPlan()
DAYS = np.arange(0, 7 * WEEKS, 7, dtype=np.int64)
STARTS_NEXT = np.isin(np.arange(WEEKS) + 1, start_places(DAYS))
"""The weeks before one with which a restart begins."""
_RATIOS = {**SHARES, **RATIOS}
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

    @property
    def flagged(self) -> Members:
        return np.asarray(self.p >= THRESHOLD)

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


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """Sums over the patients of each row of members: [rows, ...]. Forms are those of `patients.FORMS`."""

    forms: Floats
    second: Floats
    squares: Floats
    unflagged_squares: Floats
    patients: Floats
    with_event: Floats

    def of(self, measure: Measure) -> list[PatientSums]:
        """What a ratio of two forms needs, for each row."""
        a, b = (np.asarray(form, dtype=np.float64) for form in _RATIOS[measure][:2])
        of_a, of_b = a @ self.second, b @ self.second
        columns = self.forms @ a, self.forms @ b, of_a @ a, of_a @ b, of_b @ b, self.patients
        return [
            PatientSums(x, y, xx, xy, yy, int(people))
            for x, y, xx, xy, yy, people in np.stack(columns, axis=1).tolist()
        ]


def added(site: Site, of: Members) -> Added:
    """The sums of what is known in a site."""
    flagged, event, p = site.flagged.astype(float), site.event.astype(float), site.p
    columns = (np.ones(p.size), event, flagged, event * flagged, p, p * flagged)
    forms = np.stack([site.by_patient(one) for one in columns])
    squares = [site.by_patient(one) for one in (p**2, p**2 * (1 - flagged))]
    each = [*forms, *(one * other for one in forms for other in forms), *squares, forms[0] > 0, forms[1] > 0]
    sums = of.astype(float) @ np.stack(each, axis=1)
    return Added(sums[:, :6], sums[:, 6:42].reshape(-1, 6, 6), *sums[:, 42:].T)


def oe_effects(sums: Added) -> list[tuple[float, float]]:
    """Events and design effect of O/E for each row of members; everybody is the last row."""
    found: list[tuple[float, float]] = []
    everybody = 1.0
    for row, ratio in reversed(list(enumerate(sums.of(Measure.OE_RATIO)))):
        alone = independent_oe(ratio.x, ratio.y, sums.squares[row]) if ratio.x else 0.0
        everybody = found[0][1] if found else everybody
        found.append((ratio.x, design_effect(ratio.variance, alone, int(sums.with_event[row]), everybody)))
    return found[::-1]


def weekly(site: Site) -> Sides:
    """Both sides of each group by week: [groups, weeks]."""
    columns = []
    for values in (site.event.astype(float), site.p):
        place = site.patient * WEEKS + site.week
        of_patient = np.bincount(place, weights=values, minlength=PATIENTS * WEEKS).reshape(PATIENTS, WEEKS)
        of_group = site.members.astype(float) @ of_patient
        columns += [of_group, np.maximum(of_patient.sum(axis=0) - of_group, 0.0)]
    return Sides(*columns)


def divisors(reviews: Sequence[Added]) -> tuple[Floats, Floats]:
    """The divisor in force in each half-year of each group [halves, groups] and of the model [halves].

    Each review has the groups, their rests, and everybody.
    """
    groups = len(reviews[0].forms) // 2
    in_force: list[float | None] = [None] * groups
    for_groups, for_model = [], []
    for sums in reviews:
        found = oe_effects(sums)
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
    missed: bool
    sensitivity: bool
    equal_score: bool
    model: bool
    watched: float


def judge(seed: int) -> Accused:
    """The daily sequences of all groups, the reviews, and the model as a whole."""
    site = fair_site(np.random.default_rng(seed))
    budget = Budget(site.members.shape[0])
    share = budget.daily([False] * budget.groups)[0]
    sides_of_all = np.concatenate([site.members, ~site.members, np.ones((1, PATIENTS), dtype=bool)])
    known = [site.until(review * WEEKS // REVIEWS) for review in range(1, REVIEWS + 1)]
    reviews = [added(one, sides_of_all) for one in known]
    by_half, for_model = divisors(reviews)
    half = np.arange(WEEKS) * REVIEWS // WEEKS
    sides = weekly(site)
    collected = np.cumsum(steps(sides), axis=1)
    highest, mixed = np.full(budget.groups, -np.inf), np.full(budget.groups, -np.inf)
    for number in range(REVIEWS):
        # Of the weeks before this half only those that a restart starts after are of any use in it.
        weeks = np.flatnonzero((half == number) | (STARTS_NEXT & (half < number)))
        now = half[weeks] == number
        divided = collected[:, weeks] / by_half[number][:, None, None]
        both = log_e_running(divided[:, now]), log_e_restarts(divided, DAYS[weeks])[:, now]
        highest = np.maximum(highest, np.maximum(*both).max(axis=1))
        mixed = np.maximum(mixed, (np.logaddexp(*both) - math.log(2)).max(axis=1))
    rung = highest >= share.log_bar
    findings = [
        reviewed(one, sums, budget.review(number))
        for number, (one, sums) in enumerate(zip(known, reviews, strict=True), start=1)
    ]
    return Accused(
        daily=bool(rung.any()),
        reduced=any(outside(sides, int(group)) for group in np.flatnonzero(rung)),
        by_points=any(found for found, _, _ in findings),
        missed=any(Sign.MORE_MISSED in signs for _, signs, _ in findings),
        sensitivity=any(signs for _, signs, _ in findings),
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


def reviewed(site: Site, sums: Added, error: float) -> tuple[bool, set[Sign], bool]:
    """What a dated review finds anywhere: a gap by points, the signs of other gaps, an unequal score."""
    by_points, signs = misses_more(site, sums, error)
    return by_points, signs, unequal_anywhere(site, quantile(1 - error))


def misses_more(site: Site, sums: Added, error: float) -> tuple[bool, set[Sign]]:
    """A sensitivity lower for sure, and by 0.05: whether O/E is above 1.25 among the unflagged, its signs.

    The rule of signs is the program's own. Design effects are each side's own, where a review takes that of
    everybody for the rest and for groups with few events.
    """
    groups, z = len(site.members), quantile(1 - error)
    found = sums.of(Measure.SENSITIVITY)
    by_points, signs = False, set[Sign]()
    for row, (group, rest) in enumerate(zip(found[:groups], found[groups:-1], strict=True)):
        if gap_below(group, rest, z):
            missed, squares = sums.of(Measure.OE_UNFLAGGED)[row], float(sums.unflagged_squares[row])
            effect = design_effect(missed.variance, independent_oe(missed.x, missed.y, squares), 50, 1.0)
            ratio = oe_ratio(missed.x, missed.y, squares, effect, 1 - error)
            gap = area_gap(site, site.members[row], z)
            by_points |= missed.x > 1.25 * missed.y
            sign = supporting_sign(ratio, gap, PLAN.auroc_margin)
            signs |= {sign} if sign else set()
    return by_points, signs


def gap_below(group: PatientSums, rest: PatientSums, z: float) -> bool:
    """Whether the sensitivity is lower than in the rest for sure, and by five points."""
    if not group.y or not rest.y or group.x / group.y - rest.x / rest.y > -PLAN.sensitivity_margin:
        return False
    d, e = (design_effect(one.variance, independent_share(one.x, one.y), 50, 1.0) for one in (group, rest))
    return newcombe_difference(group.x / d, group.y / d, rest.x / e, rest.y / e, z)[1] < 0


def area_gap(site: Site, members: Members, z: float) -> Figure:
    """The AUROC less that of the rest."""
    sides = []
    for there in (members[site.patient], ~members[site.patient]):
        rows = PatientRows(site.p[there], site.event[there].astype(float), site.patient[there])
        sides.append(area(*area_by_patient(rows, 1.0), z))
    return mover_difference(*sides)


def unequal_anywhere(site: Site, z: float) -> bool:
    """Whether the events of a group with 20 or more are beyond 0.80 to 1.25 times those at equal scores."""
    bands = np.searchsorted(band_edges(site.p), site.p).astype(np.int64)
    event, size = site.event.astype(float), int(bands.max()) + 1
    whole = np.bincount(bands, minlength=size), np.bincount(bands, event, size)
    for members in site.members[:, site.patient]:
        if site.event[members].sum() < 20:
            continue
        n, y = np.bincount(bands[members], minlength=size), np.bincount(bands[members], event[members], size)
        together = merged((whole[0] - n).astype(float))
        own, own_events, rest, rest_events = (
            np.bincount(together, one) for one in (n, y, whole[0] - n, whole[1] - y)
        )
        value = own_events[rest > 0].sum() / (own * rest_events / np.maximum(rest, 1)).sum()
        if 0.8 <= value <= 1.25:
            # Its interval holds it, so it cannot lie outside.
            continue
        ratio = clustered(Rows(together[bands], event, members, site.patient), z).ratio
        if ratio.low is not None and ratio.high is not None and (ratio.low > 1.25 or ratio.high < 0.8):
            return True
    return False


SETTING = "Fair model, 14 overlapping groups, two years"
PARTS = [
    ("daily", "any group, daily sequences", 0.025),
    ("reduced", "any group rung and outside 0.80 to 1.25", 0.025),
    ("missed", "a lower sensitivity with more missed for sure, four reviews", 0.0125),
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
    # The AUROC of a group whose patients are alike is truly lower: what is spent is told, no bound holds.
    either = f"{SETTING}: a lower sensitivity with either sign for sure, four reviews"
    assert compares(either, hits("sensitivity")) < 0.0125 + 3 * standard_error(0.0125, RUNS)
    # What a sign by points alone would do to the budget.
    by_points = f"{SETTING}: a lower sensitivity with its sign by points, four reviews"
    assert compares(by_points, hits("by_points")) > 0.05
    on_the_list = np.concatenate([np.arange(14) < round(14 * accused.watched) for accused in family])
    holds(f"{SETTING}: a group on the internal list", on_the_list, 0.05)
