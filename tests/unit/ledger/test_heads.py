"""What the committer's connection writes: places, chains and heads, and what it notices when it opens."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import LedgerFile, prepare
from cds_wrapper.ledger.entries import Correction, Stamp, Waiting
from cds_wrapper.ledger.heads import HeadProblem, HeadTrouble
from tests.unit.ledger.attacks import PREDICTIONS, WRITER, attacker, found, row, written
from tests.unit.ledger.examples import NOON, entry


def waiting(*prediction_ids: str) -> list[Waiting]:
    return [Waiting(entry(prediction_id=one), timedelta(milliseconds=2)) for one in prediction_ids]


def sequences(stamps: list[Stamp | None]) -> list[int | None]:
    return [stamp.sequence if stamp else None for stamp in stamps]


@pytest.fixture
def file(tmp_path: Path) -> LedgerFile:
    prepare(tmp_path / "ledger.db")
    return LedgerFile(tmp_path / "ledger.db", WRITER)


def test_a_prediction_that_is_recorded_already_takes_no_place_and_its_neighbours_are_written(
    file: LedgerFile,
) -> None:
    file.begin()
    assert sequences(file.add_predictions(waiting("a", "b", "a", "c"))) == [1, 2, None, 3]
    file.commit()
    file.begin()
    assert sequences(file.add_predictions(waiting("b"))) == [None]
    assert sequences(file.add_predictions(waiting("d", "c", "e"))) == [4, None, 5]
    file.commit()
    file.discard()

    assert audit(file.path).findings == ()


def test_several_calls_in_one_transaction_make_one_chain(file: LedgerFile) -> None:
    file.begin()
    spooled, fresh = file.add_predictions(waiting("a", "b")), file.add_predictions(waiting("c"))
    file.add_corrections([Correction("a", None), Correction("b", ("x",)), Correction("a", ("y",))])
    file.commit()
    file.discard()

    seen = audit(file.path)
    assert sequences(spooled + fresh) == [1, 2, 3]
    assert [(one.chain, one.rows) for one in seen.chains] == [("predictions", 3), ("corrections", 2)]
    assert seen.is_whole


def test_a_transaction_that_was_given_up_leaves_no_gap(file: LedgerFile) -> None:
    file.begin()
    file.add_predictions(waiting("a", "b"))
    file.discard()
    file.begin()
    assert sequences(file.add_predictions(waiting("c"))) == [1]
    file.commit()
    file.discard()

    assert audit(file.path).findings == ()


def test_a_recorded_time_may_be_given_and_is_kept_when_it_lies_ahead_of_the_one_before(
    file: LedgerFile,
) -> None:
    file.begin()
    stamps = file.add_predictions(
        [
            Waiting(entry(), timedelta(), NOON),
            Waiting(entry(), timedelta(), NOON - timedelta(seconds=1)),
            Waiting(entry(), timedelta(), NOON + timedelta(seconds=1)),
        ]
    )
    file.commit()
    file.discard()

    times = [stamp.recorded_at for stamp in stamps if stamp]
    assert times == [NOON, NOON, NOON + timedelta(seconds=1)]


def test_each_chain_begins_at_one_and_its_first_row_follows_nothing(tmp_path: Path) -> None:
    connection = sqlite3.connect(written(tmp_path / "ledger.db"))
    for table in ("predictions", "corrections", "feedback", "decisions"):
        first, second = row(connection, table, 1), row(connection, table, 2)
        assert first["previous_hash"] is None
        assert second["previous_hash"] == first["hash"] != second["hash"]
    connection.close()


def test_a_sound_ledger_has_no_problem_at_its_heads(tmp_path: Path) -> None:
    again = LedgerFile(written(tmp_path / "ledger.db"), WRITER)
    again.begin()

    assert again.head_problems == ()
    again.discard()


@pytest.mark.parametrize(
    ("statement", "trouble", "at"),
    [
        ("DELETE FROM predictions WHERE sequence > 7", HeadTrouble.ROWS_MISSING, 9),
        ("DELETE FROM predictions", HeadTrouble.ROWS_MISSING, 9),
        ("UPDATE predictions SET hash = 'ab' WHERE sequence = 9", HeadTrouble.OTHER_ROW, 9),
        ("UPDATE chain_heads SET hash = 'ab' WHERE chain = 'predictions'", HeadTrouble.OTHER_ROW, 9),
        ("UPDATE chain_heads SET sequence = 7 WHERE chain = 'predictions'", HeadTrouble.ROWS_ADDED, 7),
        ("UPDATE chain_heads SET sequence = 'x' WHERE chain = 'predictions'", HeadTrouble.NO_HEAD, 9),
        ("UPDATE chain_heads SET hash = x'00' WHERE chain = 'predictions'", HeadTrouble.OTHER_ROW, 9),
        ("DELETE FROM chain_heads WHERE chain = 'predictions'", HeadTrouble.NO_HEAD, 9),
    ],
)
def test_a_chain_with_another_end_is_noticed_and_records_are_written_all_the_same(
    tmp_path: Path, statement: str, trouble: HeadTrouble, at: int
) -> None:
    path = written(tmp_path / "ledger.db")
    with attacker(path) as connection:
        connection.execute(statement)
    again = LedgerFile(path, WRITER)
    again.begin()
    (stamp,) = again.add_predictions(waiting("after"))
    again.commit()
    again.discard()

    assert again.head_problems == (HeadProblem("predictions", WRITER, trouble, at),)
    assert stamp is not None and stamp.sequence == PREDICTIONS + 1


def test_rows_cut_off_at_the_end_stay_a_gap_for_ever(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db")
    with attacker(path) as connection:
        connection.execute("DELETE FROM feedback WHERE sequence > 6")
        connection.execute("DELETE FROM predictions WHERE sequence > 7")
        connection.execute("DELETE FROM cards")
    again = LedgerFile(path, WRITER)
    again.begin()
    again.add_predictions(waiting("after", "and after that"))
    again.commit()
    again.discard()

    assert ("missing", "predictions", 8) in found(path)
    with attacker(path) as connection:
        assert (
            row(connection, "predictions", 10)["previous_hash"] == row(connection, "predictions", 7)["hash"]
        )


@pytest.mark.parametrize("sequence", [2**63 - 1, 2**62, -5, 0])
def test_a_count_nobody_can_have_reached_does_not_stop_the_writer(tmp_path: Path, sequence: int) -> None:
    path = written(tmp_path / "ledger.db")
    with attacker(path) as connection:
        connection.execute("UPDATE chain_heads SET sequence = ?", (sequence,))
        connection.execute("UPDATE predictions SET sequence = ? WHERE sequence = 9", (2**63 - 1,))
        connection.execute("UPDATE predictions SET recorded_at = 'soon'")
    again = LedgerFile(path, WRITER)
    again.begin()
    (stamp,) = again.add_predictions(waiting("after"))
    again.commit()
    again.discard()

    assert again.head_problems and stamp is not None


def test_a_writer_whose_rows_were_all_erased_goes_on_with_its_count(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db")
    with attacker(path) as connection:
        for chain in ("predictions", "corrections", "feedback"):
            connection.execute(
                "INSERT INTO erasures"
                f" SELECT '{chain}', writer, sequence, hash, previous_hash, 't', 'r' FROM {chain}"
            )
            connection.execute(f"DELETE FROM {chain}")
        connection.execute("DELETE FROM cards")
    for writer, sequence in ((WRITER, PREDICTIONS + 1), ("renamed-0", 1)):
        file = LedgerFile(path, writer)
        file.begin()
        (stamp,) = file.add_predictions(waiting(writer))
        file.commit()
        file.discard()
        assert file.head_problems == () and stamp is not None
        assert stamp.sequence == sequence and stamp.previous_hash is not None

    assert found(path) == []
