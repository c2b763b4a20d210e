"""Which figures of a table are not shown: those of small numbers, and those that would give them away.

Groups of one attribute add up to everybody, so do those of a crossing with the patients it leaves out. A
group with a small count shows nothing. One that is hidden only so that its neighbour cannot be worked out
keeps its counts to itself, and shows rates in whole numbers where rounding alone leaves more people open than
a small count is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cds_wrapper.monitoring.suppression import FLOOR, Cell, Sum, hidden_cells, is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure

Parts = Mapping[str, int]
"""Counts of one group that add up to its number, such as events and non-events."""

ROUNDED: Final = 2000
"""People of whom half a per cent, which rounding leaves open, is as many as the largest small count."""

_ALL, _LEFT_OUT = "n", "left out"


@dataclass(frozen=True, slots=True)
class Hidden:
    """The groups that show no counts, and those of them that show no rates either."""

    counts: frozenset[Group]
    rates: frozenset[Group]

    def __or__(self, other: Hidden) -> Hidden:
        """What either hides."""
        return Hidden(self.counts | other.counts, self.rates | other.rates)


def hidden_rows(rows: Mapping[Group, Parts], floor: int = FLOOR) -> Hidden:
    """What is not shown of each group; `rows` has everybody's too where it is known.

    A group hides all its counts or none, so that within it nothing can be worked out.
    """
    apart = {group: parts for group, parts in rows.items() if group.exclusive}
    counts: dict[Cell, int] = {}
    sums: list[Sum] = []
    for group, parts in apart.items():
        counts |= {_cell(part, group): n for part, n in parts.items()}
        counts[_cell(_ALL, group)] = sum(parts.values())
    for whole, members in _families(apart):
        for part in (_ALL, *rows[whole]):
            _add(part, whole, members, counts, sums)
    cells = hidden_cells(counts, sums, floor)
    small = {group for group, parts in rows.items() if _has_small(group, parts, rows, floor)}
    hidden = small | {group for group, parts in apart.items() if _is_hidden(group, parts, cells)}
    few = {group for group in hidden if sum(rows[group].values()) < ROUNDED}
    return Hidden(frozenset(hidden), frozenset(small | few))


def _has_small(group: Group, parts: Parts, rows: Mapping[Group, Parts], floor: int) -> bool:
    """Whether a count is small, or the difference to the people of this race alone is."""
    found = [sum(parts.values()), *parts.values()]
    if not group.exclusive:
        alone = rows.get(replace(group, exclusive=True), {})
        found += [n - alone.get(part, 0) for part, n in parts.items()]
        found.append(sum(parts.values()) - sum(alone.values()))
    return any(is_small(n, floor) for n in found)


def _is_hidden(group: Group, parts: Parts, hidden: frozenset[Cell]) -> bool:
    return any(_cell(part, group) in hidden for part in (_ALL, *parts))


def _families(rows: Iterable[Group]) -> Iterator[tuple[Group, list[Group]]]:
    """Each group with those that lie in it without overlap: levels in everybody, cells in a level."""
    groups = list(rows)
    by_attribute: dict[str, list[Group]] = {}
    for group in groups:
        if group.where:
            by_attribute.setdefault(group.attribute, []).append(group)
    for attribute, members in by_attribute.items():
        parents = _parents(attribute, members) or {EVERYBODY}
        for parent in sorted(parents & set(groups)):
            yield parent, [one for one in members if set(parent.where) <= set(one.where)]


def _parents(attribute: str, members: Iterable[Group]) -> set[Group]:
    """The single levels that the cells of a crossing are made of."""
    if "*" not in attribute:
        return set()
    return {Group((part,)) for member in members for part in member.where}


def _add(part: str, whole: Group, members: list[Group], counts: dict[Cell, int], sums: list[Sum]) -> None:
    """That the members' counts, and those of whom no member holds, add up to the whole's.

    Members of more than the whole are of another time or another count: then nothing adds up.
    """
    cells = [_cell(part, member) for member in members if _cell(part, member) in counts]
    left_out = counts[_cell(part, whole)] - sum(counts[cell] for cell in cells)
    if left_out < 0:
        return
    if left_out:
        cells.append((_LEFT_OUT, part, str(whole), members[0].attribute))
        counts[cells[-1]] = left_out
    sums.append(Sum(_cell(part, whole), tuple(cells)))


def _cell(part: str, group: Group) -> Cell:
    return (part, str(group))


OF_THE_THRESHOLD: Final = frozenset(
    {
        Measure.FLAG_RATE,
        Measure.SENSITIVITY,
        Measure.SPECIFICITY,
        Measure.PPV,
        Measure.NPV,
        Measure.OE_FLAGGED,
        Measure.OE_UNFLAGGED,
        Measure.NET_BENEFIT,
        Measure.SENSITIVITY_GAP,
        Measure.SPECIFICITY_GAP,
        Measure.PPV_GAP,
    }
)
"""Measures from which the people above and below the threshold could be counted."""
_OF_EVERY_STATE: Final = frozenset(
    {
        Measure.KNOWN_SHARE,
        Measure.VERIFIED_SHARE,
        Measure.EXPECTED_SENSITIVITY,
        Measure.EXPECTED_PPV,
        Measure.EXPECTED_AUROC,
    }
)


@dataclass(frozen=True, slots=True)
class HiddenFigures:
    """What is not shown of a service's figures, by the counts that each of them gives away."""

    outcomes: Hidden
    flagged: Hidden
    states: Hidden

    @classmethod
    def of(cls, groups: Sequence[GroupFigures], floor: int = FLOOR) -> HiddenFigures:
        """By events and non-events and the people behind them, by what a threshold does, by what is known."""
        return cls(
            outcomes=hidden_figures(groups, floor),
            flagged=hidden_flagged(groups, floor),
            states=hidden_rows({one.group: _states(one) for one in groups}, floor),
        )

    def of_measure(self, measure: Measure) -> Hidden:
        """What a threshold does, and what is known of all that is due, have counts of their own."""
        if measure in OF_THE_THRESHOLD:
            return self.outcomes | self.flagged
        return self.outcomes | self.states if measure in _OF_EVERY_STATE else self.outcomes


