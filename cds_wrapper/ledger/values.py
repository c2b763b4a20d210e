"""How a Python value becomes what a column holds, and how a recorded row becomes its canonical text. Pure.

Times are UTC texts with milliseconds, JSON is text with sorted keys, text holds nothing that UTF-8 or a
database cannot keep: a row read back is the row that was written.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from cds_wrapper.ledger.columns import CHAINED, Column, Kind

Plain: TypeAlias = str | int | float | bool | None
"""What a database column holds, before SQLite turns a boolean into 0 or 1."""

_Rule: TypeAlias = tuple[str, bool, Callable[[Any], Plain]]
_MILLISECOND = timedelta(milliseconds=1)
_LARGEST_INTEGER = 2**63 - 1
# A null character, and half a surrogate pair.
_UNSTORABLE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
_TEXT_OR_NULL = frozenset({str, type(None)})
_INTEGER_OR_NULL = frozenset({int, type(None)})
_REAL_OR_NULL = frozenset({float, type(None)})
_BOOLEAN_OR_NULL = frozenset({bool, type(None)})
_NUMBERS = (float, int)
_KINDS_KEPT = 4096
# For more bytes at once `hashlib` lets go of the interpreter, and in a busy process to get it back takes a
# thousand times as long as to hash them.
_KEEPS_THE_INTERPRETER = 2047
_CONTAINERS = (list, tuple, dict)
_SMALLEST_ALIKE, _LARGEST_ALIKE = 1e-4, 1e16
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def timestamp(moment: datetime) -> str:
    """A moment as records write it: UTC, ISO 8601, milliseconds, `Z`; `ValueError` for a naive one."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def milliseconds(duration: timedelta) -> float:
    """A duration in milliseconds, to the microsecond."""
    return duration / _MILLISECOND


class JSONText(str):
    """JSON that is a text already, as `json_text` makes it."""

    __slots__ = ()


def json_text(value: object) -> str:
    """JSON as records keep it: sorted keys, no blanks, no NaN, nothing UTF-8 cannot hold.

    The fast encoder writes NaN as null, so where a null is, what was written must read as what was given.
    """
    try:
        text = _encode_sorted(value)
        if b"null" not in text or _decode(text) == value:
            return text.decode()
    except (TypeError, UnicodeEncodeError):
        pass  # the other encoder knows what to do, or says what is wrong
    return storable(_encoder.encode(value))


def json_text_of_texts(value: object) -> JSONText:
    """The same for a value that holds no numbers and so no NaN."""
    try:
        return JSONText(_encode_sorted(value).decode())
    except UnicodeEncodeError:
        return JSONText(json_text(value))


def storable(text: str) -> str:
    """The same text with what no database keeps replaced by U+FFFD."""
    return text if text.isascii() and "\0" not in text else text.translate(_UNSTORABLE)


