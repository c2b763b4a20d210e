"""Which figures of a table are not shown: those of small numbers, and those that would give them away.

Groups of one attribute add up to everybody, so do those of a crossing with the patients it leaves out. A
group with a small count shows nothing. One that is hidden only so that its neighbour cannot be worked out
keeps its counts to itself, and shows rates in whole numbers where rounding alone leaves more people open than
a small count is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cds_wrapper.monitoring.suppression import FLOOR, Cell, Sum, hidden_cells, is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures

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


def hidden_figures(groups: Iterable[GroupFigures], floor: int = FLOOR) -> Hidden:
    """What is not shown of the figures, by events and non-events."""
    return hidden_rows(
        {
            one.group: {
                "event": one.counts.get("event", 0),
                "no_event": one.counts.get("no_event", 0),
            }
            for one in groups
        },
        floor,
    )
