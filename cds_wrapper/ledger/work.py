"""What callers hand to the committer, and what they get back. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cds_wrapper.ledger.entries import KeptFile, LedgerEntry, Stamp
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a prediction is durable; `waited` is the caller's whole wait for it, sync included."""

    writer: str
    sequence: int
    recorded_at: datetime
    waited: timedelta

    @classmethod
    def of(cls, stamp: Stamp, waited: timedelta) -> Receipt:
        """The receipt of a stamped row that is durable after a wait."""
        return cls(stamp.writer, stamp.sequence, stamp.recorded_at, waited)


@dataclass(frozen=True, slots=True)
class FeedbackReceipt:
    """What became of a feedback call's entries: new ones, those of them for unknown cards, repeated ones."""

    stored: int
    unmatched: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A prediction that has just become durable; `in_time` is false when its caller had gone by then."""

    entry: LedgerEntry
    receipt: Receipt
    in_time: bool


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """The committer's state and counts since the start; `last_error` is a name and never a message."""

    available: bool
    queue_depth: int
    records_total: int
    batches_total: int
    corrections_total: int
    last_error: str | None
