"""The synthetic year in FHIR: the call an EHR makes at a discharge, and the records of the year."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from cds_wrapper.demo import codes
from cds_wrapper.demo.inpatient_resources import stay_id, write_stay
from cds_wrapper.demo.patient_resource import SYNTHETIC, write_patient
from cds_wrapper.demo.profiles import Inpatient, Profile
from cds_wrapper.demo.queries import ENCOUNTER_DISCHARGE, READMISSION
from cds_wrapper.demo.requests import build_call, encounter_context
from cds_wrapper.demo.store import Store
from cds_wrapper.demo.year_lives import Admission, Discharge, Year

_NAMES: Final = UUID("6c0f0a3e-0b52-4f0e-9d38-3f6a1c2e7b11")
_PRIORITY: Final = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"


def discharge_call(asked: Discharge, profile: Profile, year: Year, base_url: str) -> bytes:
    """The call of `encounter-discharge` at the end of a stay, with everything on file at that moment."""
    stay = Inpatient(
        hours=asked.hours,
        stays=asked.stays,
        visits=asked.visits,
        diagnoses=asked.diagnoses,
        destination=asked.destination,
    )
    patient = write_patient(profile, year.end.date())
    store = Store([patient, *write_stay(profile, stay, asked.discharged)])
    context = encounter_context(profile.id, stay_id(profile))
    call = build_call(store, READMISSION, ENCOUNTER_DISCHARGE, context, instance_of(asked, year), base_url)
    one, each = f'{stay_id(profile)}"'.encode(), f'{stay_id(profile)}-{asked.number}"'.encode()
    return msgspec.json.encode(call).replace(one, each)  # every stay is an Encounter of its own


def instance_of(asked: Discharge, year: Year) -> str:
    """The EHR's id of that call: the same every time."""
    return str(uuid5(_NAMES, f"{year.profiles[asked.patient].id}/{asked.number}"))


def patients(year: Year) -> Iterator[dict[str, Any]]:
    """Everybody as the hospital's records have them at the end, those who died with the time of death."""
    for place, profile in enumerate(year.profiles):
        written = write_patient(profile, year.end.date())
        died = year.deaths.get(place)
        if died is not None and died < year.end:
            written["deceasedDateTime"] = died.isoformat(timespec="seconds")
        yield written


def encounters(year: Year) -> Iterator[dict[str, Any]]:
    """Every stay in hospital that began in the year, in order of admission."""
    return (_encounter(one, year) for one in year.admissions if one.admitted < year.end)


def _encounter(one: Admission, year: Year) -> dict[str, Any]:
    profile = year.profiles[one.patient]
    is_over = one.discharged < year.end
    period = {"start": one.admitted.isoformat(timespec="seconds")}
    if is_over:
        period["end"] = one.discharged.isoformat(timespec="seconds")
    code, display = ("EL", "elective") if one.planned else ("EM", "emergency")
    return {
        "resourceType": "Encounter",
        "id": f"{profile.id}-stay-{one.number}",
        "meta": SYNTHETIC,
        "status": "finished" if is_over else "in-progress",
        "class": {"system": codes.ACT, "code": "IMP", "display": "inpatient encounter"},
        "priority": {"coding": [{"system": _PRIORITY, "code": code, "display": display}]},
        "subject": {"reference": f"Patient/{profile.id}"},
        "period": period,
    }
