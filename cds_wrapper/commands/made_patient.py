"""A patient who is nobody, for `check --probe`: a hook call, and every input inside its range. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cds_wrapper.cds import CDSRequest, Prefetch, read_request
from cds_wrapper.cds_library import Shape
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.vendors.feature_map import FeatureMap
from cds_wrapper.vendors.feature_rules import UNKNOWN, Kind, Rule
from cds_wrapper.vendors.features import Features, Input, InputValue
from cds_wrapper.vendors.look_up import FHIR_ID
from cds_wrapper.vendors.question import fields_of
from cds_wrapper.vendors.rest_json import RestForm

NOBODY: Final = "made-patient"
_HOOK_INSTANCE: Final = "00000000-0000-4000-8000-000000000000"
_AGE: Final = 60.0


@dataclass(frozen=True, slots=True)
class MadeInputs:
    """Reads the same inputs out of whatever comes."""

    features: Features

    @property
    def declared(self) -> tuple[Input, ...]:
        """Every input."""
        return self.features.inputs

    def read(self, _request: CDSRequest, _prefetch: Prefetch) -> Features:
        """Those that were made."""
        return self.features


def made_features(service: ServiceDefinition) -> Features:
    """Every input that the service declares, with a value in the middle of what can be true."""
    rules = service.features.rules if isinstance(service.features, FeatureMap) else ()
    return Features(
        tuple(Input(rule.name, rule.label, "made", rule.if_missing, value=_value(rule)) for rule in rules)
    )


def _value(rule: Rule) -> InputValue:
    match rule.kind:
        case Kind.NUMBER:
            return _middle(rule, 1.0)
        case Kind.ELAPSED:
            return int(_middle(rule, _AGE))
        case Kind.COUNT:
            return int(_middle(rule, 1.0))
        case Kind.BOOLEAN | Kind.PRESENCE:
            return False
        case Kind.CODE | Kind.TEXT:
            answers = (*rule.answers.by_code.values(), *rule.answers.by_text.values()) if rule.answers else ()
            return next((answer for answer in answers if answer != UNKNOWN), NOBODY)


def _middle(rule: Rule, usual: float) -> float:
    lowest, highest = rule.lowest, rule.highest
    if lowest is not None and highest is not None:
        return (lowest + highest) / 2
    return lowest if lowest is not None else highest if highest is not None else usual


def made_call(service: ServiceDefinition, now: datetime) -> CDSRequest:
    """A call of the service's hook about nobody, with the identifiers that its vendor is asked by."""
    context: dict[str, Any] = {"patientId": NOBODY}
    for field in fields_of(service.hook, frozenset()):
        if field.shape is Shape.REFERENCE:
            context[field.name] = f"Practitioner/{NOBODY}"
        elif field.shape is Shape.ID:
            context[field.name] = NOBODY
    body = {
        "hook": service.hook,
        "hookInstance": _HOOK_INSTANCE,
        "context": context,
        "prefetch": dict(_prefetch(service)),
    }
    return read_request(json.dumps(body).encode(), now)


def _prefetch(service: ServiceDefinition) -> Iterator[tuple[str, Any]]:
    """The Patient, and the Encounter where the vendor is asked by it."""
    asking = service.vendor.asking
    look_up = asking.look_up if isinstance(asking, RestForm) else None
    patient = {"resourceType": "Patient", "id": NOBODY, "gender": "female", "birthDate": "1966-01-01"}
    yield service.patient_key, {**patient, **_identified(look_up.patient if look_up else None)}
    if look_up and look_up.encounter_key:
        encounter = {"resourceType": "Encounter", "id": NOBODY, "subject": {"reference": f"Patient/{NOBODY}"}}
        yield look_up.encounter_key, {**encounter, **_identified(look_up.encounter)}


def _identified(system: str | None) -> dict[str, Any]:
    if system in {None, FHIR_ID}:
        return {}
    return {"identifier": [{"system": system, "value": NOBODY}]}
