"""The spool stands in for the ledger, on real files and threads: in order, once each, as it was."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import desk, outage
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.ledger.queues import CHUNK
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from cds_wrapper.ledger.work import Committed
from tests.unit.ledger.examples import LONG_ENOUGH, Locked, card_of, count, entry, feedback, opened

A_MOMENT = LONG_ENOUGH / 200


@pytest.fixture(autouse=True)
def _trust_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of hold-off is right for a disk and long for a test."""
    monkeypatch.setattr(outage, "HOLD_OFF", outage.HOLD_OFF / 20)
    monkeypatch.setattr(outage, "LONGEST_HOLD_OFF", outage.LONGEST_HOLD_OFF / 20)
    monkeypatch.setattr(outage, "RETRY_AFTER", outage.RETRY_AFTER / 20)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SQLiteLedger]:
    """A ledger with a spool beside it."""
    open_ledger = await spooling(tmp_path)
    yield open_ledger
    await open_ledger.close()


async def spooling(folder: Path, **options: Any) -> SQLiteLedger:
    return await opened(folder / "ledger.db", spool=folder / "spool", host="host", **options)


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Callers soon leave a ledger that does not answer, and the spool has as long as it needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "_LONGEST", 0.075)
        yield


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail when that takes far too long."""
    async with asyncio.timeout(LONG_ENOUGH.total_seconds()):
        while not condition():
            await asyncio.sleep(0.01)


async def drained(ledger: SQLiteLedger) -> None:
    """Return when the ledger is used again; a spool that is empty may still take the next record."""
    await until(lambda: ledger.health.ledger_available and not ledger.health.spool_stands_in)


def predictions(path: Path) -> list[dict[str, Any]]:
    query = "SELECT prediction_id, sequence, recorded_at, delivery FROM predictions_v1 ORDER BY sequence"
    return LedgerReader(path).rows(query)


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("0*.jsonl"))


# Being locked, failing, hanging -----------------------------------------------------------------------------


async def test_while_the_ledger_is_locked_records_are_durable_in_the_spool_and_reach_the_ledger_in_order(
    ledger: SQLiteLedger, tmp_path: Path
) -> None:
    ids = [f"{number:03}" for number in range(30)]
    with Locked(ledger.path), impatient():
        receipts = [await ledger.append(entry(prediction_id=one), LONG_ENOUGH) for one in ids]
        assert count(ledger.path) == 0
        health = ledger.health
        assert (health.available, health.ledger_available, health.spool_available) == (True, False, True)
        assert (health.spool_records, health.queue_depth) == (30, 0)
        assert health.spool_bytes == sum(path.stat().st_size for path in (tmp_path / "spool").glob("0*"))
        assert health.spool_oldest == receipts[0].recorded_at
    await drained(ledger)

    assert {(receipt.sequence, receipt.spooled) for receipt in receipts} == {(None, True)}
    rows = predictions(ledger.path)
    assert [row["prediction_id"] for row in rows] == ids
    assert [row["sequence"] for row in rows] == list(range(1, 31))
    times = [f"{receipt.recorded_at.isoformat(timespec='milliseconds')[:-6]}Z" for receipt in receipts]
    assert [row["recorded_at"] for row in rows] == times


async def test_a_spool_that_was_emptied_leaves_no_health_data_behind_and_the_ledger_is_used_again(
    ledger: SQLiteLedger, tmp_path: Path
) -> None:
    with Locked(ledger.path), impatient():
        await ledger.append(entry(), LONG_ENOUGH)
        assert segments(tmp_path / "spool") == ["00000001.jsonl"]
    await drained(ledger)
    assert ledger.health.replays_total == 1
    receipt = await ledger.append(entry(), LONG_ENOUGH)
    await until(lambda: segments(tmp_path / "spool") == [])

    assert (receipt.sequence, receipt.spooled) == (2, False)
    replay = ledger.health.last_replay
    assert replay is not None and replay.records == 1 and replay.oldest is not None


async def test_every_kind_of_work_goes_by_way_of_the_spool(ledger: SQLiteLedger) -> None:
    with Locked(ledger.path), impatient():
        await ledger.keep_files([KeptFile("sha256:1", "plan", "plan.yaml", b"\x00\xff")], LONG_ENOUGH)
        await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)
        receipt = await ledger.append_feedback([feedback(card_of("p")), feedback("unknown")], LONG_ENOUGH)
        assert (receipt.spooled, receipt.stored) == (True, 2)
    await drained(ledger)

    assert await ledger.kept_file("sha256:1") == b"\x00\xff"
    rows = ledger.reader.rows("SELECT card_uuid, matched FROM feedback_v1 ORDER BY sequence")
    assert rows == [
        {"card_uuid": card_of("p"), "matched": True},
        {"card_uuid": "unknown", "matched": False},
    ]


class Commits:
    """What COMMIT does in a test: as ever, fail before, fail behind (a lie), or hang until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.behaviour: Callable[[Callable[[], None]], None] = lambda commit: commit()
        self.let_go = threading.Event()
        self.hangs = threading.Event()
        real = LedgerFile.commit
        monkeypatch.setattr(LedgerFile, "commit", lambda file: self.behaviour(lambda: real(file)))

    def fail_before(self, _commit: Callable[[], None]) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def fail_behind(self, commit: Callable[[], None]) -> None:
        commit()
        raise sqlite3.OperationalError("disk I/O error")

    def hang_before(self, commit: Callable[[], None]) -> None:
        self.hangs.set()
        assert self.let_go.wait(60)
        commit()

    def hang_behind(self, commit: Callable[[], None]) -> None:
        commit()
        self.hangs.set()
        assert self.let_go.wait(60)

    def hang_and_fail(self, _commit: Callable[[], None]) -> None:
        self.hangs.set()
        assert self.let_go.wait(60)
        raise sqlite3.OperationalError("disk I/O error")

    def work(self) -> None:
        self.behaviour = lambda commit: commit()
        self.let_go.set()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


