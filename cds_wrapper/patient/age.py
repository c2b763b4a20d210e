"""Birth date -> age in completed years at one moment -> band. The birth date itself goes no further."""

from __future__ import annotations

import re
from datetime import date, timedelta

from cds_wrapper.patient.attributes import AgeSpan, Attribute, Missing
from cds_wrapper.patient.reading import RecordedPatient, known, lacking
from cds_wrapper.patient.rules import AGE_BAND, DemographicRules

_SOURCE = "Patient.birthDate"
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})([T ].*)?)?)?", re.ASCII | re.DOTALL)
# Nobody on record lived longer than 122 years; an older one is a slip or a placeholder such as 1800-01-01.
_OLDEST_AGE = 125


def age_band(patient: RecordedPatient, on: date, rules: DemographicRules) -> tuple[Attribute, AgeSpan | None]:
    """The band on a day, and the span of ages it came from.

    A partial date maps only when its youngest and its oldest possible age are in one band; otherwise the
    band is missing, `imprecise`. Somebody born on 29 February turns a year older on 1 March.
    """
    scheme = rules.scheme(AGE_BAND)
    birth_date = patient.birth_date
    if birth_date is None:
        reason = patient.birth_date_absent
        return lacking(reason or Missing.ABSENT, scheme, source=_SOURCE if reason else None), None
    if not isinstance(birth_date, str):
        return lacking(Missing.INVALID, scheme, source=_SOURCE, dq=("degraded",)), None
    born, has_time = _days_of(birth_date.strip())
    dq = ("degraded",) if has_time or born is None else ()
    age = age_on(on, *born) if born else None
    if age is None:
        return lacking(Missing.INVALID, scheme, source=_SOURCE, dq=dq), None
    band = rules.bands.band_of(age)
    if band is None:
        return lacking(Missing.IMPRECISE, scheme, source=_SOURCE, dq=dq), age.top_coded()
    return known(band, (), _SOURCE, dq, scheme), age.top_coded()


def _days_of(text: str) -> tuple[tuple[date, date] | None, bool]:
    """First and last day a FHIR date may mean (None: it is no date), and whether a time stood behind it."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None, False
    year, month, day, time = match.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None, False
    if day:
        return (first, first), time is not None
    return (first, _end_of_month(first) if month else date(first.year, 12, 31)), False


def _end_of_month(first: date) -> date:
    if first.month == 12:
        return date(first.year, 12, 31)
    return date(first.year, first.month + 1, 1) - timedelta(days=1)


def age_on(on: date, born_first: date, born_last: date) -> AgeSpan | None:
    """Ages in completed years on a day; None when birth lies ahead or too far back to be believed.

    A birth one day ahead counts as today: `on` may be the day in another time zone than the clinic's.
    """
    if (born_first - on).days > 1:
        return None
    oldest = max(_completed_years(born_first, on), 0)
    youngest = max(_completed_years(born_last, on), 0)
    return AgeSpan(youngest, oldest) if oldest <= _OLDEST_AGE else None


def _completed_years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
