"""The equations agree with the published example, with independent code, and bend where they should."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.demo.prevent import RANGES, PreventInputs, Sex, risk

VECTORS = Path(__file__).parents[3] / "../shared/data/prevent/prevent_base10_vectors.csv"
F, M = Sex.FEMALE, Sex.MALE


def inputs(
    sex: Sex,
    age: float,
    total: float,
    hdl: float,
    sbp: float,
    dm: int,
    sm: int,
    bmi: float,
    egfr: float,
    bp: int,
    st: int,
) -> PreventInputs:
    return PreventInputs(sex, age, total, hdl, sbp, egfr, bool(dm), bool(sm), bool(bp), bool(st), bmi)


EXAMPLE = inputs(F, 50, 200, 45, 160, 1, 0, 35, 90, 1, 0)


def test_the_published_example_comes_out_as_printed() -> None:
    """Khan et al., Circulation 2024;149:430: 14.7 %, 9.2 % and 8.1 %."""
    result = risk(EXAMPLE)
    assert result.heart_failure is not None
    assert [round(100 * p, 1) for p in (result.total_cvd, result.ascvd, result.heart_failure)] == [
        14.7,
        9.2,
        8.1,
    ]


# Per cent, computed by an independent implementation (pyprevent 0.1.6).
INDEPENDENT = [
    (inputs(M, 50, 200, 45, 160, 1, 0, 35, 90, 1, 0), 16.3171, 10.1944, 10.5911),
    (inputs(M, 35, 230, 38, 134, 0, 1, 29.9, 98, 0, 0), 3.0777, 2.3235, 0.7428),
    (inputs(F, 45, 205, 48, 150, 0, 0, 33, 28, 1, 1), 16.0782, 9.1591, 9.7565),
    (inputs(M, 70, 160, 44, 128, 1, 0, 28, 55, 1, 1), 23.0348, 13.1292, 15.6491),
    (inputs(F, 79, 225, 62, 178, 1, 1, 24, 20, 1, 0), 52.0279, 28.3462, 41.5493),
    (inputs(M, 58, 212, 43, 138, 0, 0, 30.4, 78, 1, 0), 9.2055, 5.9620, 3.6700),
]


@pytest.mark.parametrize(("patient", "cvd", "ascvd", "heart_failure"), INDEPENDENT)
def test_independent_code_gives_the_same(
    patient: PreventInputs, cvd: float, ascvd: float, heart_failure: float
) -> None:
    result = risk(patient)
    assert result.heart_failure is not None
    assert 100 * result.total_cvd == pytest.approx(cvd, abs=5e-5)
    assert 100 * result.ascvd == pytest.approx(ascvd, abs=5e-5)
    assert 100 * result.heart_failure == pytest.approx(heart_failure, abs=5e-5)


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared test vectors are not beside this checkout")
def test_every_shared_vector_agrees() -> None:
    rows = list(csv.DictReader(VECTORS.open(encoding="utf-8")))
    assert len(rows) >= 22
    for row in rows:
        result = risk(_from_row(row))
        computed = {"cvd10": result.total_cvd, "ascvd10": result.ascvd, "hf10": result.heart_failure}
        for column, value in computed.items():
            assert value == pytest.approx(float(row[column]), abs=5e-7), (row["id"], column)
            assert value is not None
            assert 100 * value == pytest.approx(float(row[f"{column}_oracle_pct"]), abs=5e-5), (
                row["id"],
                column,
            )


def _from_row(row: dict[str, str]) -> PreventInputs:
    def number(column: str) -> float:
        return float(row[column])

    return PreventInputs(
        sex=Sex(row["sex"]),
        age=number("age"),
        total_cholesterol=number("total_c_mgdl"),
        hdl=number("hdl_c_mgdl"),
        systolic_pressure=number("sbp"),
        egfr=number("egfr"),
        diabetes=row["diabetes"] == "1",
        smoker=row["smoking"] == "1",
        antihypertensive=row["bp_treated"] == "1",
        statin=row["statin"] == "1",
        bmi=number("bmi"),
    )


def with_value(name: str, value: float) -> PreventInputs:
    """The example with one input changed."""
    change: dict[str, Any] = {name: value}
    return replace(EXAMPLE, **change)


def test_below_a_pressure_of_110_the_risk_rises_again() -> None:
    woman = inputs(F, 60, 210, 52, 110, 0, 0, 27, 80, 0, 0)
    at = {
        sbp: round(100 * risk(replace(woman, systolic_pressure=sbp)).total_cvd, 4) for sbp in (109, 110, 111)
    }
    assert at == {109: 3.8775, 110: 3.8331, 111: 3.8912}


@pytest.mark.parametrize(("name", "knot"), [("systolic_pressure", 110), ("egfr", 60), ("bmi", 30)])
def test_nothing_jumps_at_a_knot(name: str, knot: float) -> None:
    below, above = (risk(with_value(name, knot + step)) for step in (-1e-9, 1e-9))
    assert below.total_cvd == pytest.approx(above.total_cvd, abs=1e-9)
    assert below.heart_failure == pytest.approx(above.heart_failure, abs=1e-9)


def test_without_a_body_mass_index_only_heart_failure_is_missing() -> None:
    with_bmi, without_bmi = risk(EXAMPLE), risk(replace(EXAMPLE, bmi=None))
    assert without_bmi.heart_failure is None
    assert (without_bmi.total_cvd, without_bmi.ascvd) == (with_bmi.total_cvd, with_bmi.ascvd)


def test_body_mass_index_moves_heart_failure_alone() -> None:
    lean = risk(replace(EXAMPLE, bmi=22))
    assert lean.total_cvd == risk(EXAMPLE).total_cvd
    assert lean.heart_failure != risk(EXAMPLE).heart_failure


@pytest.mark.parametrize("name", ["diabetes", "smoker", "antihypertensive", "statin"])
def test_every_yes_or_no_moves_the_risk(name: str) -> None:
    assert risk(with_value(name, value=True)) != risk(with_value(name, value=False))


def test_a_range_holds_both_its_ends() -> None:
    assert RANGES["hdl"].holds(20)
    assert RANGES["hdl"].holds(100)
    assert not RANGES["hdl"].holds(19.9)
    assert not RANGES["hdl"].holds(100.1)
    assert str(RANGES["total_cholesterol"]) == "130 to 320 mg/dL"


def test_printing_inputs_or_results_shows_no_patient_data() -> None:
    assert repr(EXAMPLE) == "PreventInputs(...)"
    assert repr(risk(EXAMPLE)) == "PreventRisk(...)"
