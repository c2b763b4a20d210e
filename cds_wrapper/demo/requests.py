"""Builds CDS Hooks requests as an EHR does: fill the prefetch templates, look the answers up, write the body.

Shared by the demonstration's EHR screen, which looks up over HTTP, and by the request fixtures, which
look up in a `Store`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from cds_wrapper.demo.fhir_search import Problem
from cds_wrapper.demo.fhir_values import JSON
from cds_wrapper.demo.store import Store

CLINICIAN: Final = "Practitioner/demo-clinician"
"""Who uses the demonstration EHR."""

_TOKEN = re.compile(r"\{\{\s*([A-Za-z.]+)\s*\}\}")
_USER_TOKENS: Final = {
    "userPractitionerId": "Practitioner/",
    "userPractitionerRoleId": "PractitionerRole/",
    "userPatientId": "Patient/",
    "userRelatedPersonId": "RelatedPerson/",
}


def patient_view_context(patient_id: str, user: str = CLINICIAN) -> dict[str, str]:
    """Build the context of the hook `patient-view`."""
    return {"userId": user, "patientId": patient_id}


def encounter_context(patient_id: str, encounter_id: str, user: str = CLINICIAN) -> dict[str, str]:
    """Build the context of `encounter-start` and `encounter-discharge`."""
    return patient_view_context(patient_id, user) | {"encounterId": encounter_id}


def fill_template(template: str, context: Mapping[str, Any]) -> str | None:
    """Replace the prefetch tokens of a template by percent-encoded values; None if one cannot be resolved.

    CDS Hooks 2.0.1, "Prefetch tokens": `context.<field>` for first-level primitive fields, and the four that
    split `context.userId`.
    """
    values = {token: _resolve(token, context) for token in _TOKEN.findall(template)}
    if any(value is None for value in values.values()):
        return None
    filled = _TOKEN.sub(lambda match: quote(values[match[1]] or "", safe=""), template)
    return None if "{{" in filled else filled


def _resolve(token: str, context: Mapping[str, Any]) -> str | None:
    if token in _USER_TOKENS:
        user = context.get("userId")
        prefix = _USER_TOKENS[token]
        return user.removeprefix(prefix) if isinstance(user, str) and user.startswith(prefix) else None
    value = context.get(token.removeprefix("context.")) if token.startswith("context.") else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) and value != "" else None


def fill_templates(templates: Mapping[str, str], context: Mapping[str, Any]) -> dict[str, str]:
    """Fill every template; one that cannot be filled is left out, as its prefetch key then is."""
    filled = {key: fill_template(template, context) for key, template in templates.items()}
    return {key: query for key, query in filled.items() if query is not None}


def write_request(
    hook: str,
    hook_instance: str,
    context: Mapping[str, Any],
    prefetch: Mapping[str, JSON],
    fhir_server: str | None = None,
    authorization: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the body of a hook call; members without a value are left out."""
    body: dict[str, Any] = {"hook": hook, "hookInstance": hook_instance}
    if fhir_server is not None:
        body["fhirServer"] = fhir_server
    if authorization is not None:
        body["fhirAuthorization"] = dict(authorization)
    body["context"] = dict(context)
    return body | ({"prefetch": dict(prefetch)} if prefetch else {})


def build_request(
    store: Store, templates: Mapping[str, str], patient_id: str, hook_instance: str, base_url: str
) -> dict[str, Any]:
    """Build a `patient-view` request for one patient from a store; what the store refuses is left out."""
    return build_call(
        store, templates, "patient-view", patient_view_context(patient_id), hook_instance, base_url
    )


def build_call(
    store: Store,
    templates: Mapping[str, str],
    hook: str,
    context: Mapping[str, Any],
    hook_instance: str,
    base_url: str,
) -> dict[str, Any]:
    """Build the call of any hook, prefetch from a store; what the store refuses is left out."""
    answers = {
        key: store.answer(query, base_url) for key, query in fill_templates(templates, context).items()
    }
    prefetch = {key: answer for key, answer in answers.items() if not isinstance(answer, Problem)}
    return write_request(hook, hook_instance, context, prefetch)
