"""What is written of a review, what it opens and what it publishes. Values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cds_wrapper.ledger.entries import KeptFile


@dataclass(frozen=True, slots=True)
class Subject:
    """What a review is about."""

    service_id: str
    model_id: str
    model_version: str


@dataclass(frozen=True, slots=True)
class NewReview:
    """A review that is over; `result` is its whole result as JSON, `dated` its number among dated ones."""

    review_id: str
    subject: Subject
    as_of: date
    result: bytes
    dated: int | None = None


@dataclass(frozen=True, slots=True)
class PastReview:
    """A review that was recorded; `dated` is None for a daily look."""

    review_id: str
    subject: Subject
    as_of: date
    dated: int | None
    result_digest: str


@dataclass(frozen=True, slots=True)
class NewEdition:
    """An edition to put in force: its name, itself and this hospital's evidence in it."""

    edition_id: str
    edition: str
    book: KeptFile
    local: bytes


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding as it was opened; `closed_at` when people have closed it since.

    `groups` are levels by attribute, `detail` the figures behind it when it was opened, `review_id` the
    review that opened it.
    """

    finding_id: str
    subject: Subject
    outcome: str
    kind: str
    groups: Mapping[str, tuple[str, ...]]
    exclusive: bool
    direction: str | None
    since: date
    detail: Mapping[str, Any]
    review_id: str | None = None
    closed_at: datetime | None = None
    closed_by: tuple[str, ...] = ()
    why: str | None = None

    @property
    def key(self) -> tuple[bool, tuple[tuple[str, tuple[str, ...]], ...]]:
        """The group it is about, as `Estimate.group` writes it."""
        return self.exclusive, tuple(sorted((name, tuple(levels)) for name, levels in self.groups.items()))

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self.closed_at is None


@dataclass(frozen=True, slots=True)
class Published:
    """The edition of a service that was published last."""

    edition_id: str
    subject: Subject
    edition: str
    digest: str
    as_of: date
    published_at: datetime
    local_digest: str


@dataclass(frozen=True, slots=True)
class LeftByReviews:
    """What reviews have left, by service: open findings, the last review; and since when it is served."""

    findings_open: Mapping[str, int]
    reviewed_at: Mapping[str, datetime]
    served_since: Mapping[str, datetime]
