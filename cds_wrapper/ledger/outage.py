"""What is known of the two stores: whether they work, what the spool still holds, since when it stands in.

Times are of the monotonic clock, in seconds. Nothing here is safe for threads: `routing` holds the lock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from cds_wrapper.ledger.spool_folder import Position
from cds_wrapper.ledger.work import Replay

RETRY_AFTER = timedelta(seconds=1)
"""How often a store that cannot be written is tried again while nobody asks."""

HOLD_OFF = timedelta(seconds=1)
"""How long the spool is used at least once it is: a ledger that is slow is not tried again at once."""

LONGEST_HOLD_OFF = timedelta(seconds=30)
_SETTLED = timedelta(minutes=1)


@dataclass(slots=True)
class Store:
    """Whether a store works, as far as anybody knows, and when to find out again; errors are names."""

    is_available: bool = True
    retry_at: float = 0.0
    last_error: str | None = None

    def works(self, for_now: timedelta = timedelta()) -> None:
        """It has made something durable."""
        self.is_available = True
        self.retry_at = time.monotonic() + for_now.total_seconds()

    def fails(self, error: str | None = None) -> None:
        """It has not done what it was asked."""
        self.is_available = False
        self.last_error = error or self.last_error
        self.retry_at = time.monotonic() + RETRY_AFTER.total_seconds()

    def does_not_answer(self) -> None:
        """Somebody has waited for it in vain: it is tried again at once."""
        self.is_available = False
        self.retry_at = 0.0


_NOWHERE = Position(0, 0, 0, "")


@dataclass(slots=True)
class Backlog:
    """What the spool holds that is not in the ledger: the lines from `drained` to `end`."""

    drained: Position = _NOWHERE
    end: Position = _NOWHERE
    is_unreadable: bool = False
    drain_at: float = 0.0
    lost: int = 0
    out_of_place: int = 0

    @property
    def records(self) -> int:
        """How many lines there are."""
        return max(0, self.end.number - self.drained.number)

    @property
    def is_behind(self) -> bool:
        """Whether there is anything to be moved."""
        return self.drained.place < self.end.place

    def moved(self, at: Position, *, is_readable: bool) -> None:
        """Lines before `at` are in the ledger; a spool that cannot be read is tried again a little later."""
        self.drained = at
        self.is_unreadable = not is_readable
        self.drain_at = 0.0 if is_readable else time.monotonic() + RETRY_AFTER.total_seconds()

    def opened(self, at: Position, end: Position) -> None:
        """The folder was looked at; less in it than was known to be there is lost."""
        held = max(0, end.number - at.number)
        self.lost += max(0, self.records - held)
        self.drained, self.end = at, end


@dataclass(slots=True)
class Outage:
    """The time in which the spool stands in for the ledger, and what the last one was like.

    A ledger that is slow again soon after it was trusted again is given more time each time.
    """

    starts: int = 0
    replays: int = 0
    last: Replay | None = None
    hand_over_at: float = 0.0
    _began: float | None = None
    _ended: float | None = None
    _hold_off: timedelta = HOLD_OFF
    _moved: int = 0
    _oldest: datetime | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is one: it ends when the ledger is used again and the spool is empty."""
        return self._began is not None

    def begin(self, now: float) -> None:
        """The route turns to the spool; during an outage nothing changes but the time of the next try."""
        if self._began is None:
            is_again = self._ended is not None and now - self._ended < _SETTLED.total_seconds()
            self._hold_off = min(self._hold_off * 2, LONGEST_HOLD_OFF) if is_again else HOLD_OFF
            self.starts += 1
            self._open(now)
        self.hand_over_at = now + self._hold_off.total_seconds()

    def inherit(self, now: float) -> None:
        """The spool was not empty when the process started; there is no reason to wait."""
        if self._began is None:
            self._open(now)

    def _open(self, now: float) -> None:
        self._began, self._moved, self._oldest = now, 0, None

    def moved(self, records: int, oldest: datetime | None) -> None:
        """Lines have come from the spool into the ledger."""
        self._moved += records
        self._oldest = self._oldest or oldest

    def end(self, now: float) -> bool:
        """The spool is empty and the ledger is used again; false when there is no outage."""
        if self._began is None:
            return False
        self.last = Replay(self._moved, timedelta(seconds=now - self._began), self._oldest)
        self.replays += 1
        self._began, self._ended = None, now
        return True
