"""How a Python value becomes what a column holds, and how a recorded row becomes its canonical text. Pure.

Times are UTC texts with milliseconds, JSON is text with sorted keys, text holds nothing that UTF-8 or a
database cannot keep: a row read back is the row that was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cds_wrapper.ledger.columns import COLUMNS, Column, Kind

Plain: TypeAlias = str | int | float | bool | None
"""What a database column holds, before SQLite turns a boolean into 0 or 1."""

_MILLISECOND = timedelta(milliseconds=1)
_LARGEST_INTEGER = 2**63 - 1
# A null character, and half a surrogate pair.
_UNSTORABLE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def timestamp(moment: datetime) -> str:
    """A moment as records write it: UTC, ISO 8601, milliseconds, `Z`; `ValueError` for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(duration: timedelta) -> float:
    """A duration in milliseconds, to the microsecond."""
    return duration / _MILLISECOND


def json_text(value: object) -> str:
    """JSON as records keep it: sorted keys, no blanks, no NaN, nothing UTF-8 cannot hold."""
    return storable(_encoder.encode(value))


def storable(text: str) -> str:
    """The same text with what no database keeps replaced by U+FFFD."""
    return text if text.isascii() and "\0" not in text else text.translate(_UNSTORABLE)


def canonical(row: Mapping[str, Any]) -> bytes:
    """The canonical text of a recorded row: a pure function of its columns, the same on every database.

    One JSON object in UTF-8: keys sorted, floats by `repr`, booleans true or false, a JSON column as its
    text. Null columns are left out, so a column that is added later changes no older row's text.
    What is no column of the record is ignored.
    """
    present = {name: _CANONICAL[name](row[name]) for name in row.keys() & _CANONICAL if row[name] is not None}
    return _encoder.encode(present).encode()


def checked(values: Mapping[str, object], table: Mapping[str, Column]) -> dict[str, Plain]:
    """Values turned into what the columns of a table hold; the two must have the same names.

    `TypeError` names columns that are unknown, missing, null though required or of the wrong kind,
    `ValueError` one whose value no database keeps (NaN, a naive time, an integer over 64 bits). Neither says
    the value. An empty text becomes null.
    """
    if values.keys() != table.keys():
        unknown, missing = sorted(values.keys() - table.keys()), sorted(table.keys() - values.keys())
        raise TypeError(f"Not the columns of the record: unknown {unknown}, missing {missing}.")
    return {name: _plain(table[name], value) for name, value in values.items()}


def _plain(column: Column, value: object) -> Plain:
    if value is None or value == "":
        if column.required:
            raise TypeError(f"`{column.name}` must not be null.")
        return None
    types, convert = _CONVERT[column.kind]
    # A boolean is an int to Python; to an analyst it is not.
    if not isinstance(value, types) or (type(value) is bool and column.kind is not Kind.BOOLEAN):
        raise TypeError(f"`{column.name}` holds {column.kind.value}, not {type(value).__name__}.")
    try:
        return convert(value)
    except ValueError as error:
        raise ValueError(f"`{column.name}` cannot be recorded: {error}.") from None


def _integer(value: int) -> int:
    if abs(value) > _LARGEST_INTEGER:
        raise ValueError("more than 64 bits")
    return value


def _real(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value) + 0.0  # SQLite keeps no minus before a zero


_CONVERT: Mapping[Kind, tuple[tuple[type, ...], Callable[[Any], Plain]]] = {
    Kind.TEXT: ((str,), storable),
    Kind.INTEGER: ((int,), _integer),
    Kind.REAL: ((float, int), _real),
    Kind.BOOLEAN: ((bool,), bool),
    Kind.TIMESTAMP: ((datetime,), timestamp),
    Kind.JSON: ((list, tuple, dict), json_text),
}
_FORMS: Mapping[Kind, Callable[[Any], Plain]] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.REAL: float,
    Kind.BOOLEAN: bool,
    Kind.TIMESTAMP: str,
    Kind.JSON: str,
}
_CANONICAL = {column.name: _FORMS[column.kind] for column in COLUMNS}