@pytest.mark.parametrize("behaviour", ["fail_before", "fail_behind"])
async def test_a_ledger_that_fails_is_left_at_once_and_each_record_is_there_once_afterwards(
    ledger: SQLiteLedger, commits: Commits, behaviour: str
) -> None:
    commits.behaviour = getattr(commits, behaviour)
    receipts = await asyncio.gather(*(ledger.append(entry(), LONG_ENOUGH) for _ in range(40)))
    assert all(receipt.spooled for receipt in receipts)
    commits.work()
    await drained(ledger)

    rows = predictions(ledger.path)
    assert [row["sequence"] for row in rows] == list(range(1, 41))
    assert {row["delivery"] for row in rows} == {"sent"}


@pytest.mark.parametrize("behaviour", ["hang_before", "hang_behind", "hang_and_fail"])
async def test_a_commit_that_hangs_keeps_nobody_and_each_record_is_there_once_afterwards(
    ledger: SQLiteLedger, commits: Commits, behaviour: str
) -> None:
    commits.behaviour = getattr(commits, behaviour)
    first = [asyncio.create_task(ledger.append(entry(), LONG_ENOUGH)) for _ in range(20)]
    await until(commits.hangs.is_set)
    with impatient():
        behind = await asyncio.gather(*(ledger.append(entry(), LONG_ENOUGH) for _ in range(20)))
    assert all(receipt.spooled for receipt in (*await asyncio.gather(*first), *behind))
    more = await ledger.append(entry(), LONG_ENOUGH)
    assert more.spooled
    commits.work()
    await drained(ledger)
    last = await ledger.append(entry(), LONG_ENOUGH)

    rows = predictions(ledger.path)
    assert [row["sequence"] for row in rows] == list(range(1, 43))
    assert last.sequence == 42
    assert {row["delivery"] for row in rows} == {"sent"}
    assert [row["recorded_at"] for row in rows] == sorted(row["recorded_at"] for row in rows)


