"""What an EHR does in its own way, read as the wrapper's own: keys, trigger and test patients. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from cds_wrapper.cds import CDSRequest
from cds_wrapper.cds_client import ClientProfile

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class _Named(msgspec.Struct):
    kind: str | None = msgspec.field(default=None, name="resourceType")
    id: str | None = None


class _Identifier(msgspec.Struct):
    system: str | None = None
    value: str | None = None


class _Identified(msgspec.Struct):
    identifier: list[msgspec.Raw] = []


_named = msgspec.json.Decoder(_Named)
_identified = msgspec.json.Decoder(_Identified)
_identifier = msgspec.json.Decoder(_Identifier)
_text = msgspec.json.Decoder(str)


def in_our_keys(request: CDSRequest, service_id: str, patient_key: str, profile: ClientProfile) -> CDSRequest:
    """The request with its prefetch under the service's own keys, as far as that can be told.

    Some EHRs never read discovery: people type the keys in. Those that the profile maps are renamed, and win
    over a value that came under our own name. A Patient of the patient's own id is found under any key.
    """
    names = profile.keys_of(service_id)
    if not names and patient_key in request.prefetch:
        return request
    prefetch = _renamed(request.prefetch, names) if names else dict(request.prefetch)
    if patient_key not in prefetch:
        found = next((raw for raw in prefetch.values() if _is_patient(raw, request.patient_id)), None)
        if found is None and not names:
            return request
        prefetch |= {patient_key: found} if found is not None else {}
    return replace(request, prefetch=prefetch)


def _renamed(prefetch: Mapping[str, bytes], names: Mapping[str, str]) -> dict[str, bytes]:
    kept = {key: raw for key, raw in prefetch.items() if key not in names}
    return kept | {names[key]: raw for key, raw in prefetch.items() if key in names}


def _is_patient(raw: bytes, patient_id: str) -> bool:
    """Whether a value is the Patient of this id; whose data it holds otherwise is for `sort_prefetch`."""
    try:
        found = _named.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return found.kind == "Patient" and found.id == patient_id


def trigger_of(request: CDSRequest, profile: ClientProfile) -> str | None:
    """What set the hook off inside the EHR, where it says so in plain characters; else None.

    The value goes into the record and the operator log, so that nothing but a short code is taken.
    """
    raw = request.extension.get(profile.trigger_extension) if profile.trigger_extension else None
    if raw is None:
        return None
    try:
        text = _text.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return text if _PLAIN.fullmatch(text) else None


def is_test_patient(patient: bytes | None, profile: ClientProfile) -> bool:
    """Whether one of the Patient's identifiers is among those that the site gives to test patients."""
    if patient is None or not profile.test_patients:
        return False
    try:
        found = _identified.decode(patient).identifier
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(_fits(raw, profile.test_patients) for raw in found)


def _fits(raw: msgspec.Raw, rules: frozenset[str]) -> bool:
    try:
        one = _identifier.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not one.system or not one.value:
        return False
    text = f"{one.system.strip()}|{one.value.strip()}"
    return any(_is_of(text, rule) for rule in rules)


def _is_of(text: str, rule: str) -> bool:
    if rule.endswith("|"):
        return text.startswith(rule) and len(text) > len(rule)
    return text.startswith(rule[:-1]) if rule.endswith("*") else text == rule
