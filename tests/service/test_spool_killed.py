"""kill -9 while records go to the spool and while they are moved on: each answer is recorded once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.durability import gaps, python
from tests.service.harness import copy_hooks, request_of
from tests.service.servers import Server, demo_vendor, server
from tests.service.test_spool import NOT_RECORDED, SLOWER, ready

KILLS = 20
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


async def life(running: Server, locked: sqlite3.Connection, number: int, given: list[str]) -> None:
    """Of one process: records go to the spool; every other one is killed while they are moved on."""
    locked.execute("BEGIN IMMEDIATE")
    loading = asyncio.create_task(load(running, given))
    enough = len(given) + 30 + 5 * number
    while len(given) < enough:
        await asyncio.sleep(0.005)
    locked.execute("ROLLBACK")
    if number % 2:
        # Each time a little later: before, while and after the lines are moved and the ledger takes over.
        moved = (await ready(running))["batches"]
        while (await ready(running))["batches"] < moved + number // 2:
            await asyncio.sleep(0.005)
    running.kill()
    await loading


def cards_recorded(ledger: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        rows = database.execute("SELECT cards_returned FROM predictions_v1").fetchall()
    return [uuid for (cards,) in rows for uuid in json.loads(cards or "[]")]


@pytest.mark.kill
@pytest.mark.slow
async def test_every_answer_is_recorded_once_after_twenty_kills_of_a_process_that_spools_and_replays(
    tmp_path: Path,
) -> None:
    given: list[str] = []
    ledger = tmp_path / "ledger.db"
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **SLOWER)
        for number in range(KILLS):
            with server(tmp_path, hooks) as running:
                with contextlib.closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as other:
                    await life(running, other, number, given)
        with server(tmp_path, hooks) as running:
            while (await ready(running))["spool_records"]:
                await asyncio.sleep(0.05)
            assert "record_lost" not in running.log()

    found = cards_recorded(ledger)
    assert len(given) > KILLS * 30
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
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        times = [row[0] for row in database.execute(query)]
    assert times == sorted(times)
