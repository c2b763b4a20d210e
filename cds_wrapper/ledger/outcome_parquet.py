"""Reads outcomes out of a Parquet file, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
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
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                for record in batch.to_pylist():
                    number += 1
                    yield number, table_row(_as_text(record), rule, keys, now)
        except pa.ArrowException:
            raise UnreadableFile(f"{path.name} is no whole Parquet file.") from None


def _declared(rule: TableRule) -> frozenset[str | None]:
    return frozenset(
        (rule.patient, rule.encounter, rule.prediction, rule.at, rule.label, rule.state, rule.reason,
         rule.value, rule.known_on, rule.id)
    )  # fmt: skip


def _as_text(record: Mapping[str, Any]) -> dict[str, Any]:
    """Dates and times as ISO 8601, whole numbers without a fraction, as a CSV file would have them."""
    return {name: _text(value) for name, value in record.items()}


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value
