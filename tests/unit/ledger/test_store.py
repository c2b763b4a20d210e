"""The ledger on a real file: what it promises to callers, to readers and to a second process."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.database import Checkpoints
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from cds_wrapper.ledger.work import Committed
from tests.unit.ledger.examples import LONG_ENOUGH, card_of, count, entry, feedback, opened


async def test_an_appended_prediction_is_read_back_as_it_was(ledger: SQLiteLedger) -> None:
    receipt = await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)
    row = await ledger.prediction("p")

    assert row is not None
    assert (row["writer"], row["sequence"]) == (receipt.writer, receipt.sequence) == ("host-0", 1)
    assert (row["score"], row["flagged"], row["occurred_at"]) == (0.12, True, "2027-03-04T12:00:00.250Z")
    assert (row["caveat_reasons"], row["unit"]) == (["thin_evidence"], None)
    assert row["demographics"]["race"]["members"] == ["black", "asian"]


async def test_an_unknown_prediction_is_none(ledger: SQLiteLedger) -> None:
    assert await ledger.prediction("nobody") is None


async def test_thirty_two_writers_leave_every_row_and_one_gap_free_count(ledger: SQLiteLedger) -> None:
    entries = iter([entry() for _ in range(4000)])

    async def write() -> list[int | None]:
        return [(await ledger.append(one, LONG_ENOUGH)).sequence for one in entries]

    sequences = chain.from_iterable(await asyncio.gather(*(write() for _ in range(32))))

    assert sorted(sequences, key=str) == sorted(range(1, 4001), key=str)
    rows = ledger.reader.rows("SELECT count(*) AS n, max(sequence) AS last FROM predictions_v1")
    assert rows == [{"n": 4000, "last": 4000}]
    assert ledger.health.records_total == 4000
    assert ledger.health.batches_total < 4000, "writers that wait together are committed together"


async def test_the_count_goes_on_where_it_ended(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        ledger = await opened(tmp_path / "ledger.db", host="host")
        assert (await ledger.append(entry(), LONG_ENOUGH)).sequence == expected
        await ledger.close()


async def test_each_writer_has_its_own_count(tmp_path: Path) -> None:
    for host in ("one", "two"):
        ledger = await opened(tmp_path / "ledger.db", host=host)
        receipt = await ledger.append(entry(), LONG_ENOUGH)
        assert (receipt.writer, receipt.sequence) == (f"{host}-0", 1)
        await ledger.close()


async def test_a_prediction_recorded_twice_is_refused_and_takes_no_neighbour_with_it(
    ledger: SQLiteLedger,
) -> None:
    results = await asyncio.gather(
        *(ledger.append(entry(prediction_id=one), LONG_ENOUGH) for one in ("a", "b", "a", "c")),
        return_exceptions=True,
    )

    assert [isinstance(result, LedgerUnavailable) for result in results] == [False, False, True, False]
    assert [row["sequence"] for row in await ledger.recent(10)] == [3, 2, 1]
    assert ledger.health.available


async def test_recent_predictions_come_latest_first(ledger: SQLiteLedger) -> None:
    for one in ("a", "b", "c"):
        await ledger.append(entry(prediction_id=one), LONG_ENOUGH)

    assert [row["prediction_id"] for row in await ledger.recent(2)] == ["c", "b"]


# Feedback and files -----------------------------------------------------------------------------------------


async def test_feedback_finds_its_prediction_by_the_card_and_unknown_cards_are_counted(
    ledger: SQLiteLedger,
) -> None:
    await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)

    receipt = await ledger.append_feedback([feedback(card_of("p")), feedback("unknown")], LONG_ENOUGH)

    assert (receipt.stored, receipt.unmatched, receipt.repeated) == (2, 1, 0)
    rows = ledger.reader.rows("SELECT prediction_id, matched, sequence FROM feedback_v1 ORDER BY sequence")
    assert rows == [
        {"prediction_id": "p", "matched": True, "sequence": 1},
        {"prediction_id": None, "matched": False, "sequence": 2},
    ]
    assert [row["outcome"] for row in ledger.reader.feedback("p")] == ["overridden"]


async def test_feedback_that_came_before_its_prediction_is_found_with_it_later(ledger: SQLiteLedger) -> None:
    """Out of a spool, say: a batch can be quicker than the row it is about."""
    early = await ledger.append_feedback([feedback(card_of("p")), feedback("unknown")], LONG_ENOUGH)
    query = "SELECT prediction_id, matched, delay_s, user_key FROM feedback_v1 ORDER BY sequence"
    before = ledger.reader.rows(query)
    await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)
    again = await ledger.append_feedback([feedback(card_of("p"))], LONG_ENOUGH)

    nobody = {"prediction_id": None, "matched": False, "delay_s": None, "user_key": None}
    found = {"prediction_id": "p", "matched": True, "delay_s": 299.75, "user_key": "u1:77d0a91b64c2e833"}
    assert (early.stored, early.unmatched, again.repeated) == (2, 2, 1)
    assert before == [nobody, nobody]
    assert ledger.reader.rows(query) == [found, nobody]
    assert [row["card_uuid"] for row in ledger.reader.feedback("p")] == [card_of("p")]
    assert ledger.reader.rows("SELECT prediction_id, matched FROM feedback")[0] == {
        "prediction_id": None,
        "matched": False,
    }, "the row itself is never changed"


@pytest.mark.parametrize(
    "elses", [{"client": "another"}, {"tenant": "another"}, {"service_id": "another"}], ids=str
)
@pytest.mark.parametrize("is_early", [True, False])
async def test_feedback_on_another_clients_tenants_or_services_card_stays_apart(
    elses: dict[str, Any], is_early: bool, ledger: SQLiteLedger
) -> None:
    given = dataclasses.replace(feedback(card_of("p")), **elses)
    if not is_early:
        await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)
    receipt = await ledger.append_feedback([given], LONG_ENOUGH)
    if is_early:
        await ledger.append(entry(prediction_id="p"), LONG_ENOUGH)

    assert (receipt.stored, receipt.unmatched) == (1, 1)
    rows = ledger.reader.rows("SELECT prediction_id, matched, user_key FROM feedback_v1")
    assert rows == [{"prediction_id": None, "matched": False, "user_key": None}]
    own = await ledger.append_feedback([feedback(card_of("p"))], LONG_ENOUGH)
    assert (own.stored, own.unmatched) == (1, 0), "what was sent to a wrong address does not stand in its way"


async def test_feedback_delivered_twice_is_stored_once_and_leaves_no_gap(ledger: SQLiteLedger) -> None:
    first = await ledger.append_feedback([feedback("c"), feedback("c")], LONG_ENOUGH)
    again = await ledger.append_feedback(
        [feedback("c"), feedback("c", "accepted"), feedback("c", "accepted", ["s"])], LONG_ENOUGH
    )

    assert (first.stored, first.repeated) == (1, 1)
    assert (again.stored, again.repeated) == (2, 1)
    rows = ledger.reader.rows("SELECT sequence FROM feedback_v1 ORDER BY sequence")
    assert [row["sequence"] for row in rows] == [1, 2, 3]


async def test_a_file_is_kept_once_by_its_digest(ledger: SQLiteLedger) -> None:
    for content in (b"first", b"second"):
        await ledger.keep_files([KeptFile("sha256:1", "plan", "plan.yaml", content)], LONG_ENOUGH)

    assert await ledger.kept_file("sha256:1") == b"first"
    assert await ledger.kept_file("sha256:2") is None


# Opening, closing, one writer -------------------------------------------------------------------------------


async def test_closing_writes_out_the_queue_and_leaves_no_thread(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    waiting = [asyncio.create_task(ledger.append(entry(), LONG_ENOUGH)) for _ in range(200)]
    await asyncio.sleep(0)
    await ledger.close()

    assert len(await asyncio.gather(*waiting)) == count(ledger.path) == 200
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ledger-")]


async def test_a_closed_ledger_takes_nothing(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    await ledger.close()

    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.append(entry(), LONG_ENOUGH)
    assert not ledger.health.available


async def test_the_ledger_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch(mode=0o644)
    ledger = await opened(tmp_path / "ledger.db")
    await ledger.append(entry(), LONG_ENOUGH)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    await ledger.close()
    assert set(modes.values()) == {0o600}, modes
    assert len(modes) == 4, modes


async def test_reading_cannot_write(ledger: SQLiteLedger) -> None:
    with pytest.raises(LedgerUnavailable, match="SQLITE_READONLY"):
        ledger.reader.rows("INSERT INTO heartbeat VALUES (1, 'now')")


SECOND_PROCESS = """
import asyncio, sys
from itertools import chain
from pathlib import Path
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger.store import SQLiteLedger
try:
    asyncio.run(SQLiteLedger(Path(sys.argv[1])).open())
