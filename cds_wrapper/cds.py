"""CDS Hooks 2.0.1 on the wire: what comes in, what goes out, and the values the rest of the house uses.

Requests are read only as far as the wrapper needs them; prefetch values stay the bytes that came
(<https://cds-hooks.hl7.org/2.0/>, "Calling a CDS Service"). What leaves is built from the structs at the
end: a member without a value is left out, never sent as null or empty ("Use of JSON").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from cds_wrapper.errors import MalformedRequest

_T = TypeVar("_T")


class PrefetchState(enum.Enum):
    """What became of one prefetch key; the closed list records use."""

    PRESENT = "present"
    EMPTY = "empty"
    ABSENT = "absent"
    ERROR = "error"
    OTHER_PATIENT = "other_patient"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class TrustedClient:
    """The EHR that calls, as far as it is known.

    `environment` is `production`, `test` or `development`: a property of the issuer, not of this process.
    `services` are those it may call, None for all; `trust_ms` is how long it took to recognise it.
    """

    name: str
    issuer: str | None
    tenant: str | None
    environment: str
    services: frozenset[str] | None = None
    trust_ms: float | None = None

    def may_call(self, service_id: str) -> bool:
        """Whether this client is entitled to a service of that id, if there is one."""
        return self.services is None or service_id in self.services


@dataclass(frozen=True, slots=True, repr=False)
class CDSRequest:
    """One hook call, read as far as needed; holds patient data, so it never prints its contents.

    `patient_id` and `encounter_id` are bare ids; `user_id` is `Type/id`. `context` and `prefetch` hold the
    bytes that came, by member.
    """

    hook: str
    hook_instance: str
    context: Mapping[str, bytes]
    patient_id: str
    encounter_id: str | None
    user_id: str | None
    prefetch: Mapping[str, bytes]
    has_token: bool
    received_at: datetime
    body_bytes: int

    def __repr__(self) -> str:
        return f"CDSRequest(hook={self.hook!r}, body_bytes={self.body_bytes})"

    @property
    def is_stripped(self) -> bool:
        """Whether the EHR left out everything a service could work with: the address may not match."""
        return not self.prefetch and not self.has_token

    @property
    def hook_instance_is_uuid(self) -> bool:
        """Whether the EHR kept the specification's form; several do not, and are served all the same."""
        try:
            UUID(self.hook_instance)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class Prefetch:
    """What the EHR sent, sorted: `values` may be forwarded, `states` says what became of every declared key.

    `patient` is the bytes of the patient's own Patient resource, when it came; `patient_state` says why not.
    """

    values: Mapping[str, bytes]
    states: Mapping[str, PrefetchState]
    patient: bytes | None
    patient_state: PrefetchState

    def __repr__(self) -> str:
        return f"Prefetch({ {key: state.value for key, state in self.states.items()} })"


class _Envelope(msgspec.Struct):
    hook: str | None = None
    hookInstance: str | None = None
    context: dict[str, msgspec.Raw] | None = None
    prefetch: dict[str, msgspec.Raw] | None = None
    fhirAuthorization: msgspec.Raw = msgspec.Raw(b"null")


_envelope = msgspec.json.Decoder(_Envelope)
_string = msgspec.json.Decoder(str)


