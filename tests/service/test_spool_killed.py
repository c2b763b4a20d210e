"""kill -9 while records go to the spool and while they are moved on: each answer is recorded once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from cds_wrapper.ledger import database, spool_folder
from cds_wrapper.ledger.spool import Spool
from cds_wrapper.ledger.spool_lines import Draft
from cds_wrapper.ledger.work import Record
from tests.durability import gaps, python
from tests.service.harness import copy_hooks, request_of
from tests.service.servers import Server, demo_vendor, server
from tests.service.test_spool import NOT_RECORDED, SLOWER, ready
from tests.unit.ledger.examples import entry

KILLS = 20
SPOOLED_BEFORE = 12_000
CALLERS = 16


async def load(running: Server, given: list[str]) -> None:
    """Callers that ask again and again until the server is gone; the ids of the cards they were given."""
    body = json.dumps(request_of("black-35")).encode()
    headers = {"content-type": "application/json"}

    async def caller(client: httpx.AsyncClient) -> None:
        with contextlib.suppress(httpx.TransportError):
            while True:
                answer = await client.post(
                    f"{running.url}/cds-services/cvd-risk", content=body, headers=headers
                )
                given.extend(
                    card["uuid"] for card in answer.json()["cards"] if NOT_RECORDED not in card["summary"]
                )

    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(limits=limits, timeout=20) as client:
        await asyncio.gather(*(caller(client) for _ in range(CALLERS)))


async def life(running: Server, locked: sqlite3.Connection, number: int, given: list[str]) -> bool:
    """Of one process: it is killed while records go to the spool, every other one while they are moved on.

    True when the kill met a spool of which a part was in the ledger and a part was not.
    """
    loading = asyncio.create_task(load(running, given))
    enough = len(given) + 30 + number
    while len(given) < enough:
        await asyncio.sleep(0.005)
    before = moved_so_far(running.folder)
    locked.execute("ROLLBACK")
    while number % 2 and moved_so_far(running.folder) == before:
        await asyncio.sleep(0)
    running.kill()
    await loading
    return moved_so_far(running.folder) > before and left_in(running.folder) > 0


def moved_so_far(folder: Path) -> int:
    """The number of the last line of the spool that is known to be in the ledger."""
    cursor = spool_folder.read_cursor(folder / "spool")
    return cursor.number if cursor else 0


def left_in(folder: Path) -> int:
    """How many lines of the spool are not known to be in the ledger."""
    return spool_folder.survey(folder / "spool").records


def a_long_outage(folder: Path) -> list[str]:
    """A spool as a long outage leaves it, many transactions long; the ids of its predictions."""
    ids = [f"spooled-{number}" for number in range(SPOOLED_BEFORE)]
    spool = Spool(folder / "spool")
    spool.prepare()
    for start in range(0, SPOOLED_BEFORE, 500):
        now = datetime.now(UTC)
        batch = [Record(entry(prediction_id=one), ()) for one in ids[start : start + 500]]
        spool.append([Draft(record, now, timedelta(milliseconds=1)) for record in batch])
    spool.close()
    return ids


def cards_recorded(ledger: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as reading:
        rows = reading.execute("SELECT cards_returned FROM predictions_v1").fetchall()
    return [uuid for (cards,) in rows for uuid in json.loads(cards or "[]")]


def recorded_of(ledger: Path, pattern: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as reading:
        query = "SELECT prediction_id FROM predictions WHERE prediction_id LIKE ?"
        return [one for (one,) in reading.execute(query, (pattern,))]


@pytest.mark.kill
@pytest.mark.slow
async def test_every_answer_is_recorded_once_after_twenty_kills_of_a_process_that_spools_and_replays(
    tmp_path: Path,
) -> None:
    given: list[str] = []
    ledger = tmp_path / "ledger.db"
    database.prepare(ledger)
    spooled = a_long_outage(tmp_path)
    within = 0
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **SLOWER)
        for number in range(KILLS):
            with contextlib.closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as other:
                other.execute("BEGIN IMMEDIATE")
                with server(tmp_path, hooks) as running:
                    within += await life(running, other, number, given)
                assert "record_lost" not in running.log()
        with server(tmp_path, hooks) as running:
            while (await ready(running))["spool_stands_in"]:
                await asyncio.sleep(0.05)
            assert "record_lost" not in running.log()

    found = cards_recorded(ledger)
    assert within >= KILLS // 4, "kills that met a half moved spool"
    assert len(given) > KILLS * 30
    assert sorted(recorded_of(ledger, "spooled-%")) == sorted(spooled)
    assert len(found) == len(set(found))
    assert set(given) <= set(found)
    assert gaps(ledger) == []
    assert list((tmp_path / "spool").glob("0*.jsonl")) == []
    in_order("predictions", ledger)
    command = python("cds_wrapper.cli", "check", "--ledger-file", ledger)
    audit = subprocess.run(command, capture_output=True, text=True, check=False)
    assert audit.returncode == 0, audit.stdout + audit.stderr


def in_order(table: str, ledger: Path) -> None:
    """The times of recording do not fall along the sequence."""
    query = f"SELECT recorded_at FROM {table} ORDER BY writer, sequence"
    with contextlib.closing(sqlite3.connect(ledger)) as reading:
        times = [row[0] for row in reading.execute(query)]
    assert times == sorted(times)