except ConfigurationRefused as refusal:
    print(refusal)
"""


def test_a_ledger_that_is_not_there_cannot_be_read_and_is_not_made_by_trying(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="SQLITE_CANTOPEN"):
        LedgerReader(tmp_path / "ledger.db").recent(1)
    assert list(tmp_path.iterdir()) == []


async def test_reading_an_empty_file_in_the_ledgers_place_does_not_cost_the_log_beside_it(
    ledger: SQLiteLedger, tmp_path: Path
) -> None:
    await ledger.append(entry(), LONG_ENOUGH)
    ledger.path.rename(tmp_path / "aside.db")
    ledger.path.touch()
    with pytest.raises(LedgerUnavailable, match="LedgerGone"):
        ledger.reader.recent(1)
    ledger.path.unlink()
    (tmp_path / "aside.db").rename(ledger.path)

    assert len(ledger.reader.recent(1)) == 1


async def test_a_second_process_on_the_same_file_is_refused_in_one_sentence(ledger: SQLiteLedger) -> None:
    second = subprocess.run(
        [sys.executable, "-c", SECOND_PROCESS, str(ledger.path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert "`CDS_WRAPPER_LEDGER` names" in second.stdout
    assert "another process is writing" in second.stdout
    assert second.stdout.count("\n") == 1


async def test_the_slot_is_free_again_after_closing_and_after_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database\n" * 100)
    with pytest.raises(ConfigurationRefused):
        await opened(tmp_path / "ledger.db")
    (tmp_path / "ledger.db").unlink()

    for _ in range(2):
        ledger = await opened(tmp_path / "ledger.db")
        await ledger.close()
    descriptor = os.open(tmp_path / "ledger.db.writer-0", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


async def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="create its folder"):
        await opened(tmp_path / "missing" / "ledger.db")


# Batches ----------------------------------------------------------------------------------------------------


async def test_every_batch_is_told_about_after_its_callers(tmp_path: Path) -> None:
    told: list[Committed] = []
    ledger = await opened(tmp_path / "ledger.db", on_commit=told.extend)
    await asyncio.gather(*(ledger.append(entry(prediction_id=one), LONG_ENOUGH) for one in "abc"))
    await ledger.close()

    assert {one.entry.prediction_id: (one.receipt.sequence, one.in_time) for one in told} == {
        "a": (1, True),
        "b": (2, True),
        "c": (3, True),
    }


async def test_whoever_is_told_may_fail_without_harm_to_records(tmp_path: Path) -> None:
    def fail(_: Sequence[Committed]) -> None:
        raise OSError("a full log disk")

    ledger = await opened(tmp_path / "ledger.db", on_commit=fail)
    for _ in range(3):
        await ledger.append(entry(), LONG_ENOUGH)
    await ledger.close()

    assert ledger.health.last_error == "OSError"
    assert count(ledger.path) == 3


async def test_the_log_is_copied_back_when_it_has_grown_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    limit = 500_000
    ledger = await opened(path, checkpoints=Checkpoints(path, above_bytes=limit))
    largest = 0

    async def write() -> None:
        nonlocal largest
        for _ in range(100):
            await ledger.append(entry(), LONG_ENOUGH)
            largest = max(largest, path.with_name("ledger.db-wal").stat().st_size)

    await asyncio.gather(*(write() for _ in range(20)))
    copied_back = path.stat().st_size
    await ledger.close()

    assert count(path) == 2000
    assert largest > limit, "there was something to copy back"
    assert copied_back > limit, "the database itself has grown before the ledger was closed"
    check: Any = LedgerReader(path).rows("PRAGMA integrity_check")
    assert check == [{"integrity_check": "ok"}]


async def test_a_reader_in_the_way_of_copying_back_hinders_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await opened(path, checkpoints=Checkpoints(path, above_bytes=100_000))
    await ledger.append(entry(), LONG_ENOUGH)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchone()
    for _ in range(200):
        await ledger.append(entry(), LONG_ENOUGH)
    assert reader.execute("SELECT count(*) FROM predictions").fetchone() == (1,), (
        "it still sees its own moment"
    )
    reader.close()
    await ledger.close()

    assert count(path) == 201


def test_a_log_that_could_not_be_emptied_is_tried_again_only_after_it_has_grown_as_much_again(
    tmp_path: Path,
) -> None:
    tried: list[int] = []
    checkpoints = Checkpoints(tmp_path / "ledger.db", above_bytes=100, run=lambda _: tried.append(1))
    outcomes = []
    for size in (50, 150, 160, 240, 260, 300, 20, 150):
        checkpoints.consider(size)
        checkpoints.close()
        outcomes.append(len(tried))

    assert outcomes == [0, 1, 1, 1, 2, 2, 2, 3]
