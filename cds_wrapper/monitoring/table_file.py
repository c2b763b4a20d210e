"""A table of scores and outcomes from anywhere, as episodes: for a look before go-live, or at published data.

CSV (also gzipped) and Parquet. Every row is one episode of its own; nothing in it is believed that cannot be
read: a row whose score or outcome is no number is counted and left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from cds_wrapper.errors import WrapperError
from cds_wrapper.ledger.columns import DEMOGRAPHIC_COLUMNS, Column, Kind
from cds_wrapper.ledger.episode_columns import EPISODE_COLUMNS, FURTHER_COLUMNS
from cds_wrapper.services.outcomes import OutcomeKind

NAME: Final = "table"
"""The service a table's episodes are of."""

_TYPES: Final = {
    Kind.TEXT: "VARCHAR",
    Kind.JSON: "VARCHAR",
    Kind.INTEGER: "BIGINT",
    Kind.REAL: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TIMESTAMP: "TIMESTAMP",
}
_DAYS: Final = frozenset({"day", "due_on", "matured_on", "as_of"})
_OWN_COLUMNS: Final = frozenset(column.name for column in DEMOGRAPHIC_COLUMNS)
_GROUP: Final = re.compile(r"[A-Za-z_][\w .-]*")
MOST_LEVELS: Final = 200
"""A column with more values than this is no attribute to look at group by group."""

_EPOCH: Final = "DATE '2000-01-01'"
"""The day of a row without one: nothing is asked of its order then."""


class UnreadableTable(WrapperError):
    """The file or a column that was named is not there; the message says which and what there is."""

    reason = "table"


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """A further outcome of a table: its name, column, kind and role, as `episode_outcomes_v1` calls them."""

    name: str
    column: str
    kind: str
    role: str


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns say what.

    `event` is the outcome's column; with `event_value`, an event is a row where it has that text, else 1 or
    0, true or false, yes or no. Without one, nothing but the further outcomes is known of the rows.
    `patient` names who comes again: without it every row is another person. `day` is the day of the
    prediction. `groups` are the attributes, named by their columns; `missing` are the texts that say that
    a value is not on record, beside an empty one.
    """

    score: str
    event: str | None = None
    event_value: str | None = None
    patient: str | None = None
    day: str | None = None
    groups: Sequence[str] = ()
    further: Sequence[TableOutcome] = ()
    missing: Sequence[str] = ()

    @property
    def outcome(self) -> str:
        """The name of the outcome that the episodes are about; empty without one."""
        return self.event or ""


@dataclass(frozen=True, slots=True)
class ReadTable:
    """The folders that were made, how many rows were read, and how many are of no use, by reason."""

    episodes: Path
    further: Path | None
    rows: int
    refused: Mapping[str, int] = field(default_factory=dict)


def read_table(
    path: Path, columns: TableColumns, threshold: float | None, score_kind: str, folder: Path
) -> ReadTable:
    """Write a table's episodes as Parquet below a folder; `UnreadableTable` when a column is missing."""
    connection = duckdb.connect()
    try:
        source = _source(path)
        _check(connection, source, path, columns)
        connection.execute(f"CREATE TEMP TABLE typed AS {_typed(source, columns)}")
        _check_events(connection, path, columns)
        _check_levels(connection, path, columns)
        refused = _refused(connection, columns)
        rows = connection.execute("SELECT COUNT(*) FROM typed").fetchone()
        episodes = folder / "episodes"
        _copy(connection, _episodes(columns, threshold, score_kind), episodes)
        further = folder / "episode_outcomes" if columns.further else None
        if further is not None:
            _copy(connection, _further(columns), further)
        return ReadTable(episodes, further, int(rows[0]) if rows else 0, refused)
    except duckdb.Error as error:
        raise UnreadableTable(f"{path.name} cannot be read as a table ({type(error).__name__}).") from None
    finally:
        connection.close()


def score_range(path: Path, column: str) -> tuple[float, float]:
    """The lowest and the highest score; `UnreadableTable` as above."""
    value = f"TRY_CAST({_name(column)} AS DOUBLE)"
    return _of_scores(path, column, f"MIN({value}), MAX({value})")


def score_quantile(path: Path, column: str, share: float) -> float:
    """The score below which that share of the rows lies; `UnreadableTable` as above."""
    value = f"TRY_CAST({_name(column)} AS DOUBLE)"
    return _of_scores(path, column, f"quantile_cont({value}, {share:.6f}), NULL")[0]


