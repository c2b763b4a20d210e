"""A line of the spool: one piece of work as JSON, numbered, with a check of itself and of its place. Pure.

`check` is a digest of the rest of the line, and `previous` is the check of the line before. So a line that
was altered is known by itself, and one that is missing or out of place by its neighbour, which is still good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, assert_never

import msgspec

from cds_wrapper.ledger.entries import Correction, KeptFile, LedgerEntry
from cds_wrapper.ledger.feedback import FeedbackEntry
from cds_wrapper.ledger.work import Feedback, Files, Piece, Record

_CHECK_DIGITS = 32
_CHECK = b',"check":"'
_END = b'"}'
_TAIL = len(_CHECK) + _CHECK_DIGITS + len(_END)


class Draft(NamedTuple):
    """A piece of work that is to become a line, the moment of writing, and how long it had waited by then."""

    piece: Piece
    recorded_at: datetime
    waited: timedelta


@dataclass(frozen=True, slots=True, repr=False)
class SpooledLine:
    """A good line, read; `raw` is its text with the newline."""

    number: int
    previous: str
    check: str
    piece: Piece
    recorded_at: datetime
    waited: timedelta
    raw: bytes

    def __repr__(self) -> str:
        return f"SpooledLine({self.number})"


class _Line(msgspec.Struct):
    """The members in the order they are written."""

    number: int
    previous: str
    kind: str
    recorded_at: datetime
    waited_ms: float
    content: Any


class _Outline(msgspec.Struct):
    """The same, its content unread."""

    number: int
    previous: str
    kind: str
    recorded_at: datetime
    waited_ms: float
    content: msgspec.Raw


class _File(msgspec.Struct):
    digest: str
    kind: str
    name: str
    content: bytes


class _Correction(msgspec.Struct):
    prediction_id: str
    cards_returned: tuple[str, ...] | None
    delivery: str


_encode = msgspec.json.Encoder().encode
_outline = msgspec.json.Decoder(_Outline).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_objects = msgspec.json.Decoder(list[dict[str, Any]]).decode
_files = msgspec.json.Decoder(list[_File]).decode
_correction = msgspec.json.Decoder(_Correction).decode
_MILLISECOND = timedelta(milliseconds=1)


def written(drafts: Iterable[Draft], number: int, previous: str) -> tuple[list[bytes], str]:
    """The lines that follow line `number`, whose check is `previous`; and the check of the last of them."""
    lines = []
    for number, draft in enumerate(drafts, number + 1):  # noqa: B020  the count goes on from where it stood
        kind, content = _kind_and_content(draft.piece)
        waited = draft.waited / _MILLISECOND
        body = _encode(_Line(number, previous, kind, draft.recorded_at, waited, content))
        previous = _check_of(body)
        lines.append(body[:-1] + _CHECK + previous.encode() + _END + b"\n")
    return lines, previous


def read_line(raw: bytes) -> SpooledLine | None:
    """A line with its newline, read; None when it is not what was written."""
    body, tail = raw[: -_TAIL - 1] + b"}", raw[-_TAIL - 1 :]
    check = _check_of(body)
    if tail != _CHECK + check.encode() + _END + b"\n":
        return None
    try:
        line = _outline(body)
        piece = _READERS[line.kind](line.content, line.recorded_at)
        waited = timedelta(milliseconds=line.waited_ms)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, OverflowError):
        return None  # a good text that this version cannot read is kept aside like a bad one
    return SpooledLine(line.number, line.previous, check, piece, line.recorded_at, waited, raw)


def _check_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_CHECK_DIGITS]


# Work as JSON and back --------------------------------------------------------------------------------------


def _kind_and_content(piece: Piece) -> tuple[str, object]:
    match piece:
        case Record(entry):
            return "prediction", entry.plain()
        case Feedback(entries):
            return "feedback", [entry.plain() for entry in entries]
        case Files(files):
            return "files", [_File(file.digest, file.kind, file.name, file.content) for file in files]
        case Correction(prediction_id, cards_returned, delivery):
            return "correction", _Correction(prediction_id, cards_returned, delivery)
        case _:
            assert_never(piece)


def _read_record(content: msgspec.Raw, _at: datetime) -> Piece:
    return Record(LedgerEntry.of_plain(_object(content)))


def _read_feedback(content: msgspec.Raw, _at: datetime) -> Piece:
    return Feedback(tuple(FeedbackEntry.of_plain(entry) for entry in _objects(content)))


def _read_files(content: msgspec.Raw, _at: datetime) -> Piece:
    return Files(tuple(KeptFile(one.digest, one.kind, one.name, one.content) for one in _files(content)))


def _read_correction(content: msgspec.Raw, at: datetime) -> Piece:
    one = _correction(content)
    return replace(Correction(one.prediction_id, one.cards_returned, one.delivery), recorded_at=at)


_READERS: Mapping[str, Callable[[msgspec.Raw, datetime], Piece]] = {
    "prediction": _read_record,
    "feedback": _read_feedback,
    "files": _read_files,
    "correction": _read_correction,
}
