"""Ways in which a vendor can misbehave, switched on for a test or a rehearsal.

Only a vendor started with `--allow-faults` has `POST /demo/fault`:

    curl -X POST http://127.0.0.1:8081/demo/fault -d '{"mode": "slow", "seconds": 3}'

The mode stays until another one is set; `ok` ends it. `seconds` delays any mode.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, assert_never

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cds_wrapper.demo.vendor_card import complain

_LONGEST: Final = timedelta(minutes=2)
_HUGE_BYTES: Final = 20 * 1024 * 1024
_CHUNK: Final = b" " * 65536
_PROBABILITY: Final = 7.5
_POINTS: Final = 75


class Fault(enum.Enum):
    """What the vendor does instead of answering."""

    OK = "ok"
    SLOW = "slow"
    HTML = "html"
    HUGE = "huge"
    TRUNCATED = "truncated"
    ERROR = "error"
    DISCONNECT = "disconnect"
    NO_CARDS = "no_cards"
    NO_CONTENT = "no_content"
    OUT_OF_RANGE = "out_of_range"


MEANINGS: Final[dict[Fault, str]] = {
    Fault.OK: "answers as it should",
    Fault.SLOW: "answers as it should after `seconds`",
    Fault.HTML: "200 with a web page instead of JSON",
    Fault.HUGE: "200 with 20 MB of JSON",
    Fault.TRUNCATED: "200 with JSON that stops in the middle",
    Fault.ERROR: "500 with an OperationOutcome",
    Fault.DISCONNECT: "announces a body, sends a part of it and closes the connection",
    Fault.NO_CARDS: "200 with an empty list of cards",
    Fault.NO_CONTENT: "204 without a body",
    Fault.OUT_OF_RANGE: "a probability of 7.5, or 75 points",
}


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /demo/fault`."""

    mode: Fault
    seconds: float = 0.0


@dataclass(slots=True)
class FaultSwitch:
    """The one thing in the vendor that changes: how it is to misbehave now."""

    fault: Fault = Fault.OK
    delay: timedelta = field(default_factory=timedelta)

    async def receive_order(self, request: Request) -> Response:
        """Set the fault a caller asks for, and say what is in force."""
        try:
            order = msgspec.json.decode(await request.body(), type=FaultOrder)
        except msgspec.DecodeError:
            return JSONResponse(
                {"modes": {f.value: meaning for f, meaning in MEANINGS.items()}}, status_code=400
            )
        self.fault = order.mode
        self.delay = min(max(timedelta(seconds=order.seconds), timedelta()), _LONGEST)
        return JSONResponse({"mode": self.fault.value, "seconds": self.delay.total_seconds()})

    async def disturb(self, status: int, body: dict[str, Any]) -> Response:
        """Turn the proper answer into what the fault makes of it."""
        if self.delay:
            await asyncio.sleep(self.delay.total_seconds())
        return _faulty(self.fault, status, body)


def _faulty(fault: Fault, status: int, body: dict[str, Any]) -> Response:
    encoded = msgspec.json.encode(body)
    response: Response
    match fault:
        case Fault.OK | Fault.SLOW:
            response = _json(encoded, status)
        case Fault.HTML:
            response = Response("<!doctype html><title>Sign in</title><p>Sign in.", media_type="text/html")
        case Fault.HUGE:
            response = StreamingResponse(_huge(), media_type="application/json")
        case Fault.TRUNCATED:
            response = _json(encoded[: len(encoded) // 2], 200)
        case Fault.ERROR:
            response = _json(msgspec.json.encode(complain("exception", "the model could not be run")), 500)
        case Fault.DISCONNECT:
            response = BrokenOff(encoded)
        case Fault.NO_CARDS:
            response = _json(b'{"cards":[]}', 200)
        case Fault.NO_CONTENT:
            response = Response(status_code=204)
        case Fault.OUT_OF_RANGE:
            response = _json(msgspec.json.encode(_impossible(body)), status)
        case _:
            assert_never(fault)
    return response


def _json(encoded: bytes, status: int) -> Response:
    return Response(encoded, status_code=status, media_type="application/json")


def _impossible(body: dict[str, Any]) -> dict[str, Any]:
    """The answer with a score that cannot be, wherever this vendor's answers have theirs."""
    match body:
        case {"cards": [*cards]}:
            return {"cards": [_with_probability(card) for card in cards]}
        case {"outputs": [*outputs]}:
            return body | {"outputs": [output | {"data": [_POINTS]} for output in outputs]}
        case {"predictions": [*_]}:
            return body | {"predictions": [[1 - _PROBABILITY, _PROBABILITY]]}
        case _:
            return body


def _with_probability(card: dict[str, Any]) -> dict[str, Any]:
    extension = {name: score | {"probability": _PROBABILITY} for name, score in card["extension"].items()}
    return card | {"extension": extension}


async def _huge() -> AsyncIterator[bytes]:
    yield b'{"cards":['
    for _ in range(_HUGE_BYTES // len(_CHUNK)):
        yield _CHUNK
    yield b"]}"


class BrokenOff(Response):
    """A response that promises more bytes than it sends, so that the server has to close the connection."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
