"""From FHIR R4 prefetch values to the inputs of the PREVENT equations, or to what stands in the way.

Missing is not "no": without a smoking observation, a list of conditions or a list of medicines the answer is
a refusal that names the input. A list that was sent whole and is empty is a "no". Nothing is guessed.

Ages outside 30 to 79 are scored by extrapolation, from 18 to 110, although the publication stops at 79.
Vendors in the wild do that; here it is on purpose, so that the wrapper's own rule about who the model was
made for has something to catch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cds_wrapper.demo import codes
from cds_wrapper.demo.history import History, read_history
from cds_wrapper.demo.measurements import Measurements, read_measurements
from cds_wrapper.demo.person import Person, read_person
from cds_wrapper.demo.prevent import PreventInputs
from cds_wrapper.demo.refusals import Refusals


def _latest(loinc: Iterable[str], count: int) -> str:
    wanted = ",".join(f"{codes.LOINC}|{code}" for code in loinc)
    return f"Observation?patient={{{{context.patientId}}}}&code={wanted}&_sort=-date&_count={count}"


TEMPLATES: Final[Mapping[str, str]] = {
    "patient": "Patient/{{context.patientId}}",
    "lipids": _latest((*codes.TOTAL_CHOLESTEROL, *codes.HDL), 20),
    "blood_pressure": _latest((*codes.PRESSURE_PANELS, codes.SYSTOLIC), 10),
    "kidney": _latest((*codes.EGFR, *codes.CREATININE), 10),
    "bmi": _latest(codes.BMI, 5),
    "smoking": _latest(codes.SMOKING_STATUS, 5),
    "conditions": "Condition?patient={{context.patientId}}&clinical-status=active&_count=200",
    "medications": "MedicationRequest?patient={{context.patientId}}&status=active&_count=200",
}
"""What the model asks for: prefetch key -> FHIR query, within the subset CDS Hooks 2.0 recommends."""


@dataclass(frozen=True, slots=True, repr=False)
class Scorable:
    """A patient who can be scored: all parts are known."""

    person: Person
    measurements: Measurements
    history: History

    @property
    def inputs(self) -> PreventInputs:
        """The equations' inputs."""
        measured, history = self.measurements, self.history
        return PreventInputs(
            sex=self.person.sex,
            age=self.person.age,
            total_cholesterol=measured.total_cholesterol.value,
            hdl=measured.hdl.value,
            systolic_pressure=measured.systolic_pressure.value,
            egfr=measured.egfr.value,
            diabetes=history.diabetes,
            smoker=history.smoker,
            antihypertensive=history.antihypertensive,
            statin=history.statin,
            bmi=None if measured.bmi is None else measured.bmi.value,
        )

    @property
    def egfr_code(self) -> str:
        """The LOINC code the kidney input came under (of creatinine, when the rate was computed from it)."""
        return self.measurements.egfr.code

    def __repr__(self) -> str:
        return f"Scorable(egfr_code={self.egfr_code!r})"


def read_inputs(prefetch: Mapping[str, Any], patient_id: str, at: datetime) -> Scorable | Refusals:
    """Turn decoded prefetch values (keys of `TEMPLATES`) into inputs as of `at`, or list every obstacle."""
    person = read_person(prefetch.get("patient"), patient_id, at.date())
    measurements = read_measurements(prefetch, patient_id, person if isinstance(person, Person) else None)
    history = read_history(prefetch, patient_id)
    if isinstance(person, tuple) or isinstance(measurements, tuple) or isinstance(history, tuple):
        parts = (person, measurements, history)
        return tuple(refusal for part in parts if isinstance(part, tuple) for refusal in part)
    return Scorable(person, measurements, history)
