"""The load generator and the vendor: every answer counted and checked, none lost between two packets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.bench.calls import read_calls, write_calls
from cds_wrapper.bench.load import EXTENSION_KEY, Load, LoadResult, drive
from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.bench.vendor import FixedTimeVendor
from cds_wrapper.bench.wire import Messages, NotUnderstood, answer, post
from cds_wrapper.invocation import unrecorded_card_id
from cds_wrapper.outbound import Deadline
from cds_wrapper.runtime import Call
from cds_wrapper.settings import Settings

CARDS = b'{"cards":[{"summary":"3 %","extension":{"mark":1}}]}'
PATIENT = b'{"context":{"patientId":"one"}}'


# On the wire ------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 60), max_size=30))
def test_messages_are_whole_however_their_bytes_come(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(answer("200 OK", body) for body in bodies)
    messages, received = Messages(answers=True), []
    for cut in cuts:
        received += messages.feed(stream[:cut])
        stream = stream[cut:]
    received += messages.feed(stream)
    assert [message.body for message in received] == bodies
    assert {message.status for message in received} <= {200}


def test_a_call_comes_out_as_it_went_in() -> None:
    (message,) = Messages(answers=False).feed(post("/cds-services/x", PATIENT))
    assert message.first_line == b"POST /cds-services/x HTTP/1.1"
    assert message.body == PATIENT


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"]
)
def test_an_answer_of_unknown_length_is_not_understood(head: bytes) -> None:
    with pytest.raises(NotUnderstood):
        Messages(answers=True).feed(head)


# Calls ------------------------------------------------------------------------------------------------------


def test_the_calls_are_those_the_vendor_scores_and_survive_their_file(tmp_path: Path) -> None:
    calls = scored_calls()
    assert len(calls) > 10
    assert len({call.patient for call in calls}) == len(calls)
    assert all(b'"probability"' in call.answer and b"\n" not in call.body for call in calls)
    write_calls(calls, tmp_path / "calls.json")
    assert read_calls(tmp_path / "calls.json") == calls


# Load -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def listening(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    """A server on a free port of this machine."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def loaded(
    vendor: Callable[[], asyncio.Protocol], seconds: float = 0.1, connections: int = 3
) -> LoadResult:
    async with listening(vendor) as port:
        load = Load(port, "/cds-services/x", connections, seconds, warm_up=0.02, marker='"mark"')
        return await asyncio.wait_for(drive(load, [PATIENT]), 30)


def vendor_saying(wire: bytes) -> Callable[[], asyncio.Protocol]:
    return partial(FixedTimeVendor, {"one": wire}, 0.0)


async def test_every_answer_of_a_round_is_counted_and_the_measured_ones_are_timed() -> None:
    result = await loaded(vendor_saying(answer("200 OK", CARDS)))
    assert result.wrong == {} and result.unmarked == 0
    assert 0 < len(result.latencies_us) <= result.answers
    assert all(latency > 0 for latency in result.latencies_us)
    assert result.cpu[0] > 0


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (answer("503 Busy", CARDS), "status 503"),
        (answer("200 OK", b'{"cards":[]}'), "no card"),
        (answer("200 OK", b'{"card":1}'), "no CDS Hooks answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "an answer that does not say how long it is"),
    ],
)
async def test_a_wrong_answer_is_counted_by_what_is_wrong_with_it(wire: bytes, problem: str) -> None:
    result = await loaded(vendor_saying(wire))
    assert set(result.wrong) == {problem}


async def test_a_good_answer_without_the_mark_is_counted_apart() -> None:
    result = await loaded(vendor_saying(answer("200 OK", b'{"cards":[{"summary":"no result"}]}')))
    assert result.wrong == {}
    assert result.unmarked == result.answers > 0
    assert result.withheld == 0


async def test_an_answer_that_says_it_was_not_recorded_is_known_by_the_id_of_its_card() -> None:
    call = Call(uuid4(), Deadline.after(timedelta(1)), _still_there)
    card = {
        "uuid": unrecorded_card_id(call),
        "extension": {EXTENSION_KEY: {"prediction_id": str(call.prediction_id)}},
    }
    result = await loaded(vendor_saying(answer("200 OK", json.dumps({"cards": [card]}).encode())))
    assert result.withheld == result.unmarked == result.answers > 0


async def _still_there() -> bool:
    return False


def test_the_extension_looked_for_is_the_one_the_wrapper_writes() -> None:
    assert Settings.model_fields["extension_key"].default == EXTENSION_KEY


async def test_a_patient_the_vendor_does_not_know_gets_no_card() -> None:
    result = await loaded(partial(FixedTimeVendor, {}, 0.0))
    assert set(result.wrong) == {"status 404"}


class _HangsUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def test_a_connection_that_closes_before_the_answer_is_counted_and_ends_the_round() -> None:
    result = await loaded(_HangsUp, seconds=20)
    assert result.wrong == {"connection closed before the answer": 3}
    assert result.latencies_us == []
