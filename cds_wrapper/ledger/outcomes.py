"""Brings outcomes into their database: each row once, in order, going on where an earlier try ended.

Nothing is imputed here: a report is what a source said. What is known of a prediction is `episodes`' affair.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cds_wrapper.ledger.outcome_columns import FOLLOW_UP_COLUMNS, OUTCOME_COLUMNS
from cds_wrapper.ledger.outcome_file import opened
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
    NOT_THIS_TYPE = "not_this_type"
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
    """What is imported: for which service and outcome, from which file, in which form."""

    service_id: str
    outcome: str
    file_digest: str
    form: str

    @property
    def import_id(self) -> str:
        """The same for the same file read by the same declaration."""
        told = f"{self.service_id}|{self.outcome}|{self.file_digest}|{self.form}"
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


def import_rows(
    path: Path,
    subject: Subject,
    rows: Iterable[tuple[int, Row]],
    follow_up: Iterable[FollowUp] = (),
    refuse: Callable[[int, Refused], None] = lambda _line, _why: None,
    told: Callable[[int], None] = lambda _rows: None,
) -> Imported:
    """Write a source's rows into the database at `path`; `rows` are (line, row) from the first line on.

    A row that says nothing new is not written again, so a file may be imported twice, and a longer one after
    a shorter. An import that was cut off goes on behind its last durable batch. `LedgerUnavailable` when the
    database cannot be written: what was durable stays.
    """
    with opened(path) as connection:
        done = _Import(connection, subject, refuse)
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
        self, connection: sqlite3.Connection, subject: Subject, refuse: Callable[[int, Refused], None]
    ) -> None:
        self._connection, self._subject, self._refuse = connection, subject, refuse
        self.result = Imported()
        begun = connection.execute(
            "SELECT position, done_at FROM imports WHERE import_id = ?", (subject.import_id,)
        ).fetchone()
        self.position = int(begun[0]) if begun else 0
        self.result.was_done = bool(begun and begun[1])
        self.result.went_on_at = self.position
        if begun is None:
            connection.execute(
                "INSERT INTO imports VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, NULL)",
                (subject.import_id, subject.service_id, subject.outcome, subject.file_digest, subject.form,
                 timestamp(datetime.now(UTC))),
            )  # fmt: skip

    def write(self, batch: list[tuple[int, Row]]) -> None:
        """One batch and the place behind it, in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        written = same = rejected = 0
        now = timestamp(datetime.now(UTC))
        for line, row in batch:
            if isinstance(row, Refused):
                self._refuse(line, row)
                self.result.rejected[row.value] += 1
                rejected += 1
            elif row is not None and self._is_news(row):
                self._insert(row, now)
                written += 1
            elif row is not None:
                same += 1
        self.position = batch[-1][0]
        self._connection.execute(
            "UPDATE imports SET position = ?, read = read + ?, written = written + ?, same = same + ?,"
            " rejected = rejected + ? WHERE import_id = ?",
            (self.position, len(batch), written, same, rejected, self._subject.import_id),
        )
        self._connection.execute("COMMIT")
        self.result.read += len(batch)
        self.result.written += written
        self.result.same += same

    def _is_news(self, row: Reported) -> bool:
        known = self._connection.execute(
            "SELECT patient_key, patient_fhir_key, encounter_key, prediction_id, report, reason, happened_at,"
            " value, known_on FROM outcomes WHERE outcome_id = ? ORDER BY sequence DESC LIMIT 1",
            (row.outcome_id,),
        ).fetchone()
        if known is None:
            return row.report is not Report.WITHDRAWN
        return tuple(known) != row.columns()

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
                self._connection.execute(_COVER, (subject.import_id, now, *said))

    def finish(self) -> None:
        """From here on the file is known."""
        self._connection.execute(
            "UPDATE imports SET done_at = ? WHERE import_id = ?",
            (timestamp(datetime.now(UTC)), self._subject.import_id),
        )


_WRITTEN: Final = [column.name for column in OUTCOME_COLUMNS if column.name != "sequence"]
_INSERT: Final = f"INSERT INTO outcomes ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"  # noqa: S608  names are ours
_COVER: Final = f"INSERT INTO follow_up VALUES ({', '.join('?' * len(FOLLOW_UP_COLUMNS))})"  # noqa: S608  it is a count


def last_import(path: Path) -> Iterator[tuple[str, str, datetime]]:
    """When each service's outcomes were last imported: service, outcome and the moment."""
    with opened(path) as connection:
        for service, outcome, done in connection.execute(
            "SELECT service_id, outcome, MAX(done_at) FROM imports WHERE done_at IS NOT NULL GROUP BY 1, 2"
        ):
            yield service, outcome, datetime.fromisoformat(done)