@pytest.mark.parametrize("behaviour", ["hang_before", "hang_behind", "hang_and_fail"])
async def test_whoever_leaves_while_a_commit_hangs_is_corrected_if_the_row_is_there(
    ledger: SQLiteLedger, commits: Commits, behaviour: str
) -> None:
    commits.behaviour = getattr(commits, behaviour)
    late = asyncio.create_task(ledger.append(entry(prediction_id="late"), LONG_ENOUGH, if_late=["instead"]))
    await until(commits.hangs.is_set)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    with impatient():
        assert (await ledger.append(entry(), LONG_ENOUGH)).spooled
    commits.work()
    await drained(ledger)
    await ledger.append(entry(), LONG_ENOUGH)

    found = {row["prediction_id"]: row["delivery"] for row in predictions(ledger.path)}
    assert found.get("late") == (None if behaviour == "hang_and_fail" else "not_returned")
    assert len(found) == (2 if behaviour == "hang_and_fail" else 3)


# The spool fails too ----------------------------------------------------------------------------------------


def no_spool(folder: Path) -> None:
    """Take the spool's folder away."""
    (folder / "spool").rename(folder / "gone")


async def test_with_both_away_callers_are_told_at_once_and_nothing_is_recorded(
    ledger: SQLiteLedger, tmp_path: Path, commits: Commits
) -> None:
    commits.behaviour = commits.fail_before
    no_spool(tmp_path)
    results = await asyncio.gather(
        *(ledger.append(entry(), LONG_ENOUGH) for _ in range(20)), return_exceptions=True
    )
    assert all(isinstance(result, LedgerUnavailable) for result in results)
    assert not ledger.health.available
    commits.work()
    receipt = await ledger.append(entry(), LONG_ENOUGH)

    assert (receipt.sequence, receipt.spooled) == (1, False)
    assert (count(ledger.path), count(ledger.path, "corrections")) == (1, 0)


async def test_a_commit_that_lied_while_the_spool_is_away_is_corrected_later(
    ledger: SQLiteLedger, tmp_path: Path, commits: Commits
) -> None:
    commits.behaviour = commits.fail_behind
    no_spool(tmp_path)
    with pytest.raises(LedgerUnavailable):
        await ledger.append(entry(prediction_id="lied"), LONG_ENOUGH, if_late=["instead"])
    commits.work()
    await ledger.append(entry(), LONG_ENOUGH)
    await until(lambda: count(ledger.path, "corrections") == 1)

    assert [row["delivery"] for row in predictions(ledger.path)] == ["not_returned", "sent"]


async def test_a_spool_that_comes_back_is_used_again(
    ledger: SQLiteLedger, tmp_path: Path, commits: Commits
) -> None:
    commits.behaviour = commits.fail_before
    no_spool(tmp_path)
    with pytest.raises(LedgerUnavailable):
        await ledger.append(entry(), LONG_ENOUGH)
    (tmp_path / "gone").rename(tmp_path / "spool")
    await until(lambda: ledger.health.spool_available)
    assert (await ledger.append(entry(prediction_id="a"), LONG_ENOUGH)).spooled
    commits.work()
    await drained(ledger)

    assert [row["prediction_id"] for row in predictions(ledger.path)] == ["a"]


async def test_a_locked_ledger_without_a_spool_is_waited_for(ledger: SQLiteLedger, tmp_path: Path) -> None:
    no_spool(tmp_path)
    with Locked(ledger.path), impatient():
        waiting = asyncio.create_task(ledger.append(entry(), LONG_ENOUGH))
        await until(lambda: ledger.health.spool_error is not None)
        assert not waiting.done()

    assert not (await waiting).spooled


# Hand-over, start, close ------------------------------------------------------------------------------------


