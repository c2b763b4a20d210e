"""The tables behind the contract and the views that are the contract, for SQLite, made from the columns.

Tables are ours to change by a new schema number; the views change only by adding `_v2`. Rows are written
once: triggers refuse every UPDATE and DELETE. What must be said later about a prediction is a row of its
own in `corrections`, which the view puts over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds_wrapper.ledger import edition_schema
from cds_wrapper.ledger.columns import (
    CHAINED,
    COLUMNS,
    CORRECTION_COLUMNS,
    DECISION_COLUMNS,
    FEEDBACK_COLUMNS,
    Column,
    Kind,
)

SCHEMA = 5
"""The schema number this version writes, kept in `PRAGMA user_version`."""

APPLICATION = 0x43445357
"""`PRAGMA application_id` of a ledger (CDSW), so that another program's file is never written to."""

_TYPES = {
    Kind.TEXT: "TEXT",
    Kind.INTEGER: "INTEGER",
    Kind.REAL: "REAL",
    Kind.BOOLEAN: "INTEGER",
    Kind.TIMESTAMP: "TEXT",
    Kind.JSON: "TEXT",
}
APPEND_ONLY = ("predictions", "cards", "corrections", "feedback", "decisions", "kept_files", "erasures")
# A correction replaces these columns of the view, null included: what was planned did not happen.
_CORRECTED = ("delivery", "cards_returned")


def _columns(columns: Iterable[Column]) -> str:
    return ",\n  ".join(
        f"{column.name} {_TYPES[column.kind]}{' NOT NULL' if column.required else ''}" for column in columns
    )


