"""How often a worse group is called supported, a fair one found to miss more, and who gets which level.

By the real rules out of the real figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cds_wrapper.caveats.evidence import Grade, Limits
from cds_wrapper.caveats.plan import MonitoringPlan
from cds_wrapper.monitoring.findings import FindingKind, of_sensitivity
from cds_wrapper.monitoring.formulas.budget import Budget
from cds_wrapper.monitoring.grading import results_of
from cds_wrapper.monitoring.values import Measure, ServiceFigures
from tests.unit.monitoring.simulations.courses import RUNS, Hits, compares, holds
from tests.unit.monitoring.simulations.levels import Truth, calibrated, measured

pytestmark = [pytest.mark.simulation, pytest.mark.slow]

FAIR = calibrated()
ERROR = Budget(30).review(1)


def told(group: Truth, n: int, seed: int, level: float, says: Callable[[ServiceFigures], bool]) -> Hits:
    """What is said of a group of `n` beside seven times as many of whom the model is right."""
    random = np.random.default_rng(seed)
    return np.array([says(measured(group, FAIR, n, 7 * n, random, level)) for _ in range(RUNS)])


def is_supported(figures: ServiceFigures) -> bool:
    return results_of(figures, (), Limits())[1].holds_up


def kinds(figures: ServiceFigures) -> set[FindingKind]:
    return {one.kind for one in of_sensitivity(figures, MonitoringPlan())}


def misses_more(figures: ServiceFigures) -> bool:
    return FindingKind.MISSES_MORE in kinds(figures)


def has_lower_auroc(figures: ServiceFigures) -> bool:
    """Whether it is found to miss more where the AUROC gap is the one sign there is."""
    everybody, one = figures.groups
    kept = tuple(each for each in one.figures if each.measure is not Measure.OE_UNFLAGGED)
    return misses_more(replace(figures, groups=(everybody, replace(one, figures=kept))))


@pytest.mark.parametrize(
    ("words", "group", "n", "bound"),
    [
        ("O/E at the edge of 1.5, 740 events", calibrated(1.5), 5_000, 0.05),
        ("sensitivity at the edge of 10 points lower, 490 events", FAIR.misses(0.10), 5_000, 0.05),
        ("sensitivity 15 points lower, 150 events", FAIR.misses(0.15), 1_500, 0.01),
    ],
)
def test_a_group_that_is_worse_is_hardly_ever_supported(
    words: str, group: Truth, n: int, bound: float
) -> None:
    holds(f"Supported though worse: {words}", told(group, n, 71, 0.95, is_supported), bound)


def test_a_fair_group_is_mostly_supported_once_there_is_enough_of_it() -> None:
    share = compares("Supported and fair: 150 events", told(FAIR, 1_500, 72, 0.95, is_supported))
    assert share > 0.5


def test_a_lower_risk_is_an_effect_of_the_threshold_and_a_worse_score_is_a_finding() -> None:
    lower = calibrated(middle=-3.6)
    assert lower.sensitivity < FAIR.sensitivity - 0.10
    holds(
        "Found to miss more though fair: a third of the risk, one dated review of 30 groups",
        told(lower, 12_000, 73, 1 - ERROR, misses_more),
        0.01,
    )
    found = compares(
        "Found to miss more and 15 points worse: 150 events, one dated review of 30 groups",
        told(FAIR.misses(0.15), 1_500, 74, 1 - ERROR, misses_more),
    )
    assert 0.1 < found < 0.9


def test_the_auroc_gap_as_the_only_sign_accuses_where_patients_are_alike_and_finds_the_worse() -> None:
    alike = calibrated(middle=-2.65, spread=0.7)
    assert alike.sensitivity < FAIR.sensitivity - 0.10
    accused = compares(
        "Found to miss more by the AUROC gap alone, though fair: 950 events, risks alike, one dated review",
        told(alike, 12_000, 75, 1 - ERROR, has_lower_auroc),
    )
    found = compares(
        "Found to miss more by the AUROC gap alone, 15 points worse: 150 events, one dated review",
        told(FAIR.misses(0.15), 1_500, 76, 1 - ERROR, has_lower_auroc),
    )
    assert accused > 0.5
    assert found > 0.05


SHARES = np.array([0.50, 0.25, 0.12, 0.06, 0.04, 0.02, 0.01])
"""Of all patients, by one attribute: groups of every size."""


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("2,000 patients a year after three years", 6_000),
        ("20,000 patients in one year", 20_000),
        ("200,000 patients in one year", 200_000),
    ],
)
def test_how_many_patients_of_a_fair_model_have_which_level(words: str, size: int) -> None:
    random = np.random.default_rng(78)
    found = []
    for share in random.choice(SHARES, RUNS, p=SHARES):
        n = round(size * share)
        figures = measured(FAIR, FAIR, n, size - n, random)
        result = results_of(figures, (), Limits())[1]
        found.append((result.holds_up, result.grade is Grade.ADEQUATE, result.grade is Grade.PARTIAL))
    supported, adequate, partial = np.array(found).T
    for level, hits in (
        ("supported", supported),
        ("limited, with enough evidence", adequate & ~supported),
        ("limited, with some evidence", partial),
        ("limited, with hardly any", ~adequate & ~partial),
    ):
        compares(f"Fair model, {words}: patients whose group is {level}", hits)
    assert not (supported & ~adequate).any()
