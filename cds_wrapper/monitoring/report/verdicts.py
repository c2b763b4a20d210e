"""For whom the tool is shown to work here, for whom it falls short, and for whom nobody knows. Pure.

The answer is that of the edition of evidence in force, from which cards are made too: page and card cannot
differ. "Not known" is an answer of its own, with its reason: never a pass.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cds_wrapper.caveats.contents import BookContents
from cds_wrapper.caveats.evidence import Finding, Grade, Limits, LocalResult, Where
from cds_wrapper.caveats.outside import GroupKey
from cds_wrapper.monitoring.findings import is_exclusive, key_of
from cds_wrapper.monitoring.grading import results_of
from cds_wrapper.monitoring.report.known import Found
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure, ServiceFigures
from cds_wrapper.patient.rules import RACE
from cds_wrapper.patient.subgroups import MISSING, is_missing


class Verdict(enum.Enum):
    """What can be said of one group."""

    FALLS_SHORT = "falls_short"
    NOT_KNOWN = "not_known"
    SHOWN = "shown"


class Because(enum.Enum):
    """Why: for the first two classes what was seen, for "not known" what is lacking."""

    FINDING = "finding"
    UNDER_REVIEW = "under_review"
    ELSEWHERE = "elsewhere"
    OUT_OF_SCOPE = "out_of_scope"
    NOBODY = "nobody"
    NOT_REVIEWED = "not_reviewed"
    MORE_CAME = "more_came"
    FEWER_CAME = "fewer_came"
    CONFIRMING = "confirming"
    NOT_FOLLOWED = "not_followed"
    TOO_FEW = "too_few"
    UNDECIDED = "undecided"
    WHOLE_UNDECIDED = "whole_undecided"
    HOLDS_UP = "holds_up"


@dataclass(frozen=True, slots=True)
class Judged:
    """One group's answer; `finding` and `found` are the one behind it: as cards know it, and as listed.

    A group in which the finding of a wider one holds has that one's; `is_own` tells them apart.
    """

    figures: GroupFigures
    verdict: Verdict
    because: Because
    finding: Finding | None = None
    found: Found | None = None

    @property
    def is_own(self) -> bool:
        """Whether the answer is about this group itself, and not about a wider one that it is part of."""
        return self.finding is None or len(self.finding.where) == len(self.figures.group.where)


@dataclass(frozen=True, slots=True)
class Judge:
    """Gives the answers of the edition in force; `fresh` are today's results by the same rules.

    `listed` are the findings of reviews, to be told.
    """

    edition: BookContents
    listed: tuple[Found, ...]
    limits: Limits
    fresh: Mapping[GroupKey, LocalResult]

    @classmethod
    def of(
        cls, figures: ServiceFigures, edition: BookContents, listed: Iterable[Found], limits: Limits
    ) -> Judge:
        """Whoever judges these figures."""
        fresh = {one.group: one for one in results_of(figures, (), limits)}
        return cls(edition, tuple(listed), limits, fresh)

    def answer(self, figures: GroupFigures) -> Judged:
        """The answer for one group."""
        result = self._result(figures.group)
        holding = sorted(_holding(self.edition, figures.group, result), key=_strongest)
        if holding:
            finding = holding[0]
            found = next((one for one in self.listed if one.id == finding.id), None)
            return Judged(figures, *_of_finding(finding), finding, found)
        if any(_is_within(figures.group, rule.where) for rule in self.edition.out_of_scope):
            return Judged(figures, Verdict.NOT_KNOWN, Because.OUT_OF_SCOPE)
        lacking = self._lacking(figures, result) or self._whole()
        if lacking:
            return Judged(figures, Verdict.NOT_KNOWN, lacking)
        return Judged(figures, Verdict.SHOWN, Because.HOLDS_UP)

    def _result(self, group: Group) -> LocalResult | None:
        return next((one for one in self.edition.local if one.group == key_of(group)), None)

    def _lacking(self, figures: GroupFigures, result: LocalResult | None) -> Because | None:
        """What is lacking of the proof; None when nothing is. The figures only say why."""
        if not sum(figures.counts.values()):
            return Because.NOBODY
        if self.edition.here is None:
            return Because.NOT_REVIEWED
        if result is not None and result.grade is Grade.ADEQUATE and result.holds_up:
            return None
        if self.fresh[key_of(figures.group)].holds_up:
            return Because.CONFIRMING
        signs = _signs(figures, self.limits)
        if signs:
            return signs
        if unknown_share(figures) > self.limits.adequate_unknown_share:
            return Because.NOT_FOLLOWED
        return Because.UNDECIDED if result and result.grade is Grade.ADEQUATE else Because.TOO_FEW

    def _whole(self) -> Because | None:
        """What is lacking for all patients together: then no card leaves it at what is known of a group."""
        everybody = self._result(EVERYBODY)
        return None if everybody and everybody.holds_up else Because.WHOLE_UNDECIDED


def _signs(figures: GroupFigures, limits: Limits) -> Because | None:
    """What the figures point to without being a finding: by far more or fewer than predicted."""
    ratio = figures.of(Measure.OE_RATIO)
    few = min(figures.counts.get(state, 0) for state in ("event", "no_event")) < limits.small_cell
    if few or ratio is None or ratio.value is None or ratio.low is None or ratio.high is None:
        return None
    if ratio.value > limits.ratio_too_low and ratio.low > 1:
        return Because.MORE_CAME
    return Because.FEWER_CAME if ratio.value < limits.ratio_too_high and ratio.high < 1 else None


# Findings ---------------------------------------------------------------------------------------------------


def _holding(edition: BookContents, group: Group, result: LocalResult | None) -> Iterator[Finding]:
    """The findings that cards of every member of a group speak of.

    Adequate results of the group itself stand in place of what was found elsewhere, or in a wider group.
    """
    is_adequate = result is not None and result.grade is Grade.ADEQUATE
    for finding in edition.findings:
        if not _is_within(group, finding.where, exclusive=finding.exclusive):
            continue
        is_wider = bool(finding.where) and len(finding.where) < len(group.where)
        if not is_adequate or (finding.is_local and not is_wider):
            yield finding


def _is_within(group: Group, where: Where, *, exclusive: bool = False) -> bool:
    """Whether all members of a group are of this one: the same levels, more of them, or one of several."""
    levels = dict(group.where)
    if exclusive and RACE in where and not is_exclusive(group):
        return False
    return all(_is_one_of(levels.get(attribute), among) for attribute, among in where.items())


def _is_one_of(level: str | None, among: Collection[str]) -> bool:
    """Whether a level is among these; `missing` is missing for whatever reason."""
    return level is not None and (level in among or (MISSING in among and is_missing(level)))


def _strongest(finding: Finding) -> tuple[bool, bool, int]:
    """Those found here first, signed before unsigned, the group's own before a wider one's."""
    return not finding.is_local, not finding.signed, -len(finding.where)


def _of_finding(finding: Finding) -> tuple[Verdict, Because]:
    """Only what was found here, by a rule whose error is bounded or with a signature, is known here."""
    if not finding.is_local:
        return Verdict.NOT_KNOWN, Because.ELSEWHERE
    if finding.signed:
        return Verdict.FALLS_SHORT, Because.FINDING
    return Verdict.NOT_KNOWN, Because.UNDER_REVIEW


def unknown_share(figures: GroupFigures) -> float:
    """Of what is due, the part that is censored or unverified; 0 when nothing is due."""
    counts = figures.counts
    unknown = counts.get("censored", 0) + counts.get("unverified", 0)
    due = unknown + counts.get("event", 0) + counts.get("no_event", 0)
    return unknown / due if due else 0.0
