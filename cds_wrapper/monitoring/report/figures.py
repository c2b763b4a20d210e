"""Figures as people read them: out of one hundred, one denominator throughout, never small counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cds_wrapper.monitoring.cells import Hidden, HiddenFigures
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN
from cds_wrapper.monitoring.report.names import WHY_NOT
from cds_wrapper.monitoring.report.verdicts import Judged
from cds_wrapper.monitoring.suppression import FLOOR
from cds_wrapper.monitoring.values import EVERYBODY, GroupFigures, Measure, Measured

WHY_NOT_SHOWN: Final = "Not shown: small numbers, and others that would give them away."
_RARE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Shown:
    """The groups of a report with their answers, and whose figures may be shown.

    `out_of` is the one denominator of the page: 100, or 1,000 where the outcome is rare.
    """

    judged: tuple[Judged, ...]
    hidden_figures: HiddenFigures
    out_of: int

    @classmethod
    def of(cls, judged: tuple[Judged, ...], floor: int) -> Shown:
        """What may be shown of these groups."""
        groups = [one.figures for one in judged]
        rate = groups[0].of(Measure.EVENT_RATE) if groups else None
        is_rare = rate is not None and rate.value is not None and rate.value < _RARE
        return cls(
            judged=judged,
            hidden_figures=HiddenFigures.of(groups, floor),
            out_of=1000 if is_rare else 100,
        )

    def by_attribute(self) -> Mapping[str, list[Judged]]:
        """The groups by attribute, everybody under an empty one."""
        found: dict[str, list[Judged]] = {}
        for one in self.judged:
            found.setdefault(one.figures.group.attribute, []).append(one)
        return found

    @property
    def everybody(self) -> Judged:
        """The answer for all patients together."""
        return next(one for one in self.judged if one.figures.group == EVERYBODY)

    def predicted_and_seen(self, figures: GroupFigures) -> tuple[str, str] | None:
        """How many had the outcome, predicted and seen, out of the denominator; None if not to be shown."""
        rate, ratio = figures.of(Measure.EVENT_RATE), figures.of(Measure.OE_RATIO)
        if figures.group in self.hidden.rates or rate is None or rate.value is None:
            return None
        if ratio is None or not ratio.value:
            return None
        return self.in_all(rate.value / ratio.value), self.in_all(rate.value)

    def in_all(self, share: float) -> str:
        """A share as a whole number out of the denominator."""
        return f"{round(share * self.out_of):,}"

    @property
    def hidden(self) -> Hidden:
        """The groups whose events and other counts are not shown."""
        return self.hidden_figures.outcomes

    def hidden_for(self, measure: Measure) -> Hidden:
        """What is not shown of a measure."""
        return self.hidden_figures.of_measure(measure)

    def share(self, figures: GroupFigures, measure: Measure) -> str:
        """A share out of the denominator with its limits, or why there is none."""
        hidden = self.hidden_for(measure)
        if figures.group in hidden.rates:
            return NOT_SHOWN
        found = figures.of(measure)
        if found is None or found.value is None:
            return why_not(found)
        if found.interval is None:
            return self.in_all(found.value)
        low, high = found.interval
        return f"{self.in_all(found.value)} ({self.in_all(low)} to {self.in_all(high)})"

    def ratio(self, figures: GroupFigures, measure: Measure) -> str:
        """A ratio or an area with its limits, or why there is none."""
        if figures.group in self.hidden_for(measure).rates:
            return NOT_SHOWN
        return with_limits(figures.of(measure))


def with_limits(found: Measured | None) -> str:
    """A figure with its limits, or why there is none."""
    if found is None or found.value is None:
        return why_not(found)
    if found.interval is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.interval[0]:.2f} to {found.interval[1]:.2f})"


def why_not(found: Measured | None) -> str:
    """Why there is no figure."""
    return WHY_NOT[found.why_not] if found and found.why_not else "not measured"


def people(n: int) -> str:
    """A number that may be shown."""
    return f"{n:,}"


def about(n: int) -> str:
    """A number of people to tens: beside an exact one elsewhere, no difference of a handful follows from it.

    What is not small stays so.
    """
    return people(max(FLOOR, 10 * ((n + 5) // 10))) if n else people(n)


def per_cent(share: float) -> str:
    """A share as whole per cent."""
    return f"{round(100 * share)} %"


def days_words(days: float | None) -> str:
    """A length of time as one says it: "3 weeks"; None is never."""
    if days is None:
        return "never"
    for most, unit, length in ((14, "day", 1.0), (90, "week", 7.0), (730, "month", 30.4)):
        if days < most:
            count = max(1, round(days / length))
            return f"{count} {unit}{'' if count == 1 else 's'}"
    halves = round(2 * days / 365.25)
    return f"{halves // 2}{'½' if halves % 2 else ''} years"
