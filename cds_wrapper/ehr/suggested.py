"""Judges the FHIR resources that a vendor wants to have written: whose they are, whether they are FHIR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.ehr.fhir import names_another_patient

MOST_RESOURCES: Final = 50
"""Resources checked in one answer; each takes about a millisecond that a clinician waits."""

ResourceCheck = Callable[[dict[str, Any]], "str | None"]
"""Says what is wrong with a resource by itself; None when it is right."""


@dataclass(slots=True)
class ResourceJudge:
    """The judge of one answer: nothing about another patient, nothing that is no FHIR, and an end to it."""

    patient_id: str
    check: ResourceCheck
    left: int = MOST_RESOURCES

    def __call__(self, resource: dict[str, Any]) -> str | None:
        """Why the resource may not go out; None when it may."""
        if self.left == 0:
            return "with more resources than are checked in one answer"
        self.left -= 1
        if names_another_patient(resource, self.patient_id):
            return "with a resource about another patient"
        return self.check(resource)
