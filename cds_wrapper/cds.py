"""CDS Hooks 2.0.1 on the wire: what comes in, what goes out, and the values the rest of the house uses.

Requests are read only as far as the wrapper needs them; prefetch values stay the bytes that came
(<https://cds-hooks.hl7.org/2.0/>, "Calling a CDS Service"). What leaves is built from the structs at the
end: a member without a value is left out, never sent as null or empty ("Use of JSON").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from cds_wrapper.cds_context import Beside, read_context
from cds_wrapper.cds_drafts import unwrapped
from cds_wrapper.errors import MalformedRequest
from cds_wrapper.json_values import is_deeper

_T = TypeVar("_T")


class PrefetchState(enum.Enum):
    """What became of one prefetch key; the closed list records use."""

    PRESENT = "present"
    EMPTY = "empty"
    ABSENT = "absent"
    ERROR = "error"
    OTHER_PATIENT = "other_patient"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    UNSUPPORTED = "unsupported"


class NotRead(enum.Enum):
    """Why a FHIR server was not asked for what is missing; the closed list records and the log use."""

    NO_SERVER = "no_server"
    HOST_REFUSED = "host_refused"
    NO_TOKEN = "no_token"  # noqa: S105  the name of a reason
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105  the name of a reason
    TOKEN_EXPIRES = "token_expires"  # noqa: S105  the name of a reason
    TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105  the name of a reason


@dataclass(frozen=True, slots=True, repr=False)
class AccessToken:
    """The EHR's token for its FHIR server, for this call only; it is never kept, logged or passed on.

    `lifetime` is None when the EHR does not say how long it lives.
    """

    value: str
    lifetime: timedelta | None

    def __repr__(self) -> str:
        return "AccessToken(...)"


@dataclass(frozen=True, slots=True, repr=False)
class CDSRequest:
    """One hook call, read as far as needed; holds patient data, so it never prints its contents.

    `patient_id` and `encounter_id` are bare ids; `user_id` is `Type/id`, or whatever text it was sent as.
    `context`, `prefetch` and `extension` hold the bytes that came, by member, in today's shapes: see
    `HookContext`, which `context_missing` and `context_invalid` come from too. `fhir_server` and `token` are
    what the caller says: a server is called only where the client's settings allow it.
    """

    hook: str
    hook_instance: str
    context: Mapping[str, bytes]
    patient_id: str
    encounter_id: str | None
    user_id: str | None
    prefetch: Mapping[str, bytes]
    fhir_server: str | None
    token: AccessToken | None
    extension: Mapping[str, bytes]
    received_at: datetime
    body_bytes: int
    context_missing: tuple[str, ...] = ()
    context_invalid: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"CDSRequest(hook={self.hook!r}, body_bytes={self.body_bytes})"

    @property
    def is_stripped(self) -> bool:
        """Whether the EHR left out everything a service could work with: the address may not match."""
        return not self.prefetch and self.token is None

    @property
    def hook_instance_is_uuid(self) -> bool:
        """Whether the EHR kept the specification's form; several do not, and are served all the same."""
        try:
            UUID(self.hook_instance)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from the EHR's FHIR server beside what it sent; no values, which stand in `Prefetch`.

    `read_at` is when the last answer for a key came. `troubles` says by key what went wrong: a `NotRead`, a
    `Trouble` of the way out, `http_` and a status, `template` for one that this call cannot fill,
    `next_refused` for a page that lies elsewhere, `most_pages` for one too many.
    `not_read` is why nothing was asked at all; `took_ms` how long the call waited, in milliseconds.
    """

    read_at: Mapping[str, datetime]
    troubles: Mapping[str, str]
    not_read: NotRead | None = None
    took_ms: float = 0.0


NOTHING_READ = Reading({}, {})
"""Nothing was missing, or this client's FHIR server is not read."""


@dataclass(frozen=True, slots=True, repr=False)
class Prefetch:
    """What the EHR sent, sorted: `values` may be forwarded, `states` says what became of every declared key.

    `patient` is the bytes of the patient's own Patient resource, when it came; `patient_state` says why not.
    `reading` says which values were read from the EHR's FHIR server.
    """

    values: Mapping[str, bytes]
    states: Mapping[str, PrefetchState]
    patient: bytes | None
    patient_state: PrefetchState
    reading: Reading = NOTHING_READ

    def __repr__(self) -> str:
        return f"Prefetch({ {key: state.value for key, state in self.states.items()} })"


_NULL = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    hook: str | None = None
    hookInstance: str | None = None
    context: dict[str, msgspec.Raw] | list[msgspec.Raw] | None = None
    user: msgspec.Raw = _NULL
    patient: msgspec.Raw = _NULL
    encounter: msgspec.Raw = _NULL
    prefetch: dict[str, msgspec.Raw] | None = None
    fhirServer: msgspec.Raw = _NULL
    fhirAuthorization: msgspec.Raw = _NULL
    extension: msgspec.Raw = _NULL


class _Authorization(msgspec.Struct):
    access_token: str | None = None
    expires_in: msgspec.Raw = _NULL


