"""A hook's context, checked against the library and believed: whom the call is about, and what is odd.

The one member without which there is no answer is `patientId`. Whatever else a hook requires may be missing
or of another shape: its name is noted and the call goes on (CDS Hooks 2.0.1, "Calling a CDS Service").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

import msgspec

from cds_wrapper.cds_library import HOOKS, ContextField, Hook, Shape
from cds_wrapper.errors import MalformedRequest

PATIENT: Final = "patientId"
_ENCOUNTER: Final = "encounterId"
_USER: Final = "userId"
_BESIDE: Final = (_USER, PATIENT, _ENCOUNTER)
_READ: Final = frozenset(_BESIDE)
_NULL: Final = b"null"


@dataclass(frozen=True, slots=True, repr=False)
class HookContext:
    """One call's context, read: ids bare, the user as `Type/id`.

    `members` are the bytes that came, under the names of today, with those three written as CDS Hooks has
    them, or not there when they are no text. `missing` and `invalid` are names from the library only: of
    members that the hook requires and that did not come, and of members of another shape than the hook's.
    """

    patient_id: str
    encounter_id: str | None
    user_id: str | None
    members: Mapping[str, bytes]
    missing: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"HookContext(missing={self.missing}, invalid={self.invalid})"


class Beside(NamedTuple):
    """What clients of the first drafts sent beside the context: user, patient and encounter, or null."""

    user: msgspec.Raw
    patient: msgspec.Raw
    encounter: msgspec.Raw


class _Typed(msgspec.Struct):
    kind: str | None = msgspec.field(default=None, name="resourceType")


_encode = msgspec.json.Encoder().encode
_string = msgspec.json.Decoder(str)
_texts = msgspec.json.Decoder(list[str])
_resource = msgspec.json.Decoder(_Typed)
_resources = msgspec.json.Decoder(list[_Typed])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a hook asks for beside the patient."""

    user: bool = False
    encounter: bool = False
    others: tuple[ContextField, ...] = ()

    @classmethod
    def by(cls, hook: Hook) -> _Wanted:
        """By the library's definition of the hook."""
        others = tuple(field for field in hook.fields if field.name not in _READ)
        return cls(_USER in hook.required, _ENCOUNTER in hook.required, others)


_WANTED: Final[Mapping[str, _Wanted]] = {name: _Wanted.by(hook) for name, hook in HOOKS.items()}
_BELIEVED: Final = _Wanted()
"""A site's own hook: nobody but the site knows what its context holds."""


def read_context(
    hook: str, context: Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw], beside: Beside
) -> HookContext:
    """Read the context of a hook call; `MalformedRequest` names `patientId` when it is not there.

    A context that is a list is one of the first drafts; the orders in it have no name and stay unread.
    """
    named = context if isinstance(context, Mapping) else {}
    members = {name: bytes(value) for name, value in named.items()}
    for name, value in zip(_BESIDE, beside, strict=True):
        if members.get(name, _NULL) == _NULL:
            members[name] = bytes(value)
    missing: list[str] = []
    invalid: list[str] = []
    wanted = _WANTED.get(hook, _BELIEVED)
    patient_id = _patient(members)
    encounter_id = _id(members, _ENCOUNTER, "Encounter", invalid)
    user_id = _user(members, invalid)
    if wanted.encounter and encounter_id is None and _ENCOUNTER not in invalid:
        missing.append(_ENCOUNTER)
    if wanted.user and user_id is None and _USER not in invalid:
        missing.append(_USER)
    for field in wanted.others:
        _check(field, members, missing, invalid)
    return HookContext(patient_id, encounter_id, user_id, members, tuple(missing), tuple(invalid))


