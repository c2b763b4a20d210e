"""What is erased is gone from the file, its place in the chain stays, and the service goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction, Waiting
from cds_wrapper.ledger.retention import Due, Erasure, due, erase
from tests.unit.ledger.attacks import WRITER, attacker, feedback, found, heads, written
from tests.unit.ledger.examples import LONG_ENOUGH, NOON, card_of, count, entry, opened

LONG_AGO = NOON - timedelta(days=1000)
CUT = NOON - timedelta(days=760)
SECRET = "6W-the-ward-nobody-should-read"


def with_old_ones(path: Path, old: int = 5) -> Path:
    """A whole ledger with predictions of long ago behind it, each corrected and with feedback."""
    written(path)
    file = LedgerFile(path, WRITER)
    file.begin()
    entries = [
        entry(prediction_id=f"old-{n}", occurred_at=LONG_AGO, unit=f"{SECRET}-{n}" * 40) for n in range(old)
    ]
    file.add_predictions([Waiting(one, timedelta()) for one in entries])
    file.add_corrections([Correction(f"old-{n}", (f"late-old-{n}",)) for n in range(old)])
    file.add_feedback([feedback(card_of(f"old-{n}"), minutes=50) for n in range(old)])
    file.commit()
    file.discard()
    return path


def erased(path: Path) -> Erasure:
    return erase(path, CUT, "retention P25M", batch=2)


def test_old_predictions_go_with_all_that_was_written_about_them(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")

    assert due(path, CUT) == Due(5, 0)
    assert erased(path) == Erasure(5, 5, 5, log_is_empty=True)
    assert due(path, CUT) == Due(0, 0)
    for table in ("predictions", "corrections", "feedback"):
        assert leftover(path, f"SELECT count(*) FROM {table} WHERE prediction_id LIKE 'old-%'") == [(0,)]
    assert leftover(path, "SELECT count(*) FROM cards WHERE prediction_id LIKE 'old-%'") == [(0,)]
    assert count(path) == 9, "the others stay"


def test_feedback_that_came_before_an_old_prediction_goes_with_it(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db")
    file = LedgerFile(path, WRITER)
    file.begin()
    file.add_feedback([feedback(card_of("old-0"), minutes=50), feedback("unknown", minutes=51)])
    file.add_predictions([Waiting(entry(prediction_id="old-0", occurred_at=LONG_AGO), timedelta())])
    file.commit()
    file.discard()

    assert due(path, CUT) == Due(1, 0)
    assert erased(path) == Erasure(1, 0, 1, log_is_empty=True)
    assert leftover(path, "SELECT count(*) FROM feedback WHERE card_uuid = 'unknown'") == [(1,)]
    assert found(path) == []


def leftover(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_what_stays_of_an_erased_row_is_its_place_and_its_hashes(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    place = "writer, sequence, hash, previous_hash"
    before = leftover(
        path, f"SELECT 'predictions', {place} FROM predictions WHERE prediction_id LIKE 'old-%'"
    )
    erased(path)

    kept = f"SELECT chain, {place} FROM erasures WHERE chain = 'predictions' ORDER BY sequence"
    assert leftover(path, kept) == before
    assert [row[1] for row in leftover(path, "PRAGMA table_info(erasures)")] == [
        "chain", "writer", "sequence", "hash", "previous_hash", "erased_at", "reason",
    ]  # fmt: skip


def test_the_audit_stays_whole_and_counts_what_was_erased(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    noted = heads(path)
    erased(path)

    seen = audit(path, noted)
    assert seen.findings == ()
    assert [(one.chain, one.reason, one.rows) for one in seen.erased] == [
        (chain, "retention P25M", 5) for chain in ("corrections", "feedback", "predictions")
    ]
    assert {one.chain: one.erased for one in seen.chains} == {
        **dict.fromkeys(("predictions", "corrections", "feedback"), 5),
        "decisions": 0,
    }


def test_the_content_leaves_the_file_and_its_log(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db", old=40)
    assert holders(tmp_path.iterdir()) == ["ledger.db"]
    erased(path)

    assert holders(tmp_path.iterdir()) == []


def holders(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths if SECRET.encode() in path.read_bytes()]


def test_a_reader_that_keeps_an_older_copy_alive_is_told_of(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchone()

    assert not erase(path, CUT, "retention", patience=timedelta(milliseconds=100)).log_is_empty
    reader.close()
    assert erase(path, CUT, "retention").log_is_empty


def test_feedback_that_belongs_to_no_prediction_goes_by_its_own_time(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db")

    assert due(path, NOON + timedelta(days=1)) == Due(9, 1)
    assert erase(path, NOON + timedelta(days=1), "retention").feedback == 10
    assert found(path) == []


def test_erasing_again_changes_nothing(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    erased(path)
    before = leftover(path, "SELECT * FROM erasures ORDER BY rowid")

    assert erased(path) == Erasure(0, 0, 0, log_is_empty=True)
    assert leftover(path, "SELECT * FROM erasures ORDER BY rowid") == before


def test_a_run_that_was_broken_off_is_finished_by_the_next(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")

    def give_up(predictions: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase(path, CUT, "retention", batch=2, passed=give_up)
    assert found(path) == []
    assert due(path, CUT) == Due(3, 0)
    assert erased(path).predictions == 3


async def test_the_service_goes_on_writing_while_predictions_are_erased(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db", old=60)
    ledger = await opened(path, host="host")
    erasing = asyncio.create_task(asyncio.to_thread(erased, path))
    written_meanwhile = 0
    while not erasing.done():
        await ledger.append(entry(), LONG_ENOUGH)
        written_meanwhile += 1
    assert (await erasing).predictions == 60
    await ledger.append(entry(), LONG_ENOUGH)
    await ledger.close()

    assert ledger.health.records_total == written_meanwhile + 1
    assert found(path) == []


# What the rules of the schema refuse ------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["predictions", "corrections", "feedback"])
@pytest.mark.parametrize("column", ["writer", "sequence", "hash", "previous_hash", None])
def test_a_row_goes_only_when_its_own_place_and_hashes_were_noted(
    tmp_path: Path, table: str, column: str | None
) -> None:
    path = written(tmp_path / "ledger.db")
    connection = sqlite3.connect(path, isolation_level=None)
    kept = ["writer", "sequence", "hash", "previous_hash"]
    noted = ", ".join(f"{name} || '0'" if name == column else name for name in kept)
    connection.execute(
        f"INSERT INTO erasures SELECT '{table}', {noted}, 't', 'r' FROM {table} WHERE sequence = 2"
    )
    delete = f"DELETE FROM {table} WHERE sequence = 2"
    if column is None:
        assert connection.execute(delete).rowcount == 1
    else:
        with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
            connection.execute(delete)
    connection.close()


def test_a_card_goes_only_after_its_prediction(tmp_path: Path) -> None:
    connection = sqlite3.connect(written(tmp_path / "ledger.db"), isolation_level=None)

    with pytest.raises(sqlite3.IntegrityError, match="cards is append-only"):
        connection.execute("DELETE FROM cards WHERE prediction_id = 'prediction-3'")
    connection.close()


def test_an_erased_row_that_was_put_back_is_found(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    connection = sqlite3.connect(path)
    copied = connection.execute("SELECT * FROM predictions WHERE prediction_id = 'old-2'").fetchone()
    connection.close()
    erased(path)
    with attacker(path) as connection:
        connection.execute(f"INSERT INTO predictions VALUES ({', '.join('?' * len(copied))})", copied)

    assert ("erased_but_there", "predictions", 12) in found(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("hash = 'ab'", "erasure_misfit"),
        ("previous_hash = 'ab'", "erasure_misfit"),
        ("sequence = 700", "missing"),
        ("writer = 'other'", "missing"),
    ],
)
def test_what_stays_of_an_erased_row_cannot_be_altered_unseen(
    tmp_path: Path, change: str, problem: str
) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    erased(path)
    with attacker(path) as connection:
        connection.execute(f"UPDATE erasures SET {change} WHERE chain = 'predictions' AND sequence = 10")

    assert (problem, "predictions", 10) in found(path)


def test_a_file_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match=r"missing\.db cannot be written \(SQLITE_CANTOPEN\)"):
        erase(tmp_path / "missing.db", CUT, "retention")


def test_an_altered_row_keeps_no_other_from_being_erased(tmp_path: Path) -> None:
    path = with_old_ones(tmp_path / "ledger.db")
    with attacker(path) as connection:
        connection.execute("UPDATE predictions SET cards_returned = 'no json' WHERE prediction_id = 'old-1'")
    assert erased(path).predictions == 5
    assert due(path, CUT).predictions == 0
