"""A vendor that answers after a fixed time: the part of every call that is not the wrapper's.

    python -m cds_wrapper.bench.vendor --port 8091 --calls calls.json --milliseconds 50

It knows the answers beforehand and speaks just enough HTTP, so that it is never what is measured. From
SIGUSR1 on it takes calls and answers none of them, until SIGUSR2.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from cds_wrapper.bench.calls import read_calls
from cds_wrapper.bench.wire import Message, Messages, answer

HOST = "127.0.0.1"
_NOBODY = answer("404 Not Found", b'{"resourceType":"OperationOutcome"}')


class _Context(msgspec.Struct):
    patientId: str  # noqa: N815  the name on the wire


class _Call(msgspec.Struct):
    context: _Context


_decoder = msgspec.json.Decoder(_Call)


@dataclass(slots=True)
class Mood:
    """Whether the vendor answers at present."""

    hangs: bool = False

    def obey_signals(self) -> None:
        """Hang from SIGUSR1 on, answer from SIGUSR2 on."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, setattr, self, "hangs", True)
        loop.add_signal_handler(signal.SIGUSR2, setattr, self, "hangs", False)


class FixedTimeVendor(asyncio.Protocol):
    """One connection; each call is answered `seconds` after its last byte came."""

    def __init__(self, answers: Mapping[str, bytes], seconds: float, mood: Mood | None = None) -> None:
        self._answers = answers
        self._seconds = seconds
        self._mood = mood or Mood()
        self._messages = Messages(answers=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every call that is whole now, when its time has come."""
        for message in self._messages.feed(data):
            answered = self._answer_to(message)
            if self._mood.hangs:
                continue
            if self._seconds:
                asyncio.get_running_loop().call_later(self._seconds, self._transport.write, answered)
            else:
                self._transport.write(answered)

    def _answer_to(self, message: Message) -> bytes:
        try:
            return self._answers.get(_decoder.decode(message.body).context.patientId, _NOBODY)
        except msgspec.DecodeError:
            return _NOBODY


async def serve(answers: Mapping[str, bytes], port: int, seconds: float) -> None:
    """Serve until the process is ended; `answers` are whole bodies by patient id."""
    mood = Mood()
    mood.obey_signals()
    wire = {patient: answer("200 OK", body) for patient, body in answers.items()}
    server = await asyncio.get_running_loop().create_server(
        partial(FixedTimeVendor, wire, seconds, mood), HOST, port, backlog=512
    )
    async with server:
        await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it as a process."""
    parser = argparse.ArgumentParser(prog="python -m cds_wrapper.bench.vendor", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--milliseconds", type=float, default=50.0)
    options = parser.parse_args(arguments)
    answers = {call.patient: call.answer for call in read_calls(options.calls)}
    asyncio.run(serve(answers, options.port, options.milliseconds / 1000))


if __name__ == "__main__":
    main()