def _patient(members: dict[str, bytes]) -> str:
    raw = members.get(PATIENT, _NULL)
    text = _text(raw)
    if raw != _NULL and text is None:
        raise MalformedRequest(f"`context.{PATIENT}` is not a string.")
    if not text:
        raise MalformedRequest(f"`context.{PATIENT}` is missing: send the patient's FHIR id as a string.")
    bare = bare_id(text, "Patient")
    if bare is None:
        raise MalformedRequest(f"`context.{PATIENT}` is a reference, and not to a Patient: send its id.")
    members[PATIENT] = _encode(bare)
    return bare


def _id(members: dict[str, bytes], name: str, kind: str, invalid: list[str]) -> str | None:
    """The bare id a member holds; null and empty texts are no member at all."""
    text = _text(members.get(name, _NULL))
    bare = bare_id(text, kind) if text else None
    if bare is not None:
        members[name] = _encode(bare)
    elif members.pop(name, _NULL) != _NULL and text != "":
        invalid.append(name)
    return bare


def _user(members: dict[str, bytes], invalid: list[str]) -> str | None:
    """The user as `Type/id`; one without a type is kept, and noted."""
    text = _text(members.get(_USER, _NULL))
    if not text:
        if members.pop(_USER, _NULL) != _NULL and text is None:
            invalid.append(_USER)
        return None
    reference = _reference(text)
    if reference is None:
        invalid.append(_USER)
        return text
    members[_USER] = _encode(reference)
    return reference


def _text(raw: bytes) -> str | None:
    """A text without blanks around it; None for what is none."""
    try:
        return _string.decode(raw).strip()
    except msgspec.DecodeError:
        return None


def bare_id(text: str, kind: str) -> str | None:
    """The id in a text that holds an id, `Type/id` or an address; None when it is another type's.

    Ids are never judged by their length or their letters: there are EHRs whose own break the rules.
    """
    if "/" not in text:
        return text
    front, _, bare = _last_two(text)
    return bare if bare and front.casefold() == kind.casefold() else None


def _reference(text: str) -> str | None:
    """`Type/id` of a relative or absolute reference; None when it names no type."""
    front, slash, bare = _last_two(text)
    return f"{front}{slash}{bare}" if front and bare else None


def _last_two(text: str) -> tuple[str, str, str]:
    """The last two parts of a reference, its version taken off; those before them only say where."""
    path = text.partition("/_history/")[0]
    if "://" in path:
        path = path.partition("?")[0].partition("#")[0]
    front, slash, bare = path.rpartition("/")
    return front.rpartition("/")[2].strip(), slash, bare.strip()


def _check(field: ContextField, members: dict[str, bytes], missing: list[str], invalid: list[str]) -> None:
    """Note what a member lacks; what an earlier version of the hook called it gets its name of today."""
    raw = members.get(field.name, _NULL)
    if raw == _NULL and field.former is not None:
        former = members.pop(field.former, _NULL)
        if former != _NULL:
            raw = members[field.name] = b"[%b]" % former
    if raw == _NULL:
        if field.required:
            missing.append(field.name)
    elif not _has_shape(raw, field.shape):
        invalid.append(field.name)


def _has_shape(raw: bytes, shape: Shape) -> bool:
    try:
        match shape:
            case Shape.ID:
                return bool(_string.decode(raw).strip())
            case Shape.REFERENCE:
                return _reference(_string.decode(raw)) is not None
            case Shape.REFERENCES:
                return _each(_reference(text) is not None for text in _texts.decode(raw))
            case Shape.RESOURCE:
                return bool(_resource.decode(raw).kind)
            case Shape.RESOURCES:
                return _each(bool(one.kind) for one in _resources.decode(raw))
            case Shape.BUNDLE:
                return _resource.decode(raw).kind == "Bundle"
            case Shape.ANY:
                return True
            case _:
                assert_never(shape)
    except (msgspec.DecodeError, RecursionError):
        return False


def _each(judged: Iterable[bool]) -> bool:
    """Whether there is one, and all of them are right."""
    listed = list(judged)
    return bool(listed) and all(listed)
