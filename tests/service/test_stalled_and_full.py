"""The disk is full, or a commit hangs: every request is answered in its budget, and the record agrees."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import fakes
from tests.durability import needs_trace, without_spool
from tests.service.harness import BRIEF, copy_hooks, request_of, until_told, wrapper
from tests.service.servers import Server, demo_vendor, server

NOT_RECORDED = (
    "10-year cardiovascular risk (demonstration): not shown right now. This does not mean low risk."
)


def summaries(answers: list[httpx.Response]) -> list[str]:
    return [card["summary"] for answer in answers for card in answer.json()["cards"]]


async def burst(running: Server, calls: int) -> list[httpx.Response]:
    body = json.dumps(request_of("white-55")).encode()
    async with httpx.AsyncClient(timeout=30) as client:
        return list(
            await asyncio.gather(
                *(
                    client.post(
                        f"{running.url}/cds-services/cvd-risk",
                        content=body,
                        headers={"content-type": "application/json"},
                    )
                    for _ in range(calls)
                )
            )
        )


async def test_a_locked_ledger_without_a_spool_is_answered_in_time_and_nothing_is_recorded_late(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **BRIEF)) as running:
            without_spool(tmp_path)
            other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            answers = await asyncio.gather(*(running.call(request_of("white-55")) for _ in range(5)))
            not_ready = await running.http.get("/readyz")
            await until_told(running, "ledger_unavailable", "records_unavailable")
            other.execute("ROLLBACK")
            other.close()
            after = [await running.call(request_of("white-55")) for _ in range(20)][-1]
            await until_told(running, "ledger_available", "records_available")
            rows = running.rows()
            events = [event["event"] for event in running.events()]
    assert summaries(list(answers)) == [NOT_RECORDED] * 5
    assert not_ready.status_code == 503
    assert events.count("answered_without_ledger") >= 5
    assert [event for event in events if event in {"ledger_unavailable", "ledger_available"}] == [
        "ledger_unavailable",
        "ledger_available",
    ]
    assert [event for event in events if event.startswith("records_")] == [
        "records_unavailable",
        "records_available",
    ]
    assert summaries([after]) != [NOT_RECORDED], "it recovers by itself"
    kept = {uuid for row in rows for uuid in json.loads(row["cards_returned"] or "[]")}
    withheld = {card["uuid"] for answer in answers for card in answer.json()["cards"]}
    assert not kept & withheld, "a withdrawn row never appears"


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
async def test_a_sync_that_hangs_for_five_seconds_without_a_spool_delays_nobody_and_the_late_row_is_corrected(
    tmp_path: Path,
) -> None:
    delayed = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    delayed += ["-e", "inject=fdatasync,fsync:delay_enter=5000000:when=40..41"]
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **BRIEF)
        with server(tmp_path, hooks, before=delayed) as running:
            without_spool(tmp_path)
            answers: list[httpx.Response] = []
            for _ in range(60):  # until a commit hangs
                (answer,) = await burst(running, 1)
                answers.append(answer)
                if summaries([answer]) == [NOT_RECORDED]:
                    break
            assert summaries(answers[-1:]) == [NOT_RECORDED]
            during = await burst(running, 8)
            assert summaries(during) == [NOT_RECORDED] * 8
            given = {card["uuid"] for card in answers[-1].json()["cards"]}
            deadline = time.monotonic() + 60
            while given not in corrected(tmp_path / "ledger.db"):
                assert time.monotonic() < deadline, "the late row was not corrected"
                time.sleep(0.1)
    everything = [*answers, *during]
    assert disagreements(tmp_path / "ledger.db", everything) == []
    assert given in corrected(tmp_path / "ledger.db"), "the correction names the card that was returned"


def corrected(ledger: Path) -> list[set[str]]:
    """The cards that went out in the place of those of late rows."""
    return [cards for cards, delivery in returned(ledger) if delivery == "not_returned"]


def returned(ledger: Path) -> list[tuple[set[str], str]]:
    """What the record says was returned, and how, row by row."""
    with sqlite3.connect(ledger) as database:
        rows = database.execute("SELECT cards_returned, delivery FROM predictions_v1").fetchall()
    return [(set(json.loads(cards or "[]")), delivery) for cards, delivery in rows]


def disagreements(ledger: Path, answers: list[httpx.Response]) -> list[str]:
    """Answers and rows that do not fit: a score without a row, a row of a score nobody was given."""
    rows = returned(ledger)
    sent = set().union(*(cards for cards, delivery in rows if delivery == "sent"))
    replaced = set().union(*(cards for cards, delivery in rows if delivery == "not_returned"))
    found = []
    for answer in answers:
        (card,) = answer.json()["cards"]
        is_score = card["summary"] != NOT_RECORDED
        if is_score and card["uuid"] not in sent:
            found.append("a score was given that the record does not call sent")
        if not is_score and card["uuid"] in sent:
            found.append("a withheld answer is recorded as a score that was sent")
    given = {card["uuid"] for answer in answers for card in answer.json()["cards"]}
    if not sent | replaced <= given:
        found.append("the record names a card that nobody was given")
    return found


@pytest.mark.slow
async def test_full_disks_are_the_planned_answer_and_it_recovers_when_there_is_room(tmp_path: Path) -> None:
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks) as running:
            before = await burst(running, 5)
            _limit_files(running, 100)  # neither a page nor a line of the spool
            full = await burst(running, 10)
            _limit_files(running, resource.RLIM_INFINITY)
            deadline = time.monotonic() + 120
            while summaries(await burst(running, 1)) == [NOT_RECORDED]:
                assert time.monotonic() < deadline, "it did not recover"
            after = await burst(running, 5)
            # It may have found room in the spool first, and goes on from there.
            while httpx.get(f"{running.url}/readyz", timeout=20).json()["spool_stands_in"]:
                assert time.monotonic() < deadline + 60, "the spool was not emptied"
                time.sleep(0.1)
    assert NOT_RECORDED not in summaries(before) and NOT_RECORDED not in summaries(after)
    assert summaries(full) == [NOT_RECORDED] * 10
    given = {card["uuid"] for answer in (*before, *after) for card in answer.json()["cards"]}
    assert given <= _recorded(tmp_path / "ledger.db")
    withheld = {card["uuid"] for answer in full for card in answer.json()["cards"]}
    assert not withheld & _recorded(tmp_path / "ledger.db")


def _limit_files(running: Server, size: int) -> None:
    """The largest file the server may write, in bytes, of the real kernel: more is EFBIG."""
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _recorded(ledger: Path) -> set[str]:
    with sqlite3.connect(ledger) as database:
        rows: list[Any] = database.execute("SELECT cards_returned FROM predictions_v1").fetchall()
    return {uuid for (cards,) in rows for uuid in json.loads(cards or "[]")}
