"""The words of the fault table: what a fault is, what a cell expects, why a cell cannot happen."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cds_wrapper.errors import Trouble
from cds_wrapper.vendors.base import Status
from cds_wrapper.vendors.reasons import Reason
from tests.service.laboratory_acts import Deed
from tests.service.laboratory_adapters import Adapter, Place


class Card(enum.Enum):
    """What the clinician reads; part of the summary, and the name on the page."""

    SCORE = "the score"
    NO_RESULT = "no result right now. This does not mean low risk."
    NOT_CALCULATED = "missing. This does not mean low risk."
    STALE = "last score is from"
    PAUSED = "is paused; scores are being checked."
    NONE = "no card: the vendor has nothing to say"


class Before(enum.Enum):
    """What happens before the call that is looked at."""

    NOTHING = "nothing"
    THREE_FAIL = "three calls fail"
    REST_IS_OVER = "three calls fail, and its rest is over"
    ONE_HANGS = "a call hangs"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a fault comes to: as the record has it, and on the card. `score` is whether one is recorded."""

    status: Status
    reason: Reason | Trouble | None = None
    http: int | None = None
    card: Card = Card.NO_RESULT
    attempts: int = 1
    score: float | None = None

    @property
    def disposition(self) -> str | None:
        """Of a version that nobody approved nothing is shown."""
        return "shadow" if self.card is Card.PAUSED else None


@dataclass(frozen=True, slots=True)
class Never:
    """The fault cannot happen to this adapter."""

    why: str


Outcome = Cell | Never
_NO_NETWORK = Never("it runs on this machine: no network and no HTTP lie between")


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. `act` is what the vendor does; with `waits`, until it sees that it was given up.

    `do` is for whoever reads the page at night.
    """

    name: str
    do: str
    act: Deed
    cells: Mapping[Adapter, Outcome]
    place: Place = Place.USUAL
    waits: bool = False
    before: Before = Before.NOTHING


def cells(
    http: Outcome,
    *,
    cds: Outcome | None = None,
    inference: Outcome | None = None,
    mlflow: Outcome | None = None,
    rest: Outcome | None = None,
    look_up: Outcome | None = None,
    python: Outcome | None = None,
) -> Mapping[Adapter, Outcome]:
    """A row's cells: `http` for each adapter that asks over HTTP, unless it is named.

    What happens on the way or in a protocol cannot happen to a callable, unless `python` says otherwise.
    """
    return {
        Adapter.CDS_HOOKS: cds or http,
        Adapter.OPEN_INFERENCE: inference or http,
        Adapter.MLFLOW: mlflow or http,
        Adapter.REST: rest or http,
        Adapter.LOOK_UP: look_up or http,
        Adapter.PYTHON: python or (http if isinstance(http, Never) else _NO_NETWORK),
    }


def unreadable(reason: Reason | Trouble, http: int | None = None) -> Cell:
    """Something came, and no score was taken of it."""
    return Cell(Status.UNREADABLE, reason, http)


def scores(reason: Reason, **others: Outcome | None) -> Mapping[Adapter, Outcome]:
    """The cells of a score that cannot be one, which a callable may return as well."""
    return cells(found(reason), python=unreadable(reason), **others)


def found(reason: Reason) -> Cell:
    """An answer with a score that cannot be one."""
    return unreadable(reason, 200)


GOOD = Cell(Status.ANSWERED, None, 200, Card.SCORE, score=0.031)
GIVEN = replace(GOOD, http=None)
"""A right answer of a callable."""

PAUSED = replace(GOOD, card=Card.PAUSED)
WITHOUT_SCORE = Cell(Status.ANSWERED, Reason.SCORE_NOT_FOUND, 200, Card.SCORE)
TIMED_OUT = Cell(Status.TIMED_OUT)
NO_SCORE_YET = Cell(Status.REFUSED, Reason.NO_SCORE_YET, 200)
