"""A further ledger follows the one that reviews are recorded in: what it lacks of reviews is copied into it.

What it lacks, not what is new: a review that was killed between two ledgers, or met one that was away, is
made good by the next one. Findings that people closed are among it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Final

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import check_not_empty, connect, error_name
from cds_wrapper.ledger.edition_schema import EDITION_TABLES

PATIENCE: Final = timedelta(seconds=10)
_KEYS: Final = {"reviews": "review_id", "findings": "finding_id, state", "editions": "edition_id"}
"""What tells one row of each table from another, whichever ledger it is in."""

_NAMED: Final = {"reviews": ("result_digest",), "editions": ("digest", "local_digest"), "findings": ()}
"""The columns that name a kept file, which is copied before its row."""


def follow(recorded: Path, further: Path, patience: timedelta = PATIENCE) -> int:
    """Copy what `further` lacks of reviews, findings and editions in one transaction; how many rows it was.

    `LedgerUnavailable` when one cannot be read or the other not written: then nothing is changed.
    """
    try:
        for path in (recorded, further):
            if not path.is_file():
                raise LedgerUnavailable(f"There is no ledger at {path}: what was found did NOT reach it.")
            check_not_empty(path)
        with contextlib.closing(connect(further)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {patience // timedelta(milliseconds=1)}")
            connection.execute("ATTACH DATABASE ? AS recorded", (f"{recorded.absolute().as_uri()}?mode=ro",))
            connection.execute("BEGIN IMMEDIATE")
            copied = sum(_copied(connection, table) for table in _KEYS)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        problem = f"{further} cannot follow {recorded} ({error_name(error)})"
        raise LedgerUnavailable(f"{problem}: what was found did NOT reach it.") from None
    return copied


def _copied(connection: sqlite3.Connection, table: str) -> int:
    """The rows of one table, and before them the files they name; every name in these queries is ours."""
    names, key = ", ".join(column.name for column in EDITION_TABLES[table]), _KEYS[table]
    lacking = f"FROM recorded.{table} WHERE ({key}) NOT IN (SELECT {key} FROM main.{table})"  # noqa: S608  names are ours
    for column in _NAMED[table]:
        files = f"SELECT * FROM recorded.kept_files WHERE digest IN (SELECT {column} {lacking})"  # noqa: S608  names are ours
        connection.execute(f"INSERT INTO main.kept_files {files} ON CONFLICT DO NOTHING")
    rows = f"SELECT {names} {lacking} ORDER BY number"
    return connection.execute(f"INSERT INTO main.{table} ({names}) {rows}").rowcount
