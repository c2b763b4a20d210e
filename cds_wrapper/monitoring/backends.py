"""Where the episodes are: Parquet files read by DuckDB, tables in PostgreSQL, tables in Spark.

A `Source` is one of them with what the measures need beside the rows: a way to keep a narrow copy for the
time of one measurement, and a key that tells patients apart.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis

from cds_wrapper.errors import LedgerUnavailable

MEMORY: Final = "48MB"
THREADS: Final = 2
ROW_GROUP: Final = 60_000
BATCH: Final = 100_000


def _same(table: Any) -> Any:
    return table


def _key(column: Any) -> Any:
    return column


@dataclass(frozen=True, slots=True)
class Here:
    """An engine within this process: rows as Arrow batches, and a folder for what needs a disk."""

    batches: Callable[[Any], Iterable[Any]]
    scratch: Path


@dataclass(frozen=True, slots=True)
class Source:
    """One engine's episodes and further outcomes (columns of `episodes_v1`, `episode_outcomes_v1`).

    `keep` stores a table for as long as the source is open; `patient` makes a short key of a pseudonym. With
    `here` the engine runs in this process and hands its rows over for nothing; the key is then an integer.
    """

    episodes: Any
    further: Any | None = None
    keep: Callable[[Any], Any] = _same
    patient: Callable[[Any], Any] = _key
    here: Here | None = None


@contextlib.contextmanager
def parquet_source(
    episodes: Path, further: Path | None = None, *, memory: str = MEMORY, threads: int = THREADS
) -> Iterator[Source]:
    """DuckDB over the folders that `export episodes` and `export episode-outcomes` write.

    `memory` is what DuckDB itself may use, as it writes it (`160MB`); beyond that it uses a temporary folder.
    `LedgerUnavailable` when a file of them is damaged, or there is no room.
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
                Here(lambda table: _batches(connection, table), Path(scratch)),
            )
        except (duckdb.OperationalError, duckdb.InvalidInputException) as error:
            problem = f"{episodes} cannot be counted ({type(error).__name__})"
            raise LedgerUnavailable(f"{problem}: is the disk of {scratch} full, or a file damaged?") from None
        finally:
            connection.disconnect()


def _parquet(connection: Any, folder: Path) -> Any:
    return connection.read_parquet(str(folder / "**" / "*.parquet"), hive_partitioning=False)


def _batches(connection: Any, table: Any) -> Iterable[Any]:
    """By DuckDB's own reader: Ibis asks for one that DuckDB 2 no longer has."""
    relation: Any = connection.con.sql(str(ibis.to_sql(table, dialect="duckdb")))
    reader: Iterable[Any] = relation.to_arrow_reader(BATCH)
    return reader


def _keeper(connection: Any, scratch: Path) -> Callable[[Any], Any]:
    """Parquet without compression: written and read once or twice, it is faster than a table that spills."""
    kept = iter(range(1_000_000))

    def keep(table: Any) -> Any:
        path = scratch / f"kept-{next(kept)}.parquet"
        connection.to_parquet(table, path, compression="uncompressed", row_group_size=ROW_GROUP)
        return connection.read_parquet(str(path))

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
