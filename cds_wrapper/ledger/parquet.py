"""Writes what the ledger and its outcomes hold as Parquet, for analysis and for a lakehouse.

Predictions, corrections, groups and feedback are append-only: a part per service, day, writer and stretch of
sequences, written whole under another name and renamed, and one manifest that names every part with its count
and digest. Episodes and outcomes are snapshots and are replaced whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.columns import (
    COLUMNS,
    CORRECTION_COLUMNS,
    FEEDBACK_COLUMNS,
    SUBGROUP_COLUMNS,
    Column,
    Kind,
)
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.ledger.outcome_columns import FOLLOW_UP_COLUMNS, OUTCOME_COLUMNS

MANIFEST: Final = "manifest.json"
_LOCK: Final = ".export-lock"
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


def datasets() -> Iterable[str]:
    """Everything that can be exported as Parquet."""
    return (*STREAMS, *SNAPSHOTS)


# What is append-only ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stream:
    """An append-only dataset: where its rows are read, whose sequences they have, what day they belong to.

    `stretch` is how many sequences are in memory at once.
    """

    source: str
    chain: str
    columns: Sequence[Column]
    when: str
    stretch: int = 20_000


STREAMS: Final[Mapping[str, Stream]] = {
    "predictions": Stream("predictions", "predictions", COLUMNS, "occurred_at"),
    "prediction_subgroups": Stream(
        "prediction_subgroups_v1", "predictions", SUBGROUP_COLUMNS, "occurred_at", 2_000
    ),
    "corrections": Stream("corrections", "corrections", CORRECTION_COLUMNS, "recorded_at"),
    "feedback": Stream("feedback", "feedback", FEEDBACK_COLUMNS, "received_at"),
}


def export_rows(
    ledger: Path,
    folder: Path,
    dataset: str = "predictions",
    since: int = 0,
    told: Callable[[int], None] = lambda _rows: None,
) -> Exported:
    """Append what is new of a dataset to a folder of Parquet; run it as often as you like.

    Rows behind each writer's last exported sequence are written, never less than `since`. An export that was
    cut off leaves parts that the manifest does not name: the next one removes them and writes their rows
    again, so that a reader of the folder meets no row twice. `predictions` are as they were written;
    `corrections` say what became otherwise. `told` hears of rows as they become durable. `LedgerUnavailable`
    when the ledger cannot be read, `OSError` when the folder cannot be written.
    """
    stream = STREAMS[dataset]
    with held(folder), reading(ledger) as connection:
        manifest = manifest_of(folder)
        mine = manifest.setdefault(dataset, {"rows": 0, "parts": [], "last_sequence": {}})
        remove_unnamed(folder, dataset, mine["parts"])
        last: dict[str, int] = mine["last_sequence"]
        rows = parts = 0
        for writer, head in _heads(connection, stream):
            after = max(last.get(writer, 0), since)
            while after < head:
                until = _until(connection, stream, writer, after, head)
                found = _rows(connection, stream, writer, after, until)
                written = list(_write_parts(folder, dataset, stream, found, (writer, after + 1, until)))
                mine["parts"] += written
                mine["rows"] += len(found)
                last[writer] = after = until
                keep(folder, manifest)
                rows, parts = rows + len(found), parts + len(written)
                told(len(found))
        if not mine["parts"]:
            mine["parts"].append(nothing_yet(folder, dataset, stream))
            keep(folder, manifest)
    return Exported(rows, parts, dict(last))


def _heads(connection: sqlite3.Connection, stream: Stream) -> list[tuple[str, int]]:
    """Every writer's last sequence now; what comes later is left for the next export."""
    query = f"SELECT writer, MAX(sequence) FROM main.{stream.chain} GROUP BY writer ORDER BY writer"  # noqa: S608  names are ours
    return [(writer, head) for writer, head in connection.execute(query)]


def _until(connection: sqlite3.Connection, stream: Stream, writer: str, after: int, head: int) -> int:
    """The last sequence of the next stretch; erased ones are missing and do not count."""
    query = (
        f"SELECT MAX(sequence) FROM (SELECT sequence FROM main.{stream.chain}"  # noqa: S608  names are ours
        " WHERE writer = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?)"
    )
    found = connection.execute(query, (writer, after, head, stream.stretch)).fetchone()[0]
    return head if found is None else int(found)


def _rows(
    connection: sqlite3.Connection, stream: Stream, writer: str, after: int, until: int
) -> list[dict[str, Any]]:
    names = ", ".join(column.name for column in stream.columns)
    these = "WHERE writer = ? AND sequence > ? AND sequence <= ?"
    if stream.source != stream.chain:
        _look_through(connection, stream, these, (writer, after, until))
    query = f"SELECT {names} FROM {stream.source} {these} ORDER BY sequence"  # noqa: S608  names are ours
    return [dict(row) for row in connection.execute(query, (writer, after, until))]


def _look_through(
    connection: sqlite3.Connection, stream: Stream, these: str, stretch: tuple[str, int, int]
) -> None:
    """Let a view show these rows of its table alone: it would go through the whole table each time.

    A temporary table and a temporary view stand before those of the same name in the ledger.
    """
    connection.execute(f"DROP TABLE IF EXISTS temp.{stream.chain}")
    connection.execute(
        f"CREATE TEMP TABLE {stream.chain} AS SELECT * FROM main.{stream.chain} {these}",  # noqa: S608  names are ours
        stretch,
    )
    query = "SELECT sql FROM main.sqlite_schema WHERE type = 'view' AND name = ?"
    text = str(connection.execute(query, (stream.source,)).fetchone()[0])
    connection.execute(f"DROP VIEW IF EXISTS temp.{stream.source}")
    connection.execute(text.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))


