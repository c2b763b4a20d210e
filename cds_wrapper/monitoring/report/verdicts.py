"""For whom the tool is shown to work here, for whom it falls short, and for whom nobody knows. Pure.

The rule is that of caveats: an adequate amount, events over expected within the supported limits, no gap to
the rest beyond them, and no open finding. "Not known" is an answer of its own, with its reason: never a pass.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cds_wrapper.caveats.evidence import Grade, Limits, grade
from cds_wrapper.monitoring.report.known import Found
from cds_wrapper.monitoring.values import GroupFigures, Measure

ONE_SIDED: Final = 1.6448536 / 1.9599640
"""From a two-sided 95 % limit to the one-sided one, as parts of the distance to the estimate."""


class Verdict(enum.Enum):
    """What can be said of one group."""

    FALLS_SHORT = "falls_short"
    NOT_KNOWN = "not_known"
    SHOWN = "shown"


class Because(enum.Enum):
    """Why: for the first two classes what was seen, for "not known" what is lacking."""

    FINDING = "finding"
    UNDER_REVIEW = "under_review"
    NOBODY = "nobody"
    TOO_FEW = "too_few"
    NOT_FOLLOWED = "not_followed"
    UNDECIDED = "undecided"
    HOLDS_UP = "holds_up"


@dataclass(frozen=True, slots=True)
class Judged:
    """One group's answer, with the finding behind it where there is one."""

    figures: GroupFigures
    verdict: Verdict
    because: Because
    found: Found | None = None


def judge(figures: GroupFigures, found: Iterable[Found], limits: Limits) -> Judged:
    """The answer for one group; `found` are all open findings of the service."""
    own = [one for one in found if one.group == figures.group and one.closed is None]
    standing = next((one for one in own if one.carded), None)
    if standing:
        return Judged(figures, Verdict.FALLS_SHORT, Because.FINDING, standing)
    if own:
        return Judged(figures, Verdict.NOT_KNOWN, Because.UNDER_REVIEW, own[0])
    because = _lacking(figures, limits)
    if because:
        return Judged(figures, Verdict.NOT_KNOWN, because)
    return Judged(figures, Verdict.SHOWN, Because.HOLDS_UP)


def _lacking(figures: GroupFigures, limits: Limits) -> Because | None:
    """What is lacking of the proof; None when nothing is."""
    if not sum(figures.counts.values()):
        return Because.NOBODY
    if unknown_share(figures) > limits.adequate_unknown_share:
        return Because.NOT_FOLLOWED
    if amount(figures, limits) is not Grade.ADEQUATE:
        return Because.TOO_FEW
    return None if holds_up(figures, limits) else Because.UNDECIDED


def unknown_share(figures: GroupFigures) -> float:
    """Of what is due, the part that is censored or unverified; 0 when nothing is due."""
    counts = figures.counts
    unknown = counts.get("censored", 0) + counts.get("unverified", 0)
    due = unknown + counts.get("event", 0) + counts.get("no_event", 0)
    return unknown / due if due else 0.0


def amount(figures: GroupFigures, limits: Limits) -> Grade:
    """How much evidence there is; counts are divided by the design effect of repeated patients."""
    ratio, area = figures.of(Measure.OE_RATIO), figures.of(Measure.AUROC)
    if ratio is None:
        return Grade.NONE
    return grade(
        ratio.n / figures.oe_design_effect,
        ratio.events / figures.oe_design_effect,
        oe_interval=ratio.interval,
        auroc_interval=area.interval if area else None,
        unknown_share=unknown_share(figures),
        limits=limits,
    )


def holds_up(figures: GroupFigures, limits: Limits) -> bool:
    """Whether every limit lies where the plan wants it: O/E, and the gaps in found cases and in ordering."""
    ratio = figures.of(Measure.OE_RATIO)
    if ratio is None or ratio.low is None or ratio.high is None:
        return False
    gaps = (_least(figures, measure) for measure in (Measure.SENSITIVITY_GAP, Measure.AUROC_GAP))
    return (
        limits.supported_oe_low <= ratio.low
        and ratio.high <= limits.supported_oe_high
        and all(gap >= limits.supported_gap for gap in gaps if gap is not None)
    )


def _least(figures: GroupFigures, measure: Measure) -> float | None:
    """The one-sided 95 % lower limit of a gap; None where there is no such gap to look at."""
    gap = figures.of(measure)
    if gap is None or gap.value is None or gap.low is None:
        return None
    return gap.value - ONE_SIDED * (gap.value - gap.low)
