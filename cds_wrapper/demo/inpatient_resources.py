"""Writes the Encounters, bedside observations and diagnoses of a stay that is going on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.patient_resource import SYNTHETIC
from cds_wrapper.demo.profiles import Inpatient, Profile, Vitals

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_RECENTLY: Final = timedelta(minutes=40)
_YESTERDAY: Final = timedelta(hours=30)
_CLASSES: Final = {"IMP": "inpatient encounter", "EMER": "emergency"}
_DISPLAYS: Final = {
    "9279-1": "Respiratory rate",
    "59408-5": "Oxygen saturation in Arterial blood by Pulse oximetry",
    "3151-8": "Inhaled oxygen flow rate",
    "85354-9": "Blood pressure panel with all children optional",
    "8480-6": "Systolic blood pressure",
    "8462-4": "Diastolic blood pressure",
    "8867-4": "Heart rate",
    "67775-7": "Level of responsiveness",
    "8310-5": "Body temperature",
}
_DIAGNOSES: Final = (
    ("44054006", "Diabetes mellitus type 2"),
    ("84114007", "Heart failure"),
    ("709044004", "Chronic kidney disease"),
    ("38341003", "Hypertensive disorder"),
    ("233604007", "Pneumonia"),
    ("13645005", "Chronic obstructive pulmonary disease"),
    ("49436004", "Atrial fibrillation"),
    ("271737000", "Anemia"),
    ("68566005", "Urinary tract infection"),
    ("55822004", "Hyperlipidemia"),
)
_MMHG_PER_KILOPASCAL: Final = 7.500616827


@dataclass(frozen=True, slots=True)
class _Stay:
    """One patient's stay as it is written: who, when, and the reference to the Encounter."""

    profile: Profile
    stay: Inpatient
    now: datetime

    @property
    def subject(self) -> dict[str, str]:
        return {"reference": f"Patient/{self.profile.id}"}

    @property
    def encounter(self) -> dict[str, str]:
        return {"reference": f"Encounter/{stay_id(self.profile)}"}


def stay_id(profile: Profile) -> str:
    """The id of the Encounter that is going on."""
    return f"{profile.id}-stay"


def write_stay(profile: Profile, stay: Inpatient, now: datetime) -> list[dict[str, Any]]:
    """Write everything of a stay, as it stands at `now`."""
    one = _Stay(profile, stay, now)
    return [_present(one), *_past(one), *(_vitals(one, stay.vitals) if stay.vitals else ()), *_diagnoses(one)]


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _encounter(one: _Stay, name: str, kind: str, status: str, period: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": name,
        "meta": SYNTHETIC,
        "status": status,
        "class": {"system": codes.ACT, "code": kind, "display": _CLASSES[kind]},
        "subject": one.subject,
        "period": period,
    }


def _present(one: _Stay) -> dict[str, Any]:
    period = {"start": _moment(one.now - timedelta(hours=one.stay.hours))}
    written = _encounter(one, stay_id(one.profile), "IMP", "in-progress", period)
    if one.stay.destination is None:
        return written
    coding = {"system": f"{_TERMINOLOGY}/discharge-disposition", "code": one.stay.destination}
    return written | {"hospitalization": {"dischargeDisposition": {"coding": [coding]}}}


def _past(one: _Stay) -> Iterator[dict[str, Any]]:
    """Earlier stays of four days, and visits of five hours."""
    lengths = {"IMP": timedelta(days=4), "EMER": timedelta(hours=5)}
    for kind, ago in (("IMP", one.stay.stays), ("EMER", one.stay.visits)):
        for days in ago:
            end = one.now - timedelta(days=days)
            period = {"start": _moment(end - lengths[kind]), "end": _moment(end)}
            name = f"{one.profile.id}-{kind.lower()}-{days}"
            yield _encounter(one, name, kind, "finished", period)


