"""What rows at hand give: the library's area to the last digit, a slope with its own error, risk bands."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.own_band import Basis, Says
from cds_wrapper.monitoring.row_figures import RowFigures, row_figures
from cds_wrapper.monitoring.values import EVERYBODY, Group, Measure, WhyNot
from tests.unit.monitoring.made import QUESTION, figure, group_of, written

RACES = ("A", "B", "C", "D")
"""A is most people, B has scores that are too high, C is a handful with ties, D has no event."""

random = np.random.default_rng(63)
N = 6_000
PATIENT = random.integers(0, 2_000, N)
RACE = np.asarray(RACES)[np.searchsorted([0.7, 0.98, 0.995], random.random(2_000))][PATIENT]
P = 1 / (1 + np.exp(1.2 - random.normal(0, 1, N)))
P = np.where(RACE == "C", P.round(1), P)
P[:4] = (0.0, 1.0, 0.0, 1.0)
WELL = random.normal(0, 0.8, 2_000)[PATIENT]
TRUE = P * np.where(RACE == "B", 0.5, 1.0) * np.exp(WELL) / np.exp(0.32)
Y = (random.random(N) < np.where(RACE == "D", 0.0, np.clip(TRUE, 0, 1))).astype(float)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> RowFigures:
    rows = [
        {"score": float(p), "state": "event" if y else "no_event", "race": race, "patient_key": f"p{patient}"}
        for p, y, race, patient in zip(P, Y, RACE, PATIENT, strict=True)
    ]
    attributes = MonitoredAttributes(("race",))
    with parquet_source(written(tmp_path_factory.mktemp("rows"), rows)) as source:
        return row_figures(source, attributes, QUESTION, measure(source, attributes, QUESTION))


def of_race(race: str) -> Group:
    return Group((("race", race),))


@pytest.mark.parametrize("race", ["A", "B", "C"])
def test_an_area_is_the_library_s_and_so_is_its_gap(found: RowFigures, race: str) -> None:
    one = group_of(found.figures, of_race(race))
    chosen = race == RACE
    own, rest = roc_auc_score(Y[chosen], P[chosen]), roc_auc_score(Y[~chosen], P[~chosen])

    assert figure(one, Measure.AUROC).value == pytest.approx(own, abs=1e-12)
    assert figure(one, Measure.AUROC_GAP).value == pytest.approx(own - rest, abs=1e-12)


def test_the_limits_of_an_area_are_those_of_a_bootstrap_of_patients(found: RowFigures) -> None:
    draws = np.random.default_rng(1)
    rows_of = [np.flatnonzero(patient == PATIENT) for patient in range(2_000)]
    areas = []
    for _ in range(300):
        chosen = np.concatenate([rows_of[patient] for patient in draws.integers(0, 2_000, 2_000)])
        areas.append(roc_auc_score(Y[chosen], P[chosen]))
    area = figure(found.figures.everybody, Measure.AUROC)

    assert area.low is not None and area.high is not None
    assert (area.high - area.low) / (2 * 1.96) == pytest.approx(np.std(areas), rel=0.15)


@pytest.mark.parametrize("race", ["A", "B"])
def test_a_slope_and_its_error_are_those_of_a_fit_of_rows_clustered_by_patient(
    found: RowFigures, race: str
) -> None:
    chosen = race == RACE
    clipped = np.clip(P[chosen], 1e-6, 1 - 1e-6)
    design = sm.add_constant(np.log(clipped / (1 - clipped)))
    fit = sm.GLM(Y[chosen], design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": PATIENT[chosen]}
    )
    slope = figure(group_of(found.figures, of_race(race)), Measure.CALIBRATION_SLOPE)

    assert slope.value == pytest.approx(fit.params[1], abs=1e-6)
    assert slope.low is not None and slope.high is not None
    assert (slope.high - slope.low) / 2 / 1.959964 == pytest.approx(fit.bse[1], rel=1e-5)


def test_a_group_without_an_event_has_bands_and_no_area(found: RowFigures) -> None:
    one = group_of(found.figures, of_race("D"))

    assert figure(one, Measure.AUROC).why_not is WhyNot.NO_EVENTS
    assert figure(one, Measure.CALIBRATION_SLOPE).why_not is WhyNot.TOO_FEW_EVENTS
    assert sum(band.cell.n for band in found.bands[of_race("D")]) == (RACE == "D").sum()


def test_bands_hold_every_row_once_scores_of_nought_and_one_too(found: RowFigures) -> None:
    bands = found.bands[EVERYBODY]

    assert sum(band.cell.n for band in bands) == N
    assert sum(band.cell.events for band in bands) == Y.sum()
    assert sum(band.cell.expected for band in bands) == pytest.approx(P.sum())
    assert QUESTION.threshold in [band.low for band in bands]


def test_a_band_of_a_group_whose_scores_are_too_high_says_so_and_a_thin_one_speaks_of_its_level(
    found: RowFigures,
) -> None:
    bands = {(band.low, band.high): band.statement for band in found.bands[of_race("B")]}
    middle, lowest = bands[0.3, 0.5], bands[0.0, 0.05]

    assert middle is not None and middle.says is Says.FEWER_THAN_PREDICTED
    assert middle.cell.basis is Basis.BAND_AND_LEVEL
    assert lowest is not None and lowest.cell.basis is Basis.LEVEL
