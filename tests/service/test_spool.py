"""The ledger is away and the spool is not: every answer is a real card, every record reaches the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests import fakes
from tests.durability import needs_trace, read_trace, traced, unsynced_answers
from tests.service.harness import copy_hooks, request_of, until_replayed, until_told, wrapper
from tests.service.servers import Server, demo_vendor, server

NOT_RECORDED = "not shown right now"
CALLERS = 16
# Time enough for a machine that has other things to do: these tests are about disks.
SLOWER = {"PT0.5S": "PT3S", "PT0.1S": "PT2S"}


def cards(answers: list[httpx.Response]) -> list[str]:
    """Ids of the cards that were given; none may be the one for a record that could not be written."""
    assert {answer.status_code for answer in answers} == {200}
    given = [card for answer in answers for card in answer.json()["cards"]]
    assert not [card for card in given if NOT_RECORDED in card["summary"]]
    return [card["uuid"] for card in given]


def recorded(ledger: Path) -> list[str]:
    """Ids of the cards of every row, in the order of the rows, which must be without a gap."""
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        rows = database.execute(
            "SELECT sequence, recorded_at, cards_returned, delivery FROM predictions_v1 ORDER BY sequence"
        ).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert {row[3] for row in rows} <= {"sent"}
    return [uuid for row in rows for uuid in json.loads(row[2] or "[]")]


async def test_a_locked_ledger_costs_no_card_and_the_operator_is_told_when_it_begins_and_ends(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **SLOWER)) as running:
            other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            answers = list(await asyncio.gather(*(running.call(request_of("white-55")) for _ in range(5))))
            ready = await running.http.get("/readyz")
            await until_told(running, "ledger_unavailable", "spool_started")
            other.execute("ROLLBACK")
            other.close()
            await until_replayed(running)
            await until_told(running, "spool_replayed")
            answers.append(await running.call(request_of("white-55")))
            events = {event["event"]: event for event in running.events()}
    body = ready.json()
    assert (ready.status_code, body["ledger"], body["spool"]) == (200, False, True)
    assert (body["spool_stands_in"], body["spool_records"]) == (True, 5)
    assert body["spool_bytes"] > 0 and body["spool_oldest_seconds"] >= 0
    assert "answered_without_ledger" not in events and "records_unavailable" not in events
    assert events["ledger_unavailable"]["level"] == "critical" and events["spool_started"]["level"] == "error"
    assert events["spool_replayed"]["records"] == 5
    assert sorted(cards(answers)) == sorted(recorded(tmp_path / "ledger.db"))


async def test_feedback_on_a_card_that_is_in_the_spool_finds_its_prediction_afterwards(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **SLOWER)) as running:
            other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            (card,) = cards([await running.call(request_of("white-55"))])
            given = {"card": card, "outcome": "accepted", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
            stored = await running.http.post("/cds-services/cvd-risk/feedback", json={"feedback": [given]})
            other.execute("ROLLBACK")
            other.close()
            await until_replayed(running)
            rows = running.rows("feedback_v1")
    assert stored.status_code == 200
    assert [(row["card_uuid"], row["matched"]) for row in rows] == [(card, 1)]


async def test_it_starts_while_the_ledger_cannot_be_written_and_keeps_its_files_later(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **SLOWER)
        async with wrapper(tmp_path, hooks):
            pass
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("DELETE FROM heartbeat")
        other.execute("BEGIN IMMEDIATE")
        plan = hooks / "cvd-risk" / "plan.yaml"
        plan.write_text(plan.read_text() + "\n# another one\n")
        async with wrapper(tmp_path, hooks) as running:
            answer = await running.call(request_of("white-55"))
            other.execute("ROLLBACK")
            await until_replayed(running)
            rows = running.rows()
            digests = json.loads(rows[-1]["file_digests"])
            kept = {row[0] for row in other.execute("SELECT digest FROM kept_files")}
        other.close()
    assert cards([answer]) == recorded(tmp_path / "ledger.db")
    assert set(digests.values()) <= kept


# Real processes ---------------------------------------------------------------------------------------------


class Load:
    """Callers that ask again and again; each answer is kept."""

    def __init__(self, running: Server, callers: int = CALLERS) -> None:
        self._url = f"{running.url}/cds-services/cvd-risk"
        self._callers = callers
        self._body = json.dumps(request_of("white-55")).encode()
        self._ended = asyncio.Event()
        self.answers: list[httpx.Response] = []

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=self._callers))
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await asyncio.gather(*self._tasks)
        await self._http.aclose()

    async def _ask(self) -> None:
        headers = {"content-type": "application/json"}
        while not self._ended.is_set():
            self.answers.append(await self._http.post(self._url, content=self._body, headers=headers))

    async def answered(self, more: int) -> None:
        """Return when so many more have been answered."""
        wanted = len(self.answers) + more
        async with asyncio.timeout(120):
            while len(self.answers) < wanted:
                await asyncio.sleep(0.01)


async def ready(running: Server) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        body: dict[str, Any] = (await client.get(f"{running.url}/readyz", timeout=20)).json()
        return body


async def until_server(running: Server, **expected: object) -> None:
    async with asyncio.timeout(60):
        while {name: (await ready(running))[name] for name in expected} != expected:
            await asyncio.sleep(0.05)


def why_no_mount() -> str | None:
    """Why a small file system cannot be made here, or None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        done = subprocess.run(trial, capture_output=True, check=False, timeout=30)
    except OSError:
        return "unshare is not installed"
    return None if done.returncode == 0 else "this machine does not allow a mount of one's own"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "none"]
    subprocess.run(["mount", *options, str(folder)], check=True, timeout=30)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


