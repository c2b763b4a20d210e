"""The patient table: what the same patients add to each other, as second moments of sums per patient.

Every ratio R = X/Y here is of linear forms of six sums per patient (`FORMS`), so its clustered error needs
the moments of those six alone. The contributions to the area under the curve are one sum more for each way to
divide people into groups.

One row per patient is many rows. So the database adds up what it can: patients whose cell never changed are
summed by cell there; the few whose cell did change (a birthday between two stays) are read out and summed
here. `cells` puts several ways to divide people into one number, so that each patient is looked up once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np
from numpy.typing import NDArray

from cds_wrapper.monitoring.attributes import Base, Partition
from cds_wrapper.monitoring.cube import EVENT, NO_EVENT, cell_of
from cds_wrapper.monitoring.formulas.bins import Floats

FORMS: Final = ("n", "events", "flagged", "true_positives", "expected", "expected_flagged")
"""Per patient: episodes, events, flags, both, sum of scores, sum of scores of the flagged."""

MOST_CELLS: Final = 50_000
"""Ways to divide people are looked at together as long as their cells stay below this."""

PAIRS: Final = tuple((i, j) for i in range(len(FORMS)) for j in range(i, len(FORMS)))


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the patients of a group: how many, how many with an event, moments of their sums.

    `second[i, j]` sums over patients the product of form i and form j. `area` sums the squared contributions
    to the area under the curve.
    """

    patients: float
    with_event: float
    second: Floats
    area: float

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.patients + other.patients,
            self.with_event + other.with_event,
            self.second + other.second,
            self.area + other.area,
        )


def no_moments() -> Moments:
    """Of nobody."""
    return Moments(0.0, 0.0, np.zeros((len(FORMS), len(FORMS))), 0.0)


@dataclass(frozen=True, slots=True)
class Sides:
    """The moments of a group, and of everybody else with a recorded value."""

    group: Moments
    rest: Moments


@dataclass(frozen=True, slots=True)
class Block:
    """Partitions that are looked at together, and the coded columns that their common cell is made of."""

    bases: tuple[Base, ...]
    partitions: tuple[Partition, ...]

    @property
    def whole(self) -> Partition:
        """The partition whose cells tell every one of the block's apart."""
        return Partition(self.bases, (), frozenset())

    def cells(self, whole: NDArray[np.int64], partition: Partition) -> NDArray[np.int64]:
        """The cell of one partition out of the common one."""
        codes: dict[str, NDArray[np.int64]] = {}
        left = whole
        for base in reversed(self.bases):
            codes[base.name] = left % base.size
            left = left // base.size
        cell = np.zeros_like(whole)
        for base in partition.bases:
            cell = cell * base.size + codes[base.name]
        return cell


def blocks(partitions: Sequence[Partition], most: int = MOST_CELLS) -> Iterator[Block]:
    """Partitions in order, as many together as their common cells allow."""
    bases: tuple[Base, ...] = ()
    held: list[Partition] = []
    for partition in partitions:
        both = tuple(dict.fromkeys((*bases, *partition.bases)))
        if held and Partition(both, (), frozenset()).size > most:
            yield Block(bases, tuple(held))
            both, held = partition.bases, []
        bases = both
        held.append(partition)
    if held:
        yield Block(bases, tuple(held))


def contributions(rows: Any, block: Block, areas: Mapping[int, Any], bins: int) -> Any:
    """Mature rows with their common cell and, per partition of the block, what each adds to its cell's area.

    `areas` are tables (key, value), key = (cell * bins + bin) * 2 + (1 for an event); a cell without an area
    adds nothing.
    """
    wide = rows.mutate(cell=cell_of(rows, block.whole))
    for place, partition in enumerate(block.partitions):
        key = (cell_of(wide, partition) * bins + wide.bin) * 2 + ibis.ifelse(wide.state == EVENT, 1, 0).cast(
            "int64"
        )
        wide = wide.mutate(key=key)
        table = areas[place].rename({f"key_{place}": "key", f"area_{place}": "value"})
        wide = wide.left_join(table, wide.key == table[f"key_{place}"]).drop("key", f"key_{place}")
    return wide


def by_patient(wide: Any, partitions: int, keys: Sequence[str]) -> Any:
    """The six sums and the areas per patient (and cell, where that is a key)."""
    event, flagged = ibis.ifelse(wide.state == EVENT, 1, 0).cast("float64"), wide.flagged.cast("float64")
    return wide.group_by(*keys).agg(
        lowest=wide.cell.min(),
        highest=wide.cell.max(),
        n=wide.count().cast("float64"),
        events=event.sum(),
        flagged=flagged.sum(),
        true_positives=(event * flagged).sum(),
        expected=wide.p.sum(),
        expected_flagged=(wide.p * flagged).sum(),
        **{f"area_{i}": wide[f"area_{i}"].coalesce(0.0).sum() for i in range(partitions)},
    )


def steady(patients: Any, partitions: int) -> Any:
    """Moments by cell, of the patients whose cell never changed."""
    t = patients.filter(patients.lowest == patients.highest)
    return t.group_by(cell=t.lowest).agg(
        patients=t.count().cast("float64"),
        with_event=ibis.ifelse(t.events > 0, 1, 0).cast("float64").sum(),
        **{f"m_{i}_{j}": (t[FORMS[i]] * t[FORMS[j]]).sum() for i, j in PAIRS},
        **{f"area_{i}": (t[f"area_{i}"] * t[f"area_{i}"]).sum() for i in range(partitions)},
    )


