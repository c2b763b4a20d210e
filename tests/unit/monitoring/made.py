"""Episodes made for tests: rows with only what differs, as the Parquet files of an export."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cds_wrapper.ledger.parquet import episode_schema
from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.values import Group, GroupFigures, Measure, Measured, ServiceFigures

DAY = dt.date(2026, 1, 1)
AS_OF = dt.date(2026, 12, 31)
QUESTION = Question("s", "m", "1", "o", AS_OF, 0.30)

USUAL: Mapping[str, Any] = {
    "service_id": "s",
    "model_id": "m",
    "model_version": "1",
    "environment": "production",
    "predictions": 1,
    "day": DAY,
    "score_kind": "probability",
    "outcome": "o",
    "state": "no_event",
    "due_on": DAY + dt.timedelta(days=31),
    "displayed": "shown",
    "delivery": "sent",
    "action": "none",
    "as_of": AS_OF,
}


def table(rows: Iterable[Mapping[str, Any]]) -> Any:
    """An Arrow table of `episodes_v1`: what a row does not say is usual, or null."""
    whole = [{"episode_id": f"e{n}", "patient_key": f"p{n}", **USUAL, **row} for n, row in enumerate(rows)]
    for row in whole:
        row.setdefault("occurred_at", dt.datetime.combine(row["day"], dt.time(), dt.UTC))
    return pa.Table.from_pylist(whole, schema=episode_schema())


def written(folder: Path, rows: Iterable[Mapping[str, Any]] | Any) -> Path:
    """The rows as a folder of Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = rows if isinstance(rows, pa.Table) else table(rows)
    pq.write_table(made, folder / "part-0.parquet")
    return folder


def measured(
    folder: Path, rows: Any, attributes: MonitoredAttributes, question: Question = QUESTION
) -> ServiceFigures:
    """The figures of the rows, through files and DuckDB."""
    with parquet_source(written(folder, rows)) as source:
        return measure(source, attributes, question)


def group_of(figures: ServiceFigures, group: Group) -> GroupFigures:
    """The figures of one group."""
    return next(one for one in figures.groups if one.group == group)


def figure(of: GroupFigures, what: Measure) -> Measured:
    """One figure, which must be there."""
    found = of.of(what)
    assert found is not None
    return found
