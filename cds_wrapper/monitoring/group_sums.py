"""The cube of one group as arrays: what the formulas are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from cds_wrapper.monitoring.attributes import Partition
from cds_wrapper.monitoring.cube import EVENT, NO_EVENT, PENDING, STATES, SUMS, cube, daily
from cds_wrapper.monitoring.formulas.bins import Floats, expit
from cds_wrapper.monitoring.patients import FORMS
from cds_wrapper.monitoring.values import DailySums

_N, _P, _P2, _LOGIT, _ = range(len(SUMS))
_UNBINNED: Final = PENDING + 1
"""Censored and unverified episodes are counted, and their scores are of no use."""


@dataclass(frozen=True)
class GroupSums:
    """`binned[flagged, state, bin, sum]` of events, no events and pending; `counts` of every state.

    Totals over the bins are made once, when one is first asked for: put everything in before.
    """

    binned: Floats
    counts: Floats

    @cached_property
    def _totals(self) -> Floats:
        """`[flagged, state, sum]`."""
        return np.asarray(self.binned.sum(axis=2))

    def __add__(self, other: GroupSums) -> GroupSums:
        return GroupSums(self.binned + other.binned, self.counts + other.counts)

    def by_bin(self, state: int) -> Floats:
        """How many of a state, by bin."""
        return np.asarray(self.binned[:, state, :, _N].sum(axis=0))

    def count(self, state: int, flagged: int | None = None) -> float:
        """How many of a state, on one side of the threshold or on both."""
        sides = slice(None) if flagged is None else slice(flagged, flagged + 1)
        return float(self._totals[sides, state, _N].sum())

    def expected(self, flagged: int | None = None) -> float:
        """The sum of scores of mature episodes."""
        return self._mature(_P, flagged)

    def squares(self, flagged: int | None = None) -> float:
        """The sum of squared scores of mature episodes."""
        return self._mature(_P2, flagged)

    def _mature(self, what: int, flagged: int | None) -> float:
        sides = slice(None) if flagged is None else slice(flagged, flagged + 1)
        return float(self._totals[sides, : NO_EVENT + 1, what].sum())

    @cached_property
    def events(self) -> float:
        """Episodes with the outcome."""
        return self.count(EVENT)

    @cached_property
    def n(self) -> float:
        """Mature episodes."""
        return self.events + self.count(NO_EVENT)

    @cached_property
    def forms(self) -> Floats:
        """The six sums of `FORMS`, of mature episodes."""
        flagged = self.count(EVENT, 1) + self.count(NO_EVENT, 1)
        found = (self.n, self.events, flagged, self.count(EVENT, 1), self.expected(), self.expected(1))
        assert len(found) == len(FORMS)  # noqa: S101  the two lists belong together
        return np.array(found)

    @property
    def brier(self) -> float:
        """The sum of squared differences between score and outcome."""
        return self.squares() - 2 * float(self._totals[:, EVENT, _P].sum()) + self.events

    def mature_bins(self) -> tuple[Floats, Floats, Floats]:
        """Of bins that hold mature episodes: mean probability (by its logit), events, episodes."""
        part = self.binned[:, : NO_EVENT + 1].sum(axis=(0, 1))
        there = part[:, _N] > 0
        n = part[there, _N]
        return expit(part[there, _LOGIT] / n), self.by_bin(EVENT)[there], n

    def scored_bins(self) -> tuple[Floats, Floats, Floats]:
        """Of bins that hold pending or mature episodes: mean probability, episodes, how many are flagged."""
        part = self.binned.sum(axis=(0, 1))
        there = part[:, _N] > 0
        n = part[there, _N]
        return part[there, _P] / n, n, self.binned[1].sum(axis=0)[there, _N]


def nothing(bins: int) -> GroupSums:
    """The sums of nobody."""
    return GroupSums(np.zeros((2, _UNBINNED, bins, len(SUMS))), np.zeros(len(STATES)))


def by_cell(rows: Any, partition: Partition, bins: int) -> dict[int, GroupSums]:
    """The cube of one partition, cell by cell; cells without an episode are not in it."""
    arrow = cube(rows, partition, ("bin", "flagged", "state")).to_pyarrow()
    columns = {name: arrow.column(name).to_numpy() for name in arrow.column_names}
    found = {}
    for cell in np.unique(columns["cell"]):
        here = columns["cell"] == cell
        state = columns["state"][here].astype(np.int64)
        sums = nothing(bins)
        np.add.at(sums.counts, state, columns["n"][here])
        inside = state < _UNBINNED
        place = tuple(columns[key][here].astype(np.int64)[inside] for key in ("flagged", "state", "bin"))
        for number, name in enumerate(SUMS):
            sums.binned[(*place, number)] = columns[name][here][inside]
        found[int(cell)] = sums
    return found


def total(cells: Mapping[int, GroupSums], chosen: Iterable[int], bins: int) -> GroupSums:
    """The sums of several cells together."""
    found = nothing(bins)
    for cell in chosen:
        if cell in cells:
            np.add(found.binned, cells[cell].binned, out=found.binned)
            np.add(found.counts, cells[cell].counts, out=found.counts)
    return found


@dataclass(frozen=True, slots=True)
class Days:
    """Mature episodes, events and sums of scores by cell and day of maturity."""

    days: tuple[Any, ...]
    n: Floats
    events: Floats
    expected: Floats

    def of(self, cell: int, rest: Iterable[int]) -> DailySums:
        """A group and its rest; days on which nothing matured on either side are left out."""
        others = list(rest)
        group = np.stack([self.events[cell], self.expected[cell]])
        beside = np.stack([self.events[others].sum(axis=0), self.expected[others].sum(axis=0)])
        there = np.flatnonzero(self.n[[cell, *others]].sum(axis=0) > 0)
        return DailySums(
            tuple(self.days[place] for place in there),
            *(tuple(float(one) for one in series[there]) for series in (*group, *beside)),
        )


def by_day(rows: Any, partition: Partition) -> Days:
    """The daily sums of one partition."""
    arrow = daily(rows, partition).to_pyarrow()
    days = sorted(set(arrow.column("due_on").to_pylist()))
    place = {day: number for number, day in enumerate(days)}
    at = np.array([place[day] for day in arrow.column("due_on").to_pylist()], dtype=np.int64)
    cell = arrow.column("cell").to_numpy().astype(np.int64)
    sums = np.zeros((3, partition.size, len(days)))
    for number, name in enumerate(("n", "events", "expected")):
        sums[number, cell, at] = arrow.column(name).to_numpy()
    return Days(tuple(days), *sums)
