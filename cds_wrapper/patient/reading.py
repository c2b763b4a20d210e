"""Reads a FHIR Patient of any release field by field, so that one bad field never spoils the others.

No model of the whole resource is imposed: of 17 public request bodies, 4 held resources a strict R4 model
refuses. A field of another shape than FHIR gives it reads as `degraded`; who wanted it then says `invalid`.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cds_wrapper.patient.attributes import Attribute, Missing, unrepeated
from cds_wrapper.patient.codes import DATA_ABSENT_REASON, NULL_CODES, null_reason


class NoPatient(enum.Enum):
    """Why there is no Patient to read; the values are those of the prefetch states."""

    ABSENT = "absent"
    EMPTY = "empty"
    ERROR = "error"
    UNREADABLE = "unreadable"
    OTHER_PATIENT = "other_patient"
    NOT_A_PATIENT = "not_a_patient"


class _Illegible(enum.Enum):
    """Stands for a field that cannot be read; of no JSON type, so every reader calls it degraded."""

    ILLEGIBLE = "illegible"


_NULL = msgspec.Raw(b"null")


class _Resource(msgspec.Struct):
    """The fields anything here reads, each still the bytes that came; everything else is passed over."""

    resource_type: msgspec.Raw = msgspec.field(name="resourceType", default=_NULL)
    gender: msgspec.Raw = _NULL
    gender_more: msgspec.Raw = msgspec.field(name="_gender", default=_NULL)
    birth_date: msgspec.Raw = msgspec.field(name="birthDate", default=_NULL)
    birth_date_more: msgspec.Raw = msgspec.field(name="_birthDate", default=_NULL)
    extension: msgspec.Raw = _NULL
    communication: msgspec.Raw = _NULL
    address: msgspec.Raw = _NULL


_resource = msgspec.json.Decoder(_Resource)
_anything = msgspec.json.Decoder()
MOST_ELEMENTS = 500
"""Elements of one list that are read: more than any person has, and reading them costs every caller time."""

_list = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Elements:
    """The readable members of a repeating element, and whether something else stood among them."""

    items: tuple[Mapping[str, Any], ...] = ()
    degraded: bool = False


class RecordedPatient:
    """What a Patient resource holds of the fields we read, each read when it is asked for.

    It holds patient data, so it never prints it.
    """

    __slots__ = ("_by_url", "_resource")

    def __init__(self, resource: _Resource) -> None:
        self._resource = resource
        self._by_url: tuple[Mapping[str, tuple[Mapping[str, Any], ...]], bool] | None = None

    def __repr__(self) -> str:
        return "RecordedPatient(...)"

    @property
    def registered(self) -> bytes:
        """A digest of all that may be said here of who the patient is but of the birth date and the address.

        Of many patients it is the same, and nobody can be told by it.
        """
        one = self._resource
        return hashlib.blake2b(
            b"\0".join((one.gender, one.gender_more, one.extension, one.communication)), digest_size=16
        ).digest()

    @property
    def gender(self) -> object:
        return _value(self._resource.gender)

    @property
    def gender_absent(self) -> Missing | None:
        return _absent_reason(_value(self._resource.gender_more))

    @property
    def birth_date(self) -> object:
        return _value(self._resource.birth_date)

    @property
    def birth_date_absent(self) -> Missing | None:
        return _absent_reason(_value(self._resource.birth_date_more))

    @property
    def extensions(self) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
        """By url."""
        return self._read_extensions()[0]

    @property
    def extensions_degraded(self) -> bool:
        """Whether one of them could not be read."""
        return self._read_extensions()[1]

    def _read_extensions(self) -> tuple[Mapping[str, tuple[Mapping[str, Any], ...]], bool]:
        if self._by_url is None:
            self._by_url = _by_url(_elements(self._resource.extension))
        return self._by_url

    @property
    def communication(self) -> Elements:
        return _elements(self._resource.communication)

    @property
    def address(self) -> Elements:
        return _elements(self._resource.address)

    def named(self, urls: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
        """Every extension with one of these urls, in the order of the urls."""
        found = self.extensions
        return tuple([extension for url in urls if url in found for extension in found[url]])


def read_patient(raw: bytes) -> RecordedPatient | NoPatient:
    """Read a Patient; a value that is none says which kind of none it is."""
    try:
        resource = _resource.decode(raw)
    except (ValueError, RecursionError):
        return NoPatient.EMPTY if raw.strip() == b"null" else NoPatient.UNREADABLE
    match _value(resource.resource_type):
        case "Patient":
            return RecordedPatient(resource)
        case "OperationOutcome":
            return NoPatient.ERROR
        case _:
            return NoPatient.NOT_A_PATIENT


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _anything.decode(raw)
    except (ValueError, RecursionError):
        return _Illegible.ILLEGIBLE


def _elements(raw: msgspec.Raw) -> Elements:
    value = _value(raw)
    values = _one_by_one(raw) if value is _Illegible.ILLEGIBLE else value
    if isinstance(values, list):
        items = tuple([value for value in values[:MOST_ELEMENTS] if isinstance(value, dict)])
        return Elements(items, degraded=len(items) < len(values))
    # An object where FHIR wants a list is one element; null is none; anything else cannot be read.
    return Elements() if value is None else Elements((value,) if isinstance(value, dict) else (), True)


def _one_by_one(raw: msgspec.Raw) -> object:
    """The elements of a list that cannot be read as a whole, so that a bad one does not spoil the others."""
    try:
        return [_value(item) for item in _list.decode(raw)]
    except (ValueError, RecursionError):
        return _Illegible.ILLEGIBLE


def _by_url(elements: Elements) -> tuple[dict[str, tuple[Mapping[str, Any], ...]], bool]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    degraded = elements.degraded
    for item in elements.items:
        url = item.get("url")
        if isinstance(url, str):
            # Some senders leave blanks around the address.
            found.setdefault(url.strip(), []).append(item)
        else:
            degraded = True
    return {url: tuple(items) for url, items in found.items()}, degraded


def _absent_reason(more: object) -> Missing | None:
    """The reason a data-absent-reason extension gives, on a primitive or on any other element."""
    if not isinstance(more, dict) or "extension" not in more:
        return None
    for extension in objects(more.get("extension")):
        code = extension.get("valueCode")
        if extension.get("url") == DATA_ABSENT_REASON and isinstance(code, str):
            return NULL_CODES.get(code, Missing.UNKNOWN)
    return None


def objects(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects in a list, or the object that stands where a list is due."""
    if isinstance(value, dict):
        return (value,)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


