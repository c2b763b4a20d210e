"""Laboratory values and vital signs from Observations: the newest usable value, converted by its unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.fhir_values import JSON, Measured, coded, items, mapping, observations, quantities
from cds_wrapper.demo.person import Person
from cds_wrapper.demo.prevent import RANGES, Sex
from cds_wrapper.demo.refusals import Input, Refusal, Refusals, missing, outside, refusals_in, unusable

_CHOLESTEROL_UNITS = {"mg/dL": 1.0, "mg/dl": 1.0, "mmol/L": 1 / 0.02586, "mmol/l": 1 / 0.02586}
_RATE_UNITS = ("mL/min/{1.73_m2}", "mL/min/{1.73m2}", "mL/min/1.73m2", "mL/min/1.73 m2", "mL/min/1.73m*2")
_CREATININE_UNITS: Final = {"mg/dL": 1.0, "mg/dl": 1.0, "umol/L": 1 / 88.42, "\u00b5mol/L": 1 / 88.42}
_UNITS: Final[Mapping[Input, Mapping[str, float]]] = {
    Input.TOTAL_CHOLESTEROL: _CHOLESTEROL_UNITS,
    Input.HDL: _CHOLESTEROL_UNITS,
    Input.SYSTOLIC_PRESSURE: {"mm[Hg]": 1.0, "mmHg": 1.0, "mm Hg": 1.0},
    Input.EGFR: dict.fromkeys(_RATE_UNITS, 1.0),
    Input.BMI: {"kg/m2": 1.0, "kg/m^2": 1.0, "kg/m\u00b2": 1.0},
}
"""Unit as written -> factor to the equations' unit. By unit, not by code: real data mixes them.

A filtration rate in plain mL/min is not taken: it may not be adjusted to body surface.
"""


@dataclass(frozen=True, slots=True, repr=False)
class Measurements:
    """What was measured; `bmi` alone may be missing, and `bmi_note` then says why."""

    total_cholesterol: Measured
    hdl: Measured
    systolic_pressure: Measured
    egfr: Measured
    egfr_formula: str
    bmi: Measured | None
    bmi_note: str | None

    def __repr__(self) -> str:
        return f"Measurements(egfr_formula={self.egfr_formula!r})"


def read_measurements(
    prefetch: Mapping[str, Any], patient_id: str, person: Person | None
) -> Measurements | Refusals:
    """Read every measured input; `person` is needed to turn a creatinine into a filtration rate."""
    lipids = observations(prefetch.get("lipids"), patient_id)
    pressures = observations(prefetch.get("blood_pressure"), patient_id)
    total = _measured(Input.TOTAL_CHOLESTEROL, lipids, codes.TOTAL_CHOLESTEROL)
    hdl = _measured(Input.HDL, lipids, codes.HDL)
    systolic = _measured(Input.SYSTOLIC_PRESSURE, pressures, (codes.SYSTOLIC,))
    kidney = _kidney(observations(prefetch.get("kidney"), patient_id), person)
    bmi = _measured(Input.BMI, observations(prefetch.get("bmi"), patient_id), codes.BMI)
    if (
        isinstance(total, Refusal)
        or isinstance(hdl, Refusal)
        or isinstance(systolic, Refusal)
        or isinstance(kidney, Refusal)
    ):
        return refusals_in(total, hdl, systolic, kidney)
    rate, formula = kidney
    if isinstance(bmi, Refusal):
        return Measurements(total, hdl, systolic, rate, formula, None, bmi.text)
    return Measurements(total, hdl, systolic, rate, formula, bmi, None)


def _measured(name: Input, found: list[JSON], loinc: Collection[str]) -> Measured | Refusal:
    """Take the newest result in a unit we can convert; refuse it when it is outside what the model allows."""
    newest = _newest(found, loinc, _UNITS[name])
    if newest is None:
        return unusable(name) if _has_code(found, loinc) else missing(name)
    return _within(name, newest)


def _newest(found: list[JSON], loinc: Collection[str], units: Mapping[str, float]) -> Measured | None:
    """Pick the newest; of one moment's results the one without race comes first (sorts are stable)."""
    usable = sorted(
        (one for one in quantities(found, loinc) if one.unit in units),
        key=lambda one: one.code in codes.EGFR_RACE_ADJUSTED,
    )
    for one in sorted(usable, key=lambda one: one.taken, reverse=True):
        return Measured(one.value * units[one.unit], one.unit, one.code, one.taken)
    return None


def _within(name: Input, measured: Measured) -> Measured | Refusal:
    allowed = RANGES[name.value]
    return measured if allowed.holds(measured.value) else outside(name, allowed)


def _has_code(found: list[JSON], loinc: Collection[str]) -> bool:
    parts = [part for one in found for part in (one, *map(mapping, items(one.get("component"))))]
    return any(code in loinc for part in parts for code in coded(part.get("code"), codes.LOINC))


def _kidney(found: list[JSON], person: Person | None) -> tuple[Measured, str] | Refusal:
    """Take a reported rate under any of the codes, else compute one from creatinine."""
    reported = _newest(found, codes.EGFR, _UNITS[Input.EGFR])
    if reported is not None:
        within = _within(Input.EGFR, reported)
        return within if isinstance(within, Refusal) else (within, "reported")
    creatinine = _newest(found, codes.CREATININE, _CREATININE_UNITS)
    if creatinine is None or creatinine.value <= 0:
        known = _has_code(found, (*codes.EGFR, *codes.CREATININE))
        return unusable(Input.EGFR) if known else missing(Input.EGFR)
    return _from_creatinine(creatinine, person)


def _from_creatinine(creatinine: Measured, person: Person | None) -> tuple[Measured, str] | Refusal:
    formula = "ckd-epi-2021"
    if person is None:
        # The patient is refused already, for age or sex; the kidney input itself is there.
        return creatinine, formula
    rate = ckd_epi_2021(creatinine.value, person.sex, person.age)
    within = _within(Input.EGFR, Measured(rate, creatinine.unit, creatinine.code, creatinine.taken))
    return within if isinstance(within, Refusal) else (within, formula)


def ckd_epi_2021(creatinine: float, sex: Sex, age: float) -> float:
    """Estimated GFR in mL/min/1.73 m2 from creatinine in mg/dL (Inker et al., NEJM 2021;385:1737)."""
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex is Sex.FEMALE else (0.9, -0.302, 1.0)
    ratio = creatinine / kappa
    return float(142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age * factor)
