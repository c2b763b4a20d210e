"""More calls than this process can serve: each is told so at once, on the record, and nothing piles up."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx

from cds_wrapper.in_flight import REFUSED_FROM
from cds_wrapper.ledger.queues import QUEUE_LIMIT
from tests import fakes
from tests.durability import without_spool
from tests.service.harness import copy_hooks, request_of, wrapper

MOST = 8
HARD = MOST * REFUSED_FROM
NO_RESULT = "10-year cardiovascular risk (demonstration): no result right now. This does not mean low risk."


def cards(answers: list[httpx.Response]) -> list[dict[str, Any]]:
    return [card for answer in answers if answer.status_code == 200 for card in answer.json()["cards"]]


def summaries(answers: list[httpx.Response]) -> list[str]:
    return [card["summary"] for card in cards(answers)]


async def test_calls_over_the_most_get_a_truthful_card_at_once_and_a_record_and_the_vendor_is_left_in_peace(
    tmp_path: Path,
) -> None:
    opened = asyncio.Event()

    async def waits(writer: asyncio.StreamWriter) -> None:
        await opened.wait()
        await fakes.answers(fakes.card_answer())(writer)

    async with fakes.running(waits) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **{"PT0.5S": "PT10S"})
        async with wrapper(tmp_path, hooks, most_at_once=MOST) as running:
            full = [asyncio.create_task(running.call(request_of("white-55"))) for _ in range(MOST)]
            async with asyncio.timeout(20):
                while len(vendor.asked) < MOST:
                    await asyncio.sleep(0.01)
            beside = [await running.call(request_of("white-55")) for _ in range(5)]
            opened.set()
            served = list(await asyncio.gather(*full))
            after = await running.call(request_of("white-55"))
            rows = running.rows()
    assert summaries(beside) == [NO_RESULT] * 5
    assert not set(summaries([*served, after])) & {NO_RESULT}
    assert len(vendor.asked) == MOST + 1
    told = [(row["status"], row["reason"], row["vendor_attempts"]) for row in rows]
    assert told.count(("overloaded", "process_full", 0)) == 5
    assert len(rows) == MOST + 5 + 1


async def test_where_nothing_more_could_be_recorded_a_call_is_refused_and_may_come_again(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.says_nothing_for(0.3)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url), most_at_once=MOST) as running:
            calls = (running.call(request_of("white-55")) for _ in range(3 * HARD))
            answers = list(await asyncio.gather(*calls))
            rows = running.rows()
            in_flight = running.app.state.doors.in_flight.counted()
    refused = [answer for answer in answers if answer.status_code == 503]
    answered = [answer for answer in answers if answer.status_code == 200]
    assert refused and len(refused) + len(answered) == 3 * HARD and len(rows) == len(answered)
    assert all(answer.headers["retry-after"] and "cards" not in answer.json() for answer in refused)
    assert len(vendor.asked) <= MOST and in_flight == {}


async def test_behind_a_ledger_that_hangs_no_queue_grows_with_the_callers(tmp_path: Path) -> None:
    """Callers that come again at once, while neither ledger nor spool takes anything."""
    seen: list[int] = []

    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url), most_at_once=MOST) as running:
            without_spool(tmp_path)
            other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            ledger, doors = running.app.state.doors.runtime.ledger, running.app.state.doors

            async def comes_again() -> list[httpx.Response]:
                answers = []
                for _ in range(4):
                    answers.append(await running.call(request_of("white-55")))
                    seen.append(max(ledger.health.queue_depth, sum(doors.in_flight.counted().values())))
                return answers

            found = await asyncio.gather(*(comes_again() for _ in range(2 * HARD)))
            other.execute("ROLLBACK")
            other.close()
            async with asyncio.timeout(60):
                while not (await running.http.get("/readyz")).json()["checks"]["records"]:
                    await running.call(request_of("white-55"))
            depth = ledger.health.queue_depth
            rows = running.rows()
    answers = [answer for one in found for answer in one]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert max(seen) <= HARD < QUEUE_LIMIT and depth == 0
    assert [one for one in summaries(answers) if "does not mean low risk" not in one] == []
    kept = {card for row in rows for card in json.loads(row["cards_returned"] or "[]")}
    assert not kept & {card["uuid"] for card in cards(answers)}, "a card that says so names no record"
