"""A vendor that scores on its own schedule: whom it is asked about, and whether what it has is recent. Pure.

It is asked by an identifier that the site declared, and by nothing else of the patient. A score is used only
with its own time, and only while that is recent enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from jmespath.parser import ParsedResult

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.score import search

FHIR_ID: Final = "fhir-id"
"""Stands for a system: the vendor knows the EHR's own FHIR ids."""

PATIENT: Final = "patient"
ENCOUNTER: Final = "encounter"
AHEAD: Final = timedelta(minutes=5)
"""How far a vendor's clock may be ahead of ours."""

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What lies before it is no time but the lack of one: the year 1, or the day computers count from."""

_LONGEST: Final = 256
_PATHS: Final = frozenset({".", ".."})


class _Identified(msgspec.Struct):
    identifier: msgspec.Raw = msgspec.Raw(b"null")


_identified = msgspec.json.Decoder(_Identified)


@dataclass(frozen=True, slots=True)
class LookUp:
    """By which identifiers a score is asked for, and until when it may be shown.

    `patient` and `encounter` are systems, or `fhir-id`; None is not asked for. `encounter_key` is the
    prefetch key of the Encounter. `time` is where the answer has the score's own time, `oldest` the age from
    which it is stale. `echo` is where the answer repeats the identifier, so that another's is not believed.
    """

    patient: str | None
    encounter: str | None
    encounter_key: str | None
    time: ParsedResult
    oldest: timedelta
    echo: ParsedResult | None = None

    def identifiers(self, request: CDSRequest, prefetch: Prefetch) -> Mapping[str, str] | None:
        """`patient` and `encounter` as the vendor knows them; None when one that is declared is not there."""
        found: dict[str, str] = {}
        held = prefetch.values.get(self.encounter_key) if self.encounter_key else None
        asked = (
            (PATIENT, self.patient, request.patient_id, prefetch.patient),
            (ENCOUNTER, self.encounter, request.encounter_id, held),
        )
        for name, system, own_id, resource in asked:
            if system is None:
                continue
            value = own_id if system == FHIR_ID else _identifier(resource, system)
            if value is None or not _is_sendable(value):
                return None
            found[name] = value
        return found

    def is_of(self, document: Any, identifiers: Mapping[str, str]) -> bool:
        """Whether the answer repeats an identifier that was asked for; true where it is not said to."""
        if self.echo is None:
            return True
        named = search(self.echo, document)
        is_one = isinstance(named, str | int) and not isinstance(named, bool)
        return is_one and str(named).strip() in identifiers.values()

    def names_nobody(self, document: Any) -> bool:
        """Whether the identifier that answers repeat is not there at all."""
        return self.echo is not None and search(self.echo, document) is None

    def time_of(self, document: Any, now: datetime) -> datetime | Reason:
        """The score's own time in UTC, or why it has none that can be used."""
        written = search(self.time, document)
        try:
            moment = datetime.fromisoformat(written) if isinstance(written, str) else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or moment < _EARLIEST:
            return Reason.TIME_UNREADABLE
        return Reason.TIME_IN_THE_FUTURE if moment > now + AHEAD else moment.astimezone(UTC)

    def is_stale(self, at: datetime, now: datetime) -> bool:
        """Whether a score of that time is too old to be shown."""
        return now - at > self.oldest


def _identifier(resource: bytes | None, system: str) -> str | None:
    """The first usable identifier in a system; one marked `old` is nobody's any more."""
    if resource is None:
        return None
    try:
        listed = msgspec.json.decode(_identified.decode(resource).identifier)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for one in listed if isinstance(listed, list) else []:
        match one:
            case {"use": "old"}:
                continue
            case {"system": str(named), "value": str(value)} if named.strip() == system and value.strip():
                return value.strip()
    return None


def _is_sendable(value: str) -> bool:
    """Whether a header or an address can hold it and still mean the same.

    Some servers leave out what stands behind a `;` in a part of an address, and so read `..;` as `..`.
    """
    is_path = value.partition(";")[0].strip() in _PATHS
    return value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST and not is_path
