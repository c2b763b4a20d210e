"""Prints the fault table with the measured time of each cell: `python -m tests.service.laboratory_times`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.service.laboratory import Seen, laboratory
from tests.service.laboratory_adapters import Adapter
from tests.service.laboratory_faults import FAULTS
from tests.service.laboratory_table import Cell, Fault


async def main() -> None:
    """Make every fault once, and print how long each call took."""
    with tempfile.TemporaryDirectory() as folder:
        async with laboratory(Path(folder)) as running:
            for fault in FAULTS:
                for adapter, cell in fault.cells.items():
                    if isinstance(cell, Cell):
                        sys.stdout.write(line(fault, adapter, await running.see(fault, adapter)))


def line(fault: Fault, adapter: Adapter, seen: Seen) -> str:
    """What one call came to, and in how many milliseconds."""
    (row,) = seen.rows
    ended = f"{row['status']} {row['reason'] or ''}"
    return f"{seen.milliseconds:8.1f} ms  {adapter.value:15} {ended:40} {fault.name}\n"


if __name__ == "__main__":
    asyncio.run(main())
