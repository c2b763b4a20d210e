"""The load of a soak: so many calls of one service, and meanwhile paced calls of another.

    python -m cds_wrapper.bench.soak_load --port 8080 --metrics-port 9464 --path /cds-services/cvd-risk
        --calls calls.json --requests 10000 --signing-key signing-key.json --public-url http://127.0.0.1:8080

Every call brings a token that is signed for it and lives for a minute only: what the service has to remember
of used tokens stops growing after that. `/metrics` is read every second meanwhile. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cds_wrapper.bench.calls import read_calls
from cds_wrapper.bench.load import Round, connected
from cds_wrapper.bench.parts import read_text
from cds_wrapper.bench.tokens import Signer
from cds_wrapper.bench.wire import post

TOKEN_SECONDS = 60
SCRAPE_EVERY_SECONDS = 1.0


class Heard(msgspec.Struct, frozen=True):
    """What came back from one service; the members are those of `LoadResult`."""

    answers: int
    withheld: int
    wrong: dict[str, int]
    latencies_us: list[float]


class SoakResult(msgspec.Struct, frozen=True):
    """What one part of a soak heard; `beside` is the other service's, `scrapes_ms` how long each took."""

    seconds: float
    steady: Heard
    beside: Heard
    scrapes_ms: list[float]


@dataclass(frozen=True, slots=True)
class SoakLoad:
    """What is sent. `most_seconds` ends it whatever is left; `beside_path` is empty for one service alone.

    Each of the `beside_connections` sends a call every `beside_pause` seconds.
    """

    port: int
    metrics_port: int
    path: str
    requests: int
    connections: int
    signing_key: Path
    public_url: str
    marker: str = ""
    seed: int = 1
    most_seconds: float = 600.0
    beside_path: str = ""
    beside_connections: int = 32
    beside_pause: float = 0.5


async def soak(load: SoakLoad, bodies: Sequence[bytes]) -> SoakResult:
    """Send them; `OSError` when nobody listens."""
    steady = _round(load, load.path, bodies)
    steady.left = load.requests
    beside = _round(load, load.beside_path, bodies)
    beside.pause = load.beside_pause
    started = time.perf_counter()
    scrapes: list[float] = []
    scraping = asyncio.create_task(_scrape(load.metrics_port, scrapes))
    others = await connected(beside, load.beside_connections, load.port) if load.beside_path else []
    connections = await connected(steady, load.connections, load.port)
    await asyncio.wait([one.ended for one in connections], timeout=load.most_seconds)
    seconds = time.perf_counter() - started
    steady.over = beside.over = True
    await asyncio.wait([one.ended for one in (*connections, *others)])
    scraping.cancel()
    return SoakResult(seconds, _heard(steady), _heard(beside), scrapes)


def _round(load: SoakLoad, path: str, bodies: Sequence[bytes]) -> Round:
    tokens = Signer(load.signing_key, load.public_url + path, TOKEN_SECONDS).tokens(0)
    calls = [post(path, body) for body in bodies]
    return Round(calls, load.marker.encode(), load.seed, tokens, measured_from=0)


def _heard(one: Round) -> Heard:
    return Heard(one.answers, one.withheld, dict(one.wrong), list(one.latencies))


async def _scrape(port: int, took_ms: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.to_thread(read_text, port, "/metrics")
        took_ms.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(SCRAPE_EVERY_SECONDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it as a process."""
    parser = argparse.ArgumentParser(prog="python -m cds_wrapper.bench.soak_load", description=__doc__)
    for name in ("port", "metrics-port", "requests", "connections"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("path", "public-url"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("calls", "signing-key"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--marker", default="")
    parser.add_argument("--beside-path", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-seconds", type=float, default=600.0)
    options = vars(parser.parse_args(arguments))
    bodies = [call.body for call in read_calls(options.pop("calls"))]
    result = asyncio.run(soak(SoakLoad(**options), bodies))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
