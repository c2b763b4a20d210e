"""Reviews, editions and findings in the ledger: written whole, never altered, and read again as they were."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.database import connect, prepare
from cds_wrapper.ledger.edition_values import NewEdition, NewReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import (
    close_finding,
    findings_in,
    kept_in,
    published_in,
    record_review,
    review_result,
    reviews_in,
)
from cds_wrapper.ledger.entries import KeptFile
from tests.unit.ledger.attacks import attacker, write

SUBJECT = Subject("cvd-risk", "prevent", "2023.1")
DAY = date(2026, 9, 30)
BOOK = KeptFile("sha256:" + "a" * 64, "edition", "2026-09-30.aaaaaaaa", b"{}")
FINDING = StoredFinding(
    "here-1",
    SUBJECT,
    "cvd",
    "group_drift",
    {"race": ("black",), "age_band": ("30-39",)},
    False,
    "scores_too_low",
    DAY,
    {"ratio": 1.9, "log_evidence": 7.0},
    "r1",
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def review(number: int = 1) -> NewReview:
    return NewReview(f"r{number}", SUBJECT, DAY + timedelta(days=number - 1), b'{"n": 1}', dated=number)


def edition(number: int = 1, local: bytes = b"{}") -> NewEdition:
    return NewEdition(f"e{number}", f"2026-09-30.{number:08}", BOOK, local)


def test_a_review_with_what_it_opened_and_published_is_read_again_as_it_was(ledger: Path) -> None:
    record_review(ledger, review(), [FINDING], edition())
    (published,) = published_in(ledger)["cvd-risk"]
    assert (published.edition_id, published.subject, published.as_of) == ("e1", SUBJECT, DAY)
    assert kept_in(ledger, published.local_digest) == b"{}"
    assert findings_in(ledger) == (FINDING,)
    (past,) = reviews_in(ledger, "cvd-risk")
    assert (past.as_of, past.subject, past.dated) == (DAY, SUBJECT, 1)
    assert review_result(ledger, past.result_digest) == b'{"n": 1}'
    assert reviews_in(ledger, "another") == ()


def test_the_latest_edition_comes_first_and_others_stay(ledger: Path) -> None:
    for number in (1, 2, 3):
        record_review(ledger, review(number), (), edition(number) if number != 2 else None)
    assert [one.edition_id for one in published_in(ledger)["cvd-risk"]] == ["e3", "e1"]
    assert [past.as_of.day for past in reviews_in(ledger, "cvd-risk")] == [30, 1, 2]


def test_a_row_nobody_could_have_written_does_not_hide_the_edition_before(ledger: Path) -> None:
    record_review(ledger, review(), (), edition())
    with attacker(ledger) as database:
        database.execute(
            "INSERT INTO editions SELECT 99, 'bad', review_id, 'yesterday', service_id, model_id,"
            " model_version, edition, digest, as_of, local_digest, wrapper_version FROM editions"
        )
    assert [one.edition_id for one in published_in(ledger)["cvd-risk"]] == ["e1"]


@pytest.mark.parametrize("table", ["reviews", "editions", "findings"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET model_id = 'x'", "DELETE FROM {}"])
def test_what_was_written_stays(ledger: Path, table: str, statement: str) -> None:
    record_review(ledger, review(), [FINDING], edition())
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement.format(table))


def test_a_review_that_cannot_be_written_whole_leaves_nothing(ledger: Path) -> None:
    record_review(ledger, review(), [FINDING], edition())
    with pytest.raises(LedgerUnavailable, match="NOT recorded"):
        record_review(ledger, review(2), [FINDING], edition(2))
    assert len(reviews_in(ledger, "cvd-risk")) == 1
    assert len(published_in(ledger)["cvd-risk"]) == 1


def test_a_finding_stands_until_two_roles_close_it(ledger: Path) -> None:
    record_review(ledger, review(), [FINDING, replace(FINDING, finding_id="here-2")])
    assert close_finding(ledger, "here-1", "clinical owner", "chair", "explained by a test") == FINDING
    closed, still = findings_in(ledger, "cvd-risk")
    assert closed.review_id == "r1", "it is known by which review it was opened"
    assert (closed.is_open, closed.closed_by, closed.why) == (
        False,
        ("clinical owner", "chair"),
        "explained by a test",
    )
    assert (closed.groups, closed.since, closed.detail) == (FINDING.groups, FINDING.since, FINDING.detail)
    assert still.is_open
    assert close_finding(ledger, "here-1", "a", "b", "again") is None
    assert close_finding(ledger, "here-9", "a", "b", "none") is None
    assert findings_in(ledger, "another") == ()


def test_a_kept_file_that_was_altered_is_none(ledger: Path) -> None:
    record_review(ledger, review(), (), edition())
    (published,) = published_in(ledger)["cvd-risk"]
    with attacker(ledger) as database:
        database.execute("UPDATE kept_files SET content = ? WHERE kind = 'local_evidence'", (b"other",))
    assert kept_in(ledger, published.local_digest) is None


def test_without_a_ledger_it_is_said_where_one_was_looked_for(tmp_path: Path) -> None:
    for act in (
        lambda: published_in(tmp_path / "none.db"),
        lambda: record_review(tmp_path / "none.db", review()),
    ):
        with pytest.raises(LedgerUnavailable, match="no ledger at"):
            act()


def test_a_locked_ledger_is_waited_for_and_then_told_of(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked by another process"):
            record_review(ledger, review(), patience=timedelta(milliseconds=10))


# From an earlier release ------------------------------------------------------------------------------------


def earlier(path: Path) -> None:
    """Bring a ledger back to what the release before monitoring wrote."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for kind in ("view", "table"):
            names = database.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,)).fetchall()
            for (name,) in names:
                if name.removesuffix("_v1") in {"reviews", "editions", "findings"}:
                    database.execute(f"DROP {kind} {name}")
        database.execute("PRAGMA user_version = 4")


def test_a_ledger_of_the_release_before_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    write(path, range(1, 10))
    with contextlib.closing(connect(path)) as database:
        new = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        rows = database.execute("SELECT * FROM predictions ORDER BY rowid").fetchall()
    earlier(path)
    with contextlib.closing(connect(path)) as database:
        assert database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall() == new
        assert database.execute("SELECT * FROM predictions ORDER BY rowid").fetchall() == rows
        assert database.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA,)
    record_review(path, review(), [FINDING], edition())