_MATURE: Final = ("event", "no_event")


def hidden_figures(groups: Sequence[GroupFigures], floor: int = FLOOR) -> Hidden:
    """What is not shown of any figure: few events, few others, or few people behind many episodes."""
    episodes = {one.group: {name: one.counts.get(name, 0) for name in _MATURE} for one in groups}
    people = {one.group: {"patients": one.figures[0].patients} for one in groups if one.figures}
    return hidden_rows(episodes, floor) | hidden_rows(people, floor)


def hidden_flagged(groups: Iterable[GroupFigures], floor: int) -> Hidden:
    """What is not shown of a threshold: found and missed cases, right and wrong alerts, each a count.

    From any two shares of these four the others follow, so all of them are shown or none. Rounded rates of a
    neighbour need every denominator to be large, the cases above all.
    """
    rows = {one.group: parts for one in groups if (parts := _fourfold(one))}
    hidden = hidden_rows(rows, floor)
    few = {group for group in hidden.counts if _least_denominator(rows[group]) < ROUNDED}
    return Hidden(hidden.counts, hidden.rates | few)


def _fourfold(figures: GroupFigures) -> dict[str, int] | None:
    """Episodes by flag and outcome; None without a threshold."""
    flagged, right = figures.of(Measure.FLAG_RATE), figures.of(Measure.PPV)
    if flagged is None or flagged.value is None:
        return None
    alerts = round(flagged.value * flagged.n)
    found = 0 if right is None or right.value is None else round(right.value * right.n)
    events, others = figures.counts["event"], figures.counts["no_event"]
    return {
        "found": found,
        "missed": events - found,
        "wrong": alerts - found,
        "rightly silent": others - alerts + found,
    }


def _least_denominator(parts: Mapping[str, int]) -> int:
    found, missed, wrong, silent = parts.values()
    return min(found + missed, found + wrong, wrong + silent, missed + silent)


def _states(figures: GroupFigures) -> dict[str, int]:
    """Episodes by what is known of them: what is pending, lost or not verified is a number of people too."""
    counts = figures.counts
    answered = counts["event"] + counts["no_event"]
    return {"answered": answered, **{name: counts[name] for name in ("pending", "censored", "unverified")}}