class RowForm:
    """How the rows of one table are checked, written as canonical text and hashed.

    The canonical text is one JSON object in UTF-8 without blanks: keys sorted, floats by `repr`, booleans
    true or false, a JSON column as its text. Null columns are left out, so a column that is added later
    changes no older row's text. `hash` itself is not in it.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        texts = sorted(name for name in self.names if name != "hash")
        self._sorted = tuple(texts)
        self._in_sorted_order = operator.itemgetter(*(self.names.index(name) for name in texts))
        members = [(name, Any, None) for name in texts]
        self._object = msgspec.defstruct("CanonicalRow", members, omit_defaults=True, gc=False)
        self._booleans = tuple(
            self.names.index(column.name) for column in columns if column.kind is Kind.BOOLEAN
        )
        self._kinds_seen: set[tuple[type, ...]] = set()
        self._reals = tuple(self.names.index(column.name) for column in columns if column.kind is Kind.REAL)

    def canonical(self, row: Sequence[Plain]) -> bytes:
        """The canonical text of a whole row in the order of its columns; `ValueError` for an infinite number.

        The fast encoder writes very large and very small numbers in another way than `repr`.
        """
        ordered = self._in_sorted_order(row)
        if all(_is_written_alike(row[place]) for place in self._reals):
            return _encode(self._object(*ordered))
        present = {
            name: value for name, value in zip(self._sorted, ordered, strict=True) if value is not None
        }
        return _encoder.encode(present).encode()

    def of_stored(self, stored: Sequence[object]) -> list[Plain]:
        """A row as it was written, from what a database read; `ValueError` names the columns at fault.

        Nothing is converted but booleans: a value of another type than was written is not what was written,
        even where its text would be the same.
        """
        kinds = tuple(map(type, stored))
        if kinds not in self._kinds_seen:
            self._check_kinds(kinds)
        row: list[Any] = list(stored)
        for place in self._booleans:
            if row[place] is not None:
                if row[place] not in {0, 1}:
                    raise ValueError(f"`{self.names[place]}`")
                row[place] = bool(row[place])
        return row

    def _check_kinds(self, kinds: tuple[type, ...]) -> None:
        wrong = [
            column.name
            for column, kind in zip(self.columns, kinds, strict=True)
            if kind is not _STORED[column.kind] and (kind is not type(None) or column.required)
        ]
        if wrong:
            raise ValueError(", ".join(f"`{name}`" for name in wrong))
        if len(self._kinds_seen) < _KINDS_KEPT:
            self._kinds_seen.add(kinds)

    def hash(self, row: Sequence[Plain]) -> str:
        """SHA-256 of the canonical text, in lower-case hex digits."""
        text = self.canonical(row)
        digest = hashlib.sha256(text[:_KEEPS_THE_INTERPRETER])
        for start in range(_KEEPS_THE_INTERPRETER, len(text), _KEEPS_THE_INTERPRETER):
            digest.update(text[start : start + _KEEPS_THE_INTERPRETER])
        return digest.hexdigest()


def _is_written_alike(value: Plain) -> bool:
    """Whether both encoders write this number alike; null and zero they do."""
    return not value or (isinstance(value, float) and _SMALLEST_ALIKE <= abs(value) < _LARGEST_ALIKE)


class Checker:
    """Turns values given by column into what the columns of a table hold, in their order.

    Most of them can be kept as they are. So columns of one kind are looked at together, and one by one only
    where something has to be changed or refused.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns: Mapping[str, Column] = {column.name: column for column in columns}
        self._kinds = tuple(
            _OneKind([column for column in columns if column.kind is kind], at_once)
            for kind, at_once in _AT_ONCE.items()
        )
        others = [column for column in columns if column.kind not in _AT_ONCE]
        self._other_rules = _rules(others)
        order = [name for kind in self._kinds for name in kind.names] + [column.name for column in others]
        self._in_order = operator.itemgetter(*(order.index(name) for name in self.columns))

    def checked(self, given: Mapping[str, object]) -> tuple[Plain, ...]:
        """The values in the order of the columns; `given` must have the same names.

        `TypeError` names columns that are unknown, missing, null though required or of the wrong kind,
        `ValueError` one whose value no database keeps (NaN, a naive time, an integer over 64 bits). Neither
        says the value. An empty text becomes null.
        """
        if given.keys() != self.columns.keys():
            raise TypeError(
                f"Not the columns of the record: {_difference(given.keys(), self.columns.keys())}."
            )
        held: list[Plain] = []
        for kind in self._kinds:
            held += kind.checked(given)
        held += _one_by_one(self._other_rules, given)
        plain: tuple[Plain, ...] = self._in_order(held)
        return plain

    def from_plain(self, plain: Mapping[str, object]) -> tuple[Plain, ...]:
        """The same from what a database or a line of JSON held; a column that it lacks is null.

        Errors as in `checked`; `ValueError` also names a column whose text is no time or no JSON.
        """
        given = dict.fromkeys(self.columns) | dict(plain)
        for name, column in self.columns.items():
            if isinstance(text := given[name], str):
                given[name] = _opened(column, text)
        return self.checked(given)


class _OneKind:
    """The columns of one kind; `at_once` gives what they hold, or None where each has to be looked at."""

    def __init__(
        self, columns: Sequence[Column], at_once: Callable[[Sequence[Any]], Sequence[Plain] | None]
    ) -> None:
        self.names = tuple(column.name for column in columns)
        self._required = tuple(column.name for column in columns if column.required)
        self._rules = _rules(columns)
        self._at_once = at_once

    def checked(self, given: Mapping[str, object]) -> Sequence[Plain]:
        """What they hold, in the order of `names`; errors as in `Checker.checked`."""
        held = self._at_once([given[name] for name in self.names])
        if held is None or None in [given[name] for name in self._required]:
            return _one_by_one(self._rules, given)
        return held


def _difference(given: AbstractSet[str], wanted: AbstractSet[str]) -> str:
    return f"unknown {sorted(given - wanted)}, missing {sorted(wanted - given)}"


def _rules(columns: Iterable[Column]) -> tuple[_Rule, ...]:
    return tuple((column.name, column.required, _CONVERT[column.kind]) for column in columns)