def _write_parts(
    folder: Path,
    dataset: str,
    stream: Stream,
    rows: Iterable[dict[str, Any]],
    stretch: tuple[str, int, int],
) -> Iterator[dict[str, Any]]:
    """One file per service and day of these rows, on the disk when this ends."""
    by_place: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_place.setdefault((row.get("service_id") or "all", row[stream.when][:10]), []).append(row)
    writer, first, until = stretch
    paths = []
    for (service, day), some in by_place.items():
        name = f"part-{safe(writer)}-{first}-{until}.parquet"
        path = folder / dataset / f"service_id={service}" / f"day={day}" / name
        digest = write(path, _table(stream.columns, some))
        paths.append(path)
        yield {"file": str(path.relative_to(folder)), "rows": len(some), "sha256": digest}
    sync(paths, folder)


def nothing_yet(folder: Path, dataset: str, stream: Stream) -> dict[str, Any]:
    """A part without a row, so that a dataset can be read before anything was corrected or fed back."""
    path = folder / dataset / "service_id=none" / "day=1970-01-01" / "part-none.parquet"
    digest = write(path, _table(stream.columns, []))
    sync([path], folder)
    return {"file": str(path.relative_to(folder)), "rows": 0, "sha256": digest}


def safe(writer: str) -> str:
    """A writer's name as it may stand in the name of a file."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in writer)


def remove_unnamed(folder: Path, dataset: str, named: Iterable[Mapping[str, Any]]) -> None:
    """Parts of an export that was cut off before its manifest was written."""
    known = {part["file"] for part in named}
    for path in (folder / dataset).rglob("part-*"):
        if str(path.relative_to(folder)) not in known:
            path.unlink()


# Snapshots --------------------------------------------------------------------------------------------------

SNAPSHOTS: Final[Mapping[str, Sequence[Column]]] = {
    "episodes": EPISODE_COLUMNS,
    "episode_outcomes": FURTHER_COLUMNS,
    "outcomes": OUTCOME_COLUMNS,
    "follow_up": FOLLOW_UP_COLUMNS,
}
_SNAPSHOT_ROWS: Final = 20_000


def export_snapshot(outcomes: Path, folder: Path, dataset: str, service_id: str) -> Exported:
    """Replace one service's part of `episodes`, `episode_outcomes`, `outcomes` or `follow_up` whole.

    It is made beside and put into its place by two renames; what was there stays until then.
    """
    there = folder / dataset / f"service_id={service_id}"
    with held(folder), reading(outcomes) as connection:
        making, aside = (folder / f".{dataset}-{service_id}.{what}" for what in ("making", "aside"))
        for left in (making, aside):
            shutil.rmtree(left, ignore_errors=True)
        parts: list[dict[str, Any]] = [
            {"file": str(there.relative_to(folder) / name), "rows": rows, "sha256": digest}
            for name, rows, digest in _write_snapshot(connection, making, dataset, service_id)
        ]
        sync([making / Path(part["file"]).name for part in parts], making)
        _folder(there.parent)
        with contextlib.suppress(FileNotFoundError):
            there.replace(aside)
        making.replace(there)
        sync([], there.parent)
        shutil.rmtree(aside, ignore_errors=True)
        rows = sum(part["rows"] for part in parts)
        manifest = manifest_of(folder)
        manifest.setdefault(dataset, {})[service_id] = {"rows": rows, "parts": parts}
        keep(folder, manifest)
    return Exported(rows, len(parts), {})


def _write_snapshot(
    connection: sqlite3.Connection, making: Path, dataset: str, service_id: str
) -> Iterator[tuple[str, int, str]]:
    """Name, rows and digest of each part; one without a row when there are none."""
    columns = SNAPSHOTS[dataset]
    names = ", ".join(column.name for column in columns)
    query = f"SELECT {names} FROM {dataset} WHERE service_id = ?"  # noqa: S608  names are ours
    found = connection.execute(query, (service_id,))
    number = 0
    while (some := [dict(row) for row in found.fetchmany(_SNAPSHOT_ROWS)]) or number == 0:
        name = f"part-{number}.parquet"
        yield name, len(some), write(making / name, _table(columns, some))
        number += 1


# Files ------------------------------------------------------------------------------------------------------


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


def write(path: Path, table: Any) -> str:
    """The file under its name once it is whole, for its owner alone; gives its SHA-256."""
    _folder(path.parent)
    making = path.with_suffix(".making")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        pq.write_table(table, file)
    with making.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    making.replace(path)
    return digest


def _folder(path: Path) -> None:
    """A folder and those above it that are not there, for their owner alone: it is health data."""
    if not path.exists():
        _folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def sync(paths: Iterable[Path], up_to: Path) -> None:
    """Put files and their names on the disk; together, which costs a hundredth of one after the other."""
    folders = {up_to}
    for path in paths:
        _sync_one(path)
        folders.update(above for above in path.parents if above.is_relative_to(up_to))
    for folder in folders:
        _sync_one(folder)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the folder holds, by dataset; nothing before the first export."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return {}
    return found


def keep(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put a manifest in the place of the last one; on the disk when this returns."""
    making = folder / f".{MANIFEST}.making"
    told = {**manifest, "written_at": datetime.now(UTC).isoformat(timespec="seconds")}
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    making.replace(folder / MANIFEST)
    _sync_one(folder)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """One export into a folder at a time; another waits. The lock goes with the process."""
    _folder(folder)
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def kept_still(folder: Path) -> Iterator[None]:
    """No export changes the folder meanwhile; one under way is waited for. Nothing is written for it."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fcntl.flock(stack.enter_context((folder / _LOCK).open()), fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write; `LedgerUnavailable` when the file cannot be read."""
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
