"""Exported predictions and episodes, counted by group: one pass over the rows, on DuckDB, in Ibis.

A row belongs to the groups that its `subgroups` name (each attribute once, crossings as declared) and to
everybody. Test patients and test environments are counted nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import ibis

from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.patient.subgroups import SubgroupScheme

Table: TypeAlias = Any
Row: TypeAlias = Mapping[str, Any]
QUARTER: Final = timedelta(days=91)
ANSWERED: Final = "answered"
"""The status of a prediction with a score."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` up to, not including, `end` (UTC)."""

    first: date
    end: date

    @property
    def before(self) -> Period:
        """The period of the same length that ends where this one begins."""
        return Period(self.first - (self.end - self.first), self.first)


def quarter_up_to(as_of: date) -> Period:
    """The 91 days that end with a day."""
    end = as_of + timedelta(days=1)
    return Period(end - QUARTER, end)


def read(folder: Path, dataset: str, service_id: str) -> Table | None:
    """The rows of a service in an exported data set (`predictions`, `episodes`); None without any."""
    parts = folder / dataset / f"service_id={service_id}"
    if next(parts.rglob("*.parquet"), None) is None:
        return None
    connection = ibis.duckdb.connect()
    table = connection.read_parquet(f"{parts}/**/*.parquet", union_by_name=True, hive_partitioning=False)
    kept = table.environment != "test"
    return table.filter(kept & ~table.is_test) if "is_test" in table.columns else table.filter(kept)


def within(table: Table, period: Period) -> Table:
    """The rows whose call came in on a day of the period."""
    day = table.occurred_at.date()
    return table.filter((day >= ibis.literal(period.first)) & (day < ibis.literal(period.end)))


def monitored(scheme: SubgroupScheme) -> frozenset[str]:
    """The attributes that are looked at, and the crossings of which every part is, as `race*age_band`."""
    attributes = {name for name, policy in scheme.attributes.items() if policy.monitor}
    crossings = {"*".join(parts) for parts in scheme.crossings if attributes.issuperset(parts)}
    return frozenset(attributes | crossings)


def group_of(text: str) -> Group:
    """The group that `race*age_band=black*20-39` names; an empty text is everybody."""
    if not text:
        return EVERYBODY
    attributes, _, levels = text.partition("=")
    return Group(tuple(zip(attributes.split("*"), levels.split("*"), strict=True)))


def per_group(
    table: Table,
    attributes: Collection[str],
    figures: Mapping[str, Any],
    by: Sequence[str] = (),
) -> list[tuple[Group, Row]]:
    """These aggregates for everybody and for each group of these attributes, further keys in `by`.

    A figure is an aggregate made with `ibis._`. Groups are in the order of their names, everybody first.
    """
    named = table.mutate(group=table.subgroups.cast("json").cast("array<string>").unnest())
    named = named.filter(named.group.split("=")[0].isin(sorted(attributes)))
    everybody = table.mutate(group=ibis.literal("")).select(*named.columns)
    counted = everybody.union(named).group_by("group", *by).aggregate(**figures)
    rows = counted.to_pyarrow().to_pylist()
    found = [(group_of(row["group"]), row) for row in rows]
    return sorted(found, key=lambda one: (one[0], *(str(one[1][key]) for key in by)))


def counts_by_attribute(rows: Sequence[tuple[Group, Row]]) -> dict[str, dict[str, int]]:
    """People or rows by attribute and level, from rows with an `n`; crossings are left out."""
    found: dict[str, dict[str, int]] = {}
    for group, row in rows:
        if len(group.where) == 1:
            found.setdefault(group.attribute, {})[group.level] = int(row["n"])
    return found
