"""A callable in a process of its own: whatever it does, each call ends in time and the next is answered."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.log import OperatorLog
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status
from cds_wrapper.vendors.in_process import InProcessVendor, PythonCall
from tests.unit.vendors import models

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@contextlib.asynccontextmanager
async def running(
    function: str, module: str = "callables", lines: io.StringIO | None = None, **score: Any
) -> AsyncIterator[InProcessVendor]:
    call = PythonCall(f"{module}:{function}", str(HERE))
    one = InProcessVendor("news2", call, models.bare(**score), OperatorLog("t", lines or io.StringIO()))
    await one.open()
    try:
        yield one
    finally:
        await one.close()


async def ask(one: InProcessVendor, seconds: float = 20, **inputs: Any) -> Prediction | NoPrediction:
    return await one.predict(models.a_call(), models.sent(), models.found(**inputs), models.within(seconds))


async def another(one: InProcessVendor, gone: int | None) -> int:
    """The id of the process that has taken the place of one that is gone."""
    async with asyncio.timeout(30):
        while one.pid in {None, gone}:
            await asyncio.sleep(0.02)
    assert one.pid is not None
    return one.pid


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and not been waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_is_given_the_inputs_and_its_number_is_the_score() -> None:
    async with running("score") as one:
        outcome = await ask(one, age=25)
    assert isinstance(outcome, Prediction)
    assert (outcome.score, outcome.flagged, outcome.score_only) == (0.25, True, True)
    assert outcome.call.attempts == 1 and outcome.call.bytes_out > 0


async def test_it_may_give_a_map_with_its_version() -> None:
    async with running("a_map", version_path="version") as one:
        outcome = await ask(one, age=25)
    assert isinstance(outcome, Prediction) and (outcome.score, outcome.model.version) == (0.25, "7")


async def test_it_may_give_a_number_of_another_library() -> None:
    async with running("other_number") as one:
        outcome = await ask(one, age=25)
    assert isinstance(outcome, Prediction) and outcome.score == 0.25


NO_SCORES = [
    ("class", Status.UNREADABLE, "score_is_a_class"),
    ("none", Status.UNREADABLE, "score_not_found"),
    ("text", Status.UNREADABLE, "score_not_a_number"),
    ("list", Status.UNREADABLE, "wrong_shape"),
    ("nan", Status.UNREADABLE, "score_not_a_number"),
    ("set", Status.FAILED, "callable_raised"),
]


async def test_what_is_no_score_is_told_apart() -> None:
    async with running("given") as one:
        pid = one.pid
        for what, status, reason in NO_SCORES:
            outcome = await ask(one, what=what)
            assert (outcome.status, outcome.reason) == (status, reason), what
        assert one.pid == pid


async def test_whatever_it_raises_the_same_process_answers_the_next_call() -> None:
    lines = io.StringIO()
    async with running("does", lines=lines) as one:
        pid = one.pid
        for what in ("raise", "exit", "interrupt"):
            outcome = await ask(one, what=what)
            assert (outcome.status, outcome.reason) == (Status.FAILED, "callable_raised"), what
        assert (await ask(one, what="nothing")).status is Status.ANSWERED
        assert one.pid == pid and "Canary" not in lines.getvalue() + repr(outcome)


@pytest.mark.parametrize("what", ["die", "segfault", "close"])
async def test_a_process_that_ends_in_the_middle_is_replaced(what: str) -> None:
    lines = io.StringIO()
    async with running("does", lines=lines) as one:
        pid = one.pid
        outcome = await ask(one, what=what)
        assert (outcome.status, outcome.reason) == (Status.FAILED, "worker_ended")
        await another(one, pid)
        assert (await ask(one, what="nothing")).status is Status.ANSWERED
    told = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert told[:3] == ["worker_started", "worker_ended", "worker_started"]


@pytest.mark.parametrize("what", ["loop", "sleep"])
async def test_past_its_deadline_the_process_is_ended_and_replaced(what: str) -> None:
    async with running("does") as one:
        pid = one.pid
        outcome = await ask(one, 0.3, what=what)
        assert (outcome.status, outcome.reason) == (Status.TIMED_OUT, None)
        new = await another(one, pid)
        assert pid is not None and not is_there(pid)
        assert (await ask(one, what="nothing")).status is Status.ANSWERED
        assert one.pid == new


async def test_who_waits_behind_a_call_that_hangs_is_told_the_truth() -> None:
    async with running("does") as one:
        first = asyncio.create_task(ask(one, 1.5, what="sleep"))
        await asyncio.sleep(0.05)
        second = await ask(one, 0.2, what="nothing")
        assert (second.status, second.reason) == (Status.OVERLOADED, "worker_busy")
        assert second.call.attempts == 0, "it was not asked"
        assert (await first).status is Status.TIMED_OUT


async def test_a_call_that_is_cancelled_leaves_no_answer_for_the_next() -> None:
    async with running("does") as one:
        pid = one.pid
        call = asyncio.create_task(ask(one, what="sleep"))
        await asyncio.sleep(0.1)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        await another(one, pid)
        assert (await ask(one, what="nothing")).status is Status.ANSWERED


async def test_what_it_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    lines = io.StringIO()
    async with running("does", lines=lines) as one:
        assert (await ask(one, what="print")).status is Status.ANSWERED
    printed = capfd.readouterr()
    assert "Canary" not in printed.out + printed.err + lines.getvalue()


async def test_one_that_cannot_be_imported_is_told_at_once_and_tried_again() -> None:
    lines = io.StringIO()
    async with running("score", module="no_such_module", lines=lines) as one:
        outcome = await ask(one, age=25)
        assert (outcome.status, outcome.reason) == (Status.UNREACHABLE, "worker_not_ready")
    (event,) = [json.loads(line) for line in lines.getvalue().splitlines()][:1]
    assert (event["event"], event["reason"]) == ("worker_ended", "import_raised_ModuleNotFoundError")


async def test_it_sees_neither_our_secrets_nor_our_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_WRAPPER_SECRET", "canary")
    monkeypatch.setenv("MODEL_HOME", "named")
    monkeypatch.setenv("PYTHONPATH", "/canary")
    call = PythonCall("callables:whoami", str(HERE), ("MODEL_HOME",))
    one = InProcessVendor("news2", call, models.bare(), OperatorLog("t", io.StringIO()))
    await one.open()
    try:
        worker = one._worker
        assert worker is not None
        seen = json.loads(await worker.exchange(b"{}"))["gave"]
    finally:
        await one.close()
    assert "MODEL_HOME" in seen["seen"] and "PATH" in seen["seen"]
    assert not [name for name in seen["seen"] if name.startswith(("CDS_WRAPPER", "PYTHON"))]
    assert (seen["folders"], seen["here"]) == ([], "/")


async def test_closing_leaves_no_process() -> None:
    async with running("score") as one:
        pid = one.pid
    assert pid is not None and not is_there(pid)


PARENT = """
import asyncio, io, sys
from datetime import timedelta
from cds_wrapper.log import OperatorLog
from cds_wrapper.vendors.in_process import InProcessVendor, PythonCall
from tests.unit.vendors import models

async def main():
    call = PythonCall("callables:does", sys.argv[1])
    one = InProcessVendor("news2", call, models.bare(), OperatorLog("t", io.StringIO()))
    await one.open()
    asyncio.create_task(
        one.predict(models.a_call(), models.sent(), models.found(what=sys.argv[2]), models.within(600))
    )
    await asyncio.sleep(0.3)
    print(one.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.kill
@pytest.mark.parametrize("what", ["loop", "sleep", "nothing"])
def test_it_does_not_outlive_us_when_we_are_killed(what: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(HERE), what], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_there(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while is_there(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_there(pid)
