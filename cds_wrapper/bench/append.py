"""Appends records to a ledger that is opened as the service opens it, chain and prediction stream included.

    python -m cds_wrapper.bench.append --calls calls.json --writers 32 --records 8000

Reads the wrapper's settings from the environment and prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import uvicorn

from cds_wrapper import log
from cds_wrapper.app import GC_THRESHOLD, open_runtime, pseudonyms_of
from cds_wrapper.bench.appended import Appended
from cds_wrapper.bench.calls import HookCall, read_calls
from cds_wrapper.bench.entries import Made, make_entries
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.store import Ledger
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.runtime import OrdersInForce, Runtime, ServicesInForce
from cds_wrapper.services import load_services
from cds_wrapper.settings import Settings, read_settings
from cds_wrapper.vendor_access import VendorAccess

PATIENCE = timedelta(seconds=60)
WARM_UP_SHARE = 0.1


async def measure(settings: Settings, calls: Sequence[HookCall], writers: int, records: int) -> Appended:
    """Append `records` after a warm-up; `ConfigurationRefused` when the settings do not allow it."""
    warm_up = max(writers, int(records * WARM_UP_SHARE))
    async with AsyncExitStack() as stack:
        rt = await _opened(settings, stack)
        _quieten_collector()
        made = make_entries(calls, rt, warm_up + records)
        await _append(rt.ledger, made.entries[:warm_up], writers)
        _quieten_collector()
        committed, spent = rt.ledger.health.batches_total, time.process_time()
        started = time.perf_counter()
        waits = await _append(rt.ledger, made.entries[warm_up:], writers)
        seconds = time.perf_counter() - started
        commits = rt.ledger.health.batches_total - committed
    # Closing writes the stream's last lines: what they cost belongs to these records too.
    append_us = (time.process_time() - spent) / records * 1e6
    return Appended(warm_up + records, records, seconds, waits, commits, made.cpu_us, append_us)


async def _opened(settings: Settings, stack: AsyncExitStack) -> Runtime:
    lines = log.OperatorLog("bench-0", sys.stderr)
    services = ServicesInForce(load_services(settings.hooks))
    keys = pseudonyms_of(settings)
    in_force = (services, OrdersInForce())
    return await open_runtime(settings, lines, in_force, keys, {}, stack, VendorAccess(), Metrics())


def _quieten_collector() -> None:
    """As the service does when it is ready to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


async def _append(ledger: Ledger, entries: Iterable[LedgerEntry], writers: int) -> list[float]:
    """Append them, so many at a time; how long each caller waited, in us."""
    waits: list[float] = []
    left = iter(entries)

    async def write() -> None:
        for entry in left:
            started = time.perf_counter()
            await ledger.append(entry, PATIENCE)
            waits.append((time.perf_counter() - started) * 1e6)

    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(write())
    return waits


async def made_entries(settings: Settings, calls: Sequence[HookCall], records: int) -> Made:
    """The same entries, for a comparison that has its own way of writing them."""
    async with AsyncExitStack() as stack:
        rt = await _opened(settings, stack)
        _quieten_collector()
        return make_entries(calls, rt, records)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that the server would choose."""
    return uvicorn.Config("none:none").get_loop_factory()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it as a process."""
    parser = argparse.ArgumentParser(prog="python -m cds_wrapper.bench.append", description=__doc__)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--writers", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    options = parser.parse_args(arguments)
    calls = read_calls(options.calls)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        result = runner.run(measure(read_settings(), calls, options.writers, options.records))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