def _one_by_one(rules: Iterable[_Rule], given: Mapping[str, object]) -> list[Plain]:
    plain: list[Plain] = []
    name = ""
    try:
        for name, is_required, convert in rules:
            value = given[name]
            held = None if value is None else convert(value)
            if held is None and is_required:
                break
            plain.append(held)
        else:
            return plain
    except TypeError as error:
        raise TypeError(f"`{name}` {error}.") from None
    except ValueError as error:
        raise ValueError(f"`{name}` cannot be recorded: {error}.") from None
    raise TypeError(f"`{name}` must not be null.")


def _texts_at_once(values: Sequence[Any]) -> Sequence[Plain] | None:
    """Nothing is to be changed where all are null or plain ASCII text, none of it empty."""
    if not _TEXT_OR_NULL.issuperset(map(type, values)) or "" in values:
        return None
    joined = "".join(filter(None, values))
    return values if joined.isascii() and "\0" not in joined else None


def _integers_at_once(values: Sequence[Any]) -> Sequence[Plain] | None:
    """The same for integers; to Python a boolean is one of them, but not of exactly that type."""
    if not _INTEGER_OR_NULL.issuperset(map(type, values)):
        return None
    return values if max(map(abs, filter(None, values)), default=0) <= _LARGEST_INTEGER else None


def _reals_at_once(values: Sequence[Any]) -> Sequence[Plain] | None:
    """The same for floats, of which none is infinite or no number where their sum is neither."""
    if not _REAL_OR_NULL.issuperset(map(type, values)) or not math.isfinite(sum(filter(None, values))):
        return None
    return [
        value if value is None else value + 0.0 for value in values
    ]  # no minus before a zero, as in `_real`


def _booleans_at_once(values: Sequence[Any]) -> Sequence[Plain] | None:
    return values if _BOOLEAN_OR_NULL.issuperset(map(type, values)) else None


def _opened(column: Column, text: str) -> object:
    """The value that `text` stands for in this column, so that it is checked like any other."""
    try:
        match column.kind:
            case Kind.TIMESTAMP:
                return datetime.fromisoformat(text)
            case Kind.JSON:
                json.loads(text)
                return JSONText(text)
            case _:
                return text
    except (ValueError, RecursionError):
        raise ValueError(f"`{column.name}` holds no {column.kind.value}.") from None


# One per kind: a value that is not null -> what the column holds. They run for every column of every record.


def _other(kind: Kind, value: object) -> TypeError:
    return TypeError(f"holds {kind.value}, not {type(value).__name__}")


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        raise _other(Kind.TEXT, value)
    return storable(value) or None


def _integer(value: object) -> int:
    # A boolean is an int to Python; to an analyst it is not.
    if not isinstance(value, int) or value is True or value is False:
        raise _other(Kind.INTEGER, value)
    if abs(value) > _LARGEST_INTEGER:
        raise ValueError("more than 64 bits")
    return value


def _real(value: object) -> float:
    if not isinstance(value, _NUMBERS) or value is True or value is False:
        raise _other(Kind.REAL, value)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value) + 0.0  # SQLite keeps no minus before a zero


def _boolean(value: object) -> bool:
    if value is True or value is False:
        return value
    raise _other(Kind.BOOLEAN, value)


def _timestamp(value: object) -> str:
    if not isinstance(value, datetime):
        raise _other(Kind.TIMESTAMP, value)
    return timestamp(value)


def _json(value: object) -> str:
    if isinstance(value, JSONText):
        return str(storable(value))
    if not isinstance(value, _CONTAINERS):
        raise _other(Kind.JSON, value)
    return json_text(value)


_CONVERT: Mapping[Kind, Callable[[Any], Plain]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.REAL: _real,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMP: _timestamp,
    Kind.JSON: _json,
}
# The kinds of which most values are kept as they are.
_AT_ONCE: Mapping[Kind, Callable[[Sequence[Any]], Sequence[Plain] | None]] = {
    Kind.TEXT: _texts_at_once,
    Kind.INTEGER: _integers_at_once,
    Kind.REAL: _reals_at_once,
    Kind.BOOLEAN: _booleans_at_once,
}
# What SQLite gives back for a value of each kind.
_STORED: Mapping[Kind, type] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.REAL: float,
    Kind.BOOLEAN: int,
    Kind.TIMESTAMP: str,
    Kind.JSON: str,
}
FORMS: Mapping[str, RowForm] = {table: RowForm(columns) for table, columns in CHAINED.items()}
"""The form of every chained table's rows, by table."""
