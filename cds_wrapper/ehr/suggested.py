"""Judges the FHIR resources that a vendor wants to have written: whose they are, whether they are FHIR."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.ehr.fhir import ABOUT, names_another_patient

MOST_RESOURCES: Final = 50
"""Resources checked in one answer; each takes about a millisecond that a clinician waits."""

ResourceCheck = Callable[[dict[str, Any]], "str | None"]
"""Says what is wrong with a resource by itself; None when it is right."""


@dataclass(slots=True)
class ResourceJudge:
    """The judge of one answer: nothing about another patient, nothing that is no FHIR, and an end to it.

    Whom a resource is about must be told by a reference with an id: an identifier, a search or a Patient
    inside it could be anybody's, and the EHR might follow it.
    """

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
        if _may_mean_anybody(resource):
            return "with a resource about a patient who is not told by an id"
        return self.check(resource)


_PATIENT: Final = "Patient"
# Of an id within a type, wherever it lies, or of what is inside or beside the resource.
_TELLS_AN_ID: Final = re.compile(
    r"(?:https?://[^\s?#|%]+/)?[A-Z][A-Za-z]+/[^/\s?#|%]+(?:/_history/[^/\s?#|%]+)?|#.*|urn:.*"
)


def _may_mean_anybody(value: object) -> bool:
    """Whether something inside is about a patient whom only the EHR could find."""
    if isinstance(value, list):
        return any(map(_may_mean_anybody, value))
    if not isinstance(value, dict):
        return False
    contained = value.get("contained")
    if isinstance(contained, list) and any(map(_is_patient, contained)):
        return True
    return any(
        (name in ABOUT and any(map(_tells_no_id, member if isinstance(member, list) else [member])))
        or _may_mean_anybody(member)
        for name, member in value.items()
    )


def _is_patient(resource: object) -> bool:
    return isinstance(resource, dict) and resource.get("resourceType") == _PATIENT


def _tells_no_id(member: object) -> bool:
    """Whether a reference is conditional or odd, or a logical one to somebody who may be a patient."""
    if not isinstance(member, Mapping):
        return False
    reference = member.get("reference")
    if isinstance(reference, str):
        return _TELLS_AN_ID.fullmatch(reference) is None
    return "identifier" in member and member.get("type", _PATIENT) == _PATIENT
