"""Fills a prefetch template from one call, so that no value can change what is asked. Pure.

CDS Hooks 2.0.1, "Prefetch tokens"; of the 3.0 ballot the dates relative to today, and no other expression. A
template that cannot be filled with certainty stays unsatisfied.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from cds_wrapper.cds import CDSRequest

_TOKEN: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD: Final = re.compile(r"context\.([A-Za-z][A-Za-z0-9_]*)", re.ASCII)
_REFERENCE: Final = re.compile(r"([A-Z][A-Za-z]{1,63})/(.+)", re.ASCII)
_RELATIVE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}(?:/([^/?#]+)|\?([^#]+))", re.ASCII)
_TODAY: Final = re.compile(r"today\(\)((?:\s*[+-]\s*\d{1,5}\s+(?:day|week|month|year)s?)*)", re.ASCII)
_STEP: Final = re.compile(r"([+-])\s*(\d+)\s+(day|week|month|year)", re.ASCII)
_USERS: Final = {
    "userPractitionerId": "Practitioner",
    "userPractitionerRoleId": "PractitionerRole",
    "userPatientId": "Patient",
    "userRelatedPersonId": "RelatedPerson",
}
_MOST: Final = frozenset({"_count", "_maxresults"})
# What the hospital's own text may hold as it is; `%` stays, since a template may be encoded already.
_PLAIN: Final = "/?:@!$&'()*+,;=~%"
# A server, or a proxy in front of it, may decode an id before it looks at the path.
_NO_ID: Final = frozenset("/\\%?#")
_NO_ID_BUT_A_QUERY: Final = frozenset({"_history", "_search"})
# They have a meaning of their own inside a value (FHIR R4, 3.1.1.4.0.1): `1,2` is two patients.
_NO_VALUE: Final = frozenset(",|$\\")


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """A read or a search relative to a server's base, percent-encoded; holds patient data."""

    text: str

    def __repr__(self) -> str:
        return "Query(...)"

    @property
    def is_search(self) -> bool:
        """Whether it is a search, which is answered with a Bundle."""
        return "?" in self.text


def fill(template: str, request: CDSRequest) -> Query | None:
    """The read or search that a template means for one call; None when that cannot be told.

    `today()` is the day on which the call came in, by UTC. Never an absolute address, an operation, or a
    value with a character that a search gives another meaning to.
    """
    filled = ""
    for place, piece in enumerate(_TOKEN.split(template)):
        if place % 2 == 0:
            if "{" in piece or "}" in piece:
                return None
            filled += quote(piece, safe=_PLAIN)
            continue
        value = _value(piece.strip(), request)
        # An empty value would ask for everybody's.
        text = None if not value else _in_query(value) if "?" in filled else _in_path(value, filled)
        if text is None:
            return None
        filled += text
    return Query(filled) if _is_relative(filled) else None


def is_date(token: str) -> bool:
    """Whether a token is a date relative to today, as the 3.0 ballot writes it: `today() - 90 days`."""
    return _TODAY.fullmatch(token) is not None


@lru_cache(1024)
def most_entries(template: str) -> int | None:
    """How many results a template asks for at most (`_count`, `_maxresults`); None when it does not say."""
    named = parse_qsl(template.partition("?")[2])
    numbers = [value for name, value in named if name in _MOST and value.isascii() and value.isdigit()]
    return min(map(int, numbers), default=None)


def _is_relative(filled: str) -> bool:
    match = _RELATIVE.fullmatch(filled)
    if match is None:
        return False
    return match[1] is None or _is_id(unquote(match[1]))


def _in_query(value: str) -> str | None:
    if not value.isprintable() or _NO_VALUE & set(value):
        return None
    return quote(value, safe="")


def _in_path(value: str, before: str) -> str | None:
    """An id as one segment; where the path begins, a whole reference such as `Practitioner/1`."""
    if not before:
        reference = _REFERENCE.fullmatch(value)
        if reference is None or not _is_id(reference[2]):
            return None
        return f"{reference[1]}/{quote(reference[2], safe='')}"
    return quote(value, safe="") if before.endswith("/") and _is_id(value) else None


def _is_id(value: str) -> bool:
    """Whether it can only be an id, one segment of a path, whoever decodes it; its length is no matter.

    What begins with `$` is an operation, such as `Patient/$export` on everybody (FHIR R4, 3.1.0.14).
    """
    is_segment = value.isprintable() and value.strip(" .") != "" and not _NO_ID & set(value)
    return is_segment and value[0] != "$" and value not in _NO_ID_BUT_A_QUERY


# The values of tokens ---------------------------------------------------------------------------------------


def _value(token: str, request: CDSRequest) -> str | None:
    if token in _USERS:
        kind, _, user = (request.user_id or "").partition("/")
        return user if kind == _USERS[token] and _is_id(user) else None
    match token:
        case "context.patientId":
            return request.patient_id
        case "context.encounterId":
            return request.encounter_id
        case _ if field := _FIELD.fullmatch(token):
            return _primitive(request.context.get(field[1]))
        case _ if today := _TODAY.fullmatch(token):
            return _day(request.received_at.date(), today[1])
        case _:
            return None


def _primitive(raw: bytes | None) -> str | None:
    """A text, a number or a boolean as it stands in the context."""
    try:
        value = msgspec.json.decode(raw or b"null")
    except (msgspec.DecodeError, RecursionError):
        return None
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return (raw or b"").decode()
        case str():
            return value or None
        case _:
            return None


def _day(today: date, steps: str) -> str | None:
    """A date by FHIRPath's calendar arithmetic: a month that lacks the day ends on its own last one."""
    try:
        for sign, number, unit in _STEP.findall(steps):
            today = _moved(today, int(f"{sign}{number}"), unit)
    except (ValueError, OverflowError):
        return None
    return today.isoformat()


def _moved(day: date, number: int, unit: str) -> date:
    match unit:
        case "day":
            return day + timedelta(days=number)
        case "week":
            return day + timedelta(weeks=number)
        case _:
            months = day.year * 12 + day.month - 1 + number * (12 if unit == "year" else 1)
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            return day.replace(year=year, month=month + 1, day=min(day.day, last))
