"""What a service asks of evidence, and everything that one edition of it holds, as the ledger keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cds_wrapper.caveats.found import Finding
from cds_wrapper.caveats.local import LocalEvidence, LocalResult
from cds_wrapper.caveats.model_card import Estimate, MeasuredLessWell, OutOfScopeRule, State, TrainingGroup

_DURATION = re.compile(
    r"P(?:([\d.]+)Y)?(?:([\d.]+)M)?(?:([\d.]+)W)?(?:([\d.]+)D)?"
    r"(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a service asks of evidence: figures for its outcome within its horizon, at its thresholds.

    `horizon` is an ISO 8601 duration as written (`P10Y`).
    """

    service_id: str
    outcome: str
    horizon: str
    thresholds: tuple[float, ...] = ()

    def is_answered_by(self, here: LocalEvidence, model_id: str, model_version: str) -> bool:
        """Whether a review of this hospital is about this service, model version, outcome and threshold."""
        return (
            (here.service_id, here.model_id, here.model_version) == (self.service_id, model_id, model_version)
            and _plain(here.outcome) == _plain(self.outcome)
            and _length(here.horizon) == _length(self.horizon)
            and here.threshold == (self.thresholds[0] if self.thresholds else None)
        )

    def concerns(self, row: Estimate) -> bool:
        """Whether a figure is about this outcome and horizon."""
        return self.is_about_our_outcome(row) and self.is_within_our_horizon(row)

    def is_about_our_outcome(self, row: Estimate) -> bool:
        """Whether a figure is about this outcome, in whatever time; capitals and blanks do not count."""
        return _plain(row.outcome) == _plain(self.outcome)

    def is_within_our_horizon(self, row: Estimate) -> bool:
        """Whether a figure is about the same length of time, however it is written: `P120M` is `P10Y`."""
        return _length(row.horizon) == _length(self.horizon)

    def hears(self, row: Estimate) -> bool:
        """Whether a figure is given at all, and not at somebody else's threshold."""
        at_ours = not row.metric.needs_threshold or row.threshold in self.thresholds
        return row.state is State.REPORTED and at_ours


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _length(duration: str) -> tuple[float, float, float] | str:
    """Months, days and seconds, which have no common measure; the text itself when it is no duration."""
    match = _DURATION.fullmatch(duration.strip())
    if match is None:
        return duration
    years, months, weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 12 * years + months, 7 * weeks + days, 3600 * hours + 60 * minutes + seconds


@dataclass(frozen=True, slots=True)
class BookContents:
    """Everything an edition holds, as it is kept in the ledger.

    `known_levels` are the groups that the site tells apart or anybody has named, by attribute: what a
    missing value could have been. `usable` are the ids of the figures that could make a finding. `here` is
    the review of this hospital that it rests on, if there is one, and `gathered` the day up to which evidence
    from elsewhere was looked for, where that is not `as_of`.
    """

    question: Question
    model_id: str
    model_version: str
    card_digest: str
    as_of: date
    signed: bool
    known_levels: Mapping[str, tuple[str, ...]]
    estimates: tuple[Estimate, ...]
    usable: tuple[str, ...]
    findings: tuple[Finding, ...]
    local: tuple[LocalResult, ...]
    out_of_scope: tuple[OutOfScopeRule, ...]
    absent_from_training: tuple[TrainingGroup, ...]
    measured_less_well: tuple[MeasuredLessWell, ...] = ()
    here: LocalEvidence | None = None
    gathered: date | None = None

    @property
    def elsewhere_as_of(self) -> date:
        """The day up to which evidence from elsewhere was looked for."""
        return self.gathered or self.as_of
