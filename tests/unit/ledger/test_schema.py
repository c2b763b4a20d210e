from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.columns import COLUMNS, DECISION_COLUMNS, FEEDBACK_VIEW_COLUMNS
from cds_wrapper.ledger.database import connect, prepare
from cds_wrapper.ledger.entries import Correction, Stamp
from cds_wrapper.ledger.feedback import FeedbackEntry
from tests.unit.ledger.examples import DEMOGRAPHICS, NOON, SUBGROUPS, attribute, card_of, entry


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    prepare(tmp_path / "ledger.db")
    connection = connect(tmp_path / "ledger.db")
    yield connection
    connection.close()


def add(database: sqlite3.Connection, sequence: int = 1, **differences: Any) -> None:
    row = entry(**differences).row(Stamp("host-0", sequence, NOON, timedelta()))
    database.execute(schema.INSERT_PREDICTION, row)


def add_feedback(database: sqlite3.Connection, prediction_id: str | None, at: datetime = NOON) -> None:
    given = FeedbackEntry(
        "cvd-risk", "demonstration", at, "card", "overridden", at, "raw", None, None, None, None, False, ()
    )
    database.execute(schema.INSERT_FEEDBACK, given.row("host-0", 1, prediction_id))


def correction(prediction_id: str, sequence: int, cards: tuple[str, ...] | None = None) -> Sequence[Any]:
    return Correction(prediction_id, cards).row(Stamp("host-0", sequence, NOON, timedelta()))


