"""Every figure of every group of one service's model version, as of a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_wrapper.monitoring.attributes import MonitoredAttributes, Partition, partitions
from cds_wrapper.monitoring.backends import Here, Source
from cds_wrapper.monitoring.cube import (
    EVENT,
    NO_EVENT,
    STATES,
    Question,
    asked,
    bases_of,
    binning_for,
    coded,
)
from cds_wrapper.monitoring.formulas.auroc import ranks
from cds_wrapper.monitoring.group_figures import Asked, Side, effects, figures, side_of
from cds_wrapper.monitoring.group_sums import Days, GroupSums, by_cell, by_day, total
from cds_wrapper.monitoring.patient_rows import parts_here
from cds_wrapper.monitoring.patients import Block, Sides, blocks, moments, sums_there
from cds_wrapper.monitoring.values import (
    EVERYBODY,
    DailySums,
    Group,
    GroupFigures,
    Measure,
    Measured,
    ServiceFigures,
    WhyNot,
)

_NO_DAYS = DailySums((), (), (), (), ())
Wanted = Callable[[Group, Side, Side | None, Asked, Mapping[Measure, float]], tuple[Measured, ...]]


def measure(
    source: Source, attributes: MonitoredAttributes, question: Question, wanted: Wanted = figures
) -> ServiceFigures:
    """Measure everybody, every level, crossing and race alone or in combination.

    `wanted` makes the figures of a group. Memory follows the number of cells and not of episodes: the
    database counts, and hands over sums.
    """
    episodes = asked(source.episodes, question)
    binning = binning_for(episodes, question)
    bases = bases_of(episodes, attributes)
    patient = source.patient(episodes.patient_key)
    rows = source.keep(coded(episodes, question, binning, bases.values(), patient))
    counted = _Counted(rows, question, binning.size, source.here, _period(rows, question), wanted)
    groups: list[GroupFigures] = []
    for block in blocks(tuple(partitions(attributes, bases))):
        groups.extend(counted.groups(block))
    return ServiceFigures(
        service_id=question.service_id,
        model_id=question.model_id,
        model_version=question.model_version,
        outcome=question.outcome,
        threshold=question.threshold,
        as_of=question.as_of,
        groups=tuple(groups),
    )


def _period(rows: Any, question: Question) -> tuple[date, date]:
    """First and last day of the index predictions that are looked at."""
    found = rows.agg(first=rows.day.min(), last=rows.day.max()).to_pyarrow().to_pylist()[0]
    return found["first"] or question.as_of, found["last"] or question.as_of


@dataclass(slots=True)
class _Counted:
    """The coded rows of one question, counted partition by partition.

    `everybody` holds everybody's design effects once everybody has been measured, which comes first.
    """

    rows: Any
    question: Question
    bins: int
    here: Here | None
    period: tuple[date, date]
    wanted: Wanted
    everybody: Mapping[Measure, float] | None = None

    def groups(self, block: Block) -> Iterator[GroupFigures]:
        cells = [by_cell(self.rows, partition, self.bins) for partition in block.partitions]
        areas = [_area_parts(one) for one in cells]
        if self.here is None:
            sides = moments(block, [sums_there(self.rows, block, areas, self.bins)])
        else:
            sides = moments(block, parts_here(self.rows, block, areas, self.bins, self.here))
        for partition, sums, found in zip(block.partitions, cells, sides, strict=True):
            yield from self._of(partition, sums, found)

    def _of(
        self, partition: Partition, cells: Mapping[int, GroupSums], sides: Mapping[int, Sides]
    ) -> Iterator[GroupFigures]:
        days = by_day(self.rows, partition) if self.question.can_calibrate else None
        for group, cell in partition.groups:
            yield self._one(group, cell, partition, cells, sides[cell], days)

    def _one(
        self,
        group: Group,
        cell: int,
        partition: Partition,
        cells: Mapping[int, GroupSums],
        sides: Sides,
        days: Days | None,
    ) -> GroupFigures:
        side = side_of(total(cells, (cell,), self.bins), sides.group)
        rest = None
        if group != EVERYBODY:
            rest = side_of(total(cells, partition.rest(cell), self.bins), sides.rest)
        asked_of = Asked(self.question, self.period, self.everybody or {})
        own = effects(side, asked_of)
        if self.everybody is None:
            self.everybody = own
        return GroupFigures(
            group=group,
            figures=self.wanted(group, side, rest, asked_of, own),
            daily=days.of(cell, partition.rest(cell)) if days else _NO_DAYS,
            counts={name: round(count) for name, count in zip(STATES, side.sums.counts, strict=True)},
            oe_design_effect=own[Measure.OE_RATIO],
        )


def _area_parts(cells: Mapping[int, GroupSums]) -> dict[int, tuple[Any, Any]]:
    """Per cell and bin, what an event and a non-event add to the area: (V10 - A)/m and (V01 - A)/n."""
    found = {}
    for cell, sums in cells.items():
        of = ranks(sums.by_bin(EVENT), sums.by_bin(NO_EVENT))
        if not isinstance(of, WhyNot):
            found[cell] = ((of.v10 - of.area) / of.events, (of.v01 - of.area) / of.non_events)
    return found
