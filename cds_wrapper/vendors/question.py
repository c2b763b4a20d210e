"""What leaves us for a CDS Hooks vendor: a valid call of CDS Hooks 2.0.1, whatever the EHR's own was. Pure.

Of the context go the fields that the hook defines, in the form it defines; what is no reference (drafts of
orders, appointments, new conditions) only where the service's file names it, and only when it speaks of this
patient and no other. A call that lacks what its hook requires is not sent at all.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, VendorRequest
from cds_wrapper.cds_library import HOOKS, ContextField, Shape
from cds_wrapper.ehr.fhir import speaks_of_another
from cds_wrapper.json_values import prune

_USUAL: Final = ("userId", "patientId", "encounterId")
_PLAIN: Final = frozenset({Shape.ID, Shape.REFERENCE})
_ID: Final = re.compile(r"(?:.*/)?([^/\s]+)")
_REFERENCE: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+/[^/\s]+)")
_TYPES: Final = {"patientId": "Patient", "encounterId": "Encounter"}
# A bare reference in a field is judged like one that a resource is about.
_ABOUT: Final = "subject"

_anything = msgspec.json.Decoder()


class Unasked(enum.Enum):
    """Why a vendor was not asked; the closed list that records use."""

    CONTEXT_INCOMPLETE = "context_incomplete"
    CONTEXT_OF_ANOTHER_PATIENT = "context_of_another_patient"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What a vendor is told of a call, decided by the service's file when it is loaded.

    `keys` are the prefetch keys it asked for. `context` names the fields beyond ids and references that it
    may see, `extensions` the members of the request's extension; none of either that names another patient.
    `hook` is the name it knows the hook by. `unknown_user` stands for a user that the hook requires and the
    EHR does not name. With `same_instance` it learns the EHR's `hookInstance`, else each call has its own.
    """

    hook: str
    keys: frozenset[str]
    context: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    unknown_user: str | None = None
    same_instance: bool = False
    _plain: tuple[ContextField, ...] = field(init=False)
    _listed: tuple[ContextField, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the hook's fields once: every call asks for them."""
        defined = fields_of(self.hook, self.context)
        object.__setattr__(self, "_plain", tuple(one for one in defined if one.shape in _PLAIN))
        object.__setattr__(self, "_listed", tuple(one for one in defined if one.shape not in _PLAIN))

    def question(self, request: CDSRequest, prefetch: Prefetch) -> VendorRequest | Unasked:
        """The call as the vendor gets it, or why there is none."""
        context: dict[str, Any] = {}
        for one in self._plain:
            text = _plain_text(one, request) or (self._stand_in(one) if one.required else None)
            if text is not None:
                context[one.name] = text
            elif one.required:
                return Unasked.CONTEXT_INCOMPLETE
        for one in self._listed:
            given = self._resources(one, request)
            if isinstance(given, msgspec.Raw):
                context[one.name] = given
            elif one.required:
                return given or Unasked.CONTEXT_INCOMPLETE
        values = {key: msgspec.Raw(value) for key, value in prefetch.values.items() if key in self.keys}
        return VendorRequest(
            hook=self.hook,
            hookInstance=self._instance(request),
            context=context,
            prefetch=values or None,
            extension=self._extension(request) if self.extensions else None,
        )

    def _stand_in(self, one: ContextField) -> str | None:
        """What was agreed with the vendor for calls in which the EHR names no user."""
        return self.unknown_user if one.name == "userId" else None

    def _resources(self, one: ContextField, request: CDSRequest) -> msgspec.Raw | Unasked | None:
        """A field that holds more than one id, as it came; None when it may not go on or is not there."""
        raw = request.context.get(one.name) if one.name in self.context else None
        if raw is None or one.name in request.context_invalid:
            return None
        try:
            value = _anything.decode(raw)
            if speaks_of_another({_ABOUT: value}, request.patient_id):
                return Unasked.CONTEXT_OF_ANOTHER_PATIENT
        except (msgspec.DecodeError, RecursionError):
            return None
        return _in_shape(one.shape, value, raw)

    def _extension(self, request: CDSRequest) -> dict[str, msgspec.Raw] | None:
        chosen = {
            name: kept
            for name, raw in request.extension.items()
            if name in self.extensions and (kept := _own(raw, request.patient_id)) is not None
        }
        return chosen or None

    def _instance(self, request: CDSRequest) -> str:
        """A fresh one by default: the EHR's would let the vendor join what it is not asked to join."""
        if self.same_instance and request.hook_instance_is_uuid:
            return request.hook_instance
        return str(uuid4())


def fields_of(hook: str, listed: frozenset[str]) -> tuple[ContextField, ...]:
    """The fields of a hook's context; a local hook has the usual three and those that the file names."""
    known = HOOKS.get(hook)
    if known is not None:
        return known.fields
    usual = (
        ContextField("userId", Shape.REFERENCE, required=False, token=True),
        ContextField("patientId", Shape.ID, required=True, token=True),
        ContextField("encounterId", Shape.ID, required=False, token=True),
    )
    own = (ContextField(name, Shape.ANY, required=False, token=False) for name in sorted(listed))
    return (*usual, *(one for one in own if one.name not in _USUAL))


def must_be_listed(hook: str) -> Iterator[str]:
    """The fields that a hook requires and that go on only when the service's file names them."""
    known = HOOKS.get(hook)
    for one in known.fields if known else ():
        if one.required and one.shape not in _PLAIN:
            yield one.name


def may_be_listed(hook: str) -> tuple[str, ...]:
    """The fields that the service's file may name; any for a local hook, which then lists none here."""
    known = HOOKS.get(hook)
    return tuple(one.name for one in known.fields if one.shape not in _PLAIN) if known else ()


# Each form of a field ---------------------------------------------------------------------------------------


def _plain_text(one: ContextField, request: CDSRequest) -> str | None:
    """An id or a reference in the form the specification wants; None when the EHR gave none."""
    text = _text_of(one.name, request)
    if not text:
        return None
    if one.shape is Shape.REFERENCE:
        return _reference(text)
    found = _ID.fullmatch(text.strip())
    return found[1] if found and _is_of_type(text, one.name, found.start(1)) else None


def _text_of(name: str, request: CDSRequest) -> str | None:
    match name:
        case "patientId":
            return request.patient_id
        case "encounterId":
            return request.encounter_id
        case "userId":
            return request.user_id
        case _:
            return _text(request.context.get(name))


def _is_of_type(text: str, name: str, start: int) -> bool:
    """Whether what stands before an id, if anything does, names the type the field is about."""
    front = text.strip()[:start].rstrip("/")
    return not front or front.rpartition("/")[2] == _TYPES.get(name)


def _reference(text: str) -> str | None:
    """`Type/id`, also of an absolute reference."""
    found = _REFERENCE.fullmatch(text.strip())
    return found[1] if found else None


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        value = _anything.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def _in_shape(shape: Shape, value: Any, raw: bytes) -> msgspec.Raw | None:
    """The bytes that came, when they have the form of the field; references are put in theirs."""
    match shape:
        case Shape.REFERENCES:
            texts = value if isinstance(value, list) else []
            references = [_reference(text) for text in texts if isinstance(text, str)]
            whole = bool(texts) and len(references) == len(texts) and None not in references
            return msgspec.Raw(msgspec.json.encode(references)) if whole else None
        case Shape.RESOURCES:
            whole = isinstance(value, list) and bool(value) and all(map(_is_resource, value))
            return msgspec.Raw(raw) if whole else None
        case Shape.RESOURCE | Shape.BUNDLE:
            return msgspec.Raw(raw) if _is_resource(value) else None
        case Shape.ANY:
            return msgspec.Raw(raw) if _is_resource(value) else _filled(raw)
        case Shape.ID | Shape.REFERENCE:
            raise AssertionError("told apart when the file was loaded")


def _is_resource(value: object) -> bool:
    kind = value.get("resourceType") if isinstance(value, dict) else None
    return isinstance(kind, str) and bool(kind.strip())


def _own(raw: bytes, patient_id: str) -> msgspec.Raw | None:
    """What `_filled` keeps of a value, unless it names another patient."""
    kept = _filled(raw)
    try:
        is_anothers = kept is not None and speaks_of_another({_ABOUT: _anything.decode(kept)}, patient_id)
    except RecursionError:
        return None
    return None if is_anothers else kept


def _filled(raw: bytes) -> msgspec.Raw | None:
    """A value without anything empty in it, as it came where nothing was; None when nothing is left."""
    try:
        value = _anything.decode(raw)
        kept = prune(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    if kept is None:
        return None
    return msgspec.Raw(raw if kept == value else msgspec.json.encode(kept))
