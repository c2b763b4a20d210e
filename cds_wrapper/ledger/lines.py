"""The lines of the prediction stream: how a row of the ledger becomes one line of JSON. Pure.

Three schemas, one for each table whose rows are streamed: `prediction.v1` is the row as it was written,
`correction.v1` what had to be said about it later, `feedback.v1` what a clinician did with the card. A line
is a function of its row alone, so the export writes the very bytes that the stream wrote. `decision.v1`, what
people decided, is about no prediction: it is exported and not streamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from cds_wrapper.ledger.columns import (
    COLUMNS,
    CORRECTION_COLUMNS,
    DECISION_COLUMNS,
    FEEDBACK_COLUMNS,
    Column,
    Kind,
)

LONGEST: Final = 4_499
"""Bytes a line has at most, its newline included: log shippers cut what is longer."""

CUT: Final = Column("cut", Kind.JSON, "Names of the members that were shortened; only where any was.")
_CHANGES = Column("changes", Kind.JSON, "Kinds of change made to the vendor's answer, each once.")
_TS = Column("ts", Kind.TIMESTAMP, "When the row was written, as in `{}`.", required=True)
_SCHEMA = Column("schema", Kind.TEXT, "Always `{}`.", required=True)

_encode = msgspec.json.Encoder().encode
_texts = msgspec.json.Decoder(list[str])

# How many bytes of a text and of a list are kept, tried in turn until the line is short enough: lists go
# first, since what is left out of one is counted.
_RUNGS: Final = (
    (LONGEST, 1_000),
    (LONGEST, 500),
    (LONGEST, 250),
    (1_000, 250),
    (400, 250),
    (200, 250),
    (100, 250),
    (60, 120),
    (36, 60),
    (12, 12),
)
# Of what says which row it is, so much is always kept: all of it, in a row that the wrapper wrote.
_KEPT: Final[Mapping[str, int]] = {"prediction_id": 40, "writer": 80, "hash": 64}
_KEPT_OF_TIMES: Final = 24


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a line: its name and kind, and the column it is made from."""

    column: Column
    source: str

    @property
    def name(self) -> str:
        return self.column.name


class LineKind:
    """One schema: which table it is made from, what to select, and how a selected row becomes a line.

    `positions` says where in a selected row the writer, the sequence and the hash stand.
    """

    def __init__(self, schema: str, table: str, moment: str, columns: Sequence[Column]) -> None:
        self.schema = schema
        self.table = table
        first = [_Member(_told(_TS, moment), moment), _Member(_told(_SCHEMA, schema), f"'{schema}'")]
        self._members = (*first, *_members(columns))
        names = [member.name for member in self._members]
        self.selected = ", ".join(member.source for member in self._members)
        self.positions = (names.index("writer"), names.index("sequence"), names.index("hash"))
        self._booleans = self._places(Kind.BOOLEAN)
        self._changes = names.index("changes") if "changes" in names else None
        self._lists = tuple(place for place in self._places(Kind.JSON) if place != self._changes)
        self._whole = msgspec.defstruct("Line", [(name, Any) for name in names], gc=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The members of a line in their order, with their meaning."""
        return tuple(member.column for member in self._members)

    def line(self, row: Sequence[Any]) -> bytes:
        """The line of a row as `selected` reads it, newline included; at most `LONGEST` bytes."""
        values = list(row)
        for place in self._booleans:
            if values[place] is not None:
                values[place] = values[place] != 0
        for place in self._lists:
            if values[place] is not None:
                values[place] = _list_of(values[place])
        if self._changes is not None:
            values[self._changes] = _changes_of(values[self._changes])
        line = _encode(self._whole(*values))
        return line + b"\n" if len(line) < LONGEST else self._shortened(values)

    def _shortened(self, values: Sequence[Any]) -> bytes:
        named = list(zip(self._members, values, strict=True))
        for rung in _RUNGS:
            members, cut = dict[str, object](), list[str]()
            for member, value in named:
                pairs = dict(_bounded(member, value, *rung))
                if pairs != {member.name: value}:
                    cut.append(member.name)
                members |= pairs
            line = _encode(members | {CUT.name: cut})
            if len(line) < LONGEST:
                return line + b"\n"
        raise AssertionError("the lowest rung fits every row")

    def _places(self, kind: Kind) -> tuple[int, ...]:
        return tuple(place for place, one in enumerate(self._members) if one.column.kind is kind)


def _told(column: Column, what: str) -> Column:
    return Column(column.name, column.kind, column.meaning.format(what), required=True)


def _members(columns: Sequence[Column]) -> Iterator[_Member]:
    for column in columns:
        if column.stream:
            yield _Member(column, column.name)
        if column.name == "changes_made":
            yield _Member(_CHANGES, "changes_made")


def _list_of(text: Any) -> list[str] | None:
    """A list as the record keeps it; None for what no version of this program wrote."""
    try:
        return _texts.decode(text)
    except (msgspec.DecodeError, TypeError):
        return None


@lru_cache(maxsize=256)
def _changes_of(text: Any) -> list[str] | None:
    """`cards[0].summary: shortened` is one `summary_shortened` however often and on whichever card."""
    found = _list_of(text) if text is not None else None
    if found is None:
        return None
    kinds = (re.sub(r"^cards\[\d+\]\.", "", one) for one in found)
    return list(dict.fromkeys(re.sub(r"[^A-Za-z]+", "_", one).strip("_") for one in kinds))


def _bounded(
    member: _Member, value: object, most_of_text: int, most_of_list: int
) -> Iterator[tuple[str, object]]:
    """The member as it is, or shortened; what is left out of a list is counted beside it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    match value:
        case str():
            floor = _KEPT_OF_TIMES if member.column.kind is Kind.TIMESTAMP else _KEPT.get(member.name, 0)
            yield member.name, _beginning(value, max(most_of_text, floor))
        case list():
            kept = _first_of(value, most_of_list)
            yield member.name, kept
            if len(kept) < len(value):
                yield f"{member.name}_more", len(value) - len(kept)
        case _:
            yield member.name, value


def _beginning(text: str, most: int) -> str:
    """The text, or a beginning of it that has at most so many bytes in a line, `…` at its end included."""
    if len(text) <= most and _bytes_of(text) <= most:
        return text
    left = most - len("…".encode())
    kept = text[:left]
    while (needed := _bytes_of(kept)) > left:
        kept = kept[: len(kept) * left // needed]
    return kept + "…"


def _bytes_of(text: str) -> int:
    """What it takes in a line: a character can take six bytes."""
    return len(_encode(text)) - len('""')


def _first_of(texts: Sequence[str], most: int) -> list[str]:
    """The first items that have that many bytes together."""
    kept = list[str]()
    for text in texts:
        most -= _bytes_of(text) + len('"",')
        if most < 0:
            break
        kept.append(text)
    return kept


PREDICTION: Final = LineKind("prediction.v1", "predictions", "recorded_at", COLUMNS)
CORRECTION: Final = LineKind("correction.v1", "corrections", "recorded_at", CORRECTION_COLUMNS)
FEEDBACK: Final = LineKind("feedback.v1", "feedback", "received_at", FEEDBACK_COLUMNS)
DECISION: Final = LineKind("decision.v1", "decisions", "recorded_at", DECISION_COLUMNS)
KINDS: Final = (PREDICTION, CORRECTION, FEEDBACK)
"""In the order in which the stream writes what one look finds: a correction stands behind its prediction."""