async def test_the_ledger_takes_over_again_under_the_load_of_thirty_two_callers(
    ledger: SQLiteLedger, commits: Commits
) -> None:
    """Each caller asks again at once, so that the spooler always has something in hand."""
    commits.behaviour = commits.fail_before
    ended = False
    spooled: list[str] = []
    direct: list[str] = []
    numbers = itertools.count()

    async def ask() -> None:
        while not ended:
            one = f"{next(numbers):06}"
            receipt = await ledger.append(entry(prediction_id=one), LONG_ENOUGH)
            (spooled if receipt.spooled else direct).append(one)

    callers = [asyncio.create_task(ask()) for _ in range(32)]
    await until(lambda: len(spooled) > 1000)
    commits.work()
    await until(lambda: ledger.health.replays_total == 1)
    await until(lambda: len(direct) > 500)
    ended = True
    await asyncio.gather(*callers)

    rows = predictions(ledger.path)
    assert sorted(row["prediction_id"] for row in rows) == sorted([*spooled, *direct])
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["recorded_at"] for row in rows] == sorted(row["recorded_at"] for row in rows)
    place = {row["prediction_id"]: row["sequence"] for row in rows}
    # Whoever was told of the spool before another one even asked stands before it.
    assert all(place[one] < place[f"{int(one) + 64:06}"] for one in spooled if f"{int(one) + 64:06}" in place)


async def test_what_a_process_left_in_the_spool_is_moved_at_the_next_start_before_anything_else(
    tmp_path: Path,
) -> None:
    first = await spooling(tmp_path)
    with Locked(first.path), impatient():
        for one in ("a", "b"):
            await first.append(entry(prediction_id=one), LONG_ENOUGH)
        await first.close()
    assert count(first.path) == 0
    second = await spooling(tmp_path)
    await second.append(entry(prediction_id="c"), LONG_ENOUGH)
    await drained(second)
    await second.close()

    assert [row["prediction_id"] for row in predictions(second.path)] == ["a", "b", "c"]


async def test_however_much_was_left_nothing_new_goes_past_it(tmp_path: Path) -> None:
    first = await spooling(tmp_path)
    with Locked(first.path), impatient():
        await asyncio.gather(*(first.append(entry(), LONG_ENOUGH) for _ in range(3 * CHUNK)))
        await first.close()
    second = await spooling(tmp_path)
    await asyncio.gather(
        *(second.append(entry(prediction_id=f"new-{number}"), LONG_ENOUGH) for number in range(20))
    )
    await drained(second)
    await second.close()

    rows = predictions(second.path)
    assert len(rows) == 3 * CHUNK + 20
    assert {row["prediction_id"] for row in rows[-20:]} == {f"new-{number}" for number in range(20)}
    assert [row["recorded_at"] for row in rows] == sorted(row["recorded_at"] for row in rows)


async def test_closing_while_the_ledger_is_locked_writes_what_waits_to_the_spool(tmp_path: Path) -> None:
    ledger = await spooling(tmp_path)
    with Locked(ledger.path):
        waiting = [asyncio.create_task(ledger.append(entry(), LONG_ENOUGH)) for _ in range(50)]
        await asyncio.sleep(0)
        await ledger.close(patience=A_MOMENT)
        receipts = await asyncio.gather(*waiting)
    assert all(receipt.spooled for receipt in receipts)
    again = await spooling(tmp_path)
    await drained(again)
    await again.close()

    assert count(again.path) == 50
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ledger-")]


async def test_a_spool_is_used_by_one_process_and_a_second_one_is_refused_in_one_sentence(
    ledger: SQLiteLedger, tmp_path: Path
) -> None:
    other = SQLiteLedger(tmp_path / "other.db", spool=tmp_path / "spool")
    with pytest.raises(Exception, match=r"CDS_WRAPPER_SPOOL.* another process is using"):
        await other.open()
    await ledger.append(entry(), LONG_ENOUGH)


async def test_drained_rows_are_told_to_whoever_listens(tmp_path: Path) -> None:
    told: list[Committed] = []
    ledger = await spooling(tmp_path, on_commit=told.extend)
    with Locked(ledger.path), impatient():
        await ledger.append(entry(prediction_id="a"), LONG_ENOUGH)
    await drained(ledger)
    await ledger.close()

    assert [(one.entry.prediction_id, one.receipt.sequence) for one in told] == [("a", 1)]


