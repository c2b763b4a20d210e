from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.ledger import schema
from cds_wrapper.ledger.columns import COLUMNS, COMMITTED, Column, Kind
from cds_wrapper.ledger.entries import LedgerEntry, Stamp
from cds_wrapper.ledger.values import FORMS, Plain, json_text, storable, timestamp
from tests.unit.ledger.examples import NOON, columns, entry

FORM = FORMS["predictions"]
NAMES = [column.name for column in COLUMNS]
STAMP = Stamp("host-0", 7, NOON, timedelta(microseconds=1500))

# Text of every kind: null characters, halves of surrogate pairs, right-to-left marks.
anything = st.text(alphabet=st.characters(exclude_categories=()))
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: anything,
    Kind.INTEGER: st.integers(-(2**63) + 1, 2**63 - 1),
    Kind.REAL: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    Kind.JSON: st.lists(anything, max_size=3)
    | st.dictionaries(
        anything,
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | anything,
        max_size=3,
    ),
}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Any values in some columns of a prediction, in the rest of an ordinary one what it has."""
    free = [column for column in COLUMNS if not column.required and column.name not in COMMITTED]
    chosen = draw(st.lists(st.sampled_from(free), unique=True, max_size=12))
    values = {column.name: draw(st.none() | VALUES[column.kind]) for column in chosen}
    return columns(prediction_id="0195604f-2d14-7c3a-9b1e-5f0c6a7d8e90", **values)


@settings(max_examples=300)
@given(given_columns=rows())
def test_a_row_read_back_has_the_canonical_text_it_was_written_with(given_columns: dict[str, Any]) -> None:
    written = LedgerEntry(given_columns).row(STAMP)
    connection = sqlite3.connect(":memory:")
    for statement in schema.ddl():
        connection.execute(statement)
    connection.execute(schema.INSERT_PREDICTION, written)
    read = connection.execute(f"SELECT {', '.join(NAMES)} FROM predictions").fetchone()
    connection.close()

    as_written = [
        bool(value) if column.kind is Kind.BOOLEAN and value is not None else value
        for column, value in zip(COLUMNS, read, strict=True)
    ]
    assert FORM.canonical(as_written) == FORM.canonical(written)
    assert FORM.hash(as_written) == read[-1]


@settings(max_examples=300)
@given(given_columns=rows())
def test_an_entry_survives_a_line_of_json(given_columns: dict[str, Any]) -> None:
    written = LedgerEntry(given_columns)

    assert LedgerEntry.of_plain(json.loads(json.dumps(written.plain()))) == written


@settings(max_examples=500)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_as_repr_writes_it(number: float) -> None:
    kept = entry(score=number)["score"]

    assert canonical({"score": kept}) == b'{"score":%s}' % repr(kept).encode()


@settings(max_examples=500)
@given(text=anything)
def test_a_text_is_written_as_the_standard_library_writes_it(text: str) -> None:
    kept = entry(unit=text)["unit"]
    expected = {} if kept is None else {"unit": kept}

    assert (
        canonical({"unit": kept}) == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
    )


@settings(max_examples=300)
@given(value=VALUES[Kind.JSON])
def test_json_text_is_json_with_sorted_keys_whichever_encoder_wrote_it(value: Any) -> None:
    standard = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert json.loads(json_text(value)) == json.loads(storable(standard))


def row(**differences: Any) -> dict[str, Any]:
    return dict(zip(NAMES, entry(prediction_id="1", **differences).row(STAMP), strict=True))


def canonical(row: dict[str, Plain]) -> bytes:
    return FORM.canonical([row.get(name) for name in NAMES])


def test_the_canonical_text_holds_what_only_the_committer_knows() -> None:
    text = json.loads(canonical(row()))

    assert (text["writer"], text["sequence"]) == ("host-0", 7)
    assert (text["recorded_at"], text["ledger_ms"]) == ("2027-03-04T12:00:00.250Z", 1.5)


@pytest.mark.parametrize(
    "column",
    [column for column in COLUMNS if not column.required],
    ids=lambda c: c.name,
)
def test_every_column_is_in_the_canonical_text(column: Any) -> None:
    others: dict[Kind, Plain] = {
        Kind.TEXT: "other",
        Kind.INTEGER: 987,
        Kind.REAL: 9.75,
        Kind.BOOLEAN: not row()[column.name],
        Kind.TIMESTAMP: "2000-01-01T00:00:00.000Z",
        Kind.JSON: '["other"]',
    }

    assert canonical({**row(), column.name: others[column.kind]}) != canonical(row())


def test_a_null_column_is_left_out_so_that_an_added_column_changes_no_older_row() -> None:
    older = {name: value for name, value in row(tenant=None).items() if name != "tenant"}

    assert canonical(row(tenant=None)) == canonical(older)


def test_the_canonical_text_of_one_row_is_pinned() -> None:
    assert canonical({"sequence": 3, "score": 0.1, "unit": "6W “ü”", "flagged": False, "site": None}) == (
        '{"flagged":false,"score":0.1,"sequence":3,"unit":"6W “ü”"}'.encode()
    )


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2027, 3, 4, 9, 15, 27, 412_999, tzinfo=UTC), "2027-03-04T09:15:27.412Z"),
        (datetime(2027, 3, 4, 9, 15, tzinfo=UTC), "2027-03-04T09:15:00.000Z"),
        (datetime(2027, 3, 4, 9, 15, tzinfo=timezone(timedelta(hours=-5))), "2027-03-04T14:15:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


@pytest.mark.parametrize(
    ("differences", "error", "says"),
    [
        ({"score": float("nan")}, ValueError, "`score` cannot be recorded: not a finite number"),
        ({"score": float("inf")}, ValueError, "`score` cannot be recorded: not a finite number"),
        ({"score": "0.1"}, TypeError, "`score` holds real, not str"),
        ({"score": True}, TypeError, "`score` holds real, not bool"),
        ({"flagged": 1}, TypeError, "`flagged` holds boolean, not int"),
        ({"http_status": 200.0}, TypeError, "`http_status` holds integer, not float"),
        ({"bytes_in": 2**63}, ValueError, "`bytes_in` cannot be recorded: more than 64 bits"),
        (
            {"occurred_at": NOON.replace(tzinfo=None)},
            ValueError,
            "`occurred_at` cannot be recorded: a time without",
        ),
        ({"occurred_at": "2027-03-04"}, TypeError, "`occurred_at` holds timestamp, not str"),
        ({"subgroups": "race=black"}, TypeError, "`subgroups` holds json, not str"),
        ({"inputs": {"score": float("nan")}}, ValueError, "`inputs` cannot be recorded"),
        ({"inputs": {"a": None, "b": [1, {"c": float("inf")}]}}, ValueError, "`inputs` cannot be recorded"),
        ({"inputs": {"a": object()}}, TypeError, "`inputs` Object of type object"),
        ({"service_id": None}, TypeError, "`service_id` must not be null"),
        ({"service_id": ""}, TypeError, "`service_id` must not be null"),
        ({"colour": "red"}, TypeError, r"unknown \['colour'\], missing \[\]"),
        ({"sequence": 1}, TypeError, r"unknown \['sequence'\]"),
    ],
)
def test_what_no_database_keeps_is_refused_when_the_entry_is_made(
    differences: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        entry(**differences)


def test_a_missing_column_is_named() -> None:
    incomplete = columns()
    del incomplete["unit"]

    with pytest.raises(TypeError, match=r"missing \['unit'\]"):
        LedgerEntry(incomplete)


def test_a_refusal_never_says_the_value() -> None:
    with pytest.raises(TypeError) as refusal:
        entry(score="Jane Example")
    assert "Jane" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("unit", "", None),
        ("unit", "6\0W\ud800", "6\ufffdW\ufffd"),
        ("score", -0.0, 0.0),
        ("score", 1, 1.0),
        ("cards_returned", [], "[]"),
        ("inputs", {"b": 1, "a": "ü"}, '{"a":"ü","b":1}'),
    ],
)
def test_values_are_normalised_once(name: str, value: object, kept: object) -> None:
    assert entry(**{name: value})[name] == kept


def test_json_has_sorted_keys_and_no_blanks() -> None:
    assert json_text({"b": [1, None], "a": {"d": True, "c": 0.5}}) == '{"a":{"c":0.5,"d":true},"b":[1,null]}'


def test_an_entry_never_prints_its_columns() -> None:
    assert repr(entry(prediction_id="abc")) == "LedgerEntry(abc)"


def test_the_row_is_in_the_order_of_the_columns(tmp_path: Path) -> None:
    assert entry(prediction_id="abc").row(STAMP)[:3] == ("abc", 7, "host-0")


# Rows that were read back -----------------------------------------------------------------------------------


def stored(**differences: Any) -> list[Any]:
    """A row as SQLite gives it back: truth as 0 or 1."""
    return [int(value) if isinstance(value, bool) else value for value in row(**differences).values()]


def test_a_stored_row_becomes_the_row_that_was_written() -> None:
    assert FORM.of_stored(stored()) == list(row().values())


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@pytest.mark.parametrize("value", [b"x", "x", 1, 1.5, True, None, [], float], ids=repr)
def test_a_value_of_another_type_than_was_written_is_refused_by_the_name_of_its_column(
    column: Column, value: object
) -> None:
    fits = {
        Kind.TEXT: (str,),
        Kind.INTEGER: (int,),
        Kind.REAL: (float,),
        Kind.BOOLEAN: (int,),
        Kind.TIMESTAMP: (str,),
        Kind.JSON: (str,),
    }[column.kind]
    changed = stored()
    changed[NAMES.index(column.name)] = value
    if type(value) in fits or (value is None and not column.required):
        assert FORM.of_stored(changed)[NAMES.index(column.name)] == value
    else:
        with pytest.raises(ValueError, match=f"^`{column.name}`$"):
            FORM.of_stored(changed)


def test_every_column_at_fault_is_named() -> None:
    changed = dict(zip(NAMES, stored(), strict=True)) | {"unit": b"", "score": "x", "hash": None}

    with pytest.raises(ValueError, match=r"^`unit`, `score`, `hash`$"):
        FORM.of_stored(list(changed.values()))


# Lines of JSON ----------------------------------------------------------------------------------------------


def test_a_line_without_a_column_that_may_be_null_is_read() -> None:
    older = entry(prediction_id="1").plain()
    del older["tenant"]

    assert LedgerEntry.of_plain(older) == entry(prediction_id="1")


@pytest.mark.parametrize(
    ("differences", "error", "says"),
    [
        ({"colour": "red"}, TypeError, r"unknown \['colour'\]"),
        ({"occurred_at": "noon"}, ValueError, "`occurred_at` holds no timestamp"),
        ({"occurred_at": "2027-03-04T12:00:00"}, ValueError, "a time without a zone"),
        ({"occurred_at": 5}, TypeError, "`occurred_at` holds timestamp, not int"),
        ({"subgroups": "[1,"}, ValueError, "`subgroups` holds no json"),
        ({"subgroups": "[" * 100_000}, ValueError, "`subgroups` holds no json"),
        ({"flagged": 1}, TypeError, "`flagged` holds boolean, not int"),
        ({"service_id": None}, TypeError, "`service_id` must not be null"),
        ({"score": "Jane Example"}, TypeError, "`score` holds real, not str"),
    ],
)
def test_a_line_that_cannot_be_recorded_is_refused_without_its_values(
    differences: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as refusal:
        LedgerEntry.of_plain({**entry().plain(), **differences})
    assert "Jane" not in str(refusal.value)


def test_json_in_a_line_is_kept_as_it_was_written() -> None:
    plain = entry().plain() | {"subgroups": '["b", "a"]'}

    assert LedgerEntry.of_plain(plain)["subgroups"] == '["b", "a"]'