def _diagnoses(one: _Stay) -> Iterator[dict[str, Any]]:
    for number, (code, display) in enumerate(_DIAGNOSES[: one.stay.diagnoses], start=1):
        yield {
            "resourceType": "Condition",
            "id": f"{one.profile.id}-diagnosis-{number}",
            "meta": SYNTHETIC,
            "clinicalStatus": {
                "coding": [{"system": f"{_TERMINOLOGY}/condition-clinical", "code": "active"}]
            },
            "verificationStatus": {
                "coding": [{"system": f"{_TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]
            },
            "category": [
                {"coding": [{"system": f"{_TERMINOLOGY}/condition-category", "code": "encounter-diagnosis"}]}
            ],
            "code": {"coding": [{"system": codes.SNOMED, "code": code, "display": display}]},
            "subject": one.subject,
            "encounter": one.encounter,
            "recordedDate": _moment(one.now - timedelta(hours=one.stay.hours)),
        }


# At the bedside ---------------------------------------------------------------------------------------------


def _vitals(one: _Stay, vitals: Vitals) -> Iterator[dict[str, Any]]:
    """Write what was recorded; what was not has no resource at all."""
    numbers = (
        ("respirations", codes.RESPIRATIONS[0], vitals.respirations, "/min"),
        ("saturation", codes.SATURATION[0], vitals.saturation, "%"),
        ("oxygen", codes.OXYGEN_FLOW, vitals.oxygen, "L/min"),
        ("pulse", codes.PULSE[0], vitals.pulse, "/min"),
    )
    for name, code, value, unit in numbers:
        if value is not None:
            yield _observation(one, vitals, name, code) | {"valueQuantity": _quantity(value, unit)}
    if vitals.temperature is not None:
        measured = {"valueQuantity": _temperature(vitals.temperature, vitals.fahrenheit)}
        yield _observation(one, vitals, "temperature", codes.TEMPERATURE[0]) | measured
    if vitals.systolic is not None:
        yield _pressure(one, vitals, vitals.systolic)
    if vitals.alertness is not None:
        coding = {"system": codes.LOINC, "code": vitals.alertness.value}
        said = {"valueCodeableConcept": {"coding": [coding], "text": vitals.alertness.name.capitalize()}}
        yield _observation(one, vitals, "alertness", codes.ALERTNESS[0]) | said


def _observation(one: _Stay, vitals: Vitals, name: str, code: str) -> dict[str, Any]:
    taken = one.now - (_YESTERDAY if name in vitals.old else _RECENTLY)
    return {
        "resourceType": "Observation",
        "id": f"{one.profile.id}-bedside-{name}",
        "meta": SYNTHETIC,
        "status": "final",
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}/observation-category", "code": "vital-signs"}]}],
        "code": _loinc(code),
        "subject": one.subject,
        "encounter": one.encounter,
        "effectiveDateTime": _moment(taken),
    }


def _pressure(one: _Stay, vitals: Vitals, systolic: float) -> dict[str, Any]:
    """Systolic and diastolic, in mm Hg or, as some monitors do, in kilopascal."""
    parts = []
    for code, value in ((codes.SYSTOLIC, systolic), (codes.DIASTOLIC, round(systolic * 0.62))):
        quantity = (
            _quantity(round(value / _MMHG_PER_KILOPASCAL, 1), "kPa")
            if vitals.kilopascal
            else _quantity(value, "mm[Hg]")
        )
        parts.append({"code": _loinc(code), "valueQuantity": quantity})
    return _observation(one, vitals, "systolic", codes.PRESSURE_PANELS[0]) | {"component": parts}


def _temperature(celsius: float, fahrenheit: bool) -> dict[str, Any]:
    return _quantity(round(celsius * 1.8 + 32, 1), "[degF]") if fahrenheit else _quantity(celsius, "Cel")


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": codes.LOINC, "code": code, "display": _DISPLAYS[code]}]}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": codes.UCUM, "code": unit}