_authorization = msgspec.json.Decoder(_Authorization)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
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
    beside = Beside(envelope.user, envelope.patient, envelope.encounter)
    context = read_context(envelope.hook, envelope.context, beside)
    return CDSRequest(
        hook=envelope.hook,
        hook_instance=envelope.hookInstance,
        context=context.members,
        patient_id=context.patient_id,
        encounter_id=context.encounter_id,
        user_id=context.user_id,
        prefetch={key: unwrapped(bytes(value)) for key, value in (envelope.prefetch or {}).items()},
        fhir_server=_text_or_none(envelope.fhirServer),
        token=_token(envelope.fhirAuthorization),
        extension=_extension(envelope.extension),
        received_at=received_at,
        body_bytes=len(body),
        context_missing=context.missing,
        context_invalid=context.invalid,
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


def _text_or_none(raw: msgspec.Raw) -> str | None:
    try:
        return _string.decode(raw).strip() or None
    except msgspec.DecodeError:
        return None


def _token(raw: msgspec.Raw) -> AccessToken | None:
    """The token that came, however its members are written; None when there is none to be used."""
    try:
        given = _authorization.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return AccessToken(given.access_token, _lifetime(given.expires_in)) if given.access_token else None


def _lifetime(raw: msgspec.Raw) -> timedelta | None:
    """Seconds as a number, or as the text some clients send."""
    try:
        return timedelta(seconds=max(0, int(bytes(raw).strip(b'"'))))
    except (ValueError, OverflowError):
        return None


def _extension(raw: msgspec.Raw) -> Mapping[str, bytes]:
    try:
        return {name: bytes(value) for name, value in _members.decode(raw).items()}
    except (msgspec.DecodeError, RecursionError):
        return {}


# What we send -----------------------------------------------------------------------------------------------


class Source(msgspec.Struct, omit_defaults=True, frozen=True):
    """The primary source of a card's guidance."""

    label: str
    url: str | None = None
    icon: str | None = None
    topic: dict[str, Any] | None = None


class Action(msgspec.Struct, omit_defaults=True, frozen=True):
    """A change to the chart: a suggestion's or a system action; `resource` is written as it came."""

    type: str
    description: str
    resource: msgspec.Raw | None = None
    resourceId: str | None = None
    extension: msgspec.Raw | None = None


class Suggestion(msgspec.Struct, omit_defaults=True, frozen=True):
    """Something the clinician may accept; all its actions belong together."""

    label: str
    uuid: str | None = None
    isRecommended: bool = False
    actions: list[Action] | None = None
    actionSelectionBehavior: str | None = None


class Link(msgspec.Struct, omit_defaults=True, frozen=True):
    """A link under a card; `appContext` goes to the app that a `smart` link launches."""

    label: str
    url: str
    type: str
    appContext: str | None = None
    autolaunchable: bool | None = None
    extension: dict[str, Any] | None = None


class Card(msgspec.Struct, omit_defaults=True, frozen=True):
    """A card as the EHR receives it."""

    uuid: str
    summary: str
    indicator: str
    source: Source
    detail: str | None = None
    suggestions: list[Suggestion] | None = None
    selectionBehavior: str | None = None
    overrideReasons: list[dict[str, Any]] | None = None
    links: list[Link] | None = None
    extension: dict[str, Any] | None = None


class CDSResponse(msgspec.Struct, omit_defaults=True, frozen=True):
    """The answer to a hook call; `cards: []` is a legal answer."""

    cards: list[Card]
    systemActions: list[Action] | None = None


class DiscoveryEntry(msgspec.Struct, omit_defaults=True, frozen=True):
    """One service in the discovery document; the last two members are the 3.0 ballot's."""

    hook: str
    title: str
    description: str
    id: str
    prefetch: dict[str, str] | None = None
    usageRequirements: str | None = None
    version: str | None = None
    hookVersion: str | None = None


class Discovery(msgspec.Struct, frozen=True):
    """The discovery document; `services: []` is legal."""

    services: list[DiscoveryEntry]


class VendorRequest(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a CDS Hooks vendor is sent: no token, only the keys it asked for and the extensions it may see."""

    hook: str
    hookInstance: str
    context: dict[str, Any]
    prefetch: dict[str, msgspec.Raw] | None = None
    extension: dict[str, msgspec.Raw] | None = None


def encode(message: msgspec.Struct) -> bytes:
    """Encode a message for the wire, UTF-8."""
    return msgspec.json.encode(message)


def outcome(code: str, sentence: str) -> bytes:
    """An OperationOutcome with one error (http://hl7.org/fhir/operationoutcome.html); `sentence` is safe."""
    issue = {"severity": "error", "code": code, "diagnostics": sentence}
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})


# Feedback ---------------------------------------------------------------------------------------------------


MOST_FEEDBACK = 1000
DEEPEST_FEEDBACK = 64
"""How deep an entry may be nested; what a clinician did needs few levels, and others read it after us."""


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
        entry = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if is_deeper(entry, DEEPEST_FEEDBACK) else entry
