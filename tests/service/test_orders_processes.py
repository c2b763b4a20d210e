"""The real command beside real serving processes: in force where it was ordered, and after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests import fakes
from tests.service.harness import ROOT, copy_hooks, request_of
from tests.service.servers import Server, environment, server

BY = ("--by", "informatician on call", "--why", "a recall")


def command(folder: Path, hooks: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it, with the settings of the service."""
    return subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", *arguments],
        cwd=ROOT,
        env=environment(folder, hooks, 0, {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def run(folder: Path, hooks: Path, *arguments: str) -> str:
    """The command beside the vendor of this test; what it printed."""
    ran = await asyncio.to_thread(command, folder, hooks, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def summaries(running: Server) -> list[str]:
    """One call, and the cards that came back."""
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.post(f"{running.url}/cds-services/cvd-risk", json=request_of("black-35"))
    assert answer.status_code == 200
    return [card["summary"] for card in answer.json()["cards"]]


async def until(running: Server, state: str) -> None:
    """Return when the process follows an order."""
    async with asyncio.timeout(60), httpx.AsyncClient(timeout=20) as client:
        while (await client.get(f"{running.url}/readyz")).json()["services"]["cvd-risk"] != state:
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(folder: Path, hooks: Path) -> AsyncIterator[Server]:
    """A serving process; started and ended in a thread, so that the vendor of this test can answer."""
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, server(folder, hooks))
        try:
            yield running
        finally:
            await asyncio.to_thread(running.stop)


def is_off(shown: Sequence[str]) -> bool:
    return len(shown) == 1 and "is switched off since" in shown[0]


@pytest.mark.kill
async def test_the_command_stops_and_resumes_a_service_that_is_running(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with serving(tmp_path, hooks) as running:
            assert not is_off(await summaries(running))
            await run(tmp_path, hooks, "stop", "cvd-risk", *BY)
            await until(running, "stop")
            assert is_off(await summaries(running))
            assert len(vendor.asked) == 1

            resume = ("resume", "cvd-risk", "--by", "clinical owner", "--second", "chair", "--why", "fixed")
            await run(tmp_path, hooks, *resume)
            await until(running, "live")
            assert not is_off(await summaries(running))
        listed = json.loads(await run(tmp_path, hooks, "orders", "--json"))["services"]
        log = [json.loads(line) for line in running.log().splitlines()]

    assert [one["state"] for one in listed] == ["live"]
    told = [line["event"] for line in log if line["event"].startswith("service_")]
    assert told == ["service_stopped", "service_resumed"]


@pytest.mark.kill
async def test_one_command_reaches_two_serving_processes_by_their_ledgers(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with serving(folders[0], hooks) as one, serving(folders[1], hooks) as two:
            for running in (one, two):
                assert not is_off(await summaries(running))
            ledgers = [part for running in (one, two) for part in ("--ledger", str(running.ledger))]
            await run(tmp_path, hooks, "stop", "cvd-risk", *BY, *ledgers)
            for running in (one, two):
                await until(running, "stop")
                assert is_off(await summaries(running))
    assert len(vendor.asked) == 2


@pytest.mark.kill
async def test_a_process_killed_before_it_looked_is_under_the_order_from_its_first_request(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with serving(tmp_path, hooks) as running:
            assert not is_off(await summaries(running))
            await run(tmp_path, hooks, "stop", "cvd-risk", *BY)
            running.kill()
        async with serving(tmp_path, hooks) as running:
            assert is_off(await summaries(running)), "the first request after the start"
        checked = await run(tmp_path, hooks, "check", "--ledger")

    assert len(vendor.asked) == 1
    assert "decisions of " in checked and "The ledger is whole." in checked


@pytest.mark.kill
async def test_an_order_given_while_nothing_runs_holds_from_the_first_request(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with serving(tmp_path, hooks):
            pass
        await run(tmp_path, hooks, "shadow", "cvd-risk", *BY)
        async with serving(tmp_path, hooks) as running:
            (summary,) = await summaries(running)

    assert "is paused; scores are being checked" in summary
    assert len(vendor.asked) == 1