def changing(wide: Any, partitions: int) -> Any:
    """One row per patient and cell, of the patients who were in more than one."""
    cells = wide.group_by("patient").agg(lowest=wide.cell.min(), highest=wide.cell.max())
    several = cells.filter(cells.lowest != cells.highest).select("patient")
    return by_patient(wide.semi_join(several, "patient"), partitions, ("patient", "cell")).drop(
        "lowest", "highest"
    )


def mature(rows: Any) -> Any:
    """The rows with an answer."""
    return rows.filter(rows.state <= NO_EVENT)


Arrays = dict[str, NDArray[Any]]
Areas = Mapping[int, tuple[Floats, Floats]]
"""Per cell: what an event and a non-event of each bin add to the area."""


def sums_there(rows: Any, block: Block, areas: Sequence[Areas], bins: int) -> tuple[Arrays, Arrays]:
    """What `steady` and `changing` give, counted by the database."""
    count = len(block.partitions)
    tables = {place: area_table(values, bins) for place, values in enumerate(areas)}
    wide = contributions(mature(rows), block, tables, bins)
    return arrays(steady(by_patient(wide, count, ("patient",)), count)), arrays(changing(wide, count))


def moments(block: Block, parts: Iterable[tuple[Arrays, Arrays]]) -> list[dict[int, Sides]]:
    """Per partition of the block: the moments of every group's cell and of its rest, over all parts."""
    found = [dict[int, Sides]() for _ in block.partitions]
    for fixed, moved in parts:
        for place, partition in enumerate(block.partitions):
            kept = _steady_sides(fixed, block, partition, place)
            others = _changing_sides(moved, block, partition, place)
            for _, cell in partition.groups:
                for side in (kept[cell], others[cell]):
                    held = found[place].get(cell)
                    found[place][cell] = side if held is None else _added(held, side)
    return found


def arrays(table: Any) -> dict[str, NDArray[Any]]:
    arrow = table.to_pyarrow()
    return {name: arrow.column(name).to_numpy() for name in arrow.column_names}


def _added(one: Sides, other: Sides) -> Sides:
    return Sides(one.group + other.group, one.rest + other.rest)


def _steady_sides(
    found: Mapping[str, NDArray[Any]], block: Block, partition: Partition, place: int
) -> dict[int, Sides]:
    """These patients are in one cell for good: the rest is the sum over its cells."""
    cells = block.cells(found["cell"].astype(np.int64), partition)
    names = ("patients", "with_event", f"area_{place}", *(f"m_{i}_{j}" for i, j in PAIRS))
    sums = {name: np.bincount(cells, weights=found[name], minlength=partition.size) for name in names}

    def of(chosen: Sequence[int]) -> Moments:
        where = list(chosen)
        second = np.zeros((len(FORMS), len(FORMS)))
        for i, j in PAIRS:
            second[i, j] = second[j, i] = float(sums[f"m_{i}_{j}"][where].sum())
        return Moments(
            float(sums["patients"][where].sum()),
            float(sums["with_event"][where].sum()),
            second,
            float(sums[f"area_{place}"][where].sum()),
        )

    return {cell: Sides(of([cell]), of(partition.rest(cell))) for _, cell in partition.groups}


def _changing_sides(
    found: Mapping[str, NDArray[Any]], block: Block, partition: Partition, place: int
) -> dict[int, Sides]:
    """These patients are in several cells of the block, of this partition perhaps in one."""
    if not len(found["cell"]):
        return {cell: Sides(no_moments(), no_moments()) for _, cell in partition.groups}
    cells = block.cells(found["cell"].astype(np.int64), partition)
    _, patient = np.unique(found["patient"], return_inverse=True)
    pairs, row = np.unique(patient * partition.size + cells, return_inverse=True)
    forms = np.column_stack([np.bincount(row, weights=found[name]) for name in FORMS])
    area = np.bincount(row, weights=found[f"area_{place}"])
    patient, cells = pairs // partition.size, pairs % partition.size
    is_recorded = np.isin(cells, list(partition.recorded))
    people = int(patient.max()) + 1
    total = np.zeros((people, len(FORMS)))
    np.add.at(total, patient[is_recorded], forms[is_recorded])
    sides = {}
    for _, cell in partition.groups:
        own = cells == cell
        rest = total.copy()
        if cell in partition.recorded:
            rest[patient[own]] -= forms[own]
        group = Moments(*_of_people(forms[own]), float((area[own] ** 2).sum()))
        sides[cell] = Sides(group, Moments(*_of_people(rest), 0.0))
    return sides


def _of_people(forms: Floats) -> tuple[float, float, Floats]:
    """How many have a row, how many of them an event, and the moments; forms without a row are all zero."""
    there = forms[forms[:, 0] > 0.5]
    return float(len(there)), float((there[:, 1] > 0.5).sum()), np.asarray(there.T @ there)


def area_table(values: Areas, bins: int) -> Any:
    """The table that `contributions` looks up: per cell what an event and a non-event of each bin add."""
    keys = [np.zeros(0, dtype=np.int64)]
    found: list[Floats] = [np.zeros(0)]
    for cell, (of_event, of_none) in values.items():
        first = (cell * bins + np.arange(bins, dtype=np.int64)) * 2
        keys.extend((first, first + 1))
        found.extend((of_none, of_event))
    return ibis.memtable({"key": np.concatenate(keys), "value": np.concatenate(found)})
