"""Whoever waits for a record, and for how long: time-outs, cancellation, a lock that is not let go of."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.database import LedgerFile, prepare
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from tests.unit.ledger.examples import LONG_ENOUGH, Locked, count, entry, opened

SOON = LONG_ENOUGH / 200


async def test_while_somebody_holds_the_lock_appends_give_up_in_time_and_their_rows_never_appear(
    ledger: SQLiteLedger,
) -> None:
    with Locked(ledger.path):
        results = await asyncio.gather(
            *(ledger.append(entry(), SOON) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, LedgerUnavailable) for result in results)
        assert (ledger.health.available, ledger.health.queue_depth) == (False, 0)
    receipt = await ledger.append(entry(), LONG_ENOUGH)

    assert receipt.sequence == 1
    assert (count(ledger.path), count(ledger.path, "corrections")) == (1, 0)
    assert ledger.health.available


async def test_an_append_that_can_wait_longer_than_the_lock_is_held_succeeds(ledger: SQLiteLedger) -> None:
    with Locked(ledger.path):
        waiting = asyncio.create_task(ledger.append(entry(), LONG_ENOUGH))
        await asyncio.sleep(0.3)
        assert not waiting.done()

    assert (await waiting).sequence == 1


async def test_a_cancelled_append_withdraws_its_row(ledger: SQLiteLedger) -> None:
    with Locked(ledger.path):
        waiting = asyncio.create_task(ledger.append(entry(), LONG_ENOUGH))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await ledger.append(entry(), LONG_ENOUGH)

    assert count(ledger.path) == 1


async def test_a_full_queue_refuses_at_once(ledger: SQLiteLedger) -> None:
    with Locked(ledger.path):
        waiting = [asyncio.create_task(ledger.append(entry(), LONG_ENOUGH)) for _ in range(1024)]
        await asyncio.sleep(0.05)
        with pytest.raises(LedgerUnavailable, match="more to write"):
            await ledger.append(entry(), LONG_ENOUGH)

    assert len({receipt.sequence for receipt in await asyncio.gather(*waiting)}) == 1024


async def test_a_ledger_nobody_writes_to_notices_by_itself_that_it_can_write_again(
    ledger: SQLiteLedger,
) -> None:
    with Locked(ledger.path):
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entry(), SOON)
        assert not ledger.health.available
    await asyncio.wait_for(until_available(ledger), LONG_ENOUGH.total_seconds())

    assert count(ledger.path) == 0


async def until_available(ledger: SQLiteLedger) -> None:
    while not ledger.health.available:
        await asyncio.sleep(0.05)


def truth_violations(path: Path, told: dict[str, str]) -> list[str]:
    """Predictions whose record and whose caller disagree: the one thing that must not be."""
    query = "SELECT prediction_id, delivery FROM predictions_v1"
    delivery = {row["prediction_id"]: row["delivery"] for row in LedgerReader(path).rows(query)}
    allowed: dict[str, set[str | None]] = {"durable": {"sent"}, "gone": {None, "not_returned"}}
    return [one for one, outcome in told.items() if delivery.get(one) not in allowed[outcome]]


async def test_whoever_waits_gives_up_or_is_cancelled_the_record_agrees_with_what_they_were_told(
    tmp_path: Path,
) -> None:
    """1,500 appends with waits from nothing to ample, a third cancelled, while the lock comes and goes."""
    ledger = await opened(tmp_path / "ledger.db", host="host")
    told: dict[str, str] = {}

    async def append(number: int) -> None:
        await asyncio.sleep(number % 50 / 100)
        told[str(number)] = "gone"
        waiting = asyncio.create_task(
            ledger.append(entry(prediction_id=str(number)), LONG_ENOUGH / 30_000 * (number % 97) ** 1.5)
        )
        if number % 3 == 0:
            await asyncio.sleep(number % 11 / 1000)
            waiting.cancel()
        try:
            await waiting
        except (LedgerUnavailable, asyncio.CancelledError):
            return
        told[str(number)] = "durable"

    ended = threading.Event()

    def interfere() -> None:
        while not ended.wait(0.013):
            with Locked(ledger.path):
                ended.wait(0.02)

    interference = threading.Thread(target=interfere)
    interference.start()
    await asyncio.gather(*(append(number) for number in range(1500)))
    ended.set()
    interference.join()
    await ledger.close()

    assert truth_violations(ledger.path, told) == []
    assert set(told.values()) == {"durable", "gone"}
    rows = LedgerReader(ledger.path).rows("SELECT count(*) AS n, max(sequence) AS last FROM predictions")
    assert rows[0]["n"] == rows[0]["last"]


async def test_closing_while_the_lock_is_held_for_good_gives_up_and_tells_who_waits(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    with Locked(ledger.path):
        waiting = asyncio.create_task(ledger.append(entry(), LONG_ENOUGH))
        await asyncio.sleep(0.05)
        await ledger.close(patience=SOON)
        with pytest.raises(LedgerUnavailable, match="closed before"):
            await waiting

    assert count(ledger.path) == 0


def lies_once() -> Callable[[LedgerFile], None]:
    """A commit that is written and, the first time, reported as failed by the disk."""
    real, commits = LedgerFile.commit, 0

    def commit(file: LedgerFile) -> None:
        nonlocal commits
        commits += 1
        real(file)
        if commits == 1:
            raise sqlite3.OperationalError("disk I/O error")

    return commit


async def test_a_commit_that_only_said_it_failed_is_corrected_even_when_the_ledger_is_closed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    await ledger.open()
    monkeypatch.setattr(LedgerFile, "commit", lies_once())
    with pytest.raises(LedgerUnavailable):
        await ledger.append(entry(), LONG_ENOUGH, if_late=["instead"])
    await ledger.close()

    (row,) = LedgerReader(tmp_path / "ledger.db").recent(1)
    assert (row["delivery"], row["cards_returned"]) == ("not_returned", ["instead"])


async def test_feedback_on_the_card_that_was_returned_in_its_stead_belongs_to_the_prediction(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = entry()
    monkeypatch.setattr(LedgerFile, "commit", lies_once())
    with pytest.raises(LedgerUnavailable):
        await ledger.append(late, LONG_ENOUGH, if_late=["instead"])
    await ledger.append(entry(), LONG_ENOUGH)  # writes the correction first or with it
    await ledger.append(entry(), LONG_ENOUGH)
    given = read_feedback_entry(
        {"card": "instead", "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"},
        "cvd-risk",
        "demonstration",
        datetime(2026, 6, 30, 12, tzinfo=UTC),
    )
    assert isinstance(given, FeedbackEntry)
    await ledger.append_feedback([given], LONG_ENOUGH)

    (stored,) = LedgerReader(ledger.path).feedback(late.prediction_id)
    assert stored["matched"]


def test_a_file_that_is_not_ours_keeps_its_mode(tmp_path: Path) -> None:
    for name, make in (("folder", Path.mkdir), ("other.db", other_database)):
        path = tmp_path / name
        make(path)
        path.chmod(0o755)
        with pytest.raises(ConfigurationRefused):
            prepare(path)
        assert path.stat().st_mode & 0o777 == 0o755


def other_database(path: Path) -> None:
    """A database of another program."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
