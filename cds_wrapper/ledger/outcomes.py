"""Brings outcomes into their database: each row once, in order, going on where an earlier try ended.

Nothing is imputed here: a report is what a source said. What is known of a prediction is `episodes`' affair.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cds_wrapper.ledger.outcome_columns import FOLLOW_UP_COLUMNS, OUTCOME_COLUMNS
from cds_wrapper.ledger.outcome_file import begin, opened
from cds_wrapper.ledger.values import timestamp

BATCH: Final = 5000
"""Rows that become durable together, with the place up to which the file has been read."""


class Report(enum.Enum):
    """What a source says of one outcome."""

    EVENT = "event"
    NO_EVENT = "no_event"
    CENSORED = "censored"
    UNVERIFIED = "unverified"
    WITHDRAWN = "withdrawn"


class Refused(enum.Enum):
    """Why a row of a file is no outcome; says nothing of its content."""

    NOT_JSON = "not_json"
    TOO_LONG = "too_long"
    BAD_ROW = "bad_row"
    NO_PATIENT = "no_patient"
    NO_TIME = "no_time"
    BAD_TIME = "bad_time"
    IN_THE_FUTURE = "in_the_future"
    BAD_STATE = "bad_state"
    BAD_VALUE = "bad_value"


@dataclass(frozen=True, slots=True, repr=False)
class Reported:
    """One outcome as a source reports it, under pseudonyms; every version of it has one `outcome_id`."""

    outcome_id: str
    report: Report
    patient_key: str | None = None
    patient_fhir_key: str | None = None
    encounter_key: str | None = None
    prediction_id: str | None = None
    reason: str | None = None
    happened_at: datetime | None = None
    value: float | None = None
    known_on: date | None = None

    def __repr__(self) -> str:
        return f"Reported({self.report.value})"

    def still_linked(self, keys: Sequence[str | None]) -> Reported:
        """The same with the keys it had before, where this source does not know one."""
        mine = (self.patient_key, self.patient_fhir_key, self.encounter_key, self.prediction_id)
        joined = [new or old for new, old in zip(mine, keys, strict=True)]
        return replace(
            self,
            patient_key=joined[0],
            patient_fhir_key=joined[1],
            encounter_key=joined[2],
            prediction_id=joined[3],
        )

    def columns(self) -> tuple[object, ...]:
        """What tells one version of it from another, in the order of the table's columns."""
        return (
            self.patient_key,
            self.patient_fhir_key,
            self.encounter_key,
            self.prediction_id,
            self.report.value,
            self.reason,
            timestamp(self.happened_at) if self.happened_at else None,
            self.value,
            self.known_on.isoformat() if self.known_on else None,
        )


Row = Reported | Refused | None
"""A row of a source: an outcome, the reason why it is none, or nothing that this outcome is about."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is imported: for which service and outcome, from which file, in which form.

    `read_by` is a digest of the declaration and of the Patients it is read with: the same file says something
    else when either changes.
    """

    service_id: str
    outcome: str
    file_digest: str
    form: str
    read_by: str = ""

    @property
    def import_id(self) -> str:
        """The same for the same file read in the same way."""
        told = f"{self.service_id}|{self.outcome}|{self.file_digest}|{self.form}|{self.read_by}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Days on which events would have been seen, the last one left out; `site` None for all sites."""

    covers_from: date
    covers_to: date
    site: str | None = None


@dataclass(slots=True)
class Imported:
    """What came of an import; `was_done` when the same file had been imported before."""

    read: int = 0
    written: int = 0
    same: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    was_done: bool = False
    went_on_at: int = 0

    def with_older_keys(self, more: Imported) -> None:
        """Add what the same rows said under older keys: what was read and refused is counted once."""
        self.written += more.written
        self.same += more.same
        self.was_done = self.was_done and more.was_done


def import_rows(
    path: Path,
    subject: Subject,
    rows: Iterable[tuple[int, Row]],
    follow_up: Iterable[FollowUp] = (),
    refuse: Callable[[int, Refused], None] = lambda _line, _why: None,
    told: Callable[[int], None] = lambda _rows: None,
    *,
    is_trial: bool = False,
) -> Imported:
    """Write a source's rows into the database at `path`; `rows` are (line, row) from the first line on.

    A row that says nothing new is not written again, so a file may be imported twice, and a longer one after
    a shorter. An import that was cut off goes on behind its last durable batch. A trial counts what would be
    written and writes nothing. `LedgerUnavailable` when the database cannot be written: what was durable
    stays.
    """
    with opened(path) as connection:
        if is_trial:
            _shadow(connection)
        done = _Import(connection, subject, refuse, ("temp", "main") if is_trial else ("main",))
        if done.result.was_done:
            done.cover(follow_up)
            return done.result
        behind = itertools.dropwhile(lambda item: item[0] <= done.position, rows)
        while batch := list(itertools.islice(behind, BATCH)):
            done.write(batch)
            told(len(batch))
        done.cover(follow_up)
        done.finish()
        return done.result


