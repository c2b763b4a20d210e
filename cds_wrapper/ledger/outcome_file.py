"""The database of outcomes and episodes: one SQLite file beside the ledger, which no serving process writes.

Importing a year of outcomes must not make a clinician's answer wait for a lock, so it has a file of its own.
Tables of outcomes are append-only; episodes are answers as of a day and are made anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.columns import Column, Kind
from cds_wrapper.ledger.database import error_name, is_locked
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.ledger.outcome_columns import FOLLOW_UP_COLUMNS, OUTCOME_COLUMNS
from cds_wrapper.ledger.values import timestamp

NUMBER: Final = 1
"""The schema number of this file."""

APPLICATION: Final = 0x43445350
"""`PRAGMA application_id` of this file (CDSP)."""

PATIENCE: Final = timedelta(hours=1)
"""How long one waits for another to be done writing: a review writes a service's episodes in one transaction,
some 3,000 a second, and whoever imports or erases meanwhile has only to wait. No serving process waits here.
"""

TURN: Final = timedelta(seconds=1)
"""It waits in turns of this: SQLite waits where no Ctrl-C reaches."""

READERS: Final = timedelta(seconds=30)
"""How long the emptying of the log waits for readers, who may be people with a query open."""

_TYPES: Final = {
    Kind.TEXT: "TEXT",
    Kind.INTEGER: "INTEGER",
    Kind.REAL: "REAL",
    Kind.BOOLEAN: "INTEGER",
    Kind.TIMESTAMP: "TEXT",
    Kind.JSON: "TEXT",
}


def beside(ledger: Path) -> Path:
    """Where the outcomes of a ledger are."""
    return ledger.with_name(f"{ledger.stem}-outcomes.db")


def folder_beside(ledger: Path) -> Path:
    """Where reviews export rows to, unless they are told another folder."""
    return ledger.with_name(f"{ledger.stem}-monitoring")


def _columns(columns: Iterable[Column]) -> str:
    return ", ".join(f"{c.name} {_TYPES[c.kind]}{' NOT NULL' if c.required else ''}" for c in columns)


def _never(table: str, verb: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


_OUTCOME_NAMES: Final = ", ".join(column.name for column in OUTCOME_COLUMNS)
_IMPORTS: Final = """
CREATE TABLE imports (
  import_id TEXT PRIMARY KEY NOT NULL, service_id TEXT NOT NULL, outcome TEXT NOT NULL,
  file_digest TEXT NOT NULL, form TEXT NOT NULL, begun_at TEXT NOT NULL, position INTEGER NOT NULL,
  read INTEGER NOT NULL, written INTEGER NOT NULL, same INTEGER NOT NULL, rejected INTEGER NOT NULL,
  done_at TEXT
)"""
_OUTCOMES_VIEW: Final = f"""
CREATE VIEW outcomes_v1 AS
SELECT {_OUTCOME_NAMES}, NOT EXISTS (
  SELECT 1 FROM outcomes later WHERE later.outcome_id = o.outcome_id AND later.sequence > o.sequence
) AS is_current FROM outcomes o"""  # noqa: S608  names are ours
_DDL: Final = (
    f"CREATE TABLE outcomes ({_columns(OUTCOME_COLUMNS)}, PRIMARY KEY (sequence))",
    "CREATE INDEX outcomes_by_id ON outcomes (outcome_id, sequence)",
    "CREATE INDEX outcomes_by_patient ON outcomes (service_id, patient_key)",
    "CREATE INDEX outcomes_by_fhir_patient ON outcomes (service_id, patient_fhir_key)",
    "CREATE INDEX outcomes_by_encounter ON outcomes (service_id, encounter_key)",
    "CREATE INDEX outcomes_by_prediction ON outcomes (service_id, prediction_id)",
    f"CREATE TABLE follow_up ({_columns(FOLLOW_UP_COLUMNS)})",
    _IMPORTS,
    f"CREATE TABLE episodes ({_columns(EPISODE_COLUMNS)}, PRIMARY KEY (episode_id))",
    "CREATE INDEX episodes_by_service ON episodes (service_id, day)",
    f"CREATE TABLE episode_outcomes ({_columns(FURTHER_COLUMNS)}, PRIMARY KEY (episode_id, outcome))",
    *(_never(table, verb) for table in ("outcomes", "follow_up") for verb in ("UPDATE", "DELETE")),
    _OUTCOMES_VIEW,
    "CREATE VIEW follow_up_v1 AS SELECT * FROM follow_up",
    "CREATE VIEW episodes_v1 AS SELECT * FROM episodes",
    "CREATE VIEW episode_outcomes_v1 AS SELECT * FROM episode_outcomes",
)


def erase_before(path: Path, before: datetime) -> tuple[int, int]:
    """Erase what is about predictions from before a moment; how many episodes and outcome rows went.

    An outcome that happened before it is about earlier predictions alone. It goes with all its versions, else
    one that had been replaced would stand again; one without a time goes by when it was imported.
    """
    with opened(path) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        begin(connection)
        at = (timestamp(before),)
        connection.execute(_OLD_FURTHER, at)
        episodes = connection.execute("DELETE FROM episodes WHERE occurred_at < ?", at).rowcount
        connection.execute("DROP TRIGGER outcomes_no_delete")
        outcomes = connection.execute(_OLD_OUTCOMES, at).rowcount
        connection.execute(_never("outcomes", "DELETE"))
        connection.execute("COMMIT")
        connection.execute(f"PRAGMA busy_timeout = {READERS // timedelta(milliseconds=1)}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return episodes, outcomes


_OLD_FURTHER: Final = (
    "DELETE FROM episode_outcomes WHERE episode_id IN (SELECT episode_id FROM episodes WHERE occurred_at < ?)"
)
_OLD_OUTCOMES: Final = (
    "DELETE FROM outcomes WHERE outcome_id IN"
    " (SELECT outcome_id FROM outcomes_v1 WHERE is_current AND COALESCE(happened_at, recorded_at) < ?)"
)


def copied(path: Path, to: Path) -> None:
    """A copy of the database as of one moment, for its owner alone; `LedgerUnavailable` when it cannot be."""
    try:
        os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        address = f"{path.absolute().as_uri()}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(address, uri=True, timeout=READERS.total_seconds())) as source,
            contextlib.closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{path} cannot be copied to {to} ({error_name(error)}).") from None


def imported_in(path: Path) -> Mapping[str, tuple[datetime, datetime]]:
    """When outcomes of each service were imported first and last; none without the file.

    Over a connection that cannot write and waits for nobody: `LedgerUnavailable` when it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            return {
                service: (datetime.fromisoformat(first), datetime.fromisoformat(last))
                for service, first, last in connection.execute(_IMPORTED)
            }
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{path} cannot be read ({error_name(error)}).") from None
    except (ValueError, TypeError):
        raise LedgerUnavailable(f"{path} has a moment that is none in `imports`.") from None


