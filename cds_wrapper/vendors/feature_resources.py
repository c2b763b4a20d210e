"""FHIR resources as far as it takes to choose among them; the whole is decoded only of those that are chosen.

One bad field never spoils the others: a resource of another shape than FHIR gives it is read field by field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from cds_wrapper.vendors.feature_rules import JSON

_NOT_MATCHES: Final = frozenset({"include", "outcome"})


class Coding(msgspec.Struct):
    """One code of one system."""

    system: str | None = None
    code: str | None = None


class Concept(msgspec.Struct):
    """Codes that say the same."""

    coding: list[Coding] = []


class Part(msgspec.Struct):
    """A component of an Observation."""

    code: Concept | None = None


class Reference(msgspec.Struct):
    """Another resource."""

    reference: str | None = None


class Sketch(msgspec.Struct):
    """What tells resources apart: type, codes, status, date, and whom they are about."""

    resourceType: str = ""
    status: str | None = None
    code: Concept | None = None
    medicationCodeableConcept: Concept | None = None
    vaccineCode: Concept | None = None
    component: list[Part] = []
    subject: Reference | None = None
    focus: Any = None
    doNotPerform: Any = None
    clinicalStatus: Concept | None = None
    verificationStatus: Concept | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    issued: str | None = None
    onsetDateTime: str | None = None
    recordedDate: str | None = None
    authoredOn: str | None = None


class _Search(msgspec.Struct):
    mode: str | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"null")
    search: _Search | None = None


class _Bundle(msgspec.Struct):
    kind: str = msgspec.field(name="resourceType", default="")
    entry: list[_Entry] = []


_sketch: Final = msgspec.json.Decoder(Sketch)
_bundle: Final = msgspec.json.Decoder(_Bundle)
_anything: Final = msgspec.json.Decoder(float_hook=float)
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, or nested without end."""


class Resource:
    """One resource: its sketch, and the whole of it when somebody asks. It holds patient data."""

    __slots__ = ("_raw", "_whole", "place", "sketch")

    def __init__(self, raw: bytes, sketch: Sketch, place: int, whole: JSON | None = None) -> None:
        self._raw = raw
        self._whole = whole
        self.sketch = sketch
        self.place = place

    def __repr__(self) -> str:
        return f"Resource({self.place})"

    @property
    def whole(self) -> JSON:
        """Every element of it."""
        if self._whole is None:
            self._whole = _decoded(self._raw)
        return self._whole

    def part(self, number: int) -> JSON:
        """One of its components."""
        parts = self.whole.get("component")
        part = parts[number] if isinstance(parts, list) and number < len(parts) else None
        return part if isinstance(part, dict) else {}


def _decoded(raw: bytes) -> JSON:
    """Every element; none where one that the sketch passed over cannot be read."""
    try:
        decoded = _anything.decode(raw)
    except UNREADABLE:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def resources_in(raw: bytes) -> Iterator[Resource]:
    """A resource by itself, or the matches of a searchset: what was included with them is no match.

    Raises one of `UNREADABLE` for what is no JSON.
    """
    for place, one in enumerate(_resources_of(raw)):
        try:
            yield Resource(one, _sketch.decode(one), place)
        except msgspec.ValidationError:
            whole = _anything.decode(one)
            if isinstance(whole, dict):
                yield Resource(one, _sketch_of(whole), place, whole)


def _resources_of(raw: bytes) -> Iterator[bytes]:
    try:
        bundle = _bundle.decode(raw)
    except msgspec.ValidationError:
        yield from _odd_resources(_anything.decode(raw))
        return
    if bundle.kind != "Bundle":
        yield raw
        return
    for entry in bundle.entry:
        if entry.search is None or entry.search.mode not in _NOT_MATCHES:
            yield entry.resource


def _odd_resources(value: object) -> Iterator[bytes]:
    """The same for a Bundle of another shape than FHIR gives it."""
    if not isinstance(value, dict):
        return
    if value.get("resourceType") != "Bundle":
        yield msgspec.json.encode(value)
        return
    entries = value.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        search = entry.get("search") if isinstance(entry, dict) else None
        mode = search.get("mode") if isinstance(search, dict) else None
        if isinstance(entry, dict) and mode not in _NOT_MATCHES:
            yield msgspec.json.encode(entry.get("resource"))


# Field by field ---------------------------------------------------------------------------------------------


def _sketch_of(whole: JSON) -> Sketch:
    fields = {field.name: field.type for field in msgspec.structs.fields(Sketch)}
    found = {name: _read(whole[name], kind) for name, kind in fields.items() if name in whole}
    return Sketch(**{name: value for name, value in found.items() if value is not None})


def _read(value: object, kind: Any) -> Any:
    if kind == list[Part]:
        parts = value if isinstance(value, list) else []
        return [Part(concept_of(part.get("code")) if isinstance(part, dict) else None) for part in parts]
    if kind == Concept | None:
        return concept_of(value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def concept_of(value: object) -> Concept:
    """The readable codes of a Coding, a CodeableConcept or a list of them, whatever shape they came in."""
    if isinstance(value, list):
        return Concept([coding for one in value for coding in concept_of(one).coding])
    if not isinstance(value, dict):
        return Concept()
    codings = value.get("coding", [value])
    return Concept(
        [_coding(one) for one in codings if isinstance(one, dict)] if isinstance(codings, list) else []
    )


def _coding(value: JSON) -> Coding:
    system, code = value.get("system"), value.get("code")
    return Coding(system if isinstance(system, str) else None, code if isinstance(code, str) else None)
