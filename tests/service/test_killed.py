"""kill -9 under load, and a stop: what was answered is recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.harness import copy_hooks, request_of
from tests.service.servers import Server, demo_vendor, server

KILLS = 20
CALLERS = 16


def recorded(ledger: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        return {
            uuid
            for (cards,) in database.execute("SELECT cards_returned FROM predictions_v1")
            for uuid in json.loads(cards or "[]")
        }


async def load(running: Server, stop_after: int, on_enough: Any) -> list[str]:
    """Callers that ask again and again until the server is gone; the card uuids they were given."""
    given: list[str] = []
    body = json.dumps(request_of("black-35")).encode()
    told = asyncio.Event()

    async def caller(client: httpx.AsyncClient) -> None:
        for _ in range(500):
            try:
                response = await client.post(
                    f"{running.url}/cds-services/cvd-risk",
                    content=body,
                    headers={"content-type": "application/json"},
                )
            except httpx.TransportError:
                return
            if response.status_code == 200:
                given.extend(card["uuid"] for card in response.json()["cards"])
            if len(given) >= stop_after and not told.is_set():
                told.set()
                on_enough()

    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(limits=limits, timeout=20) as client:
        await asyncio.gather(*(caller(client) for _ in range(CALLERS)))
    return given


@pytest.mark.kill
@pytest.mark.slow
async def test_every_answered_prediction_is_in_the_ledger_after_twenty_kills_under_load(
    tmp_path: Path,
) -> None:
    answered = 0
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        for round_ in range(KILLS):
            with server(tmp_path, hooks) as running:
                given = await load(running, 20 + 7 * round_, running.kill)
            # A card of our own for a ledger that could not be written is no prediction; none is expected.
            assert set(given) <= recorded(tmp_path / "ledger.db")
            answered += len(given)
    assert answered > KILLS * 20
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        count, last = database.execute("SELECT count(*), max(sequence) FROM predictions").fetchone()
    assert count == last, "the sequence has a gap"


async def in_flight(client: httpx.AsyncClient, running: Server) -> int:
    """How many calls are being served."""
    ready = (await client.get(f"{running.url}/readyz")).json()
    return sum(ready["in_flight"].values())


@pytest.mark.kill
async def test_a_stop_answers_and_records_whoever_was_being_served_and_ends_with_zero(tmp_path: Path) -> None:
    with demo_vendor("--allow-faults") as vendor:
        httpx.post(f"{vendor}/demo/fault", json={"mode": "slow", "seconds": 2})
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks) as running:
            body = request_of("white-55")
            async with httpx.AsyncClient(timeout=20) as client:
                calls = [
                    asyncio.create_task(client.post(f"{running.url}/cds-services/cvd-risk", json=body))
                    for _ in range(8)
                ]
                while await in_flight(client, running) < len(calls):
                    await asyncio.sleep(0.02)
                running.process.terminate()
                answers = await asyncio.gather(*calls)
            assert running.process.wait(timeout=30) == 0
    assert [answer.status_code for answer in answers] == [200] * 8
    given = {card["uuid"] for answer in answers for card in answer.json()["cards"]}
    assert len(given) == 8 and given <= recorded(tmp_path / "ledger.db")
    events = [json.loads(line)["event"] for line in running.log().splitlines()]
    assert "process_draining" in events and events[-1] == "process_stopped"


@pytest.mark.kill
async def test_a_stop_waits_for_a_call_whose_body_is_still_coming(
    tmp_path: Path,
) -> None:
    body = json.dumps(request_of("white-55")).encode()
    head = (
        f"POST /cds-services/cvd-risk HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(head.encode() + body[:100])
            await writer.drain()
            async with httpx.AsyncClient(timeout=20) as client:
                while await in_flight(client, running) < 1:
                    await asyncio.sleep(0.02)
            running.process.terminate()
            await asyncio.sleep(0.5)
            writer.write(body[100:])
            await writer.drain()
            answer = await reader.read()
            writer.close()
            assert running.process.wait(timeout=30) == 0
    assert answer.startswith(b"HTTP/1.1 200")
    (card,) = json.loads(answer.split(b"\r\n\r\n", 1)[1])["cards"]
    assert card["uuid"] in recorded(tmp_path / "ledger.db")
