"""Counts from 1 to 10 are neither shown nor to be worked out from what is shown. Pure.

CMS cell-size policy: a small group hides its figures with its number. A single hidden group could still be
worked out from the total and its siblings, so the next smallest one is hidden with it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cds_wrapper.caveats.evidence import Estimate, Metric, TrainingGroup

SMALLEST_COUNT: Final = 11
"""Counts below it are not shown (CMS cell-size policy)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One group of one table: its number of people, and whether a count of it is small."""

    group: Hashable
    n: int | None
    few: bool


def is_few(number: float | None) -> bool:
    """Whether a count is one of 1 to 10; nobody at all is nobody who could be recognised."""
    return number is not None and 0 < round(number) < SMALLEST_COUNT


def hidden_groups(cells: Sequence[Cell], totals: Iterable[int] = ()) -> frozenset[Hashable]:
    """The groups of one table of which nothing is shown: the small ones, and what would give them away."""
    hidden = [cell for cell in cells if cell.few]
    rest = sorted((cell.n, place) for place, cell in enumerate(cells) if cell.n is not None and not cell.few)
    unlisted = [left for left in (_left_over(cells, total) for total in totals) if is_few(left)]
    counts = [cell.n or 0 for cell in hidden] + unlisted[:1]
    while rest and _can_be_worked_out(counts):
        n, place = rest.pop(0)
        hidden.append(cells[place])
        counts.append(n)
    return frozenset(cell.group for cell in hidden)


def _left_over(cells: Sequence[Cell], total: int) -> int:
    """The people of a total whom no group lists; 0 when that cannot be known."""
    known = [cell.n for cell in cells if cell.n is not None]
    return total - sum(known) if len(known) == len(cells) else 0


def _can_be_worked_out(hidden: Collection[int]) -> bool:
    """A total less what is shown gives the sum of what is hidden: of one group, or of too few people."""
    return len(hidden) == 1 or (len(hidden) > 0 and sum(hidden) < SMALLEST_COUNT)


def cell_of(row: Estimate) -> Hashable:
    """What rows about one group of one table share."""
    return _table(row), row.group, row.who, row.as_reported


def hidden_cells(rows: Collection[Estimate]) -> frozenset[Hashable]:
    """The cells (see `cell_of`) of a card's figures of which nothing is shown."""
    tables: dict[Hashable, dict[Hashable, list[Estimate]]] = {}
    for row in rows:
        tables.setdefault(_table(row), {}).setdefault(cell_of(row), []).append(row)
    totals = _totals(rows)
    return frozenset(
        group
        for cells in tables.values()
        for group in hidden_groups(
            [_cell(group, members) for group, members in cells.items()], _totals_for(cells, totals)
        )
    )


def _table(row: Estimate) -> Hashable:
    """One study's groups by the same attributes; alerts are counted anew at each threshold."""
    at = row.threshold if row.metric is Metric.ALERT_RATE else None
    return row.cite, row.outcome, tuple(sorted(row.where)), at, row.metric is Metric.ALERT_RATE


def _totals(rows: Iterable[Estimate]) -> Mapping[str | None, set[int]]:
    """The numbers of people each study gives for everybody."""
    found: dict[str | None, set[int]] = {}
    for row in rows:
        if not row.where and row.n is not None:
            found.setdefault(row.cite, set()).add(row.n)
    return found


def _totals_for(
    cells: Mapping[Hashable, Sequence[Estimate]], totals: Mapping[str | None, set[int]]
) -> set[int]:
    first = next(iter(cells.values()))[0]
    return totals.get(first.cite, set()) if first.where else set()


def _cell(group: Hashable, rows: Sequence[Estimate]) -> Cell:
    numbers = [row.n for row in rows if row.n is not None]
    return Cell(group, min(numbers, default=None), any(_is_small(row) for row in rows))


def _is_small(row: Estimate) -> bool:
    """Whether the people, those with or without the event, or those with or without an alert are few."""
    if row.n is None:
        return is_few(row.positives)
    counts: list[float | None] = [row.positives]
    counts += [row.n - row.positives] if row.positives is not None else []
    if row.metric is Metric.ALERT_RATE and row.estimate is not None:
        counts += [row.estimate * row.n, (1 - row.estimate) * row.n]
    return is_few(row.n) or any(is_few(one) for one in counts)


def hidden_training(groups: Sequence[TrainingGroup]) -> frozenset[Hashable]:
    """The places of the training groups whose number and share are not shown."""
    total = next((group.n for group in groups if not group.where and group.n is not None), None)
    tables: dict[tuple[str, ...], list[int]] = {}
    for place, group in enumerate(groups):
        tables.setdefault(tuple(sorted(group.where)), []).append(place)
    hidden = (
        _hidden_shares(groups, places, total if attributes else None) for attributes, places in tables.items()
    )
    return frozenset[Hashable]().union(*hidden)


def _hidden_shares(
    groups: Sequence[TrainingGroup], places: Sequence[int], total: int | None
) -> frozenset[Hashable]:
    counts = {place: _people(groups[place], total) for place in places}
    cells = [Cell(place, n, is_few(n)) for place, n in counts.items()]
    # Shares are rounded: what they leave of the total is no count of anybody.
    exact = total is not None and all(groups[place].n is not None for place in places)
    return hidden_groups(cells, (total,) if exact and total is not None else ())


def _people(group: TrainingGroup, total: int | None) -> int | None:
    """How many people a training group is, by its number or by its share of all."""
    if group.n is not None or group.share is None or total is None:
        return group.n
    return round(group.share * total)
