"""What people ordered about a service, and what holds for it whatever a model says. Pure.

An order stops a service (its vendor is not asked), puts it in shadow (asked and recorded, not shown) or makes
it live again. It stands until the next order about the same service.
"""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import total_ordering

from cds_wrapper.caveats.caveat import Disposition


@total_ordering
class Ordered(enum.Enum):
    """What an order makes of a service, loosest first."""

    LIVE = "live"
    SHADOW = "shadow"
    STOP = "stop"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Ordered):
            return NotImplemented
        return _STRENGTH[self] < _STRENGTH[other]

    @property
    def disposition(self) -> Disposition | None:
        """What it does to every card of the service; nothing when it is live."""
        return _DISPOSITIONS[self]


_STRENGTH = {one: rank for rank, one in enumerate(Ordered)}
_DISPOSITIONS = {Ordered.LIVE: None, Ordered.SHADOW: Disposition.SHADOW, Ordered.STOP: Disposition.STOP}


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the ledger holds it; `by` and `second` are roles, `since` is when it came into force."""

    decision_id: str
    service_id: str
    decision: Ordered
    since: datetime
    by: str
    second: str | None = None
    plan_version: str | None = None
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for one call whatever its prediction says: an order, or that the score was never shown.

    `card_is_due` says whether the clinician is told by a card; `since` is the day of the order. Without a
    `decision_id` it is the plan that says so.
    """

    disposition: Disposition
    card_is_due: bool
    decision_id: str | None = None
    since: date | None = None


def is_same_role(one: str, other: str) -> bool:
    """Whether two roles are one, however they are written: letters and digits alone count, not their case."""
    return _letters(one) == _letters(other)


def _letters(role: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKC", role).casefold() if one.isalnum())


def stricter(before: Standing | None, after: Standing | None) -> Standing | None:
    """The stronger of what held when a call came in and what holds now; the later one of two alike."""
    if before is None or after is None:
        return before or after
    return before if before.disposition > after.disposition else after