@contextlib.contextmanager
def server_at(folder: Path, hooks: Path, disk: Path, spool: Path) -> Iterator[Server]:
    """A server whose ledger alone is on that disk."""
    with server(
        folder,
        hooks,
        CDS_WRAPPER_LEDGER=f"sqlite:///{disk / 'ledger.db'}",
        CDS_WRAPPER_SPOOL=str(spool),
        CDS_WRAPPER_STREAM="off",
    ) as running:
        yield running


@pytest.mark.slow
@pytest.mark.skipif(why_no_mount() is not None, reason=str(why_no_mount()))
async def test_a_full_ledger_disk_under_load_costs_no_card_and_every_record_is_there_when_it_has_room(
    tmp_path: Path,
) -> None:
    with demo_vendor() as vendor, small_disk(tmp_path / "disk", "24m") as disk:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **SLOWER)
        with server_at(tmp_path, hooks, disk, tmp_path / "spool") as running:
            async with Load(running) as load:
                await load.answered(50)
                filler = disk / "filler"
                with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                await until_server(running, ledger=False, spool=True)
                await load.answered(300)
                filler.unlink()
                await until_server(running, ledger=True, spool_stands_in=False)
                await load.answered(50)
            await until_server(running, ledger=True, spool_stands_in=False)
        events = [json.loads(line)["event"] for line in running.log().splitlines()]
        found = recorded(disk / "ledger.db")
    assert sorted(cards(load.answers)) == sorted(found)
    assert {"ledger_unavailable", "spool_started", "spool_replayed", "ledger_available"} <= set(events)
    assert not {"answered_without_ledger", "records_unavailable", "record_lost"} & set(events)


@pytest.mark.slow
@pytest.mark.skipif(why_no_mount() is not None, reason=str(why_no_mount()))
async def test_with_the_spools_disk_full_as_well_no_score_is_shown_and_both_recover(tmp_path: Path) -> None:
    with (
        demo_vendor() as vendor,
        small_disk(tmp_path / "disk", "24m") as disk,
        small_disk(tmp_path / "other", "1m") as other,
    ):
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **SLOWER)
        with server_at(tmp_path, hooks, disk, other / "spool") as running:
            async with Load(running) as load:
                await load.answered(50)
                filler = disk / "filler"
                with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                await until_server(running, ledger=False, spool=False)
                await load.answered(100)
                filler.unlink()
                await until_server(running, ledger=True, spool=True, spool_stands_in=False)
                await load.answered(50)
            await until_server(running, ledger=True, spool_stands_in=False)
        given = {
            card["uuid"]: NOT_RECORDED in card["summary"]
            for answer in load.answers
            for card in answer.json()["cards"]
        }
        with contextlib.closing(sqlite3.connect(disk / "ledger.db")) as database:
            rows = database.execute("SELECT cards_returned, delivery FROM predictions_v1").fetchall()
    found = {uuid: delivery for row, delivery in rows for uuid in json.loads(row or "[]")}
    shown = {uuid for uuid, is_withheld in given.items() if not is_withheld}
    assert len(given) > len(shown) > 100
    assert {uuid for uuid, delivery in found.items() if delivery == "sent"} == shown
    assert set(found) <= set(given), "the record names only cards that somebody was given"


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
async def test_a_commit_that_hangs_for_five_seconds_costs_no_card(tmp_path: Path) -> None:
    delayed = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(tmp_path / "ledger.db-wal")]
    delayed += ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=5000000:when=30"]
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **SLOWER)
        with server(tmp_path, hooks, before=delayed) as running:
            async with Load(running, callers=4) as load:
                await until_server(running, ledger=False, spool=True)
                await load.answered(8)
                await until_server(running, ledger=True)
                await load.answered(8)
            await until_server(running, ledger=True, spool_stands_in=False)
    assert sorted(cards(load.answers)) == sorted(recorded(tmp_path / "ledger.db"))


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
async def test_every_answer_follows_a_sync_of_its_line_in_the_spool(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with demo_vendor() as vendor:
        slower = {"PT0.5S": "PT9S", "PT0.1S": "PT8S"}
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent", **slower)
        with server(tmp_path, hooks, before=traced([], trace)) as running:
            other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            async with Load(running, callers=4) as load:
                await load.answered(30)
            other.execute("ROLLBACK")
            other.close()
    answers = [card for answer in load.answers for card in answer.json()["cards"]]
    ids = [card["extension"]["org.cds-wrapper.prediction"]["prediction_id"] for card in answers]
    (segment,) = {call.file for call in read_trace(trace) if "/spool/0" in call.file}
    assert len(set(ids)) >= 30
    assert unsynced_answers(read_trace(trace), Path(segment), ids) == []