class _Import:
    """One import under way."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        subject: Subject,
        refuse: Callable[[int, Refused], None],
        places: tuple[str, ...],
    ) -> None:
        """`places` are the databases of this connection that may know an outcome, the newest first."""
        self._connection, self._subject, self._refuse, self._places = connection, subject, refuse, places
        self.result = Imported()
        begun = connection.execute(
            "SELECT position, done_at FROM imports WHERE import_id = ?", (subject.import_id,)
        ).fetchone()
        self.position = int(begun[0]) if begun else 0
        self.result.was_done = bool(begun and begun[1])
        self.result.went_on_at = self.position
        if begun is None:
            self._alone(
                "INSERT OR IGNORE INTO imports VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, NULL)",
                (subject.import_id, subject.service_id, subject.outcome, subject.file_digest, subject.form,
                 timestamp(datetime.now(UTC))),
            )  # fmt: skip

    def _alone(self, statement: str, values: tuple[object, ...]) -> None:
        """One statement that waits for its turn as a batch does."""
        begin(self._connection)
        self._connection.execute(statement, values)
        self._connection.execute("COMMIT")

    def write(self, batch: list[tuple[int, Row]]) -> None:
        """One batch and the place behind it, in one transaction.

        Lines that another run of this import has written since are passed over: a corrected row, written
        again behind its correction, would stand for it.
        """
        begin(self._connection)
        place = "SELECT position FROM imports WHERE import_id = ?"
        self.position = self._connection.execute(place, (self._subject.import_id,)).fetchone()[0]
        batch = [(line, row) for line, row in batch if line > self.position]
        written = same = rejected = 0
        moment = datetime.now(UTC)
        now, tomorrow = timestamp(moment), moment.date() + timedelta(days=1)
        for line, told in batch:
            row = told
            if isinstance(row, Reported) and row.known_on is not None and row.known_on > tomorrow:
                row = Refused.IN_THE_FUTURE  # nothing that is learnt from now on would ever replace it
            if isinstance(row, Refused):
                self._refuse(line, row)
                self.result.rejected[row.value] += 1
                rejected += 1
            elif row is not None and (news := self._news(row)) is not None:
                self._insert(news, now)
                written += 1
            elif row is not None:
                same += 1
        self.position = max((line for line, _ in batch), default=self.position)
        self._connection.execute(
            "UPDATE imports SET position = ?, read = read + ?, written = written + ?, same = same + ?,"
            " rejected = rejected + ? WHERE import_id = ?",
            (self.position, len(batch), written, same, rejected, self._subject.import_id),
        )
        self._connection.execute("COMMIT")
        self.result.read += len(batch)
        self.result.written += written
        self.result.same += same

    def _news(self, row: Reported) -> Reported | None:
        """The row as it is to be written; None when it says nothing new, or something older than is known."""
        known = next((one for place in self._places if (one := self._known(place, row))), None)
        if known is None:
            return None if row.report is Report.WITHDRAWN else row
        said, known_on = tuple(known[:-1]), known[-1]
        if row.known_on is not None and known_on is not None and row.known_on.isoformat() < known_on:
            return None
        linked = row.still_linked(said[:4])
        return None if linked.columns()[:-1] == said else linked

    def _known(self, place: str, row: Reported) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(
            f"SELECT {_SAID} FROM {place}.outcomes WHERE outcome_id = ? ORDER BY rowid DESC LIMIT 1",  # noqa: S608  names are ours
            (row.outcome_id,),
        ).fetchone()
        return found

    def _insert(self, row: Reported, now: str) -> None:
        subject = self._subject
        self._connection.execute(
            _INSERT,
            (now, row.outcome_id, subject.service_id, subject.outcome, *row.columns(), subject.form,
             subject.import_id),
        )  # fmt: skip

    def cover(self, follow_up: Iterable[FollowUp]) -> None:
        """Who was looked at from when to when; what was said before is not said again."""
        subject, now = self._subject, timestamp(datetime.now(UTC))
        for one in follow_up:
            said = (subject.service_id, subject.outcome, one.site, one.covers_from.isoformat(),
                    one.covers_to.isoformat())  # fmt: skip
            known = self._connection.execute(
                "SELECT 1 FROM follow_up WHERE service_id = ? AND outcome = ? AND site IS ?"
                " AND covers_from = ? AND covers_to = ?",
                said,
            ).fetchone()
            if known is None:
                self._alone(_COVER, (subject.import_id, now, *said))

    def finish(self) -> None:
        """From here on the file is known."""
        self._alone(
            "UPDATE imports SET done_at = ? WHERE import_id = ?",
            (timestamp(datetime.now(UTC)), self._subject.import_id),
        )


def _shadow(connection: sqlite3.Connection) -> None:
    """Tables of this connection alone in front of the real ones: what is written here is gone afterwards."""
    for table in ("outcomes", "imports", "follow_up"):
        empty = " WHERE FALSE" if table == "outcomes" else ""
        connection.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table}{empty}")  # noqa: S608  names are ours
    connection.execute("CREATE INDEX temp.shadow_by_id ON outcomes (outcome_id)")


_WRITTEN: Final = [column.name for column in OUTCOME_COLUMNS if column.name != "sequence"]
_INSERT: Final = f"INSERT INTO outcomes ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"  # noqa: S608  names are ours
_SAID: Final = (
    "patient_key, patient_fhir_key, encounter_key, prediction_id, report, reason, happened_at, value,"
    " known_on"
)
_COVER: Final = f"INSERT INTO follow_up VALUES ({', '.join('?' * len(FOLLOW_UP_COLUMNS))})"  # noqa: S608  it is a count
