"""What the tests of the prediction stream share: a stream over a real ledger, and reading what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cds_wrapper.ledger.cursor import CursorFile
from cds_wrapper.ledger.sinks import FileSink, Sink
from cds_wrapper.ledger.store import SQLiteLedger
from cds_wrapper.ledger.stream import PredictionStream
from cds_wrapper.log import OperatorLog
from tests.unit.ledger.examples import LONG_ENOUGH, entry

LARGE = 100_000_000
WITHIN_SECONDS = 60.0


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds; fail when it never does."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def append(ledger: SQLiteLedger, *ids: str, **differences: Any) -> None:
    """Record predictions of these ids, in their order and few commits."""
    for start in range(0, len(ids), 500):
        entries = [entry(prediction_id=one, **differences) for one in ids[start : start + 500]]
        await asyncio.gather(*(ledger.append(one, LONG_ENOUGH) for one in entries))


def written(folder: Path, name: str = "predictions.jsonl") -> list[dict[str, Any]]:
    """Every whole line of the stream's files, the oldest file first."""
    files = sorted(
        (path for path in folder.glob(f"{name}*") if path.suffix[1:].isdigit() or path.name == name),
        key=lambda path: -int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0,
    )
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def ids(lines: list[dict[str, Any]]) -> list[str]:
    """The predictions the lines are about, in their order."""
    return [line["prediction_id"] for line in lines]


def rewrite(ledger: Path, *statements: str) -> None:
    """Change a ledger as somebody would who does not go through the wrapper."""
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        for name, kind in database.execute("SELECT name, type FROM sqlite_master").fetchall():
            if kind == "trigger":
                database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)


@dataclass
class Running:
    """A stream at work."""

    stream: PredictionStream
    told: io.StringIO = field(repr=False)

    def events(self) -> list[dict[str, Any]]:
        """What it told the operator."""
        return [json.loads(line) for line in self.told.getvalue().splitlines()]

    def names(self) -> list[str]:
        """The names of those events."""
        return [event["event"] for event in self.events()]


@contextlib.asynccontextmanager
async def streaming(
    folder: Path, sink: Sink | None = None, patience: timedelta = timedelta(seconds=20)
) -> AsyncIterator[Running]:
    """A stream over the ledger in a folder, into a file beside it unless a sink is given; closed after."""
    told = io.StringIO()
    place = sink or FileSink(folder / "predictions.jsonl", LARGE, 3)
    cursor = CursorFile(folder / "predictions.jsonl.cursor")
    stream = PredictionStream(folder / "ledger.db", place, cursor, OperatorLog("test-0", told))
    stream.start()
    try:
        yield Running(stream, told)
    finally:
        await stream.close(patience)