def _insert(table: str, columns: Iterable[str]) -> str:
    names = list(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608  names are ours


# A prediction that is recorded already is left as it is; whatever else stands in the way is an error.
INSERT_PREDICTION = (
    _insert("predictions", (column.name for column in COLUMNS)) + " ON CONFLICT (prediction_id) DO NOTHING"
)
INSERT_CORRECTION = (
    _insert("corrections", (column.name for column in CORRECTION_COLUMNS))
    + " ON CONFLICT (prediction_id) DO NOTHING"
)
INSERT_FEEDBACK = (
    _insert("feedback", (column.name for column in FEEDBACK_COLUMNS))
    + " ON CONFLICT (card_uuid, outcome, outcome_at, COALESCE(accepted_suggestions, ''), client,"
    " COALESCE(tenant, ''), service_id) DO NOTHING"
)
INSERT_DECISION = _insert("decisions", (column.name for column in DECISION_COLUMNS))
# The latest row of each chain and writer: without it nobody would see that rows at the end are gone.
SET_HEAD = (
    _insert("chain_heads", ("chain", "writer", "sequence", "hash"))
    + " ON CONFLICT (chain, writer) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash"
)
PREDICTION_OF_CARD = (
    "SELECT c.prediction_id FROM cards c JOIN predictions p ON p.prediction_id = c.prediction_id"
    " WHERE c.card_uuid = ? AND p.client = ? AND p.tenant IS ? AND p.service_id = ?"
)
# Feedback that came before its prediction was there (out of a spool, say) belongs to it all the same.
_CAME_BEFORE = (
    "c.card_uuid = f.card_uuid AND p.client = f.client AND p.tenant IS f.tenant"
    " AND p.service_id = f.service_id"
)
FEEDBACK_BEFORE = (
    "SELECT f.rowid FROM predictions p JOIN cards c ON c.prediction_id = p.prediction_id"  # noqa: S608  names are ours
    f" JOIN feedback f ON {_CAME_BEFORE} WHERE f.prediction_id IS NULL AND p.prediction_id = ?"
)
INSERT_CARD = _insert("cards", ("card_uuid", "prediction_id")) + " ON CONFLICT DO NOTHING"
INSERT_FILE = (
    _insert("kept_files", ("digest", "kind", "name", "content", "first_kept_at")) + " ON CONFLICT DO NOTHING"
)
# A write that says nothing: proof that the disk takes writes again.
BEAT = "REPLACE INTO heartbeat (id, beat_at) VALUES (1, ?)"

_TABLES = f"""
CREATE TABLE predictions (
  {_columns(COLUMNS)},
  PRIMARY KEY (prediction_id)
);
CREATE UNIQUE INDEX predictions_by_sequence ON predictions (writer, sequence);
CREATE INDEX predictions_by_time ON predictions (occurred_at);

CREATE TABLE cards (
  card_uuid TEXT PRIMARY KEY NOT NULL,
  prediction_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE corrections (
  {_columns(CORRECTION_COLUMNS)},
  PRIMARY KEY (prediction_id)
);
CREATE UNIQUE INDEX corrections_by_sequence ON corrections (writer, sequence);

CREATE TABLE feedback (
  {_columns(FEEDBACK_COLUMNS)},
  PRIMARY KEY (writer, sequence)
);
CREATE UNIQUE INDEX feedback_once
  ON feedback (card_uuid, outcome, outcome_at, COALESCE(accepted_suggestions, ''), client,
               COALESCE(tenant, ''), service_id);
CREATE INDEX feedback_by_prediction ON feedback (prediction_id);

CREATE TABLE decisions (
  {_columns(DECISION_COLUMNS)},
  PRIMARY KEY (writer, sequence)
);
CREATE UNIQUE INDEX decisions_by_id ON decisions (decision_id);

CREATE TABLE kept_files (
  digest TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  content BLOB NOT NULL,
  first_kept_at TEXT NOT NULL
);

CREATE TABLE chain_heads (
  chain TEXT NOT NULL,
  writer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (chain, writer)
) WITHOUT ROWID;

CREATE TABLE erasures (
  chain TEXT NOT NULL,
  writer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  previous_hash TEXT,
  erased_at TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (chain, writer, sequence)
);
CREATE INDEX erasures_by_hash ON erasures (hash);

CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  beat_at TEXT NOT NULL
);
"""


def _never(table: str, verb: str, when: str = "") -> str:
    return f"""
CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {when}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;
"""


# A chained row goes only after its place in the chain was written down, a card after its prediction.
_MAY_GO = {
    **{
        chain: (
            f"EXISTS (SELECT 1 FROM erasures e WHERE e.chain = '{chain}' AND e.writer IS OLD.writer"  # noqa: S608  names are ours
            " AND e.sequence IS OLD.sequence AND e.hash IS OLD.hash AND e.previous_hash IS OLD.previous_hash)"
        )
        for chain in CHAINED
    },
    "cards": "NOT EXISTS (SELECT 1 FROM predictions p WHERE p.prediction_id IS OLD.prediction_id)",
}


def _triggers(table: str) -> tuple[str, ...]:
    unless = f"WHEN NOT ({_MAY_GO[table]}) " if table in _MAY_GO else ""
    return _never(table, "UPDATE"), _never(table, "DELETE", unless)


def _predictions_column(column: Column) -> str:
    if column.name not in _CORRECTED:
        return f"p.{column.name}"
    return f"CASE WHEN c.prediction_id IS NULL THEN p.{column.name} ELSE c.{column.name} END AS {column.name}"


_PREDICTIONS_VIEW = f"""
CREATE VIEW predictions_v1 AS
SELECT {", ".join(_predictions_column(column) for column in COLUMNS)}
FROM predictions p LEFT JOIN corrections c ON c.prediction_id = p.prediction_id;
"""  # noqa: S608  names are ours

# Exclusive: one row per attribute, adding up to all predictions, and one per declared crossing. Alone or in
# combination: one row per member. A missing value is a row of its own in both. Attributes a site declares
# and could not read are in `subgroups` alone.
_SUBGROUPS_VIEW = """
CREATE VIEW prediction_subgroups_v1 AS
WITH collected AS (
  SELECT p.prediction_id, p.writer, p.sequence, p.service_id, p.occurred_at,
         a.key AS attribute, a.value AS recorded,
         json_extract(a.value, '$.value') AS value,
         json_extract(a.value, '$.missing') AS missing,
         json_extract(a.value, '$.scheme') AS scheme
  FROM predictions p, json_each(p.demographics) a
), declared AS (
  SELECT p.prediction_id, p.writer, p.sequence, p.service_id, p.occurred_at,
         substr(s.value, 1, instr(s.value, '=') - 1) AS attribute,
         substr(s.value, instr(s.value, '=') + 1) AS level
  FROM predictions p, json_each(p.subgroups) s
  WHERE substr(s.value, 1, instr(s.value, '=') - 1)
    NOT IN (SELECT a.key FROM json_each(p.demographics) a)
)
SELECT prediction_id, writer, sequence, service_id, occurred_at, attribute,
       COALESCE(value, 'missing:' || missing) AS level, 'exclusive' AS view, missing, scheme
FROM collected
UNION ALL
SELECT prediction_id, writer, sequence, service_id, occurred_at, attribute,
       m.value, 'alone_or_in_combination', NULL, scheme
FROM collected, json_each(collected.recorded, '$.members') m
UNION ALL
SELECT prediction_id, writer, sequence, service_id, occurred_at, attribute,
       'missing:' || missing, 'alone_or_in_combination', missing, scheme
FROM collected WHERE missing IS NOT NULL
UNION ALL
SELECT prediction_id, writer, sequence, service_id, occurred_at, attribute,
       level, 'exclusive', CASE WHEN level LIKE 'missing:%' THEN substr(level, 9) END, NULL
FROM declared
UNION ALL
SELECT prediction_id, writer, sequence, service_id, occurred_at, attribute,
       level, 'alone_or_in_combination', substr(level, 9), NULL
FROM declared WHERE level LIKE 'missing:%';
"""

# What the view says otherwise of feedback that came before its prediction; a row is never changed.
_FOUND_LATER = {"prediction_id": "p.prediction_id", "matched": "(p.prediction_id IS NOT NULL)"}


def _feedback(columns: Mapping[str, str], joined: str) -> str:
    named = (columns.get(column.name, f"f.{column.name}") for column in FEEDBACK_COLUMNS)
    return f"""
SELECT {", ".join(f"{source} AS {one.name}" for source, one in zip(named, FEEDBACK_COLUMNS, strict=True))},
       ROUND((julianday(f.outcome_at) - julianday(p.occurred_at)) * 86400, 3) AS delay_s,
       p.user_key AS user_key, p.unit AS unit
FROM feedback f {joined}"""  # noqa: S608  names are ours


_FEEDBACK_VIEW = f"""
CREATE VIEW feedback_v1 AS
{_feedback({}, "LEFT JOIN predictions p ON p.prediction_id = f.prediction_id")}
WHERE f.prediction_id IS NOT NULL
UNION ALL
{
    _feedback(
        _FOUND_LATER,
        f"LEFT JOIN (cards c JOIN predictions p ON p.prediction_id = c.prediction_id) ON {_CAME_BEFORE}",
    )
}
WHERE f.prediction_id IS NULL;
"""


_DECISIONS_VIEW = f"""
CREATE VIEW decisions_v1 AS
SELECT {", ".join(column.name for column in DECISION_COLUMNS)} FROM decisions;
"""  # noqa: S608  names are ours


def ddl() -> tuple[str, ...]:
    """Every statement that makes an empty file a ledger, to run in one transaction."""
    triggers = [
        *(trigger for table in APPEND_ONLY for trigger in _triggers(table)),
        _never("chain_heads", "DELETE"),
    ]
    tables = [statement for statement in _TABLES.split(";") if statement.strip()]
    views = [_PREDICTIONS_VIEW, _SUBGROUPS_VIEW, _FEEDBACK_VIEW, _DECISIONS_VIEW]
    mark = f"PRAGMA application_id = {APPLICATION}"
    return (*tables, *triggers, *views, *_beside_predictions(), mark, f"PRAGMA user_version = {SCHEMA}")


def migration(number: int) -> tuple[str, ...] | None:
    """What brings a ledger of an earlier schema number up to this one; None if nothing can.

    Tables of monitoring came with number 5. Nothing that was written before is touched.
    """
    if number != _BEFORE_MONITORING:
        return None
    return (*_beside_predictions(), f"PRAGMA user_version = {SCHEMA}")


_BEFORE_MONITORING = 4


def _beside_predictions() -> tuple[str, ...]:
    """The tables of monitoring, which no serving process writes."""
    triggers = [
        _never(table, verb) for table in edition_schema.EDITION_TABLES for verb in ("UPDATE", "DELETE")
    ]
    return (*edition_schema.TABLES, *edition_schema.INDEXES, *triggers, *edition_schema.VIEWS)
