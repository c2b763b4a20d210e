"""When a vendor is given a rest, and when it is tried again. Pure: the time comes in.

Closed, calls go through. Once enough of them in a row have failed, over long enough a time, the circuit opens
and lets none through. After its rest one call at a time is let through as a probe, and its end closes the
circuit or opens it again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import NewType

Ticket = NewType("Ticket", int)
"""Given to a call that is let through; what it says counts only while the circuit is as it was then."""


class CircuitState(enum.IntEnum):
    """As the metric `vendor_circuit_state` has it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Verdict(enum.Enum):
    """What the end of a call says about the vendor."""

    WORKS = "works"
    FAILED = "failed"
    NOTHING = "nothing"


class Turn(enum.Enum):
    """What the end of a call made of the circuit."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """Opens when `failures` calls in a row have failed, the last one `lasting` or more after the first."""

    failures: int = 5
    lasting: timedelta = timedelta(seconds=2)
    open_for: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Streak:
    """Failures in a row, and when the first of them ended."""

    failures: int
    since: float


class Circuit:
    """One vendor's circuit; `now` is in seconds on a clock that never goes back."""

    def __init__(self, policy: CircuitPolicy) -> None:
        self._policy = policy
        self._streak: _Streak | None = None
        self._rest_ends: float | None = None
        self._is_probed = False
        self._valid = Ticket(0)

    def state(self, now: float) -> CircuitState:
        """Half open from the end of the rest until a probe has said how the vendor is."""
        if self._rest_ends is None:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if now >= self._rest_ends else CircuitState.OPEN

    def admits(self, now: float) -> bool:
        """Whether a call would be let through just now."""
        return self._rest_ends is None or (now >= self._rest_ends and not self._is_probed)

    def begin(self, now: float) -> Ticket | None:
        """Let a call through, as the probe where one is due; None when it may not be made."""
        if not self.admits(now):
            return None
        if self._rest_ends is not None:
            self._is_probed = True
            self._turn_over()
        return self._valid

    def end(self, ticket: Ticket, verdict: Verdict, now: float) -> Turn | None:
        """Learn how a call that was let through has ended, whatever its end; what that did to the circuit.

        A call of an earlier state says nothing any more: neither an answer that was under way when the
        circuit opened nor a time-out of that time decides for the probe.
        """
        if ticket != self._valid:
            return None
        if self._rest_ends is not None:
            return self._probe_ended(verdict, now)
        match verdict:
            case Verdict.WORKS:
                self._streak = None
            case Verdict.FAILED:
                before = self._streak or _Streak(0, now)
                self._streak = _Streak(before.failures + 1, before.since)
                if self._is_enough(self._streak, now):
                    self._open(now)
                    return Turn.OPENED
            case Verdict.NOTHING:
                pass
        return None

    def _is_enough(self, streak: _Streak, now: float) -> bool:
        is_long = now - streak.since >= self._policy.lasting.total_seconds()
        return is_long and streak.failures >= self._policy.failures

    def _probe_ended(self, verdict: Verdict, now: float) -> Turn | None:
        """A probe without a verdict leaves its place to the next call at once."""
        self._is_probed = False
        match verdict:
            case Verdict.WORKS:
                self._rest_ends = self._streak = None
                self._turn_over()
                return Turn.CLOSED
            case Verdict.FAILED:
                self._open(now)
            case Verdict.NOTHING:
                self._turn_over()
        return None

    def _open(self, now: float) -> None:
        self._rest_ends = now + self._policy.open_for.total_seconds()
        self._turn_over()

    def _turn_over(self) -> None:
        self._valid = Ticket(self._valid + 1)
