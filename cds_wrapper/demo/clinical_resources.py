"""Writes Observations, Conditions and MedicationRequests from a profile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.patient_resource import SYNTHETIC
from cds_wrapper.demo.profiles import Clinical, Medicine, Profile, Smoking

_MMOL_PER_MG = 0.02586
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_RATE = "mL/min/{1.73_m2}"

_NAMES: Final = {
    "2093-3": "Cholesterol [Mass/volume] in Serum or Plasma",
    "14647-2": "Cholesterol [Moles/volume] in Serum or Plasma",
    "2085-9": "Cholesterol in HDL [Mass/volume] in Serum or Plasma",
    "14646-4": "Cholesterol in HDL [Moles/volume] in Serum or Plasma",
    "85354-9": "Blood pressure panel with all children optional",
    "55284-4": "Blood pressure systolic and diastolic",
    "8480-6": "Systolic blood pressure",
    "8462-4": "Diastolic blood pressure",
    "39156-5": "Body mass index (BMI) [Ratio]",
    "72166-2": "Tobacco smoking status",
    "98979-8": "Glomerular filtration rate, CKD-EPI 2021",
    "48643-1": "Glomerular filtration rate among blacks, MDRD",
    "33914-3": "Glomerular filtration rate, MDRD",
    "62238-1": "Glomerular filtration rate, CKD-EPI",
    "2160-0": "Creatinine [Mass/volume] in Serum or Plasma",
}
_SMOKING_NAMES: Final = {
    Smoking.NEVER: "Never smoked tobacco",
    Smoking.FORMER: "Ex-smoker",
    Smoking.DAILY: "Smokes tobacco daily",
    Smoking.SOME_DAYS: "Occasional tobacco smoker",
    Smoking.UNKNOWN: "Tobacco smoking consumption unknown",
}
_MEDICINE_NAMES: Final = {
    Medicine.AMLODIPINE: "amlodipine",
    Medicine.LISINOPRIL: "lisinopril",
    Medicine.HYDROCHLOROTHIAZIDE: "hydrochlorothiazide",
    Medicine.ATORVASTATIN: "atorvastatin",
    Medicine.ROSUVASTATIN: "rosuvastatin",
    Medicine.LEVOTHYROXINE: "levothyroxine",
}


def write_clinical(profile: Profile, today: date) -> list[dict[str, Any]]:
    """Write what is on file on `today`: a recent visit, and some values from an older one."""
    recent, older = today - timedelta(days=45), today - timedelta(days=410)
    return [
        *_laboratory(profile, recent),
        *_vital_signs(profile, recent),
        *_older_values(profile, older),
        *_smoking(profile, recent),
        *_conditions(profile, older),
        *_medicines(profile, older),
    ]


def _laboratory(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    values = profile.clinical
    yield from _cholesterol(profile, "cholesterol", values.total_cholesterol, codes.TOTAL_CHOLESTEROL, on)
    yield from _cholesterol(profile, "hdl", values.hdl, codes.HDL, on)
    if values.egfr is not None:
        yield _measured(profile, "egfr", values.egfr_code, (values.egfr, _RATE), on)
    if values.creatinine is not None:
        yield _measured(profile, "creatinine", "2160-0", (values.creatinine, "mg/dL"), on)


def _cholesterol(
    profile: Profile, name: str, value: float | None, mass_and_moles: tuple[str, str], on: date
) -> Iterator[dict[str, Any]]:
    if value is None:
        return
    mass, moles = mass_and_moles
    if profile.clinical.in_moles:
        yield _measured(profile, name, moles, (round(value * _MMOL_PER_MG, 2), "mmol/L"), on)
    else:
        yield _measured(profile, name, mass, (value, "mg/dL"), on)


def _vital_signs(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    values = profile.clinical
    if values.systolic is not None:
        yield _pressure(profile, "pressure", values.systolic, on)
    if values.bmi is not None:
        yield _measured(profile, "bmi", "39156-5", (values.bmi, "kg/m2"), on, "vital-signs")


def _older_values(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    """Values a year older, and different: whoever reads the newest one must not meet these."""
    values: Clinical = profile.clinical
    if values.systolic is not None:
        yield _pressure(profile, "pressure-old", values.systolic + 7, on)
    if values.total_cholesterol is not None and not values.in_moles:
        yield _measured(profile, "cholesterol-old", "2093-3", (values.total_cholesterol - 9, "mg/dL"), on)


def _pressure(profile: Profile, name: str, systolic: float, on: date) -> dict[str, Any]:
    components = [
        {"code": _loinc(codes.SYSTOLIC), "valueQuantity": _quantity(systolic, "mm[Hg]")},
        {"code": _loinc(codes.DIASTOLIC), "valueQuantity": _quantity(round(systolic * 0.62), "mm[Hg]")},
    ]
    panel = _observation(profile, name, profile.clinical.pressure_panel, on, "vital-signs")
    return panel | {"component": components}


def _smoking(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    status = profile.clinical.smoking
    if status is not None:
        coding = {"system": codes.SNOMED, "code": status.value, "display": _SMOKING_NAMES[status]}
        said = {"valueCodeableConcept": {"coding": [coding]}}
        yield _observation(profile, "smoking", "72166-2", on, "social-history") | said


def _measured(
    profile: Profile, name: str, code: str, value: tuple[float, str], on: date, category: str = "laboratory"
) -> dict[str, Any]:
    return _observation(profile, name, code, on, category) | {"valueQuantity": _quantity(*value)}


def _observation(profile: Profile, name: str, code: str, on: date, category: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{profile.id}-{name}",
        "meta": SYNTHETIC,
        "status": "final",
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}/observation-category", "code": category}]}],
        "code": _loinc(code),
        "subject": {"reference": f"Patient/{profile.id}"},
        "effectiveDateTime": f"{on.isoformat()}T09:30:00-05:00",
    }


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": codes.LOINC, "code": code, "display": _NAMES[code]}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": codes.UCUM, "code": unit}


def _conditions(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    if profile.clinical.diabetes:
        yield _condition(profile, "diabetes", ("44054006", "Type 2 diabetes mellitus"), "active", on)
    if profile.number % 4 == 0:
        # Not diabetes, although the word is in it; and something that is over.
        yield _condition(profile, "prediabetes", ("15777000", "Prediabetes"), "active", on)
    if profile.number % 5 == 0:
        yield _condition(profile, "bronchitis", ("10509002", "Acute bronchitis"), "resolved", on)


def _condition(profile: Profile, name: str, snomed: tuple[str, str], status: str, on: date) -> dict[str, Any]:
    code, display = snomed
    return {
        "resourceType": "Condition",
        "id": f"{profile.id}-{name}",
        "meta": SYNTHETIC,
        "clinicalStatus": {"coding": [{"system": f"{_TERMINOLOGY}/condition-clinical", "code": status}]},
        "verificationStatus": {
            "coding": [{"system": f"{_TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]
        },
        "category": [
            {"coding": [{"system": f"{_TERMINOLOGY}/condition-category", "code": "problem-list-item"}]}
        ],
        "code": {"coding": [{"system": codes.SNOMED, "code": code, "display": display}]},
        "subject": {"reference": f"Patient/{profile.id}"},
        "recordedDate": on.isoformat(),
    }


def _medicines(profile: Profile, on: date) -> Iterator[dict[str, Any]]:
    for medicine in profile.clinical.medicines:
        name = _MEDICINE_NAMES[medicine]
        coding = {"system": codes.RXNORM, "code": medicine.value, "display": name}
        yield {
            "resourceType": "MedicationRequest",
            "id": f"{profile.id}-{name}",
            "meta": SYNTHETIC,
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"coding": [coding]},
            "subject": {"reference": f"Patient/{profile.id}"},
            "authoredOn": on.isoformat(),
        }
