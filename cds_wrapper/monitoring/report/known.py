"""Everything a report is made of, gathered before a word is written. Values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from cds_wrapper.caveats.contents import BookContents
from cds_wrapper.caveats.found import Direction
from cds_wrapper.monitoring.drift import AttributeShares, MissingShare, ScoreDrift
from cds_wrapper.monitoring.equal_scores import Compared
from cds_wrapper.monitoring.feedback import Feedback
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.formulas.time_to_find import TimeToFind
from cds_wrapper.monitoring.input_quality import InputAge, InputQuality
from cds_wrapper.monitoring.past import NO_PAST, Past
from cds_wrapper.monitoring.score_bands import ScoreBand
from cds_wrapper.monitoring.service_equity import ServiceEquity
from cds_wrapper.monitoring.strata import DueInMonth, FollowUp, Stratum
from cds_wrapper.monitoring.values import Group, ServiceFigures
from cds_wrapper.services import ServiceDefinition


@dataclass(frozen=True, slots=True)
class Found:
    """One finding of a review: about whom, which way, since when, how sure, what was decided ahead.

    `what` is a sentence. `due` is the day by which somebody has to have acted, `closed` the day a person
    closed it.
    """

    id: str
    kind: FindingKind
    group: Group
    what: str
    direction: Direction | None
    since: date
    sure: str
    plan: str
    owner: str | None = None
    due: date | None = None
    closed: date | None = None

    @property
    def carded(self) -> bool:
        """Whether cards speak of it: a threshold effect is listed alone."""
        return self.kind.carded

    def is_overdue(self, today: date) -> bool:
        """Whether it is open past its day."""
        return self.closed is None and self.due is not None and self.due < today


@dataclass(frozen=True, slots=True)
class Activity:
    """What the exported rows say beyond performance; every part is empty where there are no rows."""

    representativeness: tuple[AttributeShares, ...] = ()
    missing: tuple[MissingShare, ...] = ()
    score_drift: tuple[ScoreDrift, ...] = ()
    inputs: tuple[InputQuality, ...] = ()
    ages: tuple[InputAge, ...] = ()
    equity: tuple[ServiceEquity, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    strata: tuple[Stratum, ...] = ()
    follow_up: tuple[FollowUp, ...] = ()
    due: tuple[DueInMonth, ...] = ()
    bands: tuple[ScoreBand, ...] = ()
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Reviews:
    """What reviews have left on a day: their findings in words, and what the next review starts from."""

    found: tuple[Found, ...] = ()
    past: Past = NO_PAST


NO_REVIEWS: Final = Reviews()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one service on one day.

    `figures` is None while nothing has been measured. `edition` is the evidence in force, by which the page
    answers as cards do. `synthetic` says that no row is of a real patient. `known_on` is the day for which
    the outcomes in the folder were last brought up to date, which a report of another day has too.
    """

    service: ServiceDefinition
    as_of: date
    edition: BookContents
    figures: ServiceFigures | None
    activity: Activity
    found: tuple[Found, ...]
    times: Mapping[Group, tuple[TimeToFind, ...]]
    reviewed_on: date | None
    synthetic: bool
    known_on: date | None = None
