"""What this hospital's own results are worth: how much there is of them, and whether the score holds up.

A grade measures amount, not merit. 100 events are the floor of resampling studies (Collins 2016 Stat Med
35:214); the width of the interval is what decides above it (Riley 2024 BMJ 384:e074821).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import total_ordering
from itertools import groupby
from operator import attrgetter

import msgspec

from cds_wrapper.caveats.found import DEFAULT_LIMITS, Finding, Limits
from cds_wrapper.caveats.model_card import Estimate, EvidenceSource, Metric, State, Where
from cds_wrapper.caveats.outside import GroupKey, Seen

Interval = tuple[float, float]
_BY_GROUP = attrgetter("group")


@total_ordering
class Grade(enum.Enum):
    """How much evidence there is, from nothing to enough."""

    NONE = "none"
    THIN = "thin"
    PARTIAL = "partial"
    ADEQUATE = "adequate"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Grade):
            return NotImplemented
        return _AMOUNT[self] < _AMOUNT[other]


_AMOUNT = {grade: rank for rank, grade in enumerate(Grade)}


@dataclass(frozen=True, slots=True)
class LocalResult:
    """This hospital's result for one group (an empty `where`: everybody): amount, and whether it holds up.

    `holds_up` needs an adequate amount, the interval of observed over expected within the supported limits
    and no gap to the rest that reaches beyond them. `seen` are its events beside those of everybody else,
    `share` its part of all patients recorded here. `differs` says that it is further from the published
    result than chance and the spread between places explain.
    """

    where: Where
    exclusive: bool
    grade: Grade
    holds_up: bool
    n: int
    estimate_ids: tuple[str, ...]
    seen: Seen | None = None
    share: float | None = None
    differs: bool = False

    @property
    def group(self) -> GroupKey:
        """The group as something that can be sorted and compared, as `Estimate.group`."""
        return self.exclusive, tuple(
            sorted((name, tuple(sorted(levels))) for name, levels in self.where.items())
        )

    @property
    def attributes(self) -> frozenset[str]:
        """The attributes that make the group."""
        return frozenset(self.where)


@dataclass(frozen=True, slots=True)
class LocalEvidence:
    """What one review found at this hospital: about one version of one model, one outcome and one threshold.

    `period` are the first and last day of the predictions behind it. `standing` are the ids of the card's
    figures whose findings stood in the edition before: what is neither confirmed nor undone stays. Worse
    results count at once, better ones from the second monthly edition in a row: `monthly_on` is the day of
    the last of these, `improving` the groups that were better in it and have to be so again.
    """

    service_id: str
    model_id: str
    model_version: str
    outcome: str
    horizon: str
    threshold: float | None
    as_of: date
    period: tuple[date, date]
    estimates: tuple[Estimate, ...] = ()
    results: tuple[LocalResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    standing: tuple[str, ...] = ()
    monthly_on: date | None = None
    improving: tuple[GroupKey, ...] = ()

    def to_json(self) -> bytes:
        """As the ledger keeps it; `from_json` gives an equal one back."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def from_json(cls, kept: bytes) -> LocalEvidence:
        """What was kept; `msgspec.DecodeError` when it is none."""
        return _decoder.decode(kept)


_decoder = msgspec.json.Decoder(LocalEvidence)


def grade(
    n: float,
    events: float,
    *,
    oe_interval: Interval | None = None,
    auroc_interval: Interval | None = None,
    unknown_share: float = 0.0,
    limits: Limits = DEFAULT_LIMITS,
) -> Grade:
    """How much evidence `n` mature episodes with `events` events are.

    Counts are divided by the design effect where patients come again. `unknown_share` is the part of due
    outcomes that is censored or unverified.
    """
    non_events = n - events
    if n < limits.small_cell or events < 1:
        return Grade.NONE
    if min(events, non_events) < limits.thin_events:
        return Grade.THIN
    if (
        min(events, non_events) < limits.adequate_events
        or unknown_share > limits.adequate_unknown_share
        or (oe_interval and oe_interval[1] > limits.adequate_oe_width * oe_interval[0])
        or (auroc_interval and auroc_interval[1] - auroc_interval[0] > limits.adequate_auroc_width)
    ):
        return Grade.PARTIAL
    return Grade.ADEQUATE


def local_results(rows: Iterable[Estimate], limits: Limits = DEFAULT_LIMITS) -> tuple[LocalResult, ...]:
    """One result for each group this hospital has figures for, observed over expected among them."""
    own = [row for row in rows if row.source is EvidenceSource.LOCAL and row.state is State.REPORTED]
    grouped = groupby(sorted(own, key=_BY_GROUP), key=_BY_GROUP)
    found = (_result(list(of_one_group), limits) for _, of_one_group in grouped)
    return tuple(result for result in found if result)


def _result(rows: Sequence[Estimate], limits: Limits) -> LocalResult | None:
    ratio = next((row for row in rows if row.metric is Metric.OE_RATIO), None)
    if ratio is None or ratio.n is None or ratio.positives is None:
        return None
    auroc = next((row.ci for row in rows if row.metric is Metric.AUROC), None)
    amount = grade(ratio.n, ratio.positives, oe_interval=ratio.ci, auroc_interval=auroc, limits=limits)
    return LocalResult(
        where=ratio.where,
        exclusive=ratio.exclusive,
        grade=amount,
        holds_up=amount is Grade.ADEQUATE and _holds_up(ratio.ci, rows, limits),
        n=ratio.n,
        estimate_ids=tuple(row.id for row in rows),
    )


def _holds_up(interval: Interval | None, rows: Sequence[Estimate], limits: Limits) -> bool:
    gaps = [row.gap_low for row in rows if row.gap_low is not None]
    return (
        interval is not None
        and limits.supported_oe_low <= interval[0]
        and interval[1] <= limits.supported_oe_high
        and all(gap >= limits.supported_gap for gap in gaps)
    )
