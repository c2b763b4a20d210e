"""Looks at what `review` and `outcomes import` have left, for `/metrics`, and tells once of what is overdue.

Both are processes of their own, at times that a scheduler chooses; what they did stands in the ledger and in
the file of outcomes beside it. Both are read in a thread, over connections that cannot write.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final

from cds_wrapper import log
from cds_wrapper.again import Again
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.edition_values import LeftByReviews
from cds_wrapper.ledger.editions import left_by_reviews
from cds_wrapper.ledger.episodes import after
from cds_wrapper.ledger.outcome_file import beside, imported_in
from cds_wrapper.log import edition_events
from cds_wrapper.metrics import table
from cds_wrapper.metrics.samples import Sample
from cds_wrapper.runtime import ServicesInForce
from cds_wrapper.services import ServiceDefinition

LOOK_EVERY: Final = timedelta(seconds=15)
NOBODY: Final = "not named"
"""The owner where a plan names none."""


class Work(enum.Enum):
    """What has to be done again and again."""

    REVIEW = "review"
    OUTCOMES = "outcomes"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Left:
    """What was found in the ledger and beside it; `imported` is a service's first and last import."""

    by_reviews: LeftByReviews
    imported: Mapping[str, tuple[datetime, datetime]]


def left_in(ledger: Path) -> Left:
    """Read both; `LedgerUnavailable` when one of them cannot be read."""
    return Left(left_by_reviews(ledger), imported_in(beside(ledger)))


def due_of(service: ServiceDefinition, left: Left) -> dict[Work, datetime]:
    """When each work is overdue: twice the plan's time after it was last done. Pure.

    Before outcomes were ever imported there is nothing to review; the first ones are due once the horizon of
    the first predictions is over. A ledger that has reviews and no outcomes beside it is a further one, which
    is published to: its outcomes are imported elsewhere.
    """
    plan, name = service.plan.monitoring, service.id
    midnight = datetime.combine(service.book.as_of, time(), UTC)
    due = {Work.EVIDENCE: midnight + 2 * plan.review_every}
    reviewed, imported = left.by_reviews.reviewed_at.get(name), left.imported.get(name)
    last = reviewed or (imported[0] if imported else None)
    if last is not None:
        due[Work.REVIEW] = last + 2 * plan.look_every
    if imported:
        due[Work.OUTCOMES] = imported[1] + 2 * plan.outcomes_within
    elif not reviewed and (since := left.by_reviews.served_since.get(name)):
        due[Work.OUTCOMES] = after(since, service.outcome.horizon) + 2 * plan.outcomes_within
    return due


class ReviewWatch:
    """What was last found; while it cannot be read, that stays, and grows old."""

    def __init__(
        self,
        ledger: Path,
        services: ServicesInForce,
        lines: log.OperatorLog,
        clock: Callable[[], datetime],
        every: timedelta = LOOK_EVERY,
    ) -> None:
        self._ledger = ledger
        self._services = services
        self._lines = lines
        self._clock = clock
        self._left: Left | None = None
        self._told: set[tuple[str, Work, datetime]] = set()
        self.looking = Again(self._watch, every, "reviews")

    def _watch(self) -> None:
        with contextlib.suppress(LedgerUnavailable):  # whoever looks for editions tells of it
            self._left = left_in(self._ledger)
        self._tell()

    def _each(self) -> Iterator[ServiceDefinition]:
        """Each service once, whatever its hooks."""
        return iter({service.id: service for service in self._services.catalog}.values())

    def _tell(self) -> None:
        if self._left is None:
            return
        now = self._clock()
        for service in self._each():
            for work, due in due_of(service, self._left).items():
                if due < now and (service.id, work, due) not in self._told:
                    self._told.add((service.id, work, due))
                    owner = service.plan.monitoring.owner or NOBODY
                    since = log.timestamp(due)
                    self._lines.emit(_EVENTS[work], service_id=service.id, since=since, owner=owner)

    def look(self) -> Iterator[Sample]:
        """For `/metrics`; nothing before the first look."""
        left = self._left
        if left is None:
            return
        for service in self._each():
            name = service.id
            yield table.FINDINGS_OPEN, (name,), left.by_reviews.findings_open.get(name, 0)
            if name in left.by_reviews.reviewed_at:
                yield table.REVIEW_SUCCESS, (name,), left.by_reviews.reviewed_at[name].timestamp()
            if name in left.imported:
                yield table.OUTCOMES_IMPORTED, (name,), left.imported[name][1].timestamp()
            owner = service.plan.monitoring.owner or NOBODY
            for work, due in due_of(service, left).items():
                yield table.MONITORING_DUE, (name, work.value, owner), due.timestamp()


_EVENTS: Final = {
    Work.REVIEW: edition_events.REVIEW_OVERDUE,
    Work.OUTCOMES: edition_events.OUTCOMES_OVERDUE,
    Work.EVIDENCE: edition_events.EVIDENCE_EXPIRED,
}
