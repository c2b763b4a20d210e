"""What the tests of feature maps share: declared inputs, resources, and a patient's prefetch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.services.feature_build import feature_map
from cds_wrapper.services.features_file import FeatureFile
from cds_wrapper.vendors.features import Features, Input

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
PATIENT = "p1"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
PULSE = f"{LOINC}|8867-4"


def declared(**written: Any) -> FeatureFile:
    """One input as a file declares it: the pulse, unless said otherwise."""
    usual = {
        "label": "heart rate",
        "prefetch": ["vitals"],
        "codes": [PULSE],
        "unit": "/min",
        "if_missing": "omitted",
    }
    return FeatureFile.model_validate_json(
        json.dumps({name: value for name, value in (usual | written).items() if value is not None})
    )


def observation(
    code: str = PULSE, value: Any = None, at: str = "2026-06-30T11:00:00Z", **more: Any
) -> dict[str, Any]:
    """An Observation with a Quantity, or with the members of `more`."""
    own = {} if value is None else {"valueQuantity": quantity(value)}
    dated = {"effectiveDateTime": at} if at else {}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(code),
        "subject": {"reference": f"Patient/{PATIENT}"},
        **dated,
        **own,
        **more,
    }


def quantity(value: Any, unit: str = "/min") -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def concept(*codes: str) -> dict[str, Any]:
    return {"coding": [dict(zip(("system", "code"), code.rsplit("|", 1), strict=True)) for code in codes]}


def bundle(*resources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A searchset of these resources."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": resource} for resource in resources],
        **more,
    }


def read_all(
    files: Mapping[str, FeatureFile],
    prefetch: Mapping[str, Any],
    context: Mapping[str, Any] | None = None,
    doubted: frozenset[str] = frozenset(),
) -> Features:
    """The inputs found in what an EHR sends."""
    found = feature_map(files, doubted)
    assert found is not None
    request, sorted_ = a_call(files, prefetch, context)
    return found.read(request, sorted_)


def a_call(
    files: Mapping[str, FeatureFile], prefetch: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> tuple[CDSRequest, Prefetch]:
    """A hook call that brings these prefetch values."""
    sent = {key: json.dumps(value).encode() for key, value in prefetch.items()}
    members = {name: json.dumps(value).encode() for name, value in (context or {}).items()}
    request = CDSRequest("patient-view", "h", members, PATIENT, None, None, sent, None, None, {}, NOW, 100)
    keys = [key for file in files.values() for key in file.prefetch or ()]
    return request, sort_prefetch(request, dict.fromkeys(keys, "Observation?_count=50"), "patient")


def read_one(prefetch: Any, *, doubted: frozenset[str] = frozenset(), **written: Any) -> Input:
    """The one declared input, found in one prefetch value."""
    sent = {} if prefetch is None else {"vitals": prefetch}
    (found,) = read_all({"one": declared(**written)}, sent, doubted=doubted).inputs
    return found
