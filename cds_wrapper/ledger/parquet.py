"""Writes what the ledger and its outcomes hold as Parquet, for analysis and for a lakehouse.

Predictions are append-only: a part per service, day, writer and stretch of sequences, written whole under
another name and renamed, and a manifest that names every part with its count and digest. Episodes are a
snapshot as of a day and are replaced whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.columns import COLUMNS, CORRECTION_COLUMNS, FEEDBACK_COLUMNS, Column, Kind
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.ledger.outcome_columns import OUTCOME_COLUMNS

MANIFEST: Final = "manifest.json"
_ROWS: Final = 20_000
_DATES: Final = frozenset({"day", "due_on", "matured_on", "as_of", "known_on", "covers_from", "covers_to"})
_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.REAL: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIMESTAMP: pa.timestamp("ms", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows and parts, and each writer's last sequence."""

    rows: int
    parts: int
    last_sequence: Mapping[str, int]


def schema_of(columns: Sequence[Column]) -> Any:
    """The Arrow schema of these columns; days are dates, times milliseconds in UTC, JSON is text."""
    return pa.schema([(one.name, pa.date32() if one.name in _DATES else _TYPES[one.kind]) for one in columns])


def episode_schema() -> Any:
    """The Arrow schema of `episodes_v1`."""
    return schema_of(EPISODE_COLUMNS)


# Predictions ------------------------------------------------------------------------------------------------

_TABLES: Final[Mapping[str, tuple[str, Sequence[Column], str]]] = {
    # dataset -> table, columns, the column whose day makes the partition
    "predictions": ("predictions", COLUMNS, "occurred_at"),
    "corrections": ("corrections", CORRECTION_COLUMNS, "recorded_at"),
    "feedback": ("feedback", FEEDBACK_COLUMNS, "received_at"),
}


def export_rows(ledger: Path, folder: Path, dataset: str = "predictions", since: int = 0) -> Exported:
    """Append what is new of a dataset to a folder of Parquet; run it as often as you like.

    Rows behind each writer's last exported sequence are written, never less than `since`. An export that was
    cut off leaves parts that no manifest names, and the next one writes them again. `predictions` are as they
    were written; `corrections` say what became otherwise. `LedgerUnavailable` when the ledger cannot be read.
    """
    table, columns, when = _TABLES[dataset]
    there = folder / dataset
    there.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(there)
    last: dict[str, int] = dict(manifest["last_sequence"])
    rows = parts = 0
    with _reading(ledger) as connection:
        writers = connection.execute(f"SELECT writer, MAX(sequence) FROM {table} GROUP BY writer").fetchall()  # noqa: S608  names are ours
        for writer, head in writers:
            after = max(last.get(writer, 0), since)
            while after < head:
                found = _stretch(connection, table, columns, writer, after)
                if not found:
                    break
                written = list(_write_parts(there, columns, when, found))
                _sync(there / part["file"] for part in written)
                manifest["parts"] += written
                parts += len(written)
                after = found[-1]["sequence"]
                last[writer] = after
                rows += len(found)
                manifest |= {"last_sequence": last, "rows": manifest["rows"] + len(found)}
                _keep(there, manifest)
    return Exported(rows, parts, last)


def _stretch(
    connection: sqlite3.Connection, table: str, columns: Sequence[Column], writer: str, after: int
) -> list[dict[str, Any]]:
    names = ", ".join(column.name for column in columns)
    query = f"SELECT {names} FROM {table} WHERE writer = ? AND sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608  names are ours
    return [dict(row) for row in connection.execute(query, (writer, after, _ROWS))]


def _write_parts(
    there: Path, columns: Sequence[Column], when: str, rows: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One file per service and day of these rows."""
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_place.setdefault((row.get("service_id") or "all", row[when][:10]), []).append(row)
    for (service, day), some in by_place.items():
        name = f"part-{_safe(some[0]['writer'])}-{some[0]['sequence']}-{some[-1]['sequence']}.parquet"
        path = there / f"service_id={service}" / f"day={day}" / name
        digest = _write(path, _table(columns, some))
        yield {"file": str(path.relative_to(there)), "rows": len(some), "sha256": digest}


def _safe(writer: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in writer)


def _table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Any:
    schema = schema_of(columns)
    arrays = [
        pa.array([_value(column, row[column.name]) for row in rows], schema.field(column.name).type)
        for column in columns
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.name in _DATES:
        return date.fromisoformat(value)
    if column.kind is Kind.TIMESTAMP:
        return datetime.fromisoformat(value)
    return bool(value) if column.kind is Kind.BOOLEAN else value


def _write(path: Path, table: Any) -> str:
    """The file under its name once it is whole; gives its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_suffix(".making")
    pq.write_table(table, making)
    digest = hashlib.sha256(making.read_bytes()).hexdigest()
    making.replace(path)
    return digest


def _sync(paths: Iterable[Path]) -> None:
    """Put files that were written on the disk: together, which costs a hundredth of one after the other."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _manifest(there: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((there / MANIFEST).read_bytes())
    except FileNotFoundError:
        return {"rows": 0, "parts": [], "last_sequence": {}}
    return found


def _keep(there: Path, manifest: Mapping[str, Any]) -> None:
    making = there / f".{MANIFEST}.making"
    told = {**manifest, "written_at": datetime.now(UTC).isoformat(timespec="seconds")}
    with making.open("w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    making.replace(there / MANIFEST)


@contextlib.contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        check_not_empty(database)
        address = f"{database.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=10, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{database} cannot be read ({error_name(error)}).") from None
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{database} cannot be read ({error_name(error)}).") from None
    finally:
        connection.close()


# Snapshots --------------------------------------------------------------------------------------------------

_SNAPSHOTS: Final[Mapping[str, Sequence[Column]]] = {
    "episodes": EPISODE_COLUMNS,
    "episode_outcomes": FURTHER_COLUMNS,
    "outcomes": OUTCOME_COLUMNS,
}


def export_snapshot(outcomes: Path, folder: Path, dataset: str, service_id: str) -> Exported:
    """Replace one service's part of a dataset (`episodes`, `episode_outcomes`, `outcomes`) whole."""
    columns = _SNAPSHOTS[dataset]
    there = folder / dataset / f"service_id={service_id}"
    making = there.with_name(f".{there.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    names = ", ".join(column.name for column in columns)
    rows = parts = 0
    with _reading(outcomes) as connection:
        query = f"SELECT {names} FROM {dataset} WHERE service_id = ?"  # noqa: S608  names are ours
        found = connection.execute(query, (service_id,))
        while some := [dict(row) for row in found.fetchmany(_ROWS)]:
            _write(making / f"part-{parts}.parquet", _table(columns, some))
            rows, parts = rows + len(some), parts + 1
    if not parts:
        _write(making / "part-0.parquet", schema_of(columns).empty_table())
    _sync(making.iterdir())
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(there)
    making.replace(there)
    return Exported(rows, max(parts, 1), {})


def datasets() -> Iterable[str]:
    """Everything that can be exported as Parquet."""
    return (*_TABLES, *_SNAPSHOTS)
