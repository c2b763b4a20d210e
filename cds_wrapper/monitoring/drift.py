"""Are today's patients those the model was made for, and those of last quarter? Do scores behave as before?

Local shares against the shares of another population: per group by participation ratio, per attribute by
population stability index and multi-level standardised difference. A group which that population is known
to lack is *not represented*; one about which its source is silent is *not reported*. No constant is added to
fill a gap.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.formulas.representativeness import Comparison, compare, participation
from cds_wrapper.monitoring.populations import Levels, Population
from cds_wrapper.monitoring.values import EVERYBODY, Group, Interval, WhyNot
from cds_wrapper.patient.subgroups import MISSING, is_missing

Counts = Mapping[str, Mapping[str, int]]
"""People, episodes or predictions by attribute and level, every level of the exclusive view once."""

COMPARABLE: Final = (0.8, 1.2)
"""Participation ratios read as comparable: a convention of drug-trial snapshots."""

FAR_FEWER: Final = 0.2
"""A share in training below this part of the local one counts as hardly represented."""

SHIFTED: Final = 0.1
"""A standardised difference from which a difference is worth a look (Austin 2009): a convention."""


class Presence(enum.Enum):
    """What another population says of a group of ours."""

    COMPARABLE = "comparable"
    MORE_HERE = "more_here"
    FEWER_HERE = "fewer_here"
    HARDLY_REPRESENTED = "hardly_represented"
    NOT_REPRESENTED = "not_represented"
    NOT_REPORTED = "not_reported"
    NONE_HERE = "none_here"


@dataclass(frozen=True, slots=True)
class LevelShare:
    """One group: how many here, what share here and there, and the ratio of the two.

    `levels` are several where the other population gives them together.
    """

    attribute: str
    levels: Levels
    count: int
    share: float
    other_share: float | None
    ratio: Figure
    presence: Presence

    @property
    def group(self) -> Group:
        """The group as figures name it."""
        return Group(((self.attribute, " or ".join(self.levels)),))


@dataclass(frozen=True, slots=True)
class AttributeShares:
    """One attribute against one population: every group, and how far apart the two are as a whole.

    `comparison` is over the groups that both give; `covered` is their share of the local people.
    """

    attribute: str
    population: Population
    total: int
    levels: tuple[LevelShare, ...]
    comparison: Comparison | WhyNot
    covered: float

    @property
    def shifted(self) -> bool:
        """Whether the two differ by more than is read as comparable, beyond what sampling alone gives."""
        found = self.comparison
        return isinstance(found, Comparison) and found.difference >= SHIFTED and found.psi > 2 * found.noise


def representativeness(counts: Counts, population: Population) -> tuple[AttributeShares, ...]:
    """Every attribute that is collected here against a population, in the order of `counts`.

    An attribute that the population does not give at all has every group *not reported*.
    """
    return tuple(
        _attribute(name, levels, population) for name, levels in counts.items() if sum(levels.values())
    )


def _attribute(name: str, counts: Mapping[str, int], population: Population) -> AttributeShares:
    given = population.shares.get(name, {})
    total = sum(counts.values())
    rows = [_level(name, levels, _count(counts, levels), total, share) for levels, share in given.items()]
    unsaid = [level for level, n in counts.items() if n and not any(_is_among(level, one) for one in given)]
    rows += [_level(name, (level,), counts[level], total, None) for level in unsaid]
    both = [row for row in rows if row.other_share]
    comparison: Comparison | WhyNot = WhyNot.NOT_COMPARABLE
    if len(both) > 1:
        comparison = compare([row.count for row in both], [row.other_share or 0.0 for row in both])
    covered = sum(row.count for row in both) / total
    return AttributeShares(name, population, total, tuple(rows), comparison, covered)


def _level(attribute: str, levels: Levels, count: int, total: int, other: float | None) -> LevelShare:
    ratio = Figure.none(WhyNot.NOT_COMPARABLE) if other is None else participation(count, total, other)
    share = count / total
    return LevelShare(attribute, levels, count, share, other, ratio, presence(count, share, other, ratio))


def presence(count: int, share: float, other: float | None, ratio: Figure) -> Presence:
    """The word for a group; a ratio only leaves *comparable* when its whole interval does."""
    if other is None:
        return Presence.NOT_REPORTED
    if other == 0:
        return Presence.NOT_REPRESENTED
    if count == 0:
        return Presence.NONE_HERE
    if other < FAR_FEWER * share:
        return Presence.HARDLY_REPRESENTED
    low, high = ratio.interval or COMPARABLE
    if low > COMPARABLE[1]:
        return Presence.MORE_HERE
    return Presence.FEWER_HERE if high < COMPARABLE[0] else Presence.COMPARABLE


def _count(counts: Mapping[str, int], levels: Levels) -> int:
    return sum(n for level, n in counts.items() if _is_among(level, levels))


def _is_among(level: str, levels: Levels) -> bool:
    """A card's `missing` is missing for whatever reason."""
    return level in levels or (MISSING in levels and is_missing(level))


