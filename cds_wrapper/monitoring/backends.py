"""Where the episodes are: Parquet files read by DuckDB, tables in PostgreSQL, tables in Spark.

A `Source` is one of them with what the measures need beside the rows: a way to keep a narrow copy for the
time of one measurement, and a key that tells patients apart.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ibis

MEMORY: Final = "72MB"
THREADS: Final = 2
BUCKET: Final = "bucket"
ROW_GROUP: Final = 20_000
PATIENT_ROWS: Final = 400_000
"""So many rows of patients are looked at together; more are divided by patient and added."""


def _same(table: Any) -> Any:
    return table


def _key(column: Any) -> Any:
    return column


@dataclass(frozen=True, slots=True)
class Source:
    """One engine's episodes and further outcomes (columns of `episodes_v1`, `episode_outcomes_v1`).

    `keep` stores a table for as long as the source is open; `patient` makes a short key of a pseudonym.
    `is_here` says that the engine runs in this process: rows are handed over for nothing,
    and patients are looked at in several buckets.
    """

    episodes: Any
    further: Any | None = None
    keep: Callable[[Any], Any] = _same
    patient: Callable[[Any], Any] = _key
    is_here: bool = False

    def buckets(self, rows: int) -> int:
        """In how many parts patients are looked at."""
        return max(1, -(-rows // PATIENT_ROWS)) if self.is_here else 1


@contextlib.contextmanager
def parquet_source(
    episodes: Path, further: Path | None = None, *, memory: str = MEMORY, threads: int = THREADS
) -> Iterator[Source]:
    """DuckDB over the folders that `export episodes` and `export episode-outcomes` write.

    `memory` is what DuckDB itself may use, as it writes it (`160MB`); beyond that it uses a temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="cds-wrapper-monitoring-") as scratch:
        connection: Any = ibis.duckdb.connect(
            memory_limit=memory, threads=threads, temp_directory=scratch, preserve_insertion_order=False
        )
        try:
            yield Source(
                _parquet(connection, episodes),
                None if further is None else _parquet(connection, further),
                _keeper(connection, Path(scratch)),
                lambda column: column.hash(),
                is_here=True,
            )
        finally:
            connection.disconnect()


def _parquet(connection: Any, folder: Path) -> Any:
    return connection.read_parquet(str(folder / "**" / "*.parquet"), hive_partitioning=False)


def _keeper(connection: Any, scratch: Path) -> Callable[[Any], Any]:
    """Parquet without compression: written and read once or twice, it is faster than a table that spills."""
    kept = iter(range(1_000_000))

    def keep(table: Any) -> Any:
        folder = scratch / f"kept-{next(kept)}"
        connection.to_parquet(
            table, folder, compression="uncompressed", partition_by=(BUCKET,), row_group_size=ROW_GROUP
        )
        if next(folder.rglob("*.parquet"), None) is None:  # no row, and so no file
            folder.mkdir(exist_ok=True)
            connection.to_parquet(table, folder / "none.parquet")
        return connection.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=True)

    return keep


@contextlib.contextmanager
def table_source(connection: Any, episodes: str, further: str | None = None) -> Iterator[Source]:
    """Tables or views by an Ibis connection: `ibis.postgres.connect` or `ibis.pyspark.connect`.

    The narrow copy is a temporary table; Spark keeps it in its own cache. Both go when the source is closed.
    """
    kept: list[Any] = []
    is_spark = connection.name == "pyspark"

    def keep(table: Any) -> Any:
        if is_spark:
            kept.append(table.cache())
            return kept[-1]
        kept.append(f"cds_wrapper_kept_{uuid.uuid4().hex}")
        return connection.create_table(kept[-1], table, temp=True)

    try:
        yield Source(
            connection.table(episodes),
            None if further is None else connection.table(further),
            keep,
        )
    finally:
        for table in kept:
            if is_spark:
                table.release()
            else:
                connection.raw_sql(f"DROP TABLE {table}").close()
