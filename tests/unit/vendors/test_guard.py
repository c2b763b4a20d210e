"""The guard every vendor wears, around vendors whose calls end when the test says so."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState, read_request
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Deadline
from cds_wrapper.vendors.base import ModelVersion, NoPrediction, Prediction, Status, VendorCall, VersionSource
from cds_wrapper.vendors.circuit import CircuitPolicy, CircuitState, Verdict
from cds_wrapper.vendors.features import NO_FEATURES, Features
from cds_wrapper.vendors.guard import Guarded, GuardPolicy, verdict_of

MODEL = ModelVersion("risk", "1", VersionSource.CONFIGURATION)
CIRCUIT = CircuitPolicy(failures=2, lasting=timedelta(0), open_for=timedelta(seconds=30))
BUDGET = timedelta(seconds=1)
ASKED = VendorCall(attempts=1)
NOTHING_SENT = Prefetch({}, {}, None, PrefetchState.ABSENT)
QUESTION = read_request(
    b'{"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",'
    b' "context": {"patientId": "p1", "userId": "Practitioner/1"}}',
    datetime(2027, 3, 4, 12, tzinfo=UTC),
)

WELL = Prediction((), None, None, None, MODEL, ASKED)


def ends(status: Status, reason: str | None = None, call: VendorCall = ASKED) -> NoPrediction:
    return NoPrediction(status, MODEL, call, reason)


DEAD = ends(Status.UNREACHABLE, "refused_connection")


class FakeVendor:
    """Answers what `says` says, once the gate is open."""

    def __init__(self, says: Prediction | NoPrediction = WELL) -> None:
        self.says, self.asked, self.gate = says, 0, asyncio.Event()
        self.gate.set()

    async def predict(
        self, _request: CDSRequest, _prefetch: Prefetch, _features: Features, _deadline: Deadline
    ) -> Prediction | NoPrediction:
        self.asked += 1
        await self.gate.wait()
        return self.says


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Worn:
    """A guard with its vendor, its clock and what it tells the operator."""

    def __init__(self, vendor: Any, most: int = 64) -> None:
        self.vendor, self.clock, self.stream = vendor, Clock(), io.StringIO()
        lines = OperatorLog("t", self.stream)
        policy = GuardPolicy(most, CIRCUIT)
        self.guard = Guarded(vendor, ("risk", "patient-view"), MODEL, BUDGET, policy, lines, self.clock)

    async def ask(self, within: timedelta = BUDGET) -> Status:
        deadline = Deadline.after(within)
        return (await self.guard.predict(QUESTION, NOTHING_SENT, NO_FEATURES, deadline)).status

    async def begun(self, callers: int) -> list[asyncio.Task[Status]]:
        """Callers who are all where they can get to before any of those who were let through has ended."""
        tasks = [asyncio.create_task(self.ask()) for _ in range(callers)]
        await asyncio.sleep(0)
        return tasks

    async def open(self) -> None:
        self.vendor.says = DEAD
        assert [await self.ask(), await self.ask()] == [Status.UNREACHABLE] * 2
        assert self.guard.circuit_state is CircuitState.OPEN

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


async def test_a_circuit_that_is_open_answers_without_the_vendor_and_says_so_once() -> None:
    worn = Worn(FakeVendor())
    await worn.open()
    assert [await worn.ask() for _ in range(10)] == [Status.CIRCUIT_OPEN] * 10 and worn.vendor.asked == 2
    (opened,) = worn.told()
    assert (opened["event"], opened["level"], opened["service_id"]) == ("circuit_opened", "error", "risk")
    assert (opened["status"], opened["reason"], opened["open_seconds"]) == (
        "unreachable",
        "refused_connection",
        30,
    )


@pytest.mark.parametrize(("says", "after"), [(WELL, CircuitState.CLOSED), (DEAD, CircuitState.OPEN)])
async def test_of_many_callers_after_its_rest_exactly_one_reaches_the_vendor(
    says: Prediction | NoPrediction, after: CircuitState
) -> None:
    worn = Worn(FakeVendor())
    await worn.open()
    worn.clock.now += 30
    worn.vendor.says, worn.vendor.asked = says, 0
    worn.vendor.gate.clear()
    tasks = await worn.begun(32)
    answered = [task.result() for task in tasks if task.done()]
    assert answered == [Status.CIRCUIT_OPEN] * 31, "at once, while the probe is under way"
    assert (worn.vendor.asked, worn.guard.in_flight) == (1, 1)
    assert worn.guard.circuit_state is CircuitState.HALF_OPEN
    worn.vendor.gate.set()
    assert await tasks[0] is says.status and worn.guard.circuit_state is after
    assert worn.vendor.asked == 1 and worn.guard.in_flight == 0


async def test_a_vendor_that_works_again_is_asked_by_everybody_and_that_is_told() -> None:
    worn = Worn(FakeVendor())
    await worn.open()
    worn.clock.now += 45
    worn.vendor.says = WELL
    assert [await worn.ask() for _ in range(3)] == [Status.NO_CARDS] * 3
    closed = worn.told()[-1]
    assert (closed["event"], closed["level"], closed["seconds"]) == ("circuit_closed", "info", 45)


async def test_a_probe_that_is_cancelled_leaves_its_place_and_decides_nothing() -> None:
    worn = Worn(FakeVendor())
    await worn.open()
    worn.clock.now += 30
    worn.vendor.says = WELL
    worn.vendor.gate.clear()
    (probe,) = await worn.begun(1)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (worn.guard.circuit_state, worn.guard.in_flight) == (CircuitState.HALF_OPEN, 0)
    worn.vendor.gate.set()
    assert await worn.ask() is Status.NO_CARDS and worn.guard.circuit_state is CircuitState.CLOSED


async def test_a_call_that_is_cancelled_gives_its_place_back() -> None:
    worn = Worn(FakeVendor(), most=1)
    worn.vendor.gate.clear()
    (task,) = await worn.begun(1)
    assert await worn.ask() is Status.OVERLOADED
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    worn.vendor.gate.set()
    assert await worn.ask() is Status.NO_CARDS and worn.guard.in_flight == 0


async def test_a_mistake_of_ours_gives_its_place_back_and_is_not_held_against_the_vendor() -> None:
    class Broken:
        async def predict(self, *_: object) -> Prediction | NoPrediction:
            raise ValueError("ours")

    worn = Worn(Broken(), most=1)
    for _ in range(5):
        with pytest.raises(ValueError, match="ours"):
            await worn.ask()
    assert (worn.guard.in_flight, worn.guard.circuit_state) == (0, CircuitState.CLOSED)


async def test_more_calls_than_there_are_places_for_are_answered_at_once_and_not_queued() -> None:
    worn = Worn(FakeVendor(), most=4)
    worn.vendor.gate.clear()
    tasks = await worn.begun(32)
    over = [task.result() for task in tasks if task.done()]
    assert over == [Status.OVERLOADED] * 28 and worn.guard.in_flight == worn.vendor.asked == 4
    worn.vendor.gate.set()
    let_through = [await task for task in tasks][:4]
    assert let_through == [Status.NO_CARDS] * 4 and worn.vendor.asked == 4
    assert worn.guard.circuit_state is CircuitState.CLOSED, "that we are full says nothing about the vendor"


async def test_while_the_one_place_is_the_probes_the_others_hear_of_the_circuit() -> None:
    worn = Worn(FakeVendor(), most=1)
    await worn.open()
    worn.clock.now += 30
    worn.vendor.gate.clear()
    (probe,) = await worn.begun(1)
    assert await worn.ask() is Status.CIRCUIT_OPEN
    worn.vendor.gate.set()
    assert await probe is Status.UNREACHABLE


VERDICTS: list[tuple[Prediction | NoPrediction, bool, Verdict]] = [
    (WELL, True, Verdict.WORKS),
    (ends(Status.TIMED_OUT), True, Verdict.FAILED),
    (ends(Status.TIMED_OUT), False, Verdict.NOTHING),
    (ends(Status.TIMED_OUT, call=VendorCall()), True, Verdict.NOTHING),
    (DEAD, True, Verdict.FAILED),
    (ends(Status.UNREACHABLE, "no_token", VendorCall()), True, Verdict.NOTHING),
    (ends(Status.FAILED), True, Verdict.FAILED),
    *((ends(Status.UNREADABLE, why), True, Verdict.FAILED) for why in ("closed_early", "reset", "cut_off")),
    *(
        (ends(Status.UNREADABLE, why), True, Verdict.FAILED)
        for why in ("not_http", "not_200", "not_cds_hooks", "not_open_inference", "not_json", "too_large")
    ),
    *(
        (ends(Status.UNREADABLE, why), True, Verdict.WORKS)
        for why in ("score_out_of_range", "score_not_found", "wrong_shape", "time_unreadable")
    ),
    (ends(Status.REFUSED), True, Verdict.WORKS),
    (ends(Status.MISSING_INPUT), True, Verdict.WORKS),
    (ends(Status.MISSING_INPUT, "context_incomplete", VendorCall()), True, Verdict.NOTHING),
    (ends(Status.STALE), True, Verdict.WORKS),
    (ends(Status.STOPPED, call=VendorCall()), True, Verdict.NOTHING),
    (ends(Status.OVERLOADED, call=VendorCall()), True, Verdict.NOTHING),
    (ends(Status.ERROR), True, Verdict.NOTHING),
]


@pytest.mark.parametrize(
    ("answered", "had_time", "verdict"),
    VERDICTS,
    ids=[f"{n}-{row[0].status.value}-{row[0].reason}" for n, row in enumerate(VERDICTS)],
)
def test_what_the_end_of_a_call_says_about_the_vendor(
    answered: Prediction | NoPrediction, had_time: bool, verdict: Verdict
) -> None:
    assert verdict_of(answered, had_time) is verdict


async def test_a_vendor_that_was_given_no_time_is_not_blamed_for_it() -> None:
    worn = Worn(FakeVendor(ends(Status.TIMED_OUT)))
    for _ in range(5):
        await worn.ask(BUDGET / 5)
    states = [worn.guard.circuit_state]
    for _ in range(2):
        await worn.ask(BUDGET / 2)
    assert [*states, worn.guard.circuit_state] == [CircuitState.CLOSED, CircuitState.OPEN]
