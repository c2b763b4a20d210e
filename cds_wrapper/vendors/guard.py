"""What every vendor wears: so many calls at one time and no more, and none to a vendor that does not work.

Whoever is not let through is told at once and waits for nothing; that is recorded like any other call, and
the clinician reads that there is no result right now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.errors import Trouble
from cds_wrapper.log import OperatorLog, vendor_events
from cds_wrapper.outbound import Deadline
from cds_wrapper.vendors.base import ModelVersion, NoPrediction, Prediction, Status, Vendor, VendorCall
from cds_wrapper.vendors.circuit import Circuit, CircuitPolicy, CircuitState, Turn, Verdict
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.reasons import Reason

MOST_IN_FLIGHT = 64
"""Unless its file says otherwise; calls of one service's vendor at one time."""

FAIR_SHARE = 0.25
"""A time-out says something about the vendor when it had at least this part of the service's time budget."""


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """How much of us a vendor may take up, as its service's file declares it."""

    most_in_flight: int = MOST_IN_FLIGHT
    circuit: CircuitPolicy = field(default_factory=CircuitPolicy)


class Guarded:
    """A vendor in its guard. It belongs to one event loop, where nothing happens between two awaits."""

    def __init__(
        self,
        vendor: Vendor,
        service: tuple[str, str],
        model: ModelVersion,
        budget: timedelta,
        policy: GuardPolicy,
        lines: OperatorLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`service` is its id and hook, `budget` its time budget; `model` is named when nobody was asked."""
        self.vendor = vendor
        self.service = service
        self.in_flight = 0
        self._model = model
        self._fair = budget * FAIR_SHARE
        self._policy = policy
        self._circuit = Circuit(policy.circuit)
        self._opened_at = 0.0
        self._log = lines
        self._clock = clock

    @property
    def circuit_state(self) -> CircuitState:
        """As it is now in this process."""
        return self._circuit.state(self._clock())

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask the vendor, unless that would do no good; never waits for a place."""
        now = self._clock()
        is_full = self.in_flight >= self._policy.most_in_flight
        ticket = None if is_full else self._circuit.begin(now)
        if ticket is None:
            works = is_full and self._circuit.admits(now)
            return NoPrediction(
                Status.OVERLOADED if works else Status.CIRCUIT_OPEN, self._model, VendorCall()
            )
        given, verdict, answered = deadline.remaining, Verdict.NOTHING, None
        self.in_flight += 1
        try:
            answered = await self.vendor.predict(request, prefetch, features, deadline)
            verdict = verdict_of(answered, given >= self._fair)
            return answered
        finally:  # also of a call that is cancelled or fails by a mistake of ours: it leaves its place
            self.in_flight -= 1
            turn = self._circuit.end(ticket, verdict, self._clock())
            if turn is not None:
                self._tell(turn, answered)

    def _tell(self, turn: Turn, answered: Prediction | NoPrediction | None) -> None:
        about = {"service_id": self.service[0], "hook": self.service[1]}
        if turn is Turn.OPENED and answered is not None:
            self._opened_at = self._clock()
            self._log.emit(
                vendor_events.CIRCUIT_OPENED,
                status=answered.status.value,
                reason=answered.reason,
                open_seconds=self._policy.circuit.open_for.total_seconds(),
                **about,
            )
        else:
            seconds = round(self._clock() - self._opened_at, 3)
            self._log.emit(vendor_events.CIRCUIT_CLOSED, seconds=seconds, **about)


_NO_ANSWER: Final = frozenset(
    one.value
    for one in (
        Trouble.CLOSED_EARLY,
        Trouble.RESET,
        Trouble.CUT_OFF,
        Trouble.NOT_HTTP,
        Trouble.TOO_LARGE,
        Reason.NOT_200,
        Reason.NOT_JSON,
        Reason.NOT_CDS_HOOKS,
        Reason.NOT_OPEN_INFERENCE,
    )
)
"""What came, if anything did, was not of the model: a gateway's page, as a rule, or the end of a process."""


def verdict_of(answered: Prediction | NoPrediction, had_time: bool) -> Verdict:
    """What the end of a call says about the vendor itself.

    One that refuses, lacks an input or gives a score that cannot be right works: it has read a question and
    answered it in the form of its protocol.
    """
    if isinstance(answered, Prediction):
        return Verdict.WORKS
    if not answered.call.attempts:  # it was not asked: too late, or something was missing that it needs
        return Verdict.NOTHING
    match answered.status:
        case Status.TIMED_OUT:
            return Verdict.FAILED if had_time else Verdict.NOTHING
        case Status.UNREADABLE:
            return Verdict.FAILED if answered.reason in _NO_ANSWER else Verdict.WORKS
        case Status.UNREACHABLE | Status.FAILED:
            return Verdict.FAILED
        case Status.REFUSED | Status.MISSING_INPUT | Status.STALE:
            return Verdict.WORKS
        case _:
            return Verdict.NOTHING