# What an element says ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """One coding: system, code, and the sub-extension it stood in; system and slot may be empty."""

    system: str
    code: str
    slot: str = ""


@dataclass(slots=True)
class Statement:
    """All that one element, or several with one meaning, say about one attribute."""

    codes: list[Code] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    booleans: list[bool] = field(default_factory=list)
    absent: list[Missing] = field(default_factory=list)
    degraded: bool = False


def statement_of(extensions: Sequence[Mapping[str, Any]]) -> Statement | None:
    """What these extensions say, in every shape seen; None when there is none of them."""
    if not extensions:
        return None
    said = Statement()
    for extension in extensions:
        _read_extension(said, extension, "")
    return said


def statement_of_concept(concept: object) -> Statement:
    """What a CodeableConcept says; nothing at all when there is none."""
    said = Statement()
    if concept is not None:
        _read_value(said, "valueCodeableConcept", concept, "")
    return said


def _read_extension(said: Statement, extension: Mapping[str, Any], slot: str) -> None:
    reason = _absent_reason(extension)
    if reason is not None:
        said.absent.append(reason)
    for name, value in extension.items():
        if name.startswith("value"):
            _read_value(said, name, value, slot)
        elif name.startswith("_value") and (reason := _absent_reason(value)) is not None:
            said.absent.append(reason)
    if slot:
        return
    parts = extension.get("extension")
    subs = objects(parts)
    # `is not` also for one object where a list is due: it is read, and flagged.
    said.degraded |= parts is not None and (not isinstance(parts, list) or len(subs) < len(parts))
    for sub in subs:
        url = sub.get("url")
        if not isinstance(url, str):
            said.degraded = True
        elif url != DATA_ABSENT_REASON:
            _read_extension(said, sub, url.strip() or "?")