def _of_scores(path: Path, column: str, what: str) -> tuple[float, float]:
    value = f"TRY_CAST({_name(column)} AS DOUBLE)"
    connection = duckdb.connect()
    try:
        found = connection.execute(f"SELECT {what} FROM {_source(path)} WHERE isfinite({value})").fetchone()  # noqa: S608  names are quoted
    except duckdb.Error:
        raise UnreadableTable(f"{path.name} has no column `{column}` that could be read.") from None
    finally:
        connection.close()
    if not found or found[0] is None:
        raise UnreadableTable(f"The column `{column}` of {path.name} holds no number.")
    return float(found[0]), float(found[0] if found[1] is None else found[1])


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _source(path: Path) -> str:
    if path.suffix == ".parquet":
        return f"read_parquet({_text(str(path))})"
    return f"read_csv({_text(str(path))}, all_varchar = true, header = true)"


def _check(connection: Any, source: str, path: Path, columns: TableColumns) -> None:
    there = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608  names are quoted
    wanted = [columns.score, *columns.groups, *(one.column for one in columns.further)]
    wanted += [one for one in (columns.event, columns.patient, columns.day) if one]
    missing = [one for one in wanted if one not in there]
    strange = [one for one in columns.groups if not _GROUP.fullmatch(one)]
    if strange and not missing:
        raise UnreadableTable(
            f"The column `{strange[0]}` cannot name groups: letters, digits, blanks, . _ and - can."
        )
    if missing:
        raise UnreadableTable(
            f"{path.name} has no column `{missing[0]}`; it has {', '.join(f'`{one}`' for one in there[:40])}."
        )


def _check_events(connection: Any, path: Path, columns: TableColumns) -> None:
    """Refuse an outcome of which not one row is an event: its text was mistyped, or none was named."""
    if columns.event is None:
        return
    events, known, rows = connection.execute(
        "SELECT COUNT(*) FILTER (label = 1), COUNT(label), COUNT(*) FROM typed"
    ).fetchone()
    if rows and not events and (columns.event_value is not None or known < rows):
        what = f"the text `{columns.event_value}`" if columns.event_value is not None else "1, true or yes"
        raise UnreadableTable(
            f"No row of {path.name} has {what} in `{columns.event}`: there is no event to measure."
            f" Where an event is a text, say --event {columns.event}=TEXT."
        )


def _check_levels(connection: Any, path: Path, columns: TableColumns) -> None:
    for n, one in enumerate(columns.groups):
        found = connection.execute(f"SELECT COUNT(DISTINCT {_name(f'group {n}')}) FROM typed").fetchone()  # noqa: S608  names are quoted
        if found and found[0] > MOST_LEVELS:
            raise UnreadableTable(
                f"The column `{one}` of {path.name} has {found[0]} different values: put them into bands"
                f" first ({MOST_LEVELS} at most)."
            )


def _typed(source: str, columns: TableColumns) -> str:
    """Every row with its number, score and label as numbers, null where they are none."""
    label = "NULL" if columns.event is None else _label(columns.event, columns.event_value)
    groups = ", ".join(
        f"{_recorded(one, columns)} AS {_name(f'group {n}')}" for n, one in enumerate(columns.groups)
    )
    further = ", ".join(f"{_amount(one)} AS {_name(f'further {n}')}" for n, one in enumerate(columns.further))
    patient = f"CAST({_name(columns.patient)} AS VARCHAR)" if columns.patient else "NULL"
    day = f"TRY_CAST({_name(columns.day)} AS DATE)" if columns.day else _EPOCH
    parts = [
        "row_number() OVER () AS number",
        f"TRY_CAST({_name(columns.score)} AS DOUBLE) AS score",
        f"{label} AS label",
        f"{patient} AS patient",
        f"{day} AS day",
        *([groups] if groups else []),
        *([further] if further else []),
    ]
    return f"SELECT {', '.join(parts)} FROM {source}"  # noqa: S608  names are quoted


def _label(column: str, value: str | None) -> str:
    """1 for an event, 0 for none, null where the column says neither."""
    text = f"CAST({_name(column)} AS VARCHAR)"
    if value is not None:
        return f"CASE WHEN {text} IS NOT NULL THEN CAST({text} = {_text(value)} AS INTEGER) END"
    return (
        f"CASE WHEN lower({text}) IN ('1', '1.0', 'true', 'yes', 't', 'y') THEN 1"
        f" WHEN lower({text}) IN ('0', '0.0', 'false', 'no', 'f', 'n') THEN 0 END"
    )


def _recorded(column: str, columns: TableColumns) -> str:
    """The text of a group; null where it says that there is none."""
    text = f"CAST({_name(column)} AS VARCHAR)"
    missing = ", ".join(_text(one) for one in ("", *columns.missing))
    return f"CASE WHEN {text} NOT IN ({missing}) THEN {text} END"


