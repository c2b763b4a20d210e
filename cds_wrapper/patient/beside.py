"""What came beside the Patient: one resource, a Bundle or a list of them, taken apart into single resources.

As tolerant as the reading of the Patient: an entry that cannot be read spoils no other, and whoever wanted a
field of another shape than FHIR gives it hears that it is degraded.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, assert_never

import msgspec

from cds_wrapper.patient.attributes import Attribute, Missing
from cds_wrapper.patient.reading import lacking


class NoResource(enum.Enum):
    """Why there is nothing to read beside the Patient; the first five are those of the prefetch states."""

    ABSENT = "absent"
    EMPTY = "empty"
    ERROR = "error"
    OTHER_PATIENT = "other_patient"
    UNREADABLE = "unreadable"
    OTHER_ENCOUNTER = "other_encounter"


BesideView = bytes | NoResource
"""What came under one key, as it came, or why there is none."""


@dataclass(frozen=True, slots=True)
class BesideKeys:
    """The prefetch keys under which the site has what it collects beside the Patient; None: not collected."""

    coverage: str | None = None
    disability: str | None = None
    encounter: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Beside:
    """What came beside the Patient; holds patient data, so it never prints it.

    `encounter` is the Encounter of the call itself, or None when the call names none or the site reads none.
    """

    coverage: BesideView = NoResource.ABSENT
    disability: BesideView = NoResource.ABSENT
    encounter: BesideView | None = None

    def __repr__(self) -> str:
        return "Beside(...)"


NOTHING_BESIDE = Beside()
FAILED_BESIDE = Beside(NoResource.ERROR, NoResource.ERROR)
"""Beside a Patient that could not be read because of us."""

MOST_RESOURCES = 200
"""Resources of one key that are read; reading more would cost every caller time."""


class Illegible(enum.Enum):
    """Stands for a field that cannot be read; of no JSON type, so every reader calls it degraded."""

    ILLEGIBLE = "illegible"


ILLEGIBLE: Final = Illegible.ILLEGIBLE

_NULL = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    resource_type: msgspec.Raw = msgspec.field(name="resourceType", default=_NULL)
    id: msgspec.Raw = _NULL
    entry: msgspec.Raw = _NULL
    link: msgspec.Raw = _NULL


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = _NULL


_envelope = msgspec.json.Decoder(_Envelope)
_entry = msgspec.json.Decoder(_Entry)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder()


def value_of(raw: msgspec.Raw) -> Any:
    """A field's value, or `ILLEGIBLE`."""
    try:
        return _anything.decode(raw)
    except (ValueError, RecursionError):
        return ILLEGIBLE


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """The resources of one type among what came, each as its bytes.

    `degraded`: something among them could not be read. `truncated`: the EHR has more of them than it sent.
    """

    resources: tuple[bytes, ...]
    degraded: bool = False
    truncated: bool = False


def found_in(view: BesideView, kind: str) -> Found | NoResource:
    """The resources of a type in whatever came; a value with none of them says which kind of none it is."""
    if isinstance(view, NoResource):
        return view
    if view.strip() == b"null":
        return NoResource.EMPTY
    envelope = _read_envelope(view)
    match _type_of(envelope):
        case None:
            items = _items(view)
            return _among(items, kind) if items is not None else NoResource.UNREADABLE
        case "bundle":
            items = _items(bytes(envelope.entry)) if envelope else None
            if items is None:
                empty = envelope is not None and value_of(envelope.entry) is None
                return NoResource.EMPTY if empty else NoResource.UNREADABLE
            found = _among([_resource_of(item) for item in items], kind)
            return _with_more(found, envelope)
        case "operationoutcome":
            return NoResource.ERROR
        case own if own == kind.casefold():
            return Found((view,))
        case _:
            return NoResource.UNREADABLE


def _among(items: list[bytes], kind: str) -> Found | NoResource:
    """Those of the type; warnings beside them and resources nobody asked for are passed over."""
    types = [_type_of(_read_envelope(item)) for item in items[:MOST_RESOURCES]]
    own = tuple(item for item, type_ in zip(items, types, strict=False) if type_ == kind.casefold())
    degraded = None in types
    if own:
        return Found(own, degraded, truncated=len(items) > MOST_RESOURCES)
    if degraded:
        return NoResource.UNREADABLE
    return NoResource.EMPTY


def _with_more(found: Found | NoResource, bundle: _Envelope | None) -> Found | NoResource:
    if isinstance(found, NoResource) or bundle is None or bundle.link == _NULL:
        return found
    links = value_of(bundle.link)
    more = isinstance(links, list) and any(
        isinstance(link, dict) and link.get("relation") == "next" for link in links
    )
    return Found(found.resources, found.degraded, found.truncated or more)


def id_of(resource: bytes) -> object:
    """The id of a resource, whatever was written there."""
    envelope = _read_envelope(resource)
    return value_of(envelope.id) if envelope else None


def _read_envelope(raw: bytes) -> _Envelope | None:
    try:
        return _envelope.decode(raw)
    except (ValueError, RecursionError):
        return None


def _type_of(envelope: _Envelope | None) -> str | None:
    kind = value_of(envelope.resource_type) if envelope else None
    return kind.strip().casefold() or None if isinstance(kind, str) else None


def _items(raw: bytes) -> list[bytes] | None:
    try:
        return [bytes(item) for item in _list.decode(raw)]
    except (ValueError, RecursionError):
        return None


def _resource_of(entry: bytes) -> bytes:
    try:
        return bytes(_entry.decode(entry).resource)
    except (ValueError, RecursionError):
        return b""


def no_attribute(why: NoResource, about: str, scheme: str) -> Attribute:
    """The attribute of a patient of whom nothing came: whose fault that is decides the reason."""
    match why:
        case NoResource.ABSENT:
            return lacking(Missing.NOT_FETCHED, scheme, dq=(f"{about}_not_sent",))
        case NoResource.EMPTY:
            return lacking(Missing.ABSENT, scheme, dq=(f"{about}_empty",))
        case NoResource.ERROR:
            return lacking(Missing.FETCH_FAILED, scheme, dq=(f"{about}_error",))
        case NoResource.UNREADABLE:
            return lacking(Missing.FETCH_FAILED, scheme, dq=(f"{about}_unreadable",))
        case NoResource.OTHER_PATIENT | NoResource.OTHER_ENCOUNTER:
            return lacking(Missing.FETCH_FAILED, scheme, dq=(why.value,))
        case _:
            assert_never(why)


def covers(period: object, on: date) -> bool:
    """Whether a FHIR Period, whose ends may be partial dates or missing, holds a day."""
    if not isinstance(period, Mapping):
        return True
    start, end = period.get("start"), period.get("end")
    day = on.isoformat()
    begun = not isinstance(start, str) or start[:10] <= day[: len(start[:10])]
    over = isinstance(end, str) and bool(end) and end[:10] < day[: len(end[:10])]
    return begun and not over