def _read_value(said: Statement, name: str, value: object, slot: str) -> None:
    match name, value:
        case "valueCoding", dict():
            _read_coding(said, value, slot)
        case "valueCodeableConcept", dict():
            _read_concept(said, value, slot)
        case "valueCode", str():
            said.codes.append(Code("", value.strip(), slot))
        case "valueString", str():
            said.texts.append(value)
        case "valueBoolean", bool():
            # A boolean in a sub-extension (`isEnrolled`) says something else.
            said.booleans.extend([] if slot else [value])
        case _:
            said.degraded = True


def _read_concept(said: Statement, concept: Mapping[str, Any], slot: str) -> None:
    codings = concept.get("coding")
    readable = objects(codings)
    said.degraded |= codings is not None and (not isinstance(codings, list) or len(readable) < len(codings))
    for coding in readable:
        _read_coding(said, coding, slot)
    text = concept.get("text")
    if isinstance(text, str):
        said.texts.append(text)
    if not readable and (reason := _absent_reason(concept)) is not None:
        said.absent.append(reason)


def _read_coding(said: Statement, coding: Mapping[str, Any], slot: str) -> None:
    system, code = coding.get("system"), coding.get("code")
    reason = _absent_reason(coding) or _absent_reason(coding.get("_code"))
    if reason is not None:
        said.absent.append(reason)
    if isinstance(code, str) and (system is None or isinstance(system, str)):
        said.codes.append(Code((system or "").strip(), code.strip(), slot))
    elif code is not None or not (system is None or isinstance(system, str)):
        said.degraded = True


# What is kept of it -----------------------------------------------------------------------------------------

_PRINTABLE_CODE = re.compile(r"[!-{}~]{1,40}")
_PRINTABLE_SYSTEM = re.compile(r"[!-{}~]{1,120}")
MOST_RAW_CODES = 16


def raw_code(system: str, code: str) -> str:
    """`system|code` for the record; a display text or anything long in its place is not kept."""
    kept_system = system if not system or _PRINTABLE_SYSTEM.fullmatch(system) else "(illegible)"
    return f"{kept_system}|{code if _PRINTABLE_CODE.fullmatch(code) else '(illegible)'}"


def raw_codes(codes: Iterable[Code]) -> tuple[str, ...]:
    """Every code for the record, each once, at most 16."""
    return unrepeated(raw_code(code.system, code.code) for code in codes)[:MOST_RAW_CODES]


# The most telling reason first: a refusal says more than "unknown".
_TELLING = (
    Missing.DECLINED,
    Missing.WITHHELD,
    Missing.ASKED_UNKNOWN,
    Missing.UNKNOWN,
    Missing.INVALID,
    Missing.TEXT_ONLY,
    Missing.NOT_CAPTURED_IN_PROFILE,
)


def most_telling(reasons: Iterable[Missing]) -> Missing | None:
    """The one of several reasons that says most; None when there is none, `absent` when all say so."""
    given = frozenset(reasons)
    return next((reason for reason in _TELLING if reason in given), next(iter(given), None))


def null_reasons(said: Statement) -> list[Missing]:
    """Every reason for a missing value that a statement gives, by null code or by data-absent-reason."""
    coded = (null_reason(code.system, code.code) for code in said.codes)
    return [*(reason for reason in coded if reason is not None), *said.absent]


def known(value: str, raw: tuple[str, ...], source: str, dq: Iterable[str], scheme: str) -> Attribute:
    """An attribute with one value."""
    return Attribute(value, None, (value,), raw, source, unrepeated(dq), scheme)


def lacking(
    reason: Missing,
    scheme: str,
    *,
    raw: tuple[str, ...] = (),
    source: str | None = None,
    dq: Iterable[str] = (),
) -> Attribute:
    """An attribute without a value, for one reason."""
    return Attribute(None, reason, (), raw, source, unrepeated(dq), scheme)
