"""A process that writes to a ledger and says so: run by the durability tests, killed, traced and starved.

Each append is one line on standard output, written after the ledger answered: `durable ID` or
`unavailable ID`. It ends when its standard input is closed, or after `--count` appends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import uuid
from datetime import timedelta
from itertools import islice, repeat
from pathlib import Path

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import CHECKPOINT_ABOVE_BYTES, Checkpoints, Synchronous
from cds_wrapper.ledger.store import SQLiteLedger
from tests.unit.ledger.examples import entry


async def write(arguments: argparse.Namespace) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    within = timedelta(milliseconds=arguments.within_ms)
    ledger = SQLiteLedger(
        arguments.ledger,
        synchronous=Synchronous(arguments.synchronous),
        checkpoints=Checkpoints(arguments.ledger, arguments.checkpoint_above),
        spool=arguments.spool,
        host="host",
    )
    await ledger.open()
    turns = islice(repeat(None), arguments.count)

    async def append() -> None:
        for _ in turns:
            if ended.is_set():
                return
            one = str(uuid.uuid4())
            try:
                await ledger.append(entry(prediction_id=one), within, if_late=["card-of-the-planned-answer"])
            except LedgerUnavailable:
                os.write(1, f"unavailable {one}\n".encode())
                await asyncio.sleep(0.01)
            else:
                os.write(1, f"durable {one}\n".encode())

    await asyncio.gather(*(append() for _ in range(arguments.workers)))
    while arguments.drain and (ledger.health.spool_stands_in or not ledger.health.ledger_available):
        await asyncio.sleep(0.05)
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--spool", type=Path)
    parser.add_argument("--drain", action="store_true", help="end when the spool is empty")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--count", type=int)
    parser.add_argument("--within-ms", type=int, default=30_000)
    parser.add_argument("--synchronous", default="FULL")
    parser.add_argument("--checkpoint-above", type=int, default=CHECKPOINT_ABOVE_BYTES)
    asyncio.run(write(parser.parse_args()))


if __name__ == "__main__":
    main()
