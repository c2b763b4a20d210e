"""Small FHIR records for the demonstration's tests: a complete one, to be spoilt in one place at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_wrapper.demo import codes

PATIENT = "p1"


def bundle(*resources: Mapping[str, Any], more: bool = False) -> dict[str, Any]:
    links = [{"relation": "next", "url": "http://127.0.0.1/next"}] if more else []
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": links,
        "entry": [{"resource": resource} for resource in resources],
    }


def observation(code: str, value: float, unit: str, on: str = "2026-05-01", **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": codes.LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": on,
        "valueQuantity": {"value": value, "unit": unit, "code": unit, "system": codes.UCUM},
    } | changes


def pressure(systolic: float, panel: str = "85354-9", on: str = "2026-05-01") -> dict[str, Any]:
    taken = observation(panel, 0, "", on)
    del taken["valueQuantity"]
    part = {
        "code": {"coding": [{"system": codes.LOINC, "code": "8480-6"}]},
        "valueQuantity": {"value": systolic, "code": "mm[Hg]"},
    }
    return taken | {"component": [part]}


def smoking(code: str, on: str = "2026-05-01") -> dict[str, Any]:
    said = observation("72166-2", 0, "", on)
    del said["valueQuantity"]
    return said | {"valueCodeableConcept": {"coding": [{"system": codes.SNOMED, "code": code}]}}


def condition(code: str, system: str = codes.SNOMED, status: str = "active") -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"code": status}]},
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
    }


def medicine(code: str, display: str = "", status: str = "active") -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": {"coding": [{"system": codes.RXNORM, "code": code, "display": display}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
    }


def patient(**changes: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": PATIENT, "gender": "female", "birthDate": "1976-03-01"} | changes


def complete(**changes: Any) -> dict[str, Any]:
    """A woman of 50 on 2026-06-30 whose every input is known; `changes` replace prefetch values."""
    return {
        "patient": patient(),
        "lipids": bundle(observation("2093-3", 200, "mg/dL"), observation("2085-9", 45, "mg/dL")),
        "blood_pressure": bundle(pressure(160)),
        "kidney": bundle(observation("98979-8", 90, "mL/min/{1.73_m2}")),
        "bmi": bundle(observation("39156-5", 35, "kg/m2")),
        "smoking": bundle(smoking("266919005")),
        "conditions": bundle(condition("44054006")),
        "medications": bundle(medicine("29046", "lisinopril")),
    } | changes


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in complete().items() if key not in keys}
