"""The load generator: a closed loop of connections that are kept alive, every answer timed and checked.

    python -m cds_wrapper.bench.load --port 8080 --path /cds-services/cvd-risk --calls calls.json

Each connection sends its next call when the answer to the last one is whole. With `--signing-key` every call
brings a token of its own; as many as the round can use are signed before it begins. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid5

import msgspec

from cds_wrapper.bench.calls import read_calls
from cds_wrapper.bench.process_meter import cpu_seconds
from cds_wrapper.bench.tokens import Signer
from cds_wrapper.bench.wire import Message, Messages, NotUnderstood, post, with_token

HOST = "127.0.0.1"
EXTENSION_KEY = "org.cds-wrapper.prediction"
NOT_RECORDED = "not recorded"


class LoadResult(msgspec.Struct, frozen=True):
    """What one round of load saw.

    `answers` counts every answer, those of the warm-up included; `latencies_us` are microseconds from
    sending to the last byte, of those that came within the measured `seconds`. `unmarked` are good answers
    without the text that was asked for, `withheld` those of them that say that they were not recorded,
    `wrong` the others by what was wrong. `cpu` is processor time spent within the measured seconds: by
    process id, and `0` for the load generator's own.
    """

    answers: int
    seconds: float
    latencies_us: list[float]
    unmarked: int
    withheld: int
    wrong: dict[str, int]
    cpu: dict[int, float]


class _Card(msgspec.Struct):
    uuid: str = ""
    extension: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    cards: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Answer)
_card = msgspec.json.Decoder(_Card)


@dataclass(slots=True)
class Round:
    """One round: what is sent, and what came back so far. Times are `perf_counter_ns`.

    `left` is how many calls may still be sent, None for no end but time. A connection sends no two calls
    within `pause` seconds.
    """

    calls: Sequence[bytes]
    marker: bytes
    seed: int
    tokens: Iterator[str] | None = None
    measured_from: int = sys.maxsize
    over: bool = False
    left: int | None = None
    pause: float = 0.0
    answers: int = 0
    unmarked: int = 0
    withheld: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))

    def take_one(self) -> bool:
        """Whether another call is to be sent, which is taken from those left."""
        if self.over or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True

    def order(self, connection: int) -> Iterator[bytes]:
        """The calls of one connection, shuffled anew each time they have all been sent."""
        chance = random.Random(f"{self.seed}/{connection}")  # noqa: S311  an order, no secret
        while True:
            for call in chance.sample(self.calls, len(self.calls)):
                yield with_token(call, next(self.tokens)) if self.tokens else call

    def take(self, message: Message, sent_at: int) -> None:
        """Count and check an answer that has just come."""
        now = time.perf_counter_ns()
        self.answers += 1
        if now >= self.measured_from and not self.over:
            self.latencies.append((now - sent_at) / 1000)
        problem = _problem(message)
        if problem is not None:
            self.wrong[problem] += 1
        elif self.marker not in message.body:
            self.unmarked += 1
            self.withheld += _is_withheld(message)


def _is_withheld(message: Message) -> bool:
    """Whether the one card says that its call was not recorded: its id is made from the prediction's."""
    card = _card.decode(_decoder.decode(message.body).cards[0])
    prediction = card.extension.get(EXTENSION_KEY, {}).get("prediction_id")
    return prediction is not None and card.uuid == str(uuid5(UUID(prediction), NOT_RECORDED))


def _problem(message: Message) -> str | None:
    """What is wrong with an answer: it must be a 200 with at least one card."""
    if message.status != 200:
        return f"status {message.status}"
    try:
        return None if _decoder.decode(message.body).cards else "no card"
    except msgspec.DecodeError:
        return "no CDS Hooks answer"


class Connection(asyncio.Protocol):
    """One connection of the closed loop; `ended` is settled when it has nothing more to do."""

    def __init__(self, this_round: Round, number: int) -> None:
        self._round = this_round
        self._order = this_round.order(number)
        self._messages = Messages(answers=True)
        self._sent_at = 0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if not self._round.take_one():
            self._end()
            return
        call = next(self._order)
        self._sent_at = time.perf_counter_ns()
        self._transport.write(call)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._messages.feed(data)
        except NotUnderstood as error:
            self._round.wrong[str(error)] += 1
            self._end()
            return
        for message in messages:
            self._round.take(message, self._sent_at)
            self._go_on()

    def _go_on(self) -> None:
        waited = (time.perf_counter_ns() - self._sent_at) / 1e9
        if self._round.pause > waited and not self._round.over:
            asyncio.get_running_loop().call_later(self._round.pause - waited, self._send)
        else:
            self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self._round.wrong["connection closed before the answer"] += 1
            self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()


@dataclass(frozen=True, slots=True)
class Load:
    """How much load, on what, for how long (seconds), and whose processor time is read meanwhile.

    With `signing_key` (a file) each call brings a token for `audience`; `tokens` are signed beforehand, and
    any that are needed beyond those at the moment of the call.
    """

    port: int
    path: str
    connections: int
    seconds: float
    warm_up: float = 0.3
    seed: int = 1
    marker: str = ""
    processes: tuple[int, ...] = ()
    signing_key: Path | None = None
    audience: str = ""
    tokens: int = 0


async def drive(load: Load, bodies: Sequence[bytes]) -> LoadResult:
    """Run one round; `OSError` when nobody listens."""
    calls = [post(load.path, body) for body in bodies]
    signer = Signer(load.signing_key, load.audience) if load.signing_key else None
    tokens = signer.tokens(load.tokens) if signer else None
    this_round = Round(calls, load.marker.encode(), load.seed, tokens)
    connections = await connected(this_round, load.connections, load.port)
    await _pass(load.warm_up, connections)
    before = _cpu(load.processes)
    this_round.measured_from = time.perf_counter_ns()
    await _pass(load.seconds, connections)
    this_round.over = True
    seconds = (time.perf_counter_ns() - this_round.measured_from) / 1e9
    after = _cpu(load.processes)
    await asyncio.wait([connection.ended for connection in connections])
    return LoadResult(
        answers=this_round.answers,
        seconds=seconds,
        latencies_us=list(this_round.latencies),
        unmarked=this_round.unmarked,
        withheld=this_round.withheld,
        wrong=dict(this_round.wrong),
        cpu={process: after[process] - spent for process, spent in before.items()},
    )


async def connected(this_round: Round, connections: int, port: int) -> list[Connection]:
    """So many connections, which begin to send at once; `OSError` when nobody listens."""
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(partial(Connection, this_round, number), HOST, port))[1]
        for number in range(connections)
    ]


async def _pass(seconds: float, connections: Sequence[Connection]) -> None:
    """Let the time pass, or less when every connection has ended: then there is nothing left to measure."""
    await asyncio.wait([connection.ended for connection in connections], timeout=seconds)


def _cpu(processes: Sequence[int]) -> dict[int, float]:
    return {0: time.process_time(), **{process: cpu_seconds(process) for process in processes}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it as a process."""
    parser = argparse.ArgumentParser(prog="python -m cds_wrapper.bench.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--marker", default="")
    parser.add_argument("--signing-key", type=Path)
    parser.add_argument("--audience", default="")
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--process", type=int, action="append", default=[], dest="processes")
    options = vars(parser.parse_args(arguments))
    bodies = [call.body for call in read_calls(options.pop("calls"))]
    load = Load(**{**options, "processes": tuple(options["processes"])})
    result = asyncio.run(drive(load, bodies))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
