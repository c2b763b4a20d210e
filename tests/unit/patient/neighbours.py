"""Builds synthetic resources that stand beside the Patient: only the parts a test is about, nobody real."""

from __future__ import annotations

import json
from typing import Any

from cds_wrapper.patient.disability import LOINC, QUESTIONS

Json = dict[str, Any]

SOPT = "https://nahdo.org/sopt"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
INTERPRETER = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-interpreter-needed"
SCT = "http://snomed.info/sct"
YES, NO = "LA33-6", "LA32-8"
DECLINED = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                        "code": "asked-declined"}]}  # fmt: skip


def raw(resource: object) -> bytes:
    return json.dumps(resource).encode()


def bundle(*resources: object, **members: object) -> bytes:
    """A search answer."""
    entries = [{"resource": resource} for resource in resources]
    return raw({"resourceType": "Bundle", "type": "searchset", "entry": entries, **members})


def coverage(*codes: str | tuple[str, str], **members: object) -> Json:
    """An active Coverage; a bare string is a code of the Source of Payment Typology."""
    codings = [
        {"system": SOPT, "code": code} if isinstance(code, str) else {"system": code[0], "code": code[1]}
        for code in codes
    ]
    kind = {"type": {"coding": codings}} if codings else {}
    beneficiary = {"reference": "Patient/synthetic-1"}
    return {"resourceType": "Coverage", "status": "active", "beneficiary": beneficiary, **kind, **members}


def answer(question: str, code: str | None, **members: object) -> Json:
    """An Observation that answers one of the six questions with a code of LOINC."""
    value = {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": code}]}} if code else {}
    asked = {"coding": [{"system": LOINC, "code": question}]}
    return {"resourceType": "Observation", "status": "final", "code": asked, **value, **members}


def answers(*codes: str) -> list[Json]:
    """An answer to each of the first questions, in their order."""
    return [answer(question, code) for question, code in zip(QUESTIONS, codes, strict=False)]


def encounter(**members: object) -> Json:
    """The Encounter `e1`; `class_` is its class."""
    kind = {"class": members.pop("class_")} if "class_" in members else {}
    return {"resourceType": "Encounter", "id": "e1", "status": "in-progress", **kind, **members}


def at(*references: str, **members: object) -> list[Json]:
    """Locations of an Encounter, each with the same status or period."""
    return [{"location": {"reference": reference}, **members} for reference in references]


def wants_interpreter(code: str) -> Json:
    return {"url": INTERPRETER, "valueCoding": {"system": SCT, "code": code}}
