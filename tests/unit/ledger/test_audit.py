"""Whoever can write the file can change anything in it; the audit says what, and where."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.audit import Audit, NotedHead, audit
from cds_wrapper.ledger.columns import CHAINED, Column, Kind
from cds_wrapper.ledger.database import LedgerFile, RowKeptOut, prepare
from cds_wrapper.ledger.entries import Waiting
from cds_wrapper.ledger.findings import Problem
from cds_wrapper.ledger.values import FORMS
from tests.unit.ledger.attacks import (
    COLUMNS_OF_ROWS,
    PREDICTIONS,
    WRITER,
    attacker,
    found,
    hashed,
    heads,
    insert,
    prediction_id,
    replace,
    rewrite_from,
    row,
    write,
    written,
)
from tests.unit.ledger.examples import card_of, entry


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("whole") / "ledger.db")


@pytest.fixture
def ledger(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "ledger.db"))


def test_a_ledger_as_it_was_written_is_whole_and_tells_its_heads(ledger: Path) -> None:
    seen = audit(ledger)

    assert seen.is_whole and seen.findings == ()
    assert [(one.chain, one.writer, one.rows, one.erased, one.sequence) for one in seen.chains] == [
        ("predictions", WRITER, PREDICTIONS, 0, PREDICTIONS),
        ("corrections", WRITER, 3, 0, 3),
        ("feedback", WRITER, PREDICTIONS + 1, 0, PREDICTIONS + 1),
        ("decisions", WRITER, 3, 0, 3),
    ]
    with sqlite3.connect(ledger) as connection:
        assert seen.chains[0].hash == row(connection, "predictions", PREDICTIONS)["hash"]
    connection.close()


def test_an_empty_ledger_is_whole(tmp_path: Path) -> None:
    prepare(tmp_path / "ledger.db")

    assert audit(tmp_path / "ledger.db") == Audit((), (), ())


# Altered rows -----------------------------------------------------------------------------------------------


def other_value(column: Column, held: Any) -> Any:
    match column.kind:
        case Kind.TEXT | Kind.TIMESTAMP:
            return "other"
        case Kind.JSON:
            return '["other"]'
        case Kind.INTEGER | Kind.REAL:
            return (held or 0) + 1000
        case Kind.BOOLEAN:
            return 0 if held else 1


@pytest.mark.parametrize(("table", "column"), COLUMNS_OF_ROWS, ids=lambda one: getattr(one, "name", one))
def test_a_changed_value_in_any_column_is_found_and_named(ledger: Path, table: str, column: Column) -> None:
    with attacker(ledger) as connection:
        held = row(connection, table, 2)
        changed = {**held, column.name: other_value(column, held[column.name])}
        statement = f"UPDATE {table} SET {column.name} = ? WHERE sequence = 2"
        connection.execute(statement, (changed[column.name],))

    expected = "moved" if column.name == "sequence" else "altered"
    altered = [finding for finding, _ in audit(ledger).findings if finding.problem.value == expected]
    assert [(one.table, one.writer, one.sequence, one.prediction_id) for one in altered] == [
        (table, changed["writer"], changed["sequence"], changed.get("prediction_id"))
    ]


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, column in COLUMNS_OF_ROWS if not column.required],
    ids=lambda one: getattr(one, "name", one),
)
def test_a_value_taken_away_from_any_column_is_found(ledger: Path, table: str, column: Column) -> None:
    with attacker(ledger) as connection:
        held = row(connection, table, 2)[column.name]
        connection.execute(f"UPDATE {table} SET {column.name} = NULL WHERE sequence = 2")

    assert (("altered", table, 2) in found(ledger)) is (held is not None)


def test_the_first_altered_row_is_named_and_the_further_ones_are_counted(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("UPDATE predictions SET score = 0.9 WHERE sequence IN (3, 6, 8)")

    ((finding, further),) = audit(ledger).findings
    assert (finding.sequence, further) == (3, 2)
    assert finding.where == f"predictions, writer {WRITER}, row 3, prediction {prediction_id(3)}"
    assert finding.says == "content does not fit its hash: the row was altered"


WRONG: list[tuple[str, str, Any]] = [
    ("bytes instead of a text", "status", b"answered"),
    ("bytes that are written as this very text", "status", b"j{,\xb5\xe7\x9d"),
    ("a text that is no number", "score", "0.12 or so"),
    ("a fraction in a count", "http_status", 200.5),
    ("a number in a truth value", "flagged", 2),
    ("a text in a truth value", "flagged", "true"),
    ("bytes in a time", "occurred_at", b"\x00"),
    ("bytes in JSON", "subgroups", b"[]"),
]


@pytest.mark.parametrize(("column", "value"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_value_its_column_cannot_hold_makes_a_broken_row_and_no_exception(
    ledger: Path, column: str, value: object
) -> None:
    with attacker(ledger) as connection:
        connection.execute(f"UPDATE predictions SET {column} = ? WHERE sequence = 4", (value,))

    ((finding, _),) = audit(ledger).findings
    assert (finding.problem.value, finding.sequence, finding.prediction_id) == (
        "unreadable",
        4,
        prediction_id(4),
    )
    assert finding.detail == f"`{column}`"


EXTREME: list[tuple[str, str]] = [
    ("text that is no Unicode", "UPDATE predictions SET unit = CAST(x'fffe41' AS TEXT) WHERE sequence = 4"),
    ("an infinite number", "UPDATE predictions SET score = 9e999 WHERE sequence = 4"),
    ("minus infinity", "UPDATE predictions SET vendor_ms = -9e999 WHERE sequence = 4"),
    ("a text of 20 megabytes", "UPDATE predictions SET unit = printf('%20000000s', 'x') WHERE sequence = 4"),
    ("the largest number", "UPDATE predictions SET bytes_in = 9223372036854775807 WHERE sequence = 4"),
    ("half of JSON", "UPDATE predictions SET file_digests = '{\"plan\": ' WHERE sequence = 4"),
    ("a number for JSON", "UPDATE predictions SET file_digests = '7' WHERE sequence = 4"),
    ("deep JSON", f"UPDATE predictions SET file_digests = '{'[' * 90_000}' WHERE sequence = 4"),
    ("no hash at all", "UPDATE predictions SET hash = '' WHERE sequence = 4"),
    ("a null character", "UPDATE predictions SET unit = 'a' || char(0) WHERE sequence = 4"),
]


@pytest.mark.parametrize("statement", [case[1] for case in EXTREME], ids=[case[0] for case in EXTREME])
def test_an_extreme_value_makes_a_broken_row_and_no_exception(ledger: Path, statement: str) -> None:
    with attacker(ledger) as connection:
        connection.execute(statement)

    named = [finding for finding, _ in audit(ledger).findings if finding.table == "predictions"]
    assert [(one.problem.value in {"altered", "unreadable"}, one.sequence) for one in named] == [(True, 4)]


def without_constraints(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE copied AS SELECT * FROM {table}")
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"ALTER TABLE copied RENAME TO {table}")


@pytest.mark.parametrize("column", ["hash", "writer", "sequence", "prediction_id", "status", "recorded_at"])
@pytest.mark.parametrize("value", [None, b"\xff", -1.5, "\x1b[2J"])
def test_a_table_made_again_without_its_rules_is_told_of_and_its_rows_are_judged(
    ledger: Path, column: str, value: object
) -> None:
    with attacker(ledger) as connection:
        without_constraints(connection, "predictions")
        connection.execute(f"UPDATE predictions SET {column} = ? WHERE sequence = 4", (value,))

    seen = audit(ledger)
    problems = {finding.problem.value for finding, _ in seen.findings if finding.table == "predictions"}
    assert "schema_altered" in problems and problems & {"altered", "unreadable"}
    assert all(finding.where.isprintable() and finding.says.isprintable() for finding, _ in seen.findings)


# Deleted, inserted and exchanged rows -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ((1,), [("missing", 1, 1)]),
        ((1, 2, 3), [("missing", 1, 3)]),
        ((4,), [("missing", 4, 4)]),
        ((3, 4, 7), [("missing", 3, 4), ("missing", 7, 7)]),
        ((9,), [("missing_at_end", 9, 9)]),
        ((5, 8, 9), [("missing", 5, 5), ("missing_at_end", 8, 9)]),
        (range(1, 10), [("missing_at_end", 1, 9)]),
    ],
)
def test_deleted_rows_are_named_as_ranges(
    ledger: Path, gone: tuple[int, ...], says: list[tuple[str, int, int]]
) -> None:
    with attacker(ledger) as connection:
        for sequence in gone:
            connection.execute("DELETE FROM predictions WHERE sequence = ?", (sequence,))

    ranges = [
        (finding.problem.value, finding.sequence, finding.until)
        for finding, _ in audit(ledger).findings
        if finding.table == "predictions"
    ]
    assert ranges == says


def test_a_deleted_prediction_leaves_its_card_its_correction_and_its_feedback_behind(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("DELETE FROM predictions WHERE sequence = 2")

    assert {problem for problem, _, _ in found(ledger)} == {
        "missing",
        "card_unaccounted",
        "without_prediction",
    }


def test_rows_cut_off_together_with_their_head_are_found_by_heads_noted_before(ledger: Path) -> None:
    noted = heads(ledger)
    with attacker(ledger) as connection:
        connection.execute("DELETE FROM feedback WHERE sequence > 8")
        last = row(connection, "feedback", 8)["hash"]
        connection.execute("UPDATE chain_heads SET sequence = 8, hash = ? WHERE chain = 'feedback'", (last,))

    assert found(ledger) == []
    assert found(ledger, noted) == [("noted_head_gone", "feedback", 10)]


def forged(connection: sqlite3.Connection, sequence: int, **differences: Any) -> dict[str, Any]:
    like = row(connection, "predictions", 4)
    changed = {**like, "prediction_id": "forged", "cards_returned": None, "sequence": sequence}
    return {**changed, **differences}


def test_a_row_added_at_the_end_with_a_right_hash_stands_after_the_head(ledger: Path) -> None:
    with attacker(ledger) as connection:
        last = row(connection, "predictions", 9)["hash"]
        insert(connection, "predictions", hashed("predictions", forged(connection, 10, previous_hash=last)))

    assert found(ledger) == [("after_head", "predictions", 10)]


def test_a_row_added_at_the_end_with_a_wrong_hash_is_altered_as_well(ledger: Path) -> None:
    with attacker(ledger) as connection:
        insert(connection, "predictions", forged(connection, 10))

    assert ("altered", "predictions", 10) in found(ledger)


@pytest.mark.parametrize(
    ("previous_of", "problem"), [(4, "rewritten"), (6, "inserted")], ids=["linked", "not linked"]
)
def test_a_forged_row_with_a_right_hash_is_given_away_by_the_rows_beside_it(
    ledger: Path, previous_of: int, problem: str
) -> None:
    with attacker(ledger) as connection:
        before = row(connection, "predictions", previous_of)["hash"]
        stored = hashed("predictions", {**row(connection, "predictions", 5), "previous_hash": before})
        stored = hashed("predictions", {**stored, "score": 0.01})
        replace(connection, "predictions", 5, stored)

    assert found(ledger) == [(problem, "predictions", 5)]


def test_a_second_row_with_the_same_place_is_named(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("DROP INDEX predictions_by_sequence")
        insert(connection, "predictions", hashed("predictions", forged(connection, 4)))

    named = found(ledger)
    assert ("duplicate", "predictions", 4) in named
    assert ("schema_missing", "predictions_by_sequence", None) in named


@pytest.mark.parametrize(("one", "other"), [(3, 7), (1, 9), (4, 5)])
def test_two_rows_that_changed_places_are_named_with_the_place_they_came_from(
    ledger: Path, one: int, other: int
) -> None:
    with attacker(ledger) as connection:
        for sequence, to in ((one, -1), (other, one), (-1, other)):
            connection.execute("UPDATE predictions SET sequence = ? WHERE sequence = ?", (to, sequence))

    ((finding, further),) = audit(ledger).findings
    assert (finding.problem.value, finding.sequence, further) == ("moved", one, 1)
    assert finding.detail == f"row {other}"


def test_two_rows_whose_contents_were_exchanged_are_named(ledger: Path) -> None:
    with attacker(ledger) as connection:
        first, second = row(connection, "predictions", 3), row(connection, "predictions", 7)
        connection.execute("DELETE FROM predictions WHERE sequence IN (3, 7)")
        insert(connection, "predictions", {**second, "sequence": 3})
        insert(connection, "predictions", {**first, "sequence": 7})

    assert found(ledger) == [("moved", "predictions", 3)]


@pytest.mark.parametrize("table", CHAINED)
def test_a_chain_written_anew_to_its_end_is_found_by_heads_noted_before(ledger: Path, table: str) -> None:
    noted = heads(ledger)
    column = {"predictions": "score", "corrections": "delivery", "feedback": "reason_code"}.get(table, "why")
    with attacker(ledger) as connection:
        rewrite_from(connection, table, 2, **{column: 0.001 if column == "score" else "other"})

    assert found(ledger) == [], "nothing inside the file can tell"
    assert found(ledger, noted) == [("noted_head_differs", table, noted_at(noted, table))]


def noted_at(noted: list[NotedHead], table: str) -> int:
    return next(head.sequence for head in noted if head.chain == table)


def test_heads_noted_before_still_fit_when_more_was_written(ledger: Path) -> None:
    noted = heads(ledger)
    write(ledger, [20, 21])

    assert found(ledger, noted) == []


def test_a_noted_head_of_a_table_nobody_has_is_gone(ledger: Path) -> None:
    noted = [NotedHead("predictions; DROP TABLE cards", WRITER, 1, "0")]

    assert [problem for problem, _, _ in found(ledger, noted)] == ["noted_head_gone"]


# Heads and starts -------------------------------------------------------------------------------------------

SET_HEAD = "UPDATE chain_heads SET {} WHERE chain = 'predictions'"
HEADS: list[tuple[str, str, tuple[str, int | None]]] = [
    ("deleted", "DELETE FROM chain_heads WHERE chain = 'predictions'", ("no_head", None)),
    ("of another hash", SET_HEAD.format("hash = 'ab'"), ("head_differs", 9)),
    ("set back", SET_HEAD.format("sequence = 7"), ("after_head", 8)),
    ("set forward", SET_HEAD.format("sequence = 12"), ("missing_at_end", 10)),
    ("no number", SET_HEAD.format("sequence = 'x'"), ("head_unreadable", None)),
]


@pytest.mark.parametrize(("statement", "says"), [case[1:] for case in HEADS], ids=[case[0] for case in HEADS])
def test_a_head_that_was_tampered_with_is_found(
    ledger: Path, statement: str, says: tuple[str, int | None]
) -> None:
    with attacker(ledger) as connection:
        connection.execute(statement)

    assert (says[0], "predictions", says[1]) in found(ledger)


def test_a_renamed_writer_follows_the_chain_of_the_one_before(ledger: Path) -> None:
    write(ledger, [20, 21, 22], writer="renamed-0")

    assert found(ledger) == []
    with attacker(ledger) as connection:
        first = row(connection, "predictions", 1, "renamed-0")
        assert first["previous_hash"] == row(connection, "predictions", 9)["hash"]


def test_a_writer_whose_start_names_no_row_is_found(ledger: Path) -> None:
    write(ledger, [20, 21], writer="renamed-0")
    with attacker(ledger) as connection:
        connection.execute("DELETE FROM predictions WHERE writer = ?", (WRITER,))
        connection.execute("DELETE FROM chain_heads WHERE writer = ?", (WRITER,))

    assert ("start_unknown", "predictions", 1) in found(ledger)


def test_a_second_chain_that_starts_from_nothing_is_found(ledger: Path) -> None:
    with attacker(ledger) as connection:
        alone = forged(connection, 1, writer="stranger-0", previous_hash=None)
        insert(connection, "predictions", hashed("predictions", alone))

    ((finding, _),) = [one for one in audit(ledger).findings if one[0].problem.value == "two_starts"]
    assert (finding.writer, finding.detail) == ("stranger-0", WRITER)


# Beside the chains ------------------------------------------------------------------------------------------

OF_THREE = "WHERE prediction_id = 'prediction-3'"
BESIDE: list[tuple[str, str, str]] = [
    ("a card moved", f"UPDATE cards SET prediction_id = 'prediction-4' {OF_THREE}", "card_unaccounted"),
    ("a card gone", f"DELETE FROM cards {OF_THREE}", "card_missing"),
    ("a corrected card gone", "DELETE FROM cards WHERE card_uuid = 'late-2'", "card_missing"),
    ("a card added", "INSERT INTO cards VALUES ('forged', 'prediction-3')", "card_unaccounted"),
    ("a card of nobody", "INSERT INTO cards VALUES ('forged', 'nobody')", "card_unaccounted"),
    ("a file altered", "UPDATE kept_files SET content = x'00'", "file_altered"),
    ("a file turned into text", "UPDATE kept_files SET content = CAST(content AS TEXT)", "file_altered"),
    ("a file gone", "DELETE FROM kept_files", "file_missing"),
    ("a file renamed", "UPDATE kept_files SET digest = 'sha256:00'", "file_missing"),
]


@pytest.mark.parametrize(
    ("statement", "problem"), [case[1:] for case in BESIDE], ids=[case[0] for case in BESIDE]
)
def test_what_stands_beside_the_chains_is_compared_with_them(
    ledger: Path, statement: str, problem: str
) -> None:
    with attacker(ledger) as connection:
        connection.execute(statement)

    assert problem in {named for named, _, _ in found(ledger)}


def test_the_first_prediction_that_lacks_its_file_is_named(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("DELETE FROM kept_files")

    ((finding, _),) = audit(ledger).findings
    assert (finding.prediction_id, finding.detail) == (prediction_id(1), "plan")


# The database itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_a_dropped_trigger_is_told_of(ledger: Path, table: str, verb: str) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute(f"DROP TRIGGER {table}_no_{verb}")
    connection.close()

    assert found(ledger) == [("schema_missing", f"{table}_no_{verb}", None)]


def test_a_trigger_that_no_longer_refuses_is_told_of(ledger: Path) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute("DROP TRIGGER cards_no_update")
        connection.execute("CREATE TRIGGER cards_no_update BEFORE UPDATE ON cards BEGIN SELECT 1; END")
    connection.close()

    assert found(ledger) == [("schema_altered", "cards_no_update", None)]


def test_a_trigger_that_alters_what_is_written_is_told_of(ledger: Path) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute(
            "CREATE TRIGGER quiet AFTER INSERT ON predictions BEGIN DELETE FROM cards WHERE 0; END"
        )
    connection.close()

    assert found(ledger) == [("schema_added", "quiet", None)]


def test_triggers_dropped_a_row_rewritten_and_triggers_made_again_is_still_found(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("UPDATE predictions SET caveat_level = 'supported' WHERE sequence = 6")

    assert found(ledger) == [("altered", "predictions", 6)]


def test_a_table_that_is_gone_is_damage_and_no_exception(ledger: Path) -> None:
    with attacker(ledger, covers_tracks=False) as connection:
        connection.execute("DROP VIEW feedback_v1")
        connection.execute("DROP TABLE feedback")

    named = found(ledger)
    assert ("damaged", "feedback", None) in named and ("schema_missing", "feedback", None) in named


def test_a_row_taken_out_of_the_index_it_is_read_by_is_found(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        partial = "CREATE UNIQUE INDEX predictions_by_sequence ON predictions (writer, sequence)"
        connection.execute("DROP INDEX predictions_by_sequence")
        connection.execute(f"{partial} WHERE sequence <> 4")
        connection.execute(
            "UPDATE sqlite_master SET sql = ? WHERE name = 'predictions_by_sequence'", (partial,)
        )

    named = {problem for problem, _, _ in found(ledger)}
    assert named == {"hidden_rows", "missing"} or "damaged" in named


def test_overwritten_pages_are_damage_and_no_exception(ledger: Path) -> None:
    write(ledger, range(100, 160))
    content = bytearray(ledger.read_bytes())
    quarter = len(content) // 4
    content[-quarter:] = b"\xaa" * quarter
    ledger.write_bytes(bytes(content))

    assert any(problem == "damaged" for problem, _, _ in found(ledger))


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"x" * 5000), Path.touch, lambda path: None])
def test_what_is_no_ledger_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "other.db")

    with pytest.raises(LedgerUnavailable, match=r"other\.db"):
        audit(tmp_path / "other.db")


def test_an_audit_writes_nothing(ledger: Path) -> None:
    before = ledger.read_bytes()
    audit(ledger)

    assert ledger.read_bytes() == before


def test_findings_can_be_given_to_a_script(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("DELETE FROM predictions WHERE sequence IN (4, 5)")

    first = audit(ledger).findings[0][0].document()
    assert json.loads(json.dumps(first)) == first
    assert (first["problem"], first["sequence"], first["until"]) == ("missing", 4, 5)


def test_every_row_the_forms_know_is_read_by_the_audit() -> None:
    assert set(FORMS) == set(CHAINED)


def test_the_cards_of_the_examples_are_those_their_predictions_name(ledger: Path) -> None:
    with sqlite3.connect(ledger) as connection:
        held = connection.execute(
            "SELECT card_uuid FROM cards WHERE prediction_id = 'prediction-3'"
        ).fetchall()
    connection.close()

    assert held == [(card_of(prediction_id(3)),)]


def test_an_erasure_behind_the_head_does_not_switch_the_head_off(ledger: Path) -> None:
    with attacker(ledger) as connection:
        last = row(connection, "predictions", PREDICTIONS)
        replace(connection, "predictions", PREDICTIONS, hashed("predictions", {**last, "score": 0.999}))
        forged_hash = row(connection, "predictions", PREDICTIONS)["hash"]
        connection.execute(
            "INSERT INTO erasures VALUES ('predictions', ?, ?, 'f', ?, '2027-03-04T12:00:00.000Z', 'due')",
            (WRITER, PREDICTIONS + 1, forged_hash),
        )
    assert Problem.AFTER_HEAD in {finding.problem for finding, _ in audit(ledger).findings}


def test_a_trigger_that_hides_under_a_name_of_sqlites_own_is_found_and_a_row_it_swallows_is_missed(
    ledger: Path,
) -> None:
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TRIGGER swallow BEFORE INSERT ON predictions BEGIN SELECT RAISE(IGNORE); END"
        )
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET name = 'sqlite_stat_x', sql = replace(sql, 'swallow', 'sqlite_stat_x')"
            " WHERE name = 'swallow'"
        )
    assert Problem.SCHEMA_ADDED in {finding.problem for finding, _ in audit(ledger).findings}
    file = LedgerFile(ledger, WRITER)
    file.begin()
    with pytest.raises(RowKeptOut):
        file.add_predictions([Waiting(entry(prediction_id="swallowed"), timedelta())])
    file.discard()


def test_an_index_that_hides_rows_is_found(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = sql || ' WHERE sequence > 5' WHERE name = 'predictions_by_time'"
        )
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("REINDEX predictions_by_time")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' WHERE sequence > 5', '')"
            " WHERE name = 'predictions_by_time'"
        )
    assert Problem.DAMAGED in {finding.problem for finding, _ in audit(ledger).findings}
