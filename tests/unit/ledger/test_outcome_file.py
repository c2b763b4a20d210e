"""What retention erases of outcomes and episodes: what is about erased predictions, and nothing else."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import outcome_file, outcomes
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS
from cds_wrapper.ledger.outcome_file import erase_before, opened
from cds_wrapper.ledger.outcomes import FollowUp, Report, Reported, Subject, import_rows

CUT = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE, AFTER = CUT - timedelta(days=9), CUT + timedelta(days=9)


def imported(path: Path, *rows: Reported) -> None:
    for number, row in enumerate(rows):
        subject = Subject("readmission", "readmission", f"{row.outcome_id}-{number}", "csv")
        import_rows(path, subject, [(1, row)])


def left(path: Path, query: str = "SELECT outcome_id FROM outcomes ORDER BY sequence") -> list[str]:
    with opened(path) as connection:
        return [one for (one,) in connection.execute(query)]


def event(outcome_id: str, at: datetime | None) -> Reported:
    return Reported(outcome_id, Report.EVENT, patient_key="p1", happened_at=at)


def test_outcomes_from_before_the_moment_go_and_later_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    imported(path, event("old", BEFORE), event("new", AFTER), event("no time, imported now", None))

    assert erase_before(path, CUT) == (0, 1)
    assert left(path) == ["new", "no time, imported now"]


def test_a_replaced_version_does_not_stand_again(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    imported(path, event("moved", AFTER), replace(event("moved", AFTER), happened_at=BEFORE))
    imported(path, event("kept", BEFORE), replace(event("kept", BEFORE), happened_at=AFTER))

    erase_before(path, CUT)

    assert left(path, "SELECT outcome_id FROM outcomes_v1 WHERE is_current") == ["kept"]
    assert "moved" not in left(path)


def test_episodes_of_erased_predictions_go_with_their_further_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    with opened(path) as store:
        for name, at in (("old", "2025-12-23T00:00:00.000Z"), ("new", "2026-01-10T00:00:00.000Z")):
            values = {
                one.name: name if one.name == "episode_id" else at if one.name == "occurred_at" else 0
                for one in EPISODE_COLUMNS
            }
            marks = ", ".join("?" * len(values))
            store.execute(f"INSERT INTO episodes VALUES ({marks})", tuple(values.values()))
            further = (
                name,
                "readmission",
                "cost",
                "need",
                "cost",
                "pending",
                None,
                "2026-02-01",
                "2026-01-31",
            )
            store.execute(f"INSERT INTO episode_outcomes VALUES ({', '.join('?' * len(further))})", further)

    assert erase_before(path, CUT) == (1, 0)
    assert left(path, "SELECT episode_id FROM episodes") == ["new"]
    assert left(path, "SELECT episode_id FROM episode_outcomes") == ["new"]


def test_outcomes_stay_append_only_for_everybody_else(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    imported(path, event("new", AFTER))
    erase_before(path, CUT)

    with sqlite3.connect(path) as store, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.execute("DELETE FROM outcomes")


def test_what_is_erased_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    imported(path, replace(event("old", BEFORE), reason="a-reason-nobody-should-read"))
    erase_before(path, CUT)

    everything = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"a-reason-nobody-should-read" not in everything


def test_ctrl_c_ends_the_wait_for_another_import_or_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outcomes.db"
    monkeypatch.setattr(outcome_file, "TURN", timedelta(milliseconds=50))
    with opened(path) as other:
        other.execute("BEGIN IMMEDIATE")
        stop = threading.Timer(0.2, signal.raise_signal, (signal.SIGINT,))
        stop.start()
        with pytest.raises(KeyboardInterrupt), opened(path):
            pass


def test_whoever_waits_in_vain_for_another_import_or_review_is_told_for_how_long(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.db"
    patience = timedelta(milliseconds=20)
    with opened(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match=r"import or review for more than 0:00:00\.02"):
            with opened(path, patience):
                pass
    with opened(path, patience) as now:
        assert now.execute("SELECT COUNT(*) FROM outcomes").fetchone() == (0,)


def test_the_end_of_an_import_waits_for_a_review_as_its_batches_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outcomes.db"
    monkeypatch.setattr(outcome_file, "TURN", timedelta(milliseconds=20))
    with opened(path):
        pass
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    done = threading.Timer(0.5, other.execute, ("ROLLBACK",))

    def rows() -> Iterator[tuple[int, Reported]]:
        yield 1, event("new", AFTER)
        other.execute("BEGIN IMMEDIATE")
        done.start()

    subject = Subject("readmission", "readmission", "digest", "csv")
    # A batch of its own, so that the lock is met behind the last one.
    monkeypatch.setattr(outcomes, "BATCH", 1)
    import_rows(path, subject, rows(), [FollowUp(BEFORE.date(), AFTER.date(), None)])
    done.join()
    other.close()

    assert import_rows(path, subject, []).was_done
    assert left(path, "SELECT covers_from FROM follow_up") == [BEFORE.date().isoformat()]
