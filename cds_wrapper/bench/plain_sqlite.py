"""Plain SQLite as a baseline: the same columns in one table, no chain, no stream, no callers to be told.

    python -m cds_wrapper.bench.plain_sqlite --calls calls.json --database plain.db --records 8000 --batch 16

Reads the wrapper's settings from the environment and prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cds_wrapper.bench.append import loop_factory, made_entries
from cds_wrapper.bench.appended import Appended
from cds_wrapper.bench.calls import read_calls
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.settings import read_settings


def write_plainly(database: Path, entries: Sequence[LedgerEntry], batch: int) -> tuple[float, float]:
    """Write the entries, `batch` to a transaction, synced as the ledger's are; wall and processor seconds."""
    names = list(entries[0].plain())
    rows = [tuple(entry.plain().values()) for entry in entries]
    columns = ", ".join(names)
    places = ", ".join("?" for _ in names)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"CREATE TABLE plain ({columns}, PRIMARY KEY (prediction_id))")
        insert = f"INSERT INTO plain ({columns}) VALUES ({places})"  # noqa: S608  names are the code's own
        started, spent = time.perf_counter(), time.process_time()
        for first in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, rows[first : first + batch])
            connection.execute("COMMIT")
        return time.perf_counter() - started, time.process_time() - spent


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it as a process."""
    parser = argparse.ArgumentParser(prog="python -m cds_wrapper.bench.plain_sqlite", description=__doc__)
    parser.add_argument("--calls", type=Path, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    options = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        made = runner.run(made_entries(read_settings(), read_calls(options.calls), options.records))
    seconds, spent = write_plainly(options.database, made.entries, options.batch)
    commits = -(-options.records // options.batch)
    each = spent / options.records * 1e6
    result = Appended(options.records, options.records, seconds, [], commits, made.cpu_us, each)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
