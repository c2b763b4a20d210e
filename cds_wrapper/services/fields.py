"""What the four file formats share: strict models, and the small types a person writes in YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

_DATE_PART: Final = r"(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
_TIME_PART: Final = r"(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
_MOST_DAYS: Final = 366
_DURATION: Final = re.compile(f"P(?=.){_DATE_PART}{_TIME_PART}(?<!T)", re.ASCII)

HEADER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
TAKEN_HEADERS: Final = frozenset(
    {"accept", "connection", "content-encoding", "content-length", "content-type", "cookie", "host", "te"}
    | {"expect", "keep-alive", "proxy-authorization", "trailer", "transfer-encoding", "upgrade"}
)
"""What our calls carry anyway, and what decides where they go and how they are read."""


class FileModel(BaseModel):
    """A part of a file: unknown keys are mistakes, nothing is converted by guess, no value is echoed."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


def is_plain_address(text: str) -> bool:
    """Whether it is an http(s) address that is written one way only, without user information."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises for what is no port
    except ValueError:
        return False
    is_written_plainly = text.isascii() and text.isprintable() and not {" ", "\\", "@"} & set(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and is_written_plainly


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError("is not an ISO 8601 duration: write `P10Y`, `P30D` or `PT6H`.")
    return text


def _seconds(value: object) -> object:
    """Only hours, minutes and seconds have one length; years and months do not."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not an ISO 8601 duration: write `PT0.5S` for half a second.")
    if any(match.groups()[:4]):
        raise ValueError("is counted in hours, minutes and seconds: write `PT0.5S` for half a second.")
    hours, minutes, seconds = (float(part or 0) for part in match.groups()[4:])
    try:
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("is longer than any time that can be counted.") from None


def _days(value: object) -> object:
    """Whole days and weeks have one length by the calendar; months and years do not."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not an ISO 8601 duration: write `P14D` for two weeks.")
    years, months, weeks, days, *clock = match.groups()
    if years or months or any(clock):
        raise ValueError("is counted in weeks and days: write `P14D` for two weeks.")
    counted = 7 * int(weeks or 0) + int(days or 0)
    if counted > _MOST_DAYS:
        raise ValueError(f"is longer than {_MOST_DAYS} days.")
    return timedelta(days=counted)


def _day_or_never(value: object) -> object:
    if value == "never":
        return date.max
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("is not a valid date: write a day as `2026-07-01`, or `never`.") from None


def _path(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError:
        raise ValueError(
            'is not a JMESPath: quote names with dots, as in `cards[0].extension."org.example".score`.'
        ) from None
    return text


def _listed(value: object) -> object:
    """`race: black` is short for `race: [black]`."""
    if not isinstance(value, Mapping):
        return value
    return {key: [level] if isinstance(level, str) else level for key, level in value.items()}


def _one_or_several(value: object) -> object:
    """`hook: patient-view` is short for `hook: [patient-view]`."""
    return [value] if isinstance(value, str) else value


def _filled(levels: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    for attribute, named in levels.items():
        if not named:
            raise ValueError(f"names no group under `{attribute}`: list at least one or leave the key out.")
    return levels


def written(pattern: str, problem: str) -> AfterValidator:
    """Refuse a text that is written otherwise, in words: nobody has to read a pattern."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(problem)
        return text

    return AfterValidator(check)


Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text for people; never empty."""

Name = Annotated[
    str,
    StringConstraints(max_length=64),
    written(r"[a-z0-9][a-z0-9_.-]*", "may hold small letters, digits, `-`, `_` and `.` only, as `cvd-risk`."),
]
"""A short name for machines: small letters, digits, `-`, `_` and `.`."""

FileName = Annotated[
    str,
    StringConstraints(max_length=100),
    written(
        r"[A-Za-z0-9][A-Za-z0-9_.-]*",
        "is not the bare name of a file beside this one: letters, digits, `-`, `_` and `.`.",
    ),
]
"""The name of a file beside the one that names it."""

SystemCode = Annotated[
    str,
    written(
        r"(?:https?://|urn:)[^\s|]+\|[^\s|*]+\*?",
        "needs its system: write `http://loinc.org|8867-4`; a `*` at the end stands for all that begin so.",
    ),
]
"""A code as `system|code`."""

Span = Annotated[
    timedelta, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "format": "duration"})
]
"""A length of time a clock can count, as `PT0.5S`."""

Days = Annotated[timedelta, BeforeValidator(_days), WithJsonSchema({"type": "string", "format": "duration"})]
"""A number of days, as `P14D`; at most a year of them."""

DayOrNever = Annotated[
    date, BeforeValidator(_day_or_never), WithJsonSchema({"type": "string", "description": "day or `never`"})
]
"""A day, as `2026-07-01`; `never` is the last day that there is."""

Horizon = Annotated[str, AfterValidator(_duration)]
"""A length of calendar time, as `P10Y`; kept as written."""

AnswerPath = Annotated[str, AfterValidator(_path)]
"""A JMESPath into a vendor's answer."""

Where = Annotated[dict[str, list[str]], BeforeValidator(_listed), AfterValidator(_filled)]
"""Groups by attribute: every key must hold; several values mean any of them; `{}` is everybody."""


OneOrMore = Annotated[list[Words], BeforeValidator(_one_or_several), Field(min_length=1)]
"""A text, or a list of them that is not empty."""


def at_most_words(limit: int) -> AfterValidator:
    """Refuse a text of more than `limit` words: it would not fit on a card (see the wording's limits)."""

    def check(text: str) -> str:
        if len(text.split()) > limit:
            raise ValueError(f"has more than {limit} words: it would not fit on a card.")
        return text

    return AfterValidator(check)