async def test_a_line_that_can_never_be_written_is_found_and_kept_aside_and_the_others_are_moved(
    ledger: SQLiteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LedgerFile.add_files

    def add_files(file: LedgerFile, files: Sequence[KeptFile]) -> None:
        if files[0].digest == "sha256:bad":
            raise ValueError("more than a row can hold")
        real(file, files)

    monkeypatch.setattr(LedgerFile, "add_files", add_files)
    with Locked(ledger.path), impatient():
        await ledger.append(entry(prediction_id="a"), LONG_ENOUGH)
        await ledger.keep_files([KeptFile("sha256:bad", "plan", "plan.yaml", b"")], LONG_ENOUGH)
        await ledger.keep_files([KeptFile("sha256:good", "plan", "plan.yaml", b"")], LONG_ENOUGH)
        await ledger.append(entry(prediction_id="b"), LONG_ENOUGH)
    await drained(ledger)

    assert [row["prediction_id"] for row in predictions(ledger.path)] == ["a", "b"]
    assert await ledger.kept_file("sha256:good") == b""
    assert ledger.health.lost_total == 1
    assert "sha256:bad" in (tmp_path / "spool" / "damaged.jsonl").read_text()


async def test_a_ledger_that_is_damaged_is_not_taken_for_bad_lines(
    ledger: SQLiteLedger, tmp_path: Path, commits: Commits
) -> None:
    def damaged(_commit: Callable[[], None]) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    commits.behaviour = damaged
    for one in ("a", "b", "c"):
        assert (await ledger.append(entry(prediction_id=one), LONG_ENOUGH)).spooled
    await until(lambda: ledger.health.last_error == "DatabaseError")
    commits.work()
    await drained(ledger)

    assert [row["prediction_id"] for row in predictions(ledger.path)] == ["a", "b", "c"]
    assert not (tmp_path / "spool" / "damaged.jsonl").exists()


def agrees(path: Path, told: dict[str, str]) -> list[str]:
    """Predictions whose record and whose caller disagree."""
    found = {row["prediction_id"]: row["delivery"] for row in predictions(path)}
    allowed: dict[str, set[str | None]] = {"durable": {"sent"}, "gone": {None, "not_returned"}}
    return [one for one, outcome in told.items() if found.get(one) not in allowed[outcome]]


async def append_and_tell(
    ledger: SQLiteLedger, number: int, told: dict[str, str], waits: Sequence[float]
) -> None:
    told[str(number)] = "gone"
    within = LONG_ENOUGH * waits[number % len(waits)]
    waiting = asyncio.create_task(ledger.append(entry(prediction_id=str(number)), within, if_late=["x"]))
    if number % 3 == 0:
        await asyncio.sleep(number % 11 / 1000)
        waiting.cancel()
    try:
        await waiting
    except (LedgerUnavailable, asyncio.CancelledError):
        return
    told[str(number)] = "durable"


async def test_whatever_fails_and_hangs_while_callers_wait_leave_and_give_up_records_agree_with_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 appends; commits fail, lie and hang in turn, the lock and the spool come and go."""
    ledger = await spooling(tmp_path)
    turn = itertools.count()
    real = LedgerFile.commit

    def commit(file: LedgerFile) -> None:
        number = next(turn)
        if number % 7 == 3:
            raise sqlite3.OperationalError("disk I/O error")
        if number % 11 == 5:
            threading.Event().wait(0.3)
        real(file)
        if number % 13 == 7:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(LedgerFile, "commit", commit)
    told: dict[str, str] = {}
    ended = threading.Event()

    def interfere() -> None:
        while not ended.wait(0.15):
            with Locked(ledger.path):
                ended.wait(0.12)
            (tmp_path / "spool").rename(tmp_path / "gone")
            ended.wait(0.05)
            (tmp_path / "gone").rename(tmp_path / "spool")

    interference = threading.Thread(target=interfere)
    interference.start()

    async def ask(number: int) -> None:
        await asyncio.sleep(number % 400 / 100)
        await append_and_tell(ledger, number, told, [1e-4, 1e-3, 5e-3, 0.02, 0.1])

    await asyncio.gather(*(ask(number) for number in range(2000)))
    ended.set()
    interference.join()
    await drained(ledger)
    await ledger.append(entry(), LONG_ENOUGH)
    await ledger.close()
    again = await spooling(tmp_path)
    await drained(again)
    await again.close()

    assert agrees(ledger.path, told) == []
    assert set(told.values()) == {"durable", "gone"}
    rows = predictions(ledger.path)
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