def read_request(body: bytes, received_at: datetime) -> CDSRequest:
    """Read a hook call; `MalformedRequest` names the member that is wrong, never its value."""
    envelope = _decode(_envelope, body)
    if not envelope.hook:
        raise MalformedRequest("`hook` is missing: name the hook that fired.")
    if not envelope.hookInstance:
        raise MalformedRequest("`hookInstance` is missing: give every call its own UUID.")
    if envelope.context is None:
        raise MalformedRequest("`context` is missing: send the members the hook defines.")
    context = {name: bytes(value) for name, value in envelope.context.items()}
    patient_id = (_context_string(context, "patientId") or "").removeprefix("Patient/")
    if not patient_id:
        raise MalformedRequest("`context.patientId` is missing: send the patient's FHIR id as a string.")
    encounter_id = _context_string(context, "encounterId")
    return CDSRequest(
        hook=envelope.hook,
        hook_instance=envelope.hookInstance,
        context=context,
        patient_id=patient_id,
        encounter_id=encounter_id.removeprefix("Encounter/") if encounter_id else None,
        user_id=_context_string(context, "userId"),
        prefetch={key: bytes(value) for key, value in (envelope.prefetch or {}).items()},
        has_token=bytes(envelope.fhirAuthorization) != b"null",
        received_at=received_at,
        body_bytes=len(body),
    )


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        body.decode()
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"The body is not UTF-8 (byte {error.start}).") from None
    except msgspec.ValidationError as error:
        raise MalformedRequest(f"The body has another shape than CDS Hooks describes: {error}.") from None
    except msgspec.DecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None


def _context_string(context: Mapping[str, bytes], name: str) -> str | None:
    raw = context.get(name, b"null")
    if raw == b"null":
        return None
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        raise MalformedRequest(f"`context.{name}` is not a string.") from None


# What we send -----------------------------------------------------------------------------------------------


class Source(msgspec.Struct, omit_defaults=True, frozen=True):
    """The primary source of a card's guidance."""

    label: str
    url: str | None = None
    icon: str | None = None
    topic: dict[str, Any] | None = None


class Suggestion(msgspec.Struct, omit_defaults=True, frozen=True):
    """Something the clinician may accept; the wrapper sends none that changes the chart yet."""

    label: str
    uuid: str | None = None
    isRecommended: bool = False


class Link(msgspec.Struct, omit_defaults=False, frozen=True):
    """A link under a card."""

    label: str
    url: str
    type: str = "absolute"


class Card(msgspec.Struct, omit_defaults=True, frozen=True):
    """A card as the EHR receives it."""

    uuid: str
    summary: str
    indicator: str
    source: Source
    detail: str | None = None
    suggestions: list[Suggestion] | None = None
    selectionBehavior: str | None = None
    links: list[Link] | None = None
    extension: dict[str, Any] | None = None


class CDSResponse(msgspec.Struct, frozen=True):
    """The answer to a hook call; `cards: []` is a legal answer."""

    cards: list[Card]


class DiscoveryEntry(msgspec.Struct, omit_defaults=True, frozen=True):
    """One service in the discovery document."""

    hook: str
    title: str
    description: str
    id: str
    prefetch: dict[str, str] | None = None
    usageRequirements: str | None = None


class Discovery(msgspec.Struct, frozen=True):
    """The discovery document; `services: []` is legal."""

    services: list[DiscoveryEntry]


class VendorRequest(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a CDS Hooks vendor is sent: no token, no extension, only the keys it asked for."""

    hook: str
    hookInstance: str
    context: dict[str, msgspec.Raw]
    prefetch: dict[str, msgspec.Raw] | None = None


def encode(message: msgspec.Struct) -> bytes:
    """Encode a message for the wire, UTF-8."""
    return msgspec.json.encode(message)


def outcome(code: str, sentence: str) -> bytes:
    """An OperationOutcome with one error (http://hl7.org/fhir/operationoutcome.html); `sentence` is safe."""
    issue = {"severity": "error", "code": code, "diagnostics": sentence}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


# Feedback ---------------------------------------------------------------------------------------------------


MOST_FEEDBACK = 1000


class _FeedbackBody(msgspec.Struct):
    feedback: list[msgspec.Raw]


_feedback_body = msgspec.json.Decoder(_FeedbackBody)


def read_feedback(body: bytes) -> list[Any]:
    """The entries of a feedback call, undecided; `MalformedRequest` when there is no array `feedback`."""
    entries = _decode(_feedback_body, body).feedback
    if len(entries) > MOST_FEEDBACK:
        raise MalformedRequest(f"More than {MOST_FEEDBACK} entries: send them in several calls.")
    return [_entry(raw) for raw in entries]


def _entry(raw: msgspec.Raw) -> Any:
    """One entry by itself: what cannot be read must not cost the others."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
