"""What the hospital's files ask the EHR for, word for word: a test compares the two.

The fixtures' requests are filled from these, since only `services` reads the files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.prevent_inputs import TEMPLATES

PATIENT_VIEW: Final = "patient-view"
ENCOUNTER_START: Final = "encounter-start"
ENCOUNTER_DISCHARGE: Final = "encounter-discharge"

_PATIENT: Final = "{{context.patientId}}"
_ENCOUNTER: Final = "{{context.encounterId}}"
_VITALS: Final = (
    *codes.RESPIRATIONS,
    *codes.SATURATION,
    codes.OXYGEN_SHARE,
    codes.OXYGEN_FLOW,
    *codes.PRESSURE_PANELS,
    codes.SYSTOLIC,
    *codes.PULSE,
    *codes.ALERTNESS,
    *codes.TEMPERATURE,
)


def _among(system: str, *listed: str) -> str:
    return ",".join(f"{system}|{code}" for code in listed)


DETERIORATION: Final[Mapping[str, str]] = {
    "patient": f"Patient/{_PATIENT}",
    "vitals": (f"Observation?patient={_PATIENT}&code={_among(codes.LOINC, *_VITALS)}&_sort=-date&_count=100"),
}
READMISSION: Final[Mapping[str, str]] = {
    "patient": f"Patient/{_PATIENT}",
    "encounter": f"Encounter/{_ENCOUNTER}",
    "stays": (
        f"Encounter?patient={_PATIENT}&class={_among(codes.ACT, 'IMP', 'ACUTE', 'NONAC')}"
        "&status=finished&_sort=-date&_count=100"
    ),
    "visits": (
        f"Encounter?patient={_PATIENT}&class={_among(codes.ACT, 'EMER')}"
        "&status=finished&_sort=-date&_count=100"
    ),
    "diagnoses": (
        f"Condition?patient={_PATIENT}&encounter={_ENCOUNTER}&category=encounter-diagnosis&_count=100"
    ),
}

SERVICES: Final[Mapping[str, str]] = {
    PATIENT_VIEW: "cvd-risk",
    ENCOUNTER_START: "deterioration",
    ENCOUNTER_DISCHARGE: "readmission",
}
"""Hook -> the service that answers it in the demonstration."""

QUERIES: Final[Mapping[str, Mapping[str, str]]] = {
    PATIENT_VIEW: TEMPLATES,
    ENCOUNTER_START: DETERIORATION,
    ENCOUNTER_DISCHARGE: READMISSION,
}
"""Hook -> that service's prefetch."""
