"""What callers hand to the ledger, and what they get back. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cds_wrapper.ledger.entries import Correction, KeptFile, LedgerEntry, Stamp
from cds_wrapper.ledger.feedback import FeedbackEntry


@dataclass(frozen=True, slots=True)
class Record:
    """A prediction to be written; `if_late` are the cards that are returned if it is not durable in time."""

    entry: LedgerEntry
    if_late: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """Feedback entries to be written."""

    entries: tuple[FeedbackEntry, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """Files to be kept."""

    files: tuple[KeptFile, ...]


Work: TypeAlias = Record | Feedback | Files

Piece: TypeAlias = Work | Correction
"""Whatever the spool may hold: callers' work, and what must be said about it afterwards."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a prediction is durable; `waited` is the caller's whole wait for it, sync included.

    `sequence` is None as long as its place in the ledger is not known; `spooled`: it is durable in the spool.
    """

    writer: str
    sequence: int | None
    recorded_at: datetime
    waited: timedelta
    spooled: bool = False

    @classmethod
    def of(cls, stamp: Stamp, waited: timedelta) -> Receipt:
        """The receipt of a stamped row that is durable after a wait."""
        return cls(stamp.writer, stamp.sequence, stamp.recorded_at, waited)


@dataclass(frozen=True, slots=True)
class FeedbackReceipt:
    """What became of a feedback call's entries: new ones, those of them for unknown cards, repeated ones.

    Of entries in the spool (`spooled`) only the number is known: whether they are new and whose they are
    is found out when they reach the ledger.
    """

    stored: int
    unmatched: int
    repeated: int
    spooled: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """A prediction that has just come into the ledger; `in_time` is false when its caller had gone by then.

    One that came by way of the spool was told to its caller before, and counts as in time.
    """

    entry: LedgerEntry
    receipt: Receipt
    in_time: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """The spool was moved to the ledger: how much, how long after it was begun, its oldest piece of work."""

    records: int
    took: timedelta
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """State and counts since the start; errors are names and never messages.

    `spool_stands_in`: work goes to the spool, or has not all come back from it. A ledger that works again is
    not trusted at once, so the spool may be empty for a while and take the next record all the same.
    `spool_records` are the pieces of work that are durable in the spool and not in the ledger yet,
    `spool_oldest` is when the first of them was written. `chain_problems` are the ends of this writer's
    chains that were not what had been written last when the ledger was opened.
    """

    ledger_available: bool = True
    spool_available: bool = False
    spool_stands_in: bool = False
    spool_records: int = 0
    spool_bytes: int = 0
    spool_oldest: datetime | None = None
    queue_depth: int = 0
    records_total: int = 0
    batches_total: int = 0
    corrections_total: int = 0
    last_error: str | None = None
    spool_error: str | None = None
    spool_starts_total: int = 0
    replays_total: int = 0
    last_replay: Replay | None = None
    lost_total: int = 0
    out_of_place_total: int = 0
    chain_problems: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        """Whether a record can be made durable somewhere."""
        return self.ledger_available or self.spool_available
