"""FHIR dates of any precision as moments, and the date a resource is about. Pure.

A date without a time is taken for its beginning, in UTC: so what it dates is never thought younger than it
may be by more than the time zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from cds_wrapper.vendors.feature_resources import Resource, Sketch

_PARTIAL: Final = re.compile(r"(\d{4})(?:-(\d{2}))?", re.ASCII)

DATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming", "issued"),
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Encounter": ("period",),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "ServiceRequest": ("occurrenceDateTime", "occurrencePeriod", "authoredOn"),
    "Immunization": ("occurrenceDateTime", "recorded"),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
    "QuestionnaireResponse": ("authored",),
    "RiskAssessment": ("occurrenceDateTime", "occurrencePeriod"),
    "Appointment": ("start",),
    "Coverage": ("period",),
    "Flag": ("period",),
    "EpisodeOfCare": ("period",),
    "CarePlan": ("period", "created"),
    "Goal": ("startDate", "statusDate"),
    "DeviceUseStatement": ("timingDateTime", "timingPeriod", "recordedOn"),
    "DocumentReference": ("date",),
    "FamilyMemberHistory": ("date",),
    "ClinicalImpression": ("effectiveDateTime", "effectivePeriod", "date"),
}
"""Resource type -> the elements that date it, the telling ones first (FHIR R4)."""


_SKETCHED: Final = frozenset(Sketch.__struct_fields__)


def is_dated(resource_type: str) -> bool:
    """Whether resources of a type have a date of their own."""
    return resource_type in DATES


def dated(resource: Resource, resource_type: str) -> datetime | None:
    """The moment a resource is about: of a period its end, or its beginning while it lasts."""
    for name in DATES.get(resource_type, ()):
        value = getattr(resource.sketch, name) if name in _SKETCHED else resource.whole.get(name)
        found = None if value is None else _moment_of(value)
        if found is not None:
            return found
    return None


def _moment_of(value: object) -> datetime | None:
    match value:
        case str():
            return moment(value)
        case {"end": str(end)}:
            return moment(end)
        case {"start": str(start)}:
            return moment(start)
        case {"event": [*events]}:
            found = [at for event in events if isinstance(event, str) and (at := moment(event))]
            return max(found, default=None)
        case _:
            return None


def moment(text: str) -> datetime | None:
    """A FHIR date, dateTime or instant as an aware moment; None for what is none."""
    found = _read(text)
    if found is None or not _FIRST_YEAR < found.year < _LAST_YEAR:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


_FIRST_YEAR: Final = 1
_LAST_YEAR: Final = 9999
"""The ends of what can be counted: a time zone away from them lies nowhere."""


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _begins(text)


def _begins(text: str) -> datetime | None:
    match = _PARTIAL.fullmatch(text.strip())
    try:
        return datetime(int(match[1]), int(match[2] or 1), 1, tzinfo=UTC) if match else None
    except ValueError:
        return None


# Time from a date to the call -------------------------------------------------------------------------------

ELAPSED_UNITS: Final[Mapping[str, timedelta | None]] = {
    "a": None,
    "wk": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
}
"""UCUM unit of an elapsed time -> its length; years are counted on the calendar, completed ones only."""


def elapsed(text: str, unit: str, now: datetime) -> float | None:
    """The time from a FHIR date to `now`; None for what is no date, or one that does not say the year."""
    length = ELAPSED_UNITS[unit]
    begun = moment(text)
    if begun is None:
        return None
    if length is not None:
        return round((now - begun) / length, 6)
    if len(text.strip()) >= len("YYYY-MM-DD"):
        return float(_completed_years(begun.date(), now.date()))
    last = date(begun.year, begun.month, 28) if len(text.strip()) > len("YYYY") else date(begun.year, 12, 31)
    youngest, oldest = _completed_years(last, now.date()), _completed_years(begun.date(), now.date())
    return float(oldest) if youngest == oldest else None


def _completed_years(begun: date, on: date) -> int:
    return on.year - begun.year - ((on.month, on.day) < (begun.month, begun.day))
