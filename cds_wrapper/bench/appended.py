"""What one measurement of the ledger saw, as its process prints it."""

from __future__ import annotations

import msgspec


class Appended(msgspec.Struct, frozen=True):
    """What one measurement saw.

    `written` counts every row, `records` those that were measured: they took `seconds` in so many `commits`,
    and each caller waited as long as `waits_us` says. Processor time per record in us: `making_us` for its
    entry, `append_us` for all of the rest, the stream to its last line included.
    """

    written: int
    records: int
    seconds: float
    waits_us: list[float]
    commits: int
    making_us: float
    append_us: float
