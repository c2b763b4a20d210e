"""The pseudonyms of outcomes, made from the same identifiers, by the same keys, as the predictions'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_wrapper.ledger.entries import by_system
from cds_wrapper.ledger.pseudonyms import Pseudonyms

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Makes the pseudonyms of one service's outcomes; `patient_systems` are the declared ones, in order.

    `patients` goes from the key of a FHIR id to the key of the declared identifier, as far as Patients were
    read: a few hundred bytes for each. `is_oldest` when no older keys are in the file: what names a
    prediction is linked without any key, and is written under the oldest alone: its id stays the same.
    """

    pseudonyms: Pseudonyms
    namespace: str
    patient_systems: tuple[str, ...]
    encounter_systems: tuple[str, ...]
    service_id: str
    outcome: str
    patients: dict[str, str] = field(default_factory=dict)
    is_oldest: bool = True

    def __repr__(self) -> str:
        return f"Keys({self.service_id!r})"

    def outcome_id(self, *told: str) -> str:
        """The id of an outcome, from what its source calls it; nobody can find out from it what that was."""
        return f"o{self.pseudonyms.patient(f'{self.service_id}/{self.outcome}', '|'.join(told))}"

    def of_fhir_patient(self, patient_id: str) -> tuple[str | None, str]:
        """The declared key where a Patient that was read had one, and the key of its FHIR id."""
        by_id = self.pseudonyms.patient(self.namespace, patient_id)
        return self.patients.get(by_id), by_id

    def declared(self, identifiers: object) -> str | None:
        """The key of the first declared identifier among those of a resource."""
        values = by_system(identifiers if isinstance(identifiers, list) else [identifiers])
        system = next((one for one in self.patient_systems if one in values), None)
        return None if system is None else self.pseudonyms.patient(system, values[system])

    def learn(self, patient: JSON) -> None:
        """Remember what identifier a Patient has."""
        key = self.declared(patient.get("identifier"))
        if key is not None:
            self.patients[self.pseudonyms.patient(self.namespace, str(patient.get("id", "")))] = key
