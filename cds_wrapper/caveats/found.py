"""What a finding is, and the cut-offs by which evidence is judged: values, and no judgement."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date

from cds_wrapper.caveats.model_card import EvidenceSource, Where
from cds_wrapper.errors import WrapperError


class UnusableLimits(WrapperError):
    """A cut-off in the plan is unknown or out of range; the message names it."""

    reason = "configuration"


class Direction(enum.Enum):
    """Which way a score errs for a group."""

    MISSES_MORE = "misses_more"
    FALSE_ALARMS_MORE = "false_alarms_more"
    SCORES_TOO_LOW = "scores_too_low"
    SCORES_TOO_HIGH = "scores_too_high"


@dataclass(frozen=True, slots=True)
class Limits:
    """The cut-offs of evidence, all conventions; a plan writes down only those it changes, by name.

    Ratios are observed over expected. `tau_*` are standard deviations of a log ratio between health
    systems. `small_cell` is the smallest count that may be shown; it may be raised, never lowered (CMS
    cell-size policy).
    """

    ratio_too_low: float = 1.25
    ratio_too_high: float = 0.80
    finding_probability: float = 0.90
    standing_probability: float = 0.50
    tau_rest: float = 0.20
    tau_absolute: float = 0.35
    tau_per_year: float = 0.01
    tau_other_setting: float = 0.10
    represented_share: float = 0.20
    usable_events: float = 20
    small_cell: float = 11
    thin_events: float = 20
    adequate_events: float = 100
    adequate_oe_width: float = 1.5
    adequate_auroc_width: float = 0.15
    adequate_unknown_share: float = 0.30
    supported_oe_low: float = 0.67
    supported_oe_high: float = 1.50
    supported_gap: float = -0.10

    @property
    def material(self) -> tuple[float, float]:
        """The ratios between which a gap matters to nobody, however sure it is."""
        return self.ratio_too_high, self.ratio_too_low

    @classmethod
    def changed(cls, changes: Mapping[str, float]) -> Limits:
        """The shipped cut-offs with these changes; `UnusableLimits` names one that cannot be."""
        known = {limit.name for limit in fields(cls)}
        for name, value in changes.items():
            if name not in known:
                raise UnusableLimits(f"`limits.{name}` is not a cut-off known here.")
            if not math.isfinite(value) or (value <= 0 and name != "supported_gap"):
                raise UnusableLimits(f"`limits.{name}` must be a number above 0.")
        limits = cls(**changes)
        if limits.small_cell < _SMALLEST_CELL:
            raise UnusableLimits(f"`limits.small_cell` may be raised, not lowered: {_SMALLEST_CELL} or more.")
        if not 0.5 < limits.finding_probability < 1:
            raise UnusableLimits("`limits.finding_probability` lies between 0.5 and 1.")
        if limits.standing_probability > limits.finding_probability:
            raise UnusableLimits("`limits.standing_probability` is at most `finding_probability`.")
        return limits


_SMALLEST_CELL = 11
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Figures:
    """Two whole numbers "in 100": a group's and the others', or predicted and observed."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A gap for a group or (an empty `where`) for everybody, found here or likely to hold here.

    `signed` says that it may be said as known: the plan lists the card it comes from, or the error of the
    rule that found it here is bounded. An unsigned one is under review. `label_mismatch` says that the score
    was right about what it was built to predict and wrong about the need. `id` tells nothing about the group:
    links are made from it. Of one from elsewhere `p_low` and `p_high` are the probabilities that scores here
    are too low and too high, after what was seen here.
    """

    id: str
    where: Where
    exclusive: bool
    direction: Direction | None
    source: EvidenceSource
    p_low: float | None
    p_high: float | None
    theta: float | None
    s: float | None
    tau: float | None
    since: date
    signed: bool
    estimate_ids: tuple[str, ...]
    figures: Figures | None = None
    label_mismatch: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it was found at this hospital."""
        return self.source is EvidenceSource.LOCAL