@dataclass(frozen=True, slots=True)
class MissingShare:
    """How much of one attribute is missing now and was before, by reason; `rise`: limits of the difference.

    `reasons` are counts of now by reason, most frequent first.
    """

    attribute: str
    total: int
    missing: int
    reasons: tuple[tuple[str, int], ...]
    before: float | None
    rise: Interval | None

    @property
    def share(self) -> float:
        """The part without a value."""
        return self.missing / self.total

    @property
    def rising(self) -> bool:
        """Whether it rose by more than chance: then some figures by group speak of fewer and fewer."""
        return self.rise is not None and self.rise[0] > 0


def missing_shares(now: Counts, before: Counts) -> tuple[MissingShare, ...]:
    """Every attribute collected now, compared with the quarter before where that has any people."""
    return tuple(
        _missing(name, levels, before.get(name, {})) for name, levels in now.items() if sum(levels.values())
    )


def _missing(name: str, now: Mapping[str, int], before: Mapping[str, int]) -> MissingShare:
    reasons = sorted(
        ((level.partition(":")[2] or "unknown", n) for level, n in now.items() if is_missing(level) and n),
        key=lambda one: (-one[1], one[0]),
    )
    total, missing = sum(now.values()), sum(n for _, n in reasons)
    earlier, earlier_total = sum(n for level, n in before.items() if is_missing(level)), sum(before.values())
    if not earlier_total:
        return MissingShare(name, total, missing, tuple(reasons), None, None)
    rise = newcombe_difference(missing, total, earlier, earlier_total)
    return MissingShare(name, total, missing, tuple(reasons), earlier / earlier_total, rise)


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """What is kept of one group's scores in one period: how many, their sums, how many were flagged.

    `flagged` is None for a service without a threshold.
    """

    n: int
    total: float
    squares: float
    flagged: int | None

    @property
    def mean(self) -> float:
        """The mean score; `n` must be above 0."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """The variance of the scores around their mean."""
        return max(self.squares / self.n - self.mean**2, 0.0)


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """One group's scores and alert rate, now and in the quarter before.

    `difference` is that of the means in standard deviations; `alert_change` are limits of the difference in
    alert rates, which take every episode as one person.
    """

    group: Group
    n: int
    mean: float
    mean_before: float
    difference: float
    alert_rate: float | None
    alert_rate_before: float | None
    alert_change: Interval | None

    @property
    def shifted(self) -> bool:
        """Whether scores moved by a tenth of a standard deviation or more, or alerts beyond chance."""
        change = self.alert_change
        return abs(self.difference) >= SHIFTED or (change is not None and not change[0] <= 0 <= change[1])


def score_drift(now: Mapping[Group, ScoreSums], before: Mapping[Group, ScoreSums]) -> tuple[ScoreDrift, ...]:
    """Every group that has scores in both quarters, everybody first."""
    both = [group for group in now if group in before and now[group].n and before[group].n]
    both.sort(key=lambda group: (group != EVERYBODY, group))
    return tuple(_drift(group, now[group], before[group]) for group in both)


def _drift(group: Group, now: ScoreSums, before: ScoreSums) -> ScoreDrift:
    spread = math.sqrt((now.variance + before.variance) / 2)
    rates: Sequence[float | None] = [None, None]
    change = None
    if now.flagged is not None and before.flagged is not None:
        rates = [now.flagged / now.n, before.flagged / before.n]
        change = newcombe_difference(now.flagged, now.n, before.flagged, before.n)
    return ScoreDrift(
        group=group,
        n=now.n,
        mean=now.mean,
        mean_before=before.mean,
        difference=(now.mean - before.mean) / spread if spread > 0 else 0.0,
        alert_rate=rates[0],
        alert_rate_before=rates[1],
        alert_change=change,
    )
