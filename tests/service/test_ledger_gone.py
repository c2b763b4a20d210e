"""What an operator can do to a running ledger: remove it, replace it, name it twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx

from tests import fakes
from tests.durability import without_spool
from tests.ports import free_port
from tests.service.harness import ROOT, copy_hooks, request_of, until_replayed, until_told, wrapper
from tests.service.servers import environment, server

NOT_RECORDED = "not shown right now"


def remove_ledger(folder: Path) -> None:
    for file in folder.glob("ledger.db*"):
        if "writer" not in file.name:
            file.unlink()


async def test_with_ledger_and_spool_removed_no_score_is_shown_without_a_record(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("white-55"))
            remove_ledger(tmp_path)
            without_spool(tmp_path)
            answers = [await running.call(request_of("white-55")) for _ in range(3)]
            ready = await running.http.get("/readyz")
    assert all(NOT_RECORDED in answer.text for answer in answers)
    assert ready.status_code == 503 and not (tmp_path / "ledger.db").exists()


async def test_with_the_ledger_removed_records_wait_in_the_spool_and_are_kept_at_the_end(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            remove_ledger(tmp_path)
            answers = [await running.call(request_of("white-55")) for _ in range(3)]
            ready = await running.http.get("/readyz")
        assert not (tmp_path / "ledger.db").exists()
        async with wrapper(tmp_path, tmp_path / "hooks") as running:
            await until_replayed(running)
            rows = running.rows()
    assert not any(NOT_RECORDED in answer.text for answer in answers)
    assert ready.status_code == 200
    assert [json.loads(row["cards_returned"]) for row in rows] == [
        [card["uuid"] for card in answer.json()["cards"]] for answer in answers
    ]


async def test_another_file_in_its_place_is_not_taken_for_the_ledger_and_the_ledger_itself_is(
    tmp_path: Path,
) -> None:
    ledger, aside = tmp_path / "ledger.db", tmp_path / "aside.db"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("white-55"))
            away = without_spool(tmp_path)
            ledger.rename(aside)
            ledger.touch()
            replaced = [await running.call(request_of("white-55")) for _ in range(3)]
            await asyncio.sleep(1.5)  # the committer tries again by itself in the meantime
            assert ledger.stat().st_size == 0
            aside.rename(ledger)
            away.rename(tmp_path / "spool")
            await until_replayed(running)
            after = await running.call(request_of("white-55"))
            await until_replayed(running)
            rows = running.rows()
    assert all(NOT_RECORDED in answer.text for answer in replaced)
    assert NOT_RECORDED not in after.text and len(rows) == 2, "nothing of before was lost"


async def test_rows_that_were_cut_off_while_it_was_stopped_are_told_and_it_records_on(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks) as running:
            for _ in range(2):
                await running.call(request_of("white-55"))
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as intruder:
            rules = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (name,) in intruder.execute(rules).fetchall():
                intruder.execute(f"DROP TRIGGER {name}")
            intruder.execute("DELETE FROM predictions WHERE sequence = 2")
        async with wrapper(tmp_path, hooks) as running:
            await running.call(request_of("white-55"))
            await until_told(running, "chain_broken")
            (event,) = [event for event in running.events() if event["event"] == "chain_broken"]
            sequences = [row["sequence"] for row in running.rows()]
    assert event["level"] == "critical" and event["problems"] == ["predictions: rows_missing_at_the_end"]
    assert sequences == [1, 3], "the gap stays"


def test_a_second_process_is_refused_under_another_name_of_the_same_ledger(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x")
    with server(tmp_path, hooks):
        (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
        variables = environment(tmp_path, hooks, free_port(), {})
        variables["CDS_WRAPPER_LEDGER"] = f"sqlite:///{tmp_path / 'link.db'}"
        second = subprocess.run(
            [sys.executable, "-m", "cds_wrapper.cli", "serve"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert second.returncode == 1 and "which another process is writing" in second.stderr


async def test_a_log_nobody_reads_stops_no_answer(tmp_path: Path) -> None:
    """The server's standard error is a pipe that is full: 64 kB hold fewer than these lines."""
    reader, writer = os.pipe()
    body = json.dumps(request_of("white-55")).encode()
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        with server(tmp_path, hooks, log_to=writer) as running:
            async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
                for _ in range(150):
                    answer = await client.post(
                        "/cds-services/cvd-risk", content=body, headers={"content-type": "application/json"}
                    )
                    assert answer.status_code == 200
    os.close(reader)
    os.close(writer)
