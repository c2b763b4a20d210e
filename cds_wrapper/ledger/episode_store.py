"""Makes the episodes of a service anew as of a day: predictions out of the ledger, outcomes beside it.

The ledger is read once, over a connection that cannot write, into a temporary table in order of patients: who
reads for long keeps its log from being emptied. What is made goes into the file of outcomes, in one
transaction there, so a reader sees one day's answer whole.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.columns import DEMOGRAPHIC_COLUMNS
from cds_wrapper.ledger.database import check_not_empty, error_name
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.ledger.episodes import Episode, Followed, Known, Scored, State, episodes_of
from cds_wrapper.ledger.outcome_file import begin, opened
from cds_wrapper.ledger.outcomes import FollowUp, Report
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.outcomes import Outcome

Row = Mapping[str, Any]

_COPIED: Final = (
    "service_id",
    "model_id",
    "model_version",
    "site",
    "unit",
    "care_setting",
    "environment",
    "score",
    "score_kind",
    "threshold_id",
    "threshold",
    "flagged",
    "band",
    "displayed",
    "delivery",
    "disposition",
    "caveat_level",
    *(column.name for column in DEMOGRAPHIC_COLUMNS),
    "subgroups",
)
_READ: Final = (
    *_COPIED,
    "prediction_id",
    "occurred_at",
    "patient_key",
    "patient_fhir_key",
    "encounter_key",
    "encounter_fhir_key",
    "inputs_used",
    "inputs_missing",
    "inputs_doubtful",
    "demographics",
)
# What was done last about a card of each prediction, feedback that came before its prediction among it.
_ACTED: Final = (
    "CREATE TEMP TABLE acted (prediction_id TEXT PRIMARY KEY, action TEXT, reason_code TEXT)",
    (
        "INSERT OR REPLACE INTO acted SELECT prediction_id, outcome, reason_code FROM feedback_v1"
        " WHERE service_id = ? AND prediction_id IS NOT NULL ORDER BY outcome_at"
    ),
)
# Whose identifier a FHIR id has, for predictions that were made without the Patient.
_LINKED: Final = (
    "CREATE TEMP TABLE linked (patient_fhir_key TEXT PRIMARY KEY, patient_key TEXT)",
    (
        "INSERT INTO linked SELECT patient_fhir_key, MIN(patient_key) FROM predictions"
        " WHERE service_id = ? AND patient_key IS NOT NULL GROUP BY patient_fhir_key"
    ),
)
_SCORED: Final = (
    f"CREATE TEMP TABLE scored AS SELECT {', '.join(f'p.{name}' for name in _READ)}, a.action, a.reason_code,"  # noqa: S608  names are ours
    " COALESCE(p.patient_key, l.patient_key, p.patient_fhir_key) AS person"
    " FROM predictions_v1 p LEFT JOIN acted a ON a.prediction_id = p.prediction_id"
    " LEFT JOIN linked l ON l.patient_fhir_key = p.patient_fhir_key"
    " WHERE p.service_id = ? AND p.status = 'answered' AND p.score IS NOT NULL AND NOT p.is_test"
    " AND p.environment <> 'test' AND substr(p.occurred_at, 1, 10) <= ?"
    " ORDER BY person, p.model_id, p.model_version, p.occurred_at"
)
# The versions that were known by the day; a source that does not say when is taken to have always known.
_KNOWN: Final = (
    "SELECT sequence, report, happened_at, encounter_key, prediction_id, reason, value FROM outcomes o"
    " WHERE service_id = ? AND outcome = ? AND report <> 'withdrawn'"
    " AND COALESCE(known_on, '') <= ? AND NOT EXISTS (SELECT 1 FROM outcomes later"
    " WHERE later.outcome_id = o.outcome_id AND later.sequence > o.sequence"
    " AND COALESCE(later.known_on, '') <= ?)"
)


def make_episodes(
    ledger: Path, outcomes: Path, service: ServiceDefinition, as_of: date, told: Any = lambda _: None
) -> int:
    """Make a service's episodes as of a day and give their number; `LedgerUnavailable` when it cannot be.

    `told` hears of every patient that is done.
    """
    with opened(outcomes) as store, _read_only(ledger) as predictions:
        sources = [
            _Source(store, service, one, as_of) for one in (service.outcome, *service.further_outcomes)
        ]
        begin(store)
        for table in ("episodes", "episode_outcomes"):
            store.execute(f"DELETE FROM {table} WHERE service_id = ?", (service.id,))  # noqa: S608  names are ours
        made = 0
        for patient in _patients(ledger, predictions, service.id, as_of):
            found = list(_of_patient(patient, service, sources, as_of))
            store.executemany(_INSERT, (_row(one, service.outcome, as_of) for one in found))
            store.executemany(_INSERT_FURTHER, _further_rows(found, as_of))
            made += len(found)
            told(1)
        store.execute("COMMIT")
    return made


@contextlib.contextmanager
def _read_only(ledger: Path) -> Iterator[sqlite3.Connection]:
    try:
        check_not_empty(ledger)
        connection = sqlite3.connect(
            f"{ledger.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None
        )
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{ledger} cannot be read ({error_name(error)}).") from None
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def _patients(ledger: Path, connection: sqlite3.Connection, service: str, as_of: date) -> Iterator[list[Row]]:
    """The rows of one patient and model version after the other; `LedgerUnavailable` names the ledger."""
    try:
        for create, fill in (_ACTED, _LINKED):
            connection.execute(create)
            connection.execute(fill, (service,))
        connection.execute(_SCORED, (service, as_of.isoformat()))
        rows = connection.execute("SELECT * FROM scored ORDER BY rowid")
        for _, group in itertools.groupby(rows, key=_whose):
            yield [dict(row) for row in group]
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{ledger} cannot be read ({error_name(error)}).") from None


def _whose(row: Row) -> tuple[str, str, str]:
    return row["person"], row["model_id"], row["model_version"]


_KEYS: Final = ("patient_key", "patient_fhir_key", "encounter_key", "prediction_id")
_HAS: Final = "SELECT 1 FROM outcomes WHERE service_id = ? AND outcome = ? AND {} IS NOT NULL LIMIT 1"


class _Source:
    """What is known of one outcome: the rows of a patient, and who was followed."""

    def __init__(
        self, store: sqlite3.Connection, service: ServiceDefinition, outcome: Outcome, as_of: date
    ) -> None:
        self.outcome = outcome
        self._store = store
        self._of = (service.id, outcome.name)
        self._by = (as_of.isoformat(), as_of.isoformat())
        self._keys = [name for name in _KEYS if store.execute(_HAS.format(name), self._of).fetchone()]
        periods = store.execute(
            "SELECT covers_from, covers_to, site FROM follow_up WHERE service_id = ? AND outcome = ?",
            self._of,
        )
        self.followed = Followed(
            tuple(
                FollowUp(date.fromisoformat(start), date.fromisoformat(end), site)
                for start, end, site in periods
            )
        )

    def known(self, patient: Sequence[Row]) -> list[Known]:
        """The current rows about a patient, by any of the keys the predictions have."""
        rows: dict[int, Known] = {}
        for column in self._keys:
            for key in {row[column] for row in patient} - {None}:
                found = self._store.execute(f"{_KNOWN} AND {column} = ?", (*self._of, *self._by, key))
                rows |= {sequence: _known(row) for sequence, *row in found}
        return list(rows.values())


def _known(row: Sequence[Any]) -> Known:
    report, happened_at, encounter, prediction, reason, value = row
    at = datetime.fromisoformat(happened_at) if happened_at else None
    return Known(Report(report), at, encounter, prediction, reason, value)


def _of_patient(
    patient: Sequence[Row], service: ServiceDefinition, sources: Sequence[_Source], as_of: date
) -> Iterable[Episode]:
    label, *others = sources
    return episodes_of(
        [_scored(row) for row in patient],
        service.episodes,
        service.outcome,
        label.known(patient),
        label.followed,
        as_of,
        [(one.outcome, one.known(patient), one.followed) for one in others],
    )


def _scored(row: Row) -> Scored:
    return Scored(
        row["prediction_id"],
        datetime.fromisoformat(row["occurred_at"]),
        float(row["score"]),
        None if row["flagged"] is None else bool(row["flagged"]),
        row["encounter_key"] or row["encounter_fhir_key"],
        row["site"],
        row,
    )


def _row(episode: Episode, outcome: Outcome, as_of: date) -> tuple[Any, ...]:
    """The columns of `episodes_v1`, in their order."""
    index, state = episode.index, episode.state
    row = index.row
    label = {"event": 1, "no_event": 0}.get(state.state)
    values: dict[str, Any] = {
        **{name: row[name] for name in _COPIED},
        "episode_id": index.prediction_id,
        "patient_key": row["person"],
        "encounter_key": index.encounter_key,
        "predictions": episode.predictions,
        "occurred_at": row["occurred_at"],
        "day": index.at.date().isoformat(),
        "outcome": outcome.name,
        "state": state.state,
        "state_reason": state.reason,
        "label": label,
        "event_at": _moment(state),
        "due_on": episode.due_on.isoformat(),
        "matured_on": None if label is None else episode.due_on.isoformat(),
        "action": row["action"] or "none",
        "override_reason": row["reason_code"],
        "inputs_used": row["inputs_used"],
        "inputs_missing": _count(row["inputs_missing"]),
        "inputs_doubtful": _count(row["inputs_doubtful"]),
        "race_members": _members(row["demographics"]),
        "as_of": as_of.isoformat(),
    }
    return tuple(values[column.name] for column in EPISODE_COLUMNS)


def _moment(state: State) -> str | None:
    return (
        state.event_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if state.event_at else None
    )


def _count(listed: str | None) -> int | None:
    return None if listed is None else len(json.loads(listed))


def _members(demographics: str | None) -> str | None:
    """Every race on record between bars."""
    race = json.loads(demographics or "{}").get("race") or {}
    members = race.get("members") or []
    return f"|{'|'.join(members)}|" if members else None


def _further_rows(found: Sequence[Episode], as_of: date) -> Iterator[tuple[Any, ...]]:
    for one in found:
        for outcome, due, state in one.further:
            index, told = one.index, (outcome.name, outcome.role.value, outcome.kind.value)
            known = (state.state, state.value, due.isoformat(), as_of.isoformat())
            yield (index.prediction_id, index.row["service_id"], *told, *known)


_INSERT: Final = f"INSERT INTO episodes VALUES ({', '.join('?' * len(EPISODE_COLUMNS))})"  # noqa: S608  it is a count
_INSERT_FURTHER: Final = f"INSERT INTO episode_outcomes VALUES ({', '.join('?' * len(FURTHER_COLUMNS))})"  # noqa: S608  it is a count
