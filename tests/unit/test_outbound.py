"""The one way out: the deadline holds, and every foreign exception is translated."""

from __future__ import annotations

import inspect
from datetime import timedelta

import aiohttp
import pytest

from cds_wrapper.errors import OutboundTrouble, Trouble
from cds_wrapper.outbound import Deadline, Outbound, translate
from tests import fakes


def exceptions_of_aiohttp() -> list[type[BaseException]]:
    found = {
        value for value in vars(aiohttp).values() if inspect.isclass(value) and issubclass(value, Exception)
    }
    waiting = list(found)
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child not in found and child.__module__.startswith("aiohttp.client"):
                found.add(child)
                waiting.append(child)
    return sorted(found, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in exceptions_of_aiohttp()
        if issubclass(kind, (aiohttp.ClientError, OSError)) and not issubclass(kind, Warning)
    ],
    ids=lambda kind: kind.__qualname__,
)
def test_every_exception_of_the_client_library_is_translated(kind: type[BaseException]) -> None:
    assert translate(kind.__new__(kind)) in Trouble


def test_what_is_not_foreign_trouble_is_not_swallowed() -> None:
    with pytest.raises(AssertionError):
        translate(KeyError("a bug of ours"))


async def test_no_time_left_means_no_call() -> None:
    outbound = Outbound()
    await outbound.open()
    async with fakes.running(fakes.answers({})) as peer:
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(0)), 1000)
    await outbound.close()
    assert trouble.value.kind is Trouble.TIMED_OUT and peer.asked == []


async def test_an_answer_without_a_declared_length_is_capped_as_it_comes() -> None:
    async def endless(writer: object) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + b"x" * 5000)  # type: ignore[attr-defined]  # a StreamWriter
        writer.close()  # type: ignore[attr-defined]  # the same

    outbound = Outbound()
    await outbound.open()
    async with fakes.running(endless) as peer:
        with pytest.raises(OutboundTrouble) as trouble:
            await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(seconds=3)), 1000)
    await outbound.close()
    assert trouble.value.kind is Trouble.TOO_LARGE


async def test_no_redirect_is_followed_and_no_error_holds_the_address() -> None:
    outbound = Outbound()
    await outbound.open()
    async with fakes.running(fakes.answers(status=307, body=b"")) as peer:
        answer = await outbound.post_json(peer.url, b"{}", Deadline.after(timedelta(seconds=3)), 1000)
        assert answer.status == 307 and len(peer.asked) == 1
    with pytest.raises(OutboundTrouble) as trouble:
        await outbound.post_json(
            "http://127.0.0.1:9/Patient/p1", b"{}", Deadline.after(timedelta(seconds=3)), 1000
        )
    await outbound.close()
    assert "p1" not in str(trouble.value)
