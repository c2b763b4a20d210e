"""Reads outcomes out of a Parquet file, a batch of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_reading import OpenFile, open_file
from cds_wrapper.ledger.outcome_tables import check_columns, table_row
from cds_wrapper.ledger.outcomes import Row
from cds_wrapper.services.outcomes import TableRule

_BATCH: Final = 10_000


def parquet_rows(
    path: Path, rule: TableRule, keys: Keys, now: datetime, opens: OpenFile = open_file
) -> Iterator[tuple[int, Row]]:
    """A Parquet file, row by row, as `csv_rows`; the declared columns alone are read."""
    with opens(path) as raw:
        try:
            file = pq.ParquetFile(raw)
            check_columns(rule, file.schema_arrow.names, path)
            wanted = [name for name in file.schema_arrow.names if name in _declared(rule)]
            for name in wanted:
                if pa.types.is_nested(file.schema_arrow.field(name).type):
                    raise UnreadableFile(f"{path.name} has lists or structures in the column `{name}`.")
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                for cells in zip(*(_texts(column) for column in batch.columns), strict=True):
                    number += 1
                    record = dict(zip(batch.schema.names, cells, strict=True))
                    yield number, table_row(record, rule, keys, now)
        except pa.ArrowException:
            raise UnreadableFile(f"{path.name} is no whole Parquet file.") from None


def _declared(rule: TableRule) -> frozenset[str | None]:
    return frozenset(
        (rule.patient, rule.encounter, rule.prediction, rule.at, rule.label, rule.state, rule.reason,
         rule.value, rule.known_on, rule.id)
    )  # fmt: skip


def _texts(column: Any) -> list[Any]:
    """Dates and times as ISO 8601, whole numbers without a fraction, as a CSV file would have them."""
    try:
        values = column.to_pylist()
    except (OverflowError, ValueError):  # a date that no calendar here has: the others of its batch are good
        values = [_python(scalar) for scalar in column]
    return [_text(value) for value in values]


def _python(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _NOT_A_VALUE


_NOT_A_VALUE: Final = "out of range"


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):  # what some writers call a text
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float | Decimal):
        return _number(value)
    return value


def _number(value: float | Decimal) -> Any:
    """A whole number as such; what pandas writes for a missing one, "not a number", as missing."""
    if math.isnan(value):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else value
