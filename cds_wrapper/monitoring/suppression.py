"""Small numbers of people: never shown, and never to be found out from what is shown.

Counts of 1 to 10 are hidden (CMS cell-size policy); then, as long as a hidden count could be worked out from
totals and neighbours, the next smallest neighbour is hidden too. What could be worked out is decided by
solving for it: the least and the greatest value that every sum allows must differ.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linprog

FLOOR: Final = 11
"""The smallest count that may be shown; 0 may be shown too."""

Cell = tuple[str, ...]
"""The name of a count, such as `("events", "race", "black")`."""


def _itself(cell: Cell) -> Hashable:
    return cell


@dataclass(frozen=True, slots=True)
class Sum:
    """Parts that add up to a whole, all of them counts by name."""

    whole: Cell
    parts: tuple[Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The whole and its parts."""
        return (self.whole, *self.parts)


def is_small(count: int, floor: int = FLOOR) -> bool:
    """Whether a count may not be shown: 1 up to one below the floor."""
    return 0 < count < floor


def hidden_cells(
    counts: Mapping[Cell, int],
    sums: Sequence[Sum],
    floor: int = FLOOR,
    row_of: Callable[[Cell], Hashable] = _itself,
) -> frozenset[Cell]:
    """The counts that are not shown: small ones, and others so that no small one can be worked out.

    Every sum must hold; a cell that stands in none needs no neighbour. What `row_of` puts into one row is
    shown or hidden together: the events and the others of a group, say.
    """
    rows: dict[Hashable, set[Cell]] = {}
    for cell in counts:
        rows.setdefault(row_of(cell), set()).add(cell)
    small = frozenset(cell for cell, count in counts.items() if is_small(count, floor))
    hidden = {cell for one in small for cell in rows[row_of(one)]}
    open_to_see = sorted(small)
    while open_to_see:
        # Hiding more never gives more away: a cell that is protected once stays so.
        first = open_to_see[0]
        told = _is_told(first, hidden, counts, sums, small, floor)
        more = _neighbour(first, hidden, counts, sums) if told else None
        if more is None:  # protected, or nothing is left to hide in its sums but what is hidden already
            open_to_see.pop(0)
        else:
            hidden |= rows[row_of(more)]
    return frozenset(hidden)


def _is_told(
    cell: Cell,
    hidden: set[Cell],
    counts: Mapping[Cell, int],
    sums: Sequence[Sum],
    small: frozenset[Cell],
    floor: int,
) -> bool:
    """Whether what is shown gives a small count away, to a reader who knows the rules.

    Such a reader knows which counts were hidden for being small only where a word tells; here it is taken
    that they know it of every one, which is more than any page says.
    """
    if not any(cell in one.cells for one in sums):
        return False
    concerned = _joined(cell, hidden, sums)
    order = sorted({one for joined in concerned for one in joined.cells if one in hidden})
    place = {cell: at for at, cell in enumerate(order)}
    left = np.zeros((len(concerned), len(order)))
    right = np.zeros(len(concerned))
    for row, one in enumerate(concerned):
        for sign, cells in ((-1.0, (one.whole,)), (1.0, one.parts)):
            for part in cells:
                if part in hidden:
                    left[row, place[part]] += sign
                else:
                    right[row] -= sign * counts[part]
    limits = [(1.0, floor - 1.0) if one in small else (0.0, None) for one in order]
    least, greatest = _range(place[cell], left, right, limits)
    return greatest - least < 1


def _joined(cell: Cell, hidden: set[Cell], sums: Sequence[Sum]) -> list[Sum]:
    """The sums that say anything of a hidden cell: its own, and those joined to them by hidden cells."""
    left = [one for one in sums if not hidden.isdisjoint(one.cells)]
    found: list[Sum] = []
    reached = {cell}
    while True:
        near = [one for one in left if not reached.isdisjoint(one.cells)]
        if not near:
            return found
        found += near
        left = [one for one in left if reached.isdisjoint(one.cells)]
        reached |= {one for joined in near for one in joined.cells if one in hidden}


def _range(
    at: int, left: np.ndarray, right: np.ndarray, limits: Sequence[tuple[float, float | None]]
) -> tuple[float, float]:
    goal = np.zeros(left.shape[1])
    goal[at] = 1.0
    ends = [
        linprog(sign * goal, A_eq=left, b_eq=right, bounds=limits, method="highs") for sign in (1.0, -1.0)
    ]
    return float(ends[0].fun), float(-ends[1].fun)


def _neighbour(told: Cell, hidden: set[Cell], counts: Mapping[Cell, int], sums: Sequence[Sum]) -> Cell | None:
    """The smallest count that can stand beside it: a part of one of its sums, else the whole of one.

    One that is above 0 first: a hidden 0 protects less. Where its own sums are used up, those of any other
    hidden count: one hangs together with the next.
    """
    near = [one for one in sums if told in one.cells]
    for among in (near, [one for one in sums if not hidden.isdisjoint(one.cells)]):
        parts = {cell for one in among for cell in one.parts if cell not in hidden}
        if parts:
            return min(parts, key=lambda cell: (counts[cell] == 0, counts[cell], cell))
        wholes = {one.whole for one in among if one.whole not in hidden}
        if wholes:
            return min(wholes, key=lambda cell: (counts[cell], cell))
    return None