def _amount(one: TableOutcome) -> str:
    """How often, how much, or 1 and 0; null for what is below 0 or no number."""
    if one.kind == OutcomeKind.BINARY.value:
        return f"CAST({_label(one.column, None)} AS DOUBLE)"
    value = f"TRY_CAST({_name(one.column)} AS DOUBLE)"
    return f"CASE WHEN isfinite({value}) AND {value} >= 0 THEN {value} END"


_USABLE: Final = "score IS NOT NULL AND isfinite(score) AND day IS NOT NULL"


def _refused(connection: Any, columns: TableColumns) -> dict[str, int]:
    """How many rows have no score, no day, no answer to an outcome: a row can count several times."""
    asked = {
        "score_not_a_number": "score IS NULL OR NOT isfinite(score)",
        "day_not_a_date": "day IS NULL",
        "outcome_not_known": "label IS NULL" if columns.event else "false",
    }
    asked |= {
        f"{one.name}_not_known": f"{_name(f'further {n}')} IS NULL" for n, one in enumerate(columns.further)
    }
    counts = ", ".join(f"COUNT(*) FILTER ({condition})" for condition in asked.values())
    row = connection.execute(f"SELECT {counts} FROM typed").fetchone()  # noqa: S608  names are quoted
    return {reason: int(count) for reason, count in zip(asked, row, strict=True) if count}


def _episodes(columns: TableColumns, threshold: float | None, score_kind: str) -> str:
    """The columns of `episodes_v1`; a group that has none there is in the list of groups."""
    mark = "NULL" if threshold is None else repr(threshold)
    values = {
        "episode_id": "CAST(number AS VARCHAR)",
        "service_id": _text(NAME),
        "model_id": _text(NAME),
        "model_version": "'1'",
        "environment": "'production'",
        "patient_key": "COALESCE('p:' || patient, 'row:' || number)",
        "predictions": "1",
        "occurred_at": "day",
        "day": "day",
        "score": "score",
        "score_kind": _text(score_kind),
        "threshold_id": "'flag'" if threshold is not None else "NULL",
        "threshold": mark,
        "flagged": f"score >= {mark}",
        "outcome": _text(columns.outcome),
        # Without an event there is nothing to wait for: every row counts, and only flags are counted in it.
        "state": "CASE label WHEN 1 THEN 'event' WHEN 0 THEN 'no_event' ELSE 'unverified' END"
        if columns.event
        else "'no_event'",
        "state_reason": "CASE WHEN label IS NULL THEN 'not_tested' END" if columns.event else "NULL",
        "label": "label",
        "due_on": "day",
        "matured_on": "CASE WHEN label IS NOT NULL THEN day END",
        "displayed": "'unknown'",
        "delivery": "'sent'",
        "action": "'none'",
        "as_of": "(SELECT MAX(day) FROM typed)",
    }
    levels = {one: _level(n) for n, one in enumerate(columns.groups)}
    own = [f"{_text(f'{one}=')} || {level}" for one, level in levels.items()]
    values["subgroups"] = f"to_json([{', '.join(own)}])" if own else "'[]'"
    values |= {one: level for one, level in levels.items() if one in _OWN_COLUMNS}
    parts = [_as(column, values.get(column.name, "NULL")) for column in EPISODE_COLUMNS]
    return f"SELECT {', '.join(parts)} FROM typed WHERE {_USABLE}"  # noqa: S608  names are quoted


def _level(place: int) -> str:
    """The text of a group as a list of groups may hold it: without quotation marks."""
    return f"replace(COALESCE({_name(f'group {place}')}, 'missing:absent'), chr(34), chr(39))"


def _further(columns: TableColumns) -> str:
    parts = []
    for n, one in enumerate(columns.further):
        value = _name(f"further {n}")
        values = {
            "episode_id": "CAST(number AS VARCHAR)",
            "service_id": _text(NAME),
            "outcome": _text(one.name),
            "role": _text(one.role),
            "kind": _text(one.kind),
            "state": f"CASE WHEN {value} > 0 THEN 'event' WHEN {value} <= 0 THEN 'no_event'"
            " ELSE 'unverified' END",
            "value": value,
            "due_on": "day",
            "as_of": "(SELECT MAX(day) FROM typed)",
        }
        chosen = ", ".join(_as(column, values[column.name]) for column in FURTHER_COLUMNS)
        parts.append(f"SELECT {chosen} FROM typed WHERE {_USABLE}")  # noqa: S608  names are quoted
    return " UNION ALL ".join(parts)


def _as(column: Column, value: str) -> str:
    kind = "DATE" if column.name in _DAYS else _TYPES[column.kind]
    return f"CAST({value} AS {kind}) AS {_name(column.name)}"


def _copy(connection: Any, query: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    connection.execute(f"COPY ({query}) TO {_text(str(folder / 'part-0.parquet'))} (FORMAT parquet)")