_IMPORTED: Final = (
    "SELECT service_id, MIN(done_at), MAX(done_at) FROM imports WHERE done_at IS NOT NULL GROUP BY service_id"
)


@contextlib.contextmanager
def opened(path: Path, patience: timedelta = PATIENCE) -> Iterator[sqlite3.Connection]:
    """The database, made when it is not there; `LedgerUnavailable` says what is wrong with the file."""
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(path, timeout=min(TURN, patience).total_seconds(), isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{path} cannot be opened ({error_name(error)}).") from None
    try:
        _set_up(connection, path, patience)
        yield connection
    except sqlite3.Error as error:
        locked = f"was locked by another import or review for more than {patience}"
        why = locked if is_locked(error) else f"cannot be used ({error_name(error)})"
        raise LedgerUnavailable(f"{path} {why}.") from None
    finally:
        connection.close()


def begin(connection: sqlite3.Connection, patience: timedelta = PATIENCE) -> None:
    """Begin to write, after another is done writing; `sqlite3.OperationalError` when that takes too long."""
    until = time.monotonic() + patience.total_seconds()
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= until:
                raise
        else:
            return


def _set_up(connection: sqlite3.Connection, path: Path, patience: timedelta) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    begin(connection, patience)
    number = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if number == 0:
        for statement in _DDL:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {NUMBER}")
    connection.execute("COMMIT")
    program = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if program != APPLICATION or number not in {0, NUMBER}:
        raise LedgerUnavailable(f"{path} is no file of outcomes that this version knows.")
