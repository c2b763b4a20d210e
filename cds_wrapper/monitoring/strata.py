"""Flagged or not, acted on or not: events seen and expected apart, and how many outcomes were looked for.

A score that leads to treatment prevents some of the events it predicted: fewer events than expected among
flagged patients may reflect treatment, and is told apart from the patients nobody acted on (Feng et al. 2022,
arXiv 2211.09781). The difference between the strata is no proof either: those who are treated differ.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from ibis import _

from cds_wrapper.monitoring.by_group import Table, per_group
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.oe_ratio import oe_ratio
from cds_wrapper.monitoring.values import Group

KNOWN = ("event", "no_event")


@dataclass(frozen=True, slots=True)
class Stratum:
    """Mature episodes of one group above or below the threshold, with one kind of action.

    `action` is `accepted`, `overridden` or `none`; `expected` the sum of their scores, `squares` of the
    scores' squares.
    """

    group: Group
    flagged: bool
    shown: bool
    action: str
    n: int
    events: int
    expected: float
    squares: float

    @property
    def ratio(self) -> Figure:
        """Events seen over expected; below 1 above the threshold may reflect treatment."""
        return oe_ratio(self.events, self.expected, self.squares)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Episodes of one group that are due, above or below the threshold: how many have a known outcome.

    `unverified` are those that nobody looked at or reported, `censored` those not seen to the end; `events`
    are those of the known in which the outcome came.
    """

    group: Group
    flagged: bool | None
    due: int
    known: int
    unverified: int
    censored: int
    events: int


@dataclass(frozen=True, slots=True)
class DueInMonth:
    """Outcomes of one site that were due in one month (its first day), and how many of them are known."""

    site: str
    month: date
    due: int
    known: int
    unverified: int

    def __add__(self, other: DueInMonth) -> DueInMonth:
        """Both together, under this one's name."""
        return replace(
            self,
            due=self.due + other.due,
            known=self.known + other.known,
            unverified=self.unverified + other.unverified,
        )


def due_by_month(episodes: Table) -> tuple[DueInMonth, ...]:
    """Every site and month in which an outcome was due, in order of time."""
    due = episodes.filter(episodes.state != "pending")
    figures = {
        "due": _.count(),
        "known": _.state.isin(KNOWN).sum(),
        "unverified": (_.state == "unverified").sum(),
    }
    rows = (
        due.group_by(site=due.site.fill_null("not named"), month=due.due_on.cast("date").truncate("M"))
        .aggregate(**figures)
        .to_pyarrow()
        .to_pylist()
    )
    return tuple(sorted((DueInMonth(**row) for row in rows), key=lambda one: (one.month, one.site)))


def strata(episodes: Table, attributes: Collection[str]) -> tuple[Stratum, ...]:
    """Mature episodes of every group by flag, display and action; none for a score that is no probability."""
    mature = episodes.filter(
        episodes.state.isin(KNOWN) & (episodes.score_kind == "probability") & episodes.flagged.notnull()
    ).mutate(shown=_.displayed == "shown")
    figures = {
        "n": _.count(),
        "events": _.label.sum(),
        "expected": _.score.sum(),
        "squares": (_.score * _.score).sum(),
    }
    by = ("flagged", "shown", "action")
    return tuple(
        Stratum(group, **{name: row[name] for name in (*by, *figures)})
        for group, row in per_group(mature, attributes, figures, by)
    )


def follow_up(episodes: Table, attributes: Collection[str]) -> tuple[FollowUp, ...]:
    """Every group by flag: of the episodes whose horizon is over, how many outcomes are known."""
    due = episodes.filter(episodes.state != "pending")
    figures = {
        "due": _.count(),
        "known": _.state.isin(KNOWN).sum(),
        "unverified": (_.state == "unverified").sum(),
        "censored": (_.state == "censored").sum(),
        "events": (_.state == "event").sum(),
    }
    return tuple(
        FollowUp(group, **{name: row[name] for name in ("flagged", *figures)})
        for group, row in per_group(due, attributes, figures, ("flagged",))
    )
