"""A Python callable of the site's own, in a process of its own, under the same deadline as any vendor.

One process for each service, started with us and ended with us. A call that is not over by its deadline ends
the process, since nothing else ends a loop; another takes its place. Nothing that the callable prints or
raises is written anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.log import OperatorLog, vendor_events
from cds_wrapper.outbound import Deadline
from cds_wrapper.vendors import worker
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.score import NOT_FOUND, search
from cds_wrapper.vendors.score_only import BareScore, read_body

START_WITHIN: Final = timedelta(seconds=60)
"""For importing the callable and what it loads."""

OPEN_WITHIN: Final = timedelta(seconds=10)
"""How long our own start waits for it."""

FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=1)
LARGEST_ANSWER: Final = 1_000_000
_SEEN: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class PythonCall:
    """`package.module:function`, the folder it is imported from, and the environment variables it may see."""

    call: str
    folder: str | None = None
    environment: tuple[str, ...] = ()


class _NoAnswer(Exception):
    """The process ended, or wrote what is no answer."""


class _Worker:
    """One process that has imported the callable."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.timed_out = False

    async def exchange(self, body: bytes) -> bytes:
        """Ask once; `_NoAnswer` when no whole answer comes."""
        stdin = self.process.stdin
        if stdin is None:
            raise _NoAnswer
        try:
            stdin.write(worker.LENGTH.pack(len(body)) + body)
            await stdin.drain()
            return await self.frame()
        except (ConnectionError, asyncio.IncompleteReadError):
            raise _NoAnswer from None

    async def frame(self) -> bytes:
        """The next frame it writes."""
        stdout = self.process.stdout
        if stdout is None:
            raise _NoAnswer
        (size,) = worker.LENGTH.unpack(await stdout.readexactly(worker.LENGTH.size))
        if size > LARGEST_ANSWER:
            raise _NoAnswer
        return await stdout.readexactly(size)

    def kill(self) -> None:
        """End it and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class InProcessVendor:
    """One callable; open it in the event loop that asks it."""

    def __init__(self, service_id: str, python: PythonCall, bare: BareScore, lines: OperatorLog) -> None:
        self.bare = bare
        self._service_id = service_id
        self._python = python
        self._log = lines
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()
        self._worker: _Worker | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the process; one that cannot be started stops nobody's start and is tried again."""
        self._keeper = asyncio.create_task(self._keep())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), OPEN_WITHIN.total_seconds())

    async def close(self) -> None:
        """End the process."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    @property
    def pid(self) -> int | None:
        """The process that would be asked now; None while there is none."""
        return self._worker.process.pid if self._worker else None

    async def predict(
        self, _request: CDSRequest, _prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask once within the deadline; never raises for what the callable does."""
        inputs = self.bare.inputs(features)
        if isinstance(inputs, NoPrediction):
            return inputs
        body = msgspec.json.encode(inputs)
        try:
            async with asyncio.timeout(deadline.remaining.total_seconds()):
                await self._turn.acquire()
        except TimeoutError:
            return self._not_asked()
        try:
            return await self._ask(body, deadline)
        finally:
            self._turn.release()

    async def _ask(self, body: bytes, deadline: Deadline) -> Prediction | NoPrediction:
        one = await self._process(deadline)
        if one is None:
            return self._not_asked()
        started, answer, status = time.perf_counter(), b"", Status.FAILED
        try:
            async with asyncio.timeout(deadline.remaining.total_seconds()):
                answer = await one.exchange(body)
        except TimeoutError:
            status, one.timed_out = Status.TIMED_OUT, True
        except _NoAnswer:
            pass
        finally:
            if not answer:  # also of a call that was cancelled: the next must not read this one's answer
                self._let_go(one)
        call = VendorCall((time.perf_counter() - started) * 1000, None, 1, len(body), len(answer))
        if answer:
            return self.read(answer, call)
        reason = Reason.WORKER_ENDED.value if status is Status.FAILED else None
        return self.bare.nothing(status, call, reason)

    async def _process(self, deadline: Deadline) -> _Worker | None:
        """The process, waited for while it starts; None at once between two attempts to start it."""
        try:
            async with asyncio.timeout(deadline.remaining.total_seconds()):
                await self._settled.wait()
        except TimeoutError:
            return None
        return self._worker

    def _not_asked(self) -> NoPrediction:
        """A call whose time was over before its turn came, or before there was a process to ask."""
        if self._worker is None:
            return self.bare.nothing(Status.UNREACHABLE, VendorCall(), Reason.WORKER_NOT_READY.value)
        return self.bare.nothing(Status.OVERLOADED, VendorCall(), Reason.WORKER_BUSY.value)

    def read(self, answer: bytes, call: VendorCall) -> Prediction | NoPrediction:
        """Turn what the process wrote into a prediction or the reason why there is none; pure."""
        body = read_body(answer)
        match body.document if body else None:
            case {worker.GAVE: dict(given)}:
                path = self.bare.score.path
                found = search(path, given) if path else given.get(worker.SCORE)
                judged = (None, NOT_FOUND) if found is None else self.bare.score.judge_models_own(found)
                return self.bare.prediction(judged, self.bare.model.read(given), call)
            case {worker.RAISED: _}:
                return self.bare.nothing(Status.FAILED, call, Reason.CALLABLE_RAISED.value)
            case _:
                return self.bare.nothing(Status.UNREADABLE, call, Reason.NOT_JSON.value)

    # The process --------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Have a process at all times; one that ends soon after its start is not tried again at once."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            ended = await self._live()
            self._log.emit(vendor_events.WORKER_ENDED, service_id=self._service_id, reason=ended)
            if time.monotonic() - began > LONGEST_PAUSE.total_seconds() or ended == Status.TIMED_OUT.value:
                pause = FIRST_PAUSE
            else:
                self._settled.set()
                await asyncio.sleep(pause.total_seconds())
                self._settled.clear()
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _live(self) -> str:
        """One process from its start to its end; says how it ended."""
        try:
            one = _Worker(await self._spawn())
        except OSError:  # no memory, or too many processes
            return "not_spawned"
        try:
            trouble = await self._imported(one)
            if trouble is not None:
                return trouble
            self._worker = one
            self._settled.set()
            self._log.emit(vendor_events.WORKER_STARTED, service_id=self._service_id)
            await one.process.wait()
            return Status.TIMED_OUT.value if one.timed_out else "ended"
        finally:
            self._let_go(one)
            await one.process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        python = self._python
        seen = {name: os.environ[name] for name in (*_SEEN, *python.environment) if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", worker.__name__),
            *(python.call, python.folder or "", str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=seen,
            cwd="/",
            start_new_session=True,
        )

    async def _imported(self, one: _Worker) -> str | None:
        """None once the callable is imported, or why it is not."""
        try:
            async with asyncio.timeout(START_WITHIN.total_seconds()):
                told: Mapping[str, Any] = msgspec.json.decode(await one.frame())
        except TimeoutError:
            return "import_timed_out"
        except (asyncio.IncompleteReadError, _NoAnswer, msgspec.DecodeError):
            return "import_ended"
        return None if worker.READY in told else f"import_raised_{told.get(worker.FAILED)}"

    def _let_go(self, one: _Worker) -> None:
        one.kill()
        if self._worker is one:
            self._worker = None
            self._settled.clear()
