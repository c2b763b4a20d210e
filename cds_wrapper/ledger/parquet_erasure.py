"""Takes out of exported Parquet what was erased from the ledger: parts go, or are written again without it.

The ledger keeps the place of every erased row, so it is known for each part which of its rows are gone. What
a part holds beside them stays as it was. Episodes and outcomes are replaced by what is left of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cds_wrapper.ledger.parquet import (
    SNAPSHOTS,
    STREAMS,
    export_snapshot,
    held,
    keep,
    manifest_of,
    nothing_yet,
    reading,
    remove_unnamed,
    safe,
    sync,
    write,
)

_PART: Final = re.compile(r"part-(?P<writer>.+)-(?P<first>\d+)-(?P<until>\d+)\.parquet")
_GONE: Final = "SELECT sequence FROM erasures WHERE chain = ? AND writer = ? AND sequence BETWEEN ? AND ?"


@dataclass(slots=True)
class Taken:
    """What was taken out: rows, and the parts that are gone or were written again."""

    rows: int = 0
    gone: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)


def erase_exported(ledger: Path, outcomes: Path, folder: Path) -> Taken:
    """Bring a folder of exported rows down to what the ledger and its outcomes still hold.

    It may be run again: one that was cut off leaves whole files, and the next one goes on.
    `LedgerUnavailable` when the ledger cannot be read, `OSError` when the folder cannot be written.
    """
    taken = Taken()
    with held(folder), reading(ledger) as connection:
        manifest = manifest_of(folder)
        for dataset in sorted(STREAMS.keys() & manifest.keys()):
            _erase_parts(connection, folder, dataset, manifest, taken)
    if outcomes.exists():
        for dataset in sorted(SNAPSHOTS.keys() & manifest.keys()):
            for service_id in manifest[dataset]:
                export_snapshot(outcomes, folder, dataset, service_id)
    return taken


def _erase_parts(
    connection: sqlite3.Connection, folder: Path, dataset: str, manifest: dict[str, Any], taken: Taken
) -> None:
    """The manifest names what is left before a part goes, so that it never names what is not there."""
    mine, stream = manifest[dataset], STREAMS[dataset]
    remove_unnamed(folder, dataset, mine["parts"])
    left, gone = [], []
    for part in mine["parts"]:
        erased = _erased(connection, stream.chain, part["file"], mine["last_sequence"])
        kept = _without(folder, part, erased, taken) if erased else part
        if kept["rows"] or not erased:
            left.append(kept)
        else:
            gone.append(folder / part["file"])
    mine["parts"] = left or [nothing_yet(folder, dataset, stream)]
    mine["rows"] = sum(part["rows"] for part in left)
    keep(folder, manifest)
    for path in gone:
        path.unlink(missing_ok=True)
        taken.gone.append(str(path.relative_to(folder)))
        with contextlib.suppress(OSError):  # other parts of that day, or no folder any more
            path.parent.rmdir()


def _erased(
    connection: sqlite3.Connection, chain: str, file: str, last_sequence: Mapping[str, int]
) -> dict[str, list[int]]:
    """The sequences within a part's stretch that were erased, by writer; two may share a file's name."""
    found = _PART.fullmatch(Path(file).name)
    if found is None:
        return {}
    stretch = int(found["first"]), int(found["until"])
    writers = (writer for writer in last_sequence if safe(writer) == found["writer"])
    gone = {one: [row[0] for row in connection.execute(_GONE, (chain, one, *stretch))] for one in writers}
    return {writer: sequences for writer, sequences in gone.items() if sequences}


def _without(
    folder: Path, part: dict[str, Any], erased: Mapping[str, list[int]], taken: Taken
) -> dict[str, Any]:
    """A part's entry without these rows; the part is written again unless it has none of them, or only them.

    A part that people took away by hand has no rows.
    """
    path = folder / part["file"]
    if not path.exists():
        return {**part, "rows": 0}
    table = pq.ParquetFile(path).read()
    is_gone = pa.array([False] * len(table))
    for writer, sequences in erased.items():
        among = pc.is_in(table["sequence"], value_set=pa.array(sequences, table["sequence"].type))
        is_gone = pc.or_(is_gone, pc.and_(pc.equal(table["writer"], writer), among))
    left = table.filter(pc.invert(is_gone))
    taken.rows += len(table) - len(left)
    if len(left) == len(table):  # cut off before the manifest followed, or it never held one of them
        with path.open("rb") as file:
            return {**part, "rows": len(left), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    if len(left):
        digest = write(path, left)
        sync([path], folder)
        taken.rewritten.append(part["file"])
        return {**part, "rows": len(left), "sha256": digest}
    return {**part, "rows": 0}
