"""What monitoring says about a group: which group, which measure, how sure, or why nothing can be said."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from typing import Final

Interval = tuple[float, float]
"""Lower and upper limit."""


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """A level of an attribute (`(("sex", "female"),)`), of a declared crossing, or, empty, everybody.

    `exclusive` groups hold each patient once; else a patient counts in each level that holds, alone or in
    combination. A missing value is a level like any other (`missing:declined`).
    """

    where: tuple[tuple[str, str], ...] = ()
    exclusive: bool = True

    @property
    def attribute(self) -> str:
        """The attribute, or those of a crossing with a star between: `race*age_band`; empty for everybody."""
        return "*".join(attribute for attribute, _ in self.where)

    @property
    def level(self) -> str:
        """The level, or those of a crossing with a star between."""
        return "*".join(level for _, level in self.where)

    def __str__(self) -> str:
        return f"{self.attribute}={self.level}" if self.where else "everybody"


EVERYBODY: Final = Group()


class Measure(enum.Enum):
    """A figure about a group. `gap` measures compare it with everybody else whose level is recorded."""

    EVENT_RATE = "event_rate"
    FLAG_RATE = "flag_rate"
    AUROC = "auroc"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PPV = "ppv"
    NPV = "npv"
    OE_RATIO = "oe_ratio"
    OE_FLAGGED = "oe_ratio_flagged"
    OE_UNFLAGGED = "oe_ratio_unflagged"
    CALIBRATION_IN_THE_LARGE = "calibration_in_the_large"
    CALIBRATION_INTERCEPT = "calibration_intercept"
    CALIBRATION_SLOPE = "calibration_slope"
    BRIER = "brier"
    NET_BENEFIT = "net_benefit"
    FLAG_ALL_BENEFIT = "flag_all_benefit"
    AUROC_GAP = "auroc_gap"
    SENSITIVITY_GAP = "sensitivity_gap"
    SPECIFICITY_GAP = "specificity_gap"
    PPV_GAP = "ppv_gap"
    OE_RATIO_TO_REST = "oe_ratio_to_rest"
    EQUAL_SCORE_RATIO = "equal_score_ratio"
    EXPECTED_SENSITIVITY = "expected_sensitivity"
    EXPECTED_PPV = "expected_ppv"
    EXPECTED_AUROC = "expected_auroc"
    KNOWN_SHARE = "known_share"
    VERIFIED_SHARE = "verified_share"


class WhyNot(enum.Enum):
    """Why a figure cannot be given: never a number in its place."""

    NO_ROWS = "no_rows"
    NO_EVENTS = "no_events"
    NO_NON_EVENTS = "no_non_events"
    NOTHING_EXPECTED = "nothing_expected"
    NONE_FLAGGED = "none_flagged"
    NONE_UNFLAGGED = "none_unflagged"
    TOO_FEW_EVENTS = "too_few_events"
    NOT_A_PROBABILITY = "not_a_probability"
    NO_THRESHOLD = "no_threshold"
    NO_REST = "no_rest"
    SEPARATED = "separated"
    NOT_COMPARABLE = "not_comparable"
    INDEX_LOOKS_AHEAD = "index_looks_ahead"
    NO_OUTCOME_OF_THIS_KIND = "no_outcome_of_this_kind"


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure about one group, with everything a reader needs to judge it.

    `value`, `low` and `high` are None when it cannot be given, and `why_not` says why. `n` counts mature
    episodes, `events` those with the outcome, `patients` the people behind them; for a share, `n` is its
    denominator. `design_effect` is by how much repeated patients widen the variance (1: not at all). `period`
    are the first and last day of index predictions. `level` is that of the interval.
    """

    measure: Measure
    group: Group
    value: float | None
    low: float | None
    high: float | None
    n: int
    events: int
    patients: int
    method: str
    period: tuple[date, date]
    outcome: str
    design_effect: float = 1.0
    level: float = 0.95
    why_not: WhyNot | None = None

    @property
    def interval(self) -> Interval | None:
        """Both limits, if there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class DailySums:
    """A group and the rest day by day, in order of maturity: events and sums of scores of mature episodes.

    All sequences are as long as `days`; a day on which nothing matured on either side is left out.
    """

    days: tuple[date, ...]
    group_events: tuple[float, ...]
    group_expected: tuple[float, ...]
    rest_events: tuple[float, ...]
    rest_expected: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Everything measured about one group: its figures, its days, and how much of what is due is known.

    `counts` are episodes by state (`event`, `no_event`, `pending`, `censored`, `unverified`), every one of
    them once. `oe_design_effect` divides its sequence.
    """

    group: Group
    figures: tuple[Measured, ...]
    daily: DailySums
    counts: dict[str, int]
    oe_design_effect: float

    def of(self, measure: Measure) -> Measured | None:
        """The figure of this measure."""
        return next((figure for figure in self.figures if figure.measure is measure), None)


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """One service's model version as of a day: everybody first, then every listed group and crossing."""

    service_id: str
    model_id: str
    model_version: str
    outcome: str
    threshold: float | None
    as_of: date
    groups: tuple[GroupFigures, ...]

    @property
    def everybody(self) -> GroupFigures:
        """The model as a whole."""
        return self.groups[0]
