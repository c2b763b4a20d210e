"""Says of most values at a glance, from their bytes, that they hold this patient's data alone. Pure.

A value can name a patient only where the word "patient" stands in it, so it is enough to look at those few
places; a walk over everything in the value takes hundreds of steps. The answer is "certainly" or "look
closely": whatever is escaped, encoded, nested or spelt in a way not listed here is left to the walk.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
# The word where it might name somebody, in lower case. Not so where another word or the end of a path follows
# it, where it ends a longer text (`-patient"`, `/patient"`), and where it is the name of a member.
_TELLING: Final = re.compile(
    rb"""patient(?:[^a-z0-9_.,:;=&?#|()\[\]+*!'/"-]|"(?<![-/]patient")(?!:))""", re.DOTALL
)
_TYPE_OF_A_REFERENCE: Final = b'"type":"patient"'
_OWN_TYPE: Final = b'{"resourcetype":"patient"'
# A letter of the word, or a dot, as a percent code: nobody encodes them without a reason.
_CODED: Final = re.compile(rb"%(?:2e|4[159e]|5[04]|6[159e]|7[04])")
_OUTCOME: Final = "operationoutcome"
_NEXT: Final = "next"


class _Resource(msgspec.Struct):
    kind: str = msgspec.field(name="resourceType")


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Link(msgspec.Struct):
    relation: str


class _Sketch(msgspec.Struct):
    """As much of a value as shows what kind of value it is; the rest is passed over, which costs little."""

    kind: str = msgspec.field(name="resourceType")
    id: str | None = None
    entry: list[_Entry] | None = None
    link: list[_Link] | None = None


_sketch = msgspec.json.Decoder(_Sketch)


def is_plainly_of(patient_id: str, raw: bytes) -> bool:
    """Whether a value certainly is a whole FHIR resource with content, and none of it is about somebody else.

    False says nothing.
    """
    return _holds_something(patient_id, raw) and _names_nobody_else(patient_id, raw)


def _holds_something(patient_id: str, raw: bytes) -> bool:
    """Whether it is this patient's Patient, another resource, or a last page with one that is no outcome."""
    try:
        if not raw.isascii():
            raw.decode()  # what is passed over below is not looked at for this
        found = _sketch.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    match found.kind.strip().casefold():
        case "" | "operationoutcome":
            return False
        case "patient":
            return found.id == patient_id
        case "bundle" if b'"next"' in raw:
            return False  # it may be the first of several pages
        case "bundle":
            resources = [entry.resource for entry in found.entry or () if entry.resource is not None]
            is_last = all(link.relation != _NEXT for link in found.link or ())
            return is_last and any(one.kind.strip().casefold() != _OUTCOME for one in resources)
        case _:
            return True


def _names_nobody_else(patient_id: str, raw: bytes) -> bool:
    """Whether every mention of a patient in it is one of this patient, or of none."""
    if b".." in raw or not _PLAIN_ID.fullmatch(patient_id):
        return False
    if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw):
        return False  # the other escapes make no letter and no slash
    low = raw.lower()
    if b"%" in low and _CODED.search(low):
        return False
    ours = raw.count(f'Patient/{patient_id}"'.encode())
    return ours == low.count(b"patient/") and all(
        low.endswith(_TYPE_OF_A_REFERENCE, 0, found.end()) or _is_its_own_type(low, found.end())
        for found in _TELLING.finditer(low)
    )


def _is_its_own_type(low: bytes, end: int) -> bool:
    return end == len(_OWN_TYPE) and low.startswith(_OWN_TYPE)
