"""Holds one FHIR resource against the models of FHIR R4 (fhir.resources, R4B).

A module of its own, since the models take start-up time and memory: `app` loads it only where a service lets
a vendor's actions through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.domainresource import DomainResource
from pydantic import BaseModel

_USUAL: Final = (
    "Appointment", "CarePlan", "CommunicationRequest", "Condition", "DeviceRequest", "Flag", "Goal",
    "MedicationRequest", "NutritionOrder", "Observation", "RiskAssessment", "ServiceRequest", "Task",
    "VisionPrescription",
)  # fmt: skip
"""What vendors suggest; their models are loaded at the start and not while a clinician waits."""

_OPEN: Final = frozenset({"+", "..."})


def fault_of(resource: dict[str, Any]) -> str | None:
    """What is wrong with a single resource; None when it fits its model. No value is repeated.

    The models know which members there are, of which type, and which must be there; their lists of codes are
    asked too, which the models themselves do not do. Bundles and other containers are not looked into.
    """
    model = _model_of(str(resource.get("resourceType")))
    if model is None:
        return "with a resource of no known type"
    try:
        whole = model.model_validate(resource)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        return "with a resource that does not fit FHIR R4"
    return "with a resource whose code FHIR R4 does not know" if any(_unknown_codes(whole)) else None


def _model_of(kind: str) -> type[DomainResource] | None:
    """The model of a resource type; None for what is no type or only a container."""
    try:
        model = get_fhir_model_class(kind)
    except (LookupError, ValueError, ImportError):
        return None
    if not issubclass(model, DomainResource) or model is DomainResource:
        return None
    return model


def _unknown_codes(part: BaseModel) -> Iterator[bool]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is None:
            continue
        extra = field.json_schema_extra
        listed = extra.get("enum_values") if isinstance(extra, dict) else None
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                yield from _unknown_codes(item)
            elif isinstance(listed, list) and isinstance(item, str) and not _OPEN & set(map(str, listed)):
                yield item not in listed


def _load_usual() -> None:
    """An empty resource is refused, and leaves everything loaded that a whole one needs."""
    for kind in _USUAL:
        fault_of({"resourceType": kind})


_load_usual()
