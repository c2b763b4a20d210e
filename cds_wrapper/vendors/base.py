"""What every vendor answers: a prediction, or the reason why there is none.

Every adapter turns whatever its vendor said into one of two values. Trouble that is
expected of a vendor (late, down, unreadable) is a value here, never an exception.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.cds_answer import Members, VendorCard
from cds_wrapper.outbound import Deadline
from cds_wrapper.vendors.features import Features


class Status(enum.Enum):
    """How a prediction ended; the closed list every record uses."""

    ANSWERED = "answered"
    NO_CARDS = "no_cards"
    TIMED_OUT = "timed_out"
    CIRCUIT_OPEN = "circuit_open"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    MISSING_INPUT = "missing_input"
    STALE = "stale"
    STOPPED = "stopped"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    ERROR = "error"


class ScoreKind(enum.Enum):
    """What a recorded score is; a per cent is divided by 100 on entry and becomes a probability."""

    PROBABILITY = "probability"
    INDEX = "index"
    RANK = "rank"


class VersionSource(enum.Enum):
    """Where the model's version was learnt."""

    RESPONSE = "response"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The model a prediction came from, and who said so."""

    id: str
    version: str
    source: VersionSource


@dataclass(frozen=True, slots=True)
class VendorCall:
    """What one call to the vendor cost and said about itself.

    `milliseconds` is wall time from asking to the last byte. `http_status` is None when no answer came.
    `hook_instance` is the id the call went out under, None when the vendor was not asked.
    """

    milliseconds: float = 0.0
    http_status: int | None = None
    attempts: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    hook_instance: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The vendor answered; `cards` may be empty (status `no_cards`).

    With `score_only` the vendor speaks no cards: its score is the answer, and what a clinician reads of it is
    the site's to write. `score_at` is the vendor's own time of the score, in UTC, where it gives one. `flags`
    are the ids of what the site looks for beside the score and the answer says is so.

    `score` is in `score_kind`'s own unit (a probability is a fraction of 1); None when the answer held none.
    `flagged` is score >= threshold of the service's first threshold; None without a score or a threshold.
    `changes` names what was held back of the vendor's answer as a whole. `system_actions` are those it asks
    for; what becomes of them is decided with the caveat.
    `reason` says more about the status, from a closed list (`vendors.reasons`).
    """

    cards: tuple[VendorCard, ...] = field(repr=False)
    score: float | None = field(repr=False)
    score_kind: ScoreKind | None
    flagged: bool | None = field(repr=False)
    model: ModelVersion
    call: VendorCall
    changes: tuple[str, ...] = ()
    reason: str | None = None
    system_actions: tuple[Members, ...] = field(default=(), repr=False)
    score_only: bool = False
    score_at: datetime | None = field(default=None, repr=False)
    flags: tuple[str, ...] = field(default=(), repr=False)

    @property
    def status(self) -> Status:
        """`answered`, or `no_cards` when the vendor had nothing to say."""
        return Status.ANSWERED if self.cards or self.score_only else Status.NO_CARDS


@dataclass(frozen=True, slots=True)
class NoPrediction:
    """The vendor gave nothing usable, and why.

    `missing_inputs` are display names from the service's own configuration, never the vendor's words.
    `reason` says more from a closed list (`vendors.reasons`, `vendors.question`, `errors.Trouble`);
    with `context_incomplete` or `context_of_another_patient` the vendor was not asked at all. `score_at` is
    the time of a score that is too old to be shown (`stale`).
    """

    status: Status
    model: ModelVersion
    call: VendorCall
    reason: str | None = None
    missing_inputs: tuple[str, ...] = ()
    score_at: datetime | None = field(default=None, repr=False)


STRIPPED = "request_stripped"
"""The reason of a prediction that was asked for with nothing to make it of."""


def made_of_nothing(answered: Prediction | NoPrediction) -> Prediction | NoPrediction:
    """What a vendor answered to a call that came with neither data nor a token to fetch them.

    That it had nothing to say then is no finding: no card would look like no risk.
    """
    if isinstance(answered, Prediction) and not answered.cards:
        return NoPrediction(Status.MISSING_INPUT, answered.model, answered.call, STRIPPED)
    return answered if answered.reason else replace(answered, reason=STRIPPED)


PROCESS_FULL = "process_full"
"""The reason of a call that came when this process had as many as it serves in full."""

ORDERS_UNKNOWN = "orders_unknown"
"""The reason why a vendor was not asked: whether its service is stopped could not be read yet."""


@dataclass(frozen=True, slots=True)
class NotAsked:
    """Stands in for a vendor that must not be called; calls nobody."""

    status: Status
    model: ModelVersion
    reason: str | None = None

    async def predict(
        self, _request: CDSRequest, _prefetch: Prefetch, _features: Features, _deadline: Deadline
    ) -> NoPrediction:
        """The answer that is known beforehand."""
        return NoPrediction(self.status, self.model, VendorCall(), self.reason)


class Vendor(Protocol):
    """Anything that can be asked for a prediction within a deadline."""

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask once; never raises for trouble that is the vendor's."""
        ...


@runtime_checkable
class Lasting(Protocol):
    """A vendor that holds something while we run, such as a process; opened before the first call."""

    async def open(self) -> None:
        """Begin; whoever cannot begin yet stops nobody's start."""
        ...

    async def close(self) -> None:
        """End whatever was begun."""
        ...
