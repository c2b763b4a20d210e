"""Whoever waits for a record, and for how long: time-outs, cancellation, a lock that is not let go of."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from tests.unit.ledger.examples import LONG_ENOUGH, count, entry, opened


class Locked:
    """Another connection that holds the write lock."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")
        self._connection.close()


SOON = LONG_ENOUGH / 200


async def test_while_somebody_holds_the_lock_appends_give_up_in_time_and_their_rows_never_appear(
    ledger: SQLiteLedger,
) -> None:
    with Locked(ledger.path):
        results = await asyncio.gather(
            *(ledger.append(entry(), SOON) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, LedgerUnavailable) for result in results)
        assert (ledger.available, ledger.health.queue_depth) == (False, 0)
    receipt = await ledger.append(entry(), LONG_ENOUGH)

    assert receipt.sequence == 1
    assert (count(ledger.path), count(ledger.path, "corrections")) == (1, 0)
    assert ledger.available


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
        assert not ledger.available
    await asyncio.wait_for(until_available(ledger), LONG_ENOUGH.total_seconds())

    assert count(ledger.path) == 0


async def until_available(ledger: SQLiteLedger) -> None:
    while not ledger.available:
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