def names(database: sqlite3.Connection, view: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({view})")]


def test_the_views_have_the_columns_of_the_table_in_its_order(database: sqlite3.Connection) -> None:
    assert names(database, "predictions_v1") == [column.name for column in COLUMNS]
    assert names(database, "feedback_v1") == [column.name for column in FEEDBACK_VIEW_COLUMNS]
    assert names(database, "decisions_v1") == [column.name for column in DECISION_COLUMNS]


ROW_OF = {
    "predictions": "INSERT INTO predictions SELECT * FROM predictions WHERE 0",
    "cards": "INSERT INTO cards SELECT 'c', prediction_id FROM predictions",
    "corrections": "INSERT INTO corrections VALUES (1, 'w', 't', 'p', 'not_returned', NULL, NULL, 'h')",
    "feedback": "INSERT INTO feedback SELECT * FROM feedback WHERE 0",
    "decisions": (
        "INSERT INTO decisions"
        " VALUES (1, 'w', 't', 'd', 'order', 's', 'stop', 'r', NULL, 'y', '1', 'v', NULL, 'h')"
    ),
    "erasures": "INSERT INTO erasures VALUES ('feedback', 'w', 7, 'h', NULL, 't', 'retention')",
    "kept_files": "INSERT INTO kept_files VALUES ('d', 'plan', 'plan.yaml', x'00', 't')",
}


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET rowid_or_first = 1", "DELETE FROM {}"])
def test_a_written_row_is_neither_changed_nor_deleted(
    database: sqlite3.Connection, table: str, change: str
) -> None:
    add(database)
    add_feedback(database, "prediction")
    database.execute(ROW_OF[table])
    statement = change.format(table).replace("rowid_or_first", names(database, table)[0])

    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        database.execute(statement)


def test_a_correction_stands_over_delivery_and_cards_and_changes_nothing_else(
    database: sqlite3.Connection,
) -> None:
    for sequence, prediction_id in enumerate(("as-planned", "late", "late-and-unknown"), start=1):
        add(database, sequence, prediction_id=prediction_id)
    database.execute(schema.INSERT_CORRECTION, correction("late", 1, ("other",)))
    database.execute(schema.INSERT_CORRECTION, correction("late-and-unknown", 2))

    query = "SELECT prediction_id, delivery, cards_returned, status FROM predictions_v1 ORDER BY sequence"
    assert database.execute(query).fetchall() == [
        ("as-planned", "sent", f'["{card_of("as-planned")}"]', "answered"),
        ("late", "not_returned", '["other"]', "answered"),
        ("late-and-unknown", "not_returned", None, "answered"),
    ]


def subgroups(database: sqlite3.Connection, view: str) -> list[Sequence[Any]]:
    query = (
        "SELECT attribute, level, missing, scheme FROM prediction_subgroups_v1 WHERE view = ? ORDER BY 1, 2"
    )
    return database.execute(query, (view,)).fetchall()


def test_the_exclusive_view_has_one_row_per_attribute_and_per_declared_crossing(
    database: sqlite3.Connection,
) -> None:
    add(database)

    assert subgroups(database, "exclusive") == [
        ("age_band", "30-39", None, "example-1"),
        ("language", "missing:declined", "declined", "example-1"),
        ("payer", "missing:not_fetched", "not_fetched", None),
        ("race", "multiple", None, "example-1"),
        ("race*age_band", "multiple*30-39", None, None),
    ]


def test_the_other_view_counts_a_patient_in_each_of_their_groups(database: sqlite3.Connection) -> None:
    add(database)

    assert subgroups(database, "alone_or_in_combination") == [
        ("age_band", "30-39", None, "example-1"),
        ("language", "missing:declined", "declined", "example-1"),
        ("payer", "missing:not_fetched", "not_fetched", None),
        ("race", "asian", None, "example-1"),
        ("race", "black", None, "example-1"),
    ]


def test_every_attribute_adds_up_to_all_predictions_in_the_exclusive_view(
    database: sqlite3.Connection,
) -> None:
    add(database, 1)
    add(database, 2, demographics={**DEMOGRAPHICS, "race": attribute("white")}, subgroups=SUBGROUPS)
    add(database, 3, demographics={**DEMOGRAPHICS, "race": attribute(None, missing="absent")}, subgroups=[])

    query = "SELECT count(*) FROM prediction_subgroups_v1 WHERE attribute = 'race' AND view = 'exclusive'"
    assert database.execute(query).fetchone() == (3,)


def test_a_prediction_without_demographics_is_in_no_group(database: sqlite3.Connection) -> None:
    add(database, demographics=None, subgroups=None)

    assert subgroups(database, "exclusive") == []


def test_feedback_carries_delay_user_and_unit_of_its_prediction(database: sqlite3.Connection) -> None:
    add(database, prediction_id="p", unit="6W")
    add_feedback(database, "p", NOON + timedelta(minutes=2, milliseconds=250))

    query = "SELECT matched, delay_s, user_key, unit FROM feedback_v1"
    assert database.execute(query).fetchall() == [(1, 120.25, "u1:77d0a91b64c2e833", "6W")]


def test_feedback_for_an_unknown_card_is_kept_apart(database: sqlite3.Connection) -> None:
    add_feedback(database, None)

    query = "SELECT matched, prediction_id, delay_s, user_key FROM feedback_v1"
    assert database.execute(query).fetchall() == [(0, None, None, None)]


# Opening ----------------------------------------------------------------------------------------------------


def test_a_new_ledger_carries_its_schema_number_and_syncs_every_commit(database: sqlite3.Connection) -> None:
    pragmas = ("user_version", "application_id", "journal_mode", "synchronous", "wal_autocheckpoint")
    values = [database.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]

    assert values == [schema.SCHEMA, schema.APPLICATION, "wal", 2, 0]


def test_preparing_a_ledger_that_is_there_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "ledger.db")
    before = (tmp_path / "ledger.db").read_bytes()
    prepare(tmp_path / "ledger.db")

    assert (tmp_path / "ledger.db").read_bytes() == before


def test_an_unknown_schema_number_is_refused_in_one_sentence(tmp_path: Path) -> None:
    prepare(tmp_path / "ledger.db")
    with sqlite3.connect(tmp_path / "ledger.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(ConfigurationRefused, match="schema number 99; this version knows 5") as refusal:
        prepare(tmp_path / "ledger.db")
    assert "CDS_WRAPPER_LEDGER" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (id)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()

    with pytest.raises(ConfigurationRefused, match="another program's database"):
        prepare(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database\n" * 100)

    with pytest.raises(ConfigurationRefused, match="not an SQLite database"):
        prepare(tmp_path / "notes.txt")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="create its folder"):
        prepare(tmp_path / "missing" / "ledger.db")


def test_an_interrupted_creation_leaves_an_empty_file_that_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    prepare(tmp_path / "ledger.db")

    connection = connect(tmp_path / "ledger.db")
    assert names(connection, "predictions_v1")
    connection.close()
