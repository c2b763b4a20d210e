"""What an audit checks beside the chains: cards, corrections, feedback, orders, files, schema, database.

Each check yields findings and raises nothing but `sqlite3.Error`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping

from cds_wrapper.ledger import schema
from cds_wrapper.ledger.besides_reviews import reviews
from cds_wrapper.ledger.findings import Finding, Problem
from cds_wrapper.ledger.links import shown

_CHECK_LINES = 20


def _cards_of(alias: str) -> str:
    """The cards a row names, as a table; a text that is no JSON names none."""
    text = f"{alias}.cards_returned"
    return f"json_each(CASE WHEN json_valid({text}) THEN {text} ELSE '[]' END)"


def cards(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Cards that nothing accounts for, and rows whose cards are not there."""
    named = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} t, {_cards_of('t')} j"  # noqa: S608  names are ours
        " WHERE t.prediction_id = c.prediction_id AND j.value = c.card_uuid)"
        for table in ("predictions", "corrections")
    )
    query = f"SELECT prediction_id FROM cards c WHERE {named}"  # noqa: S608  names are ours
    for (prediction_id,) in connection.execute(query):
        yield Finding(Problem.CARD_UNACCOUNTED, "cards", prediction_id=shown(prediction_id))
    for table in ("predictions", "corrections"):
        lacking = (
            f"SELECT t.writer, t.sequence, t.prediction_id FROM {table} t, {_cards_of('t')} j"  # noqa: S608  names are ours
            " WHERE NOT EXISTS (SELECT 1 FROM cards c WHERE c.card_uuid = j.value"
            " AND c.prediction_id = t.prediction_id)"
        )
        yield from _rows(connection, Problem.CARD_MISSING, table, lacking)


def without_prediction(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Corrections and feedback whose prediction is not there. Those of an erased one were erased with it."""
    for table in ("corrections", "feedback"):
        query = (
            f"SELECT t.writer, t.sequence, t.prediction_id FROM {table} t WHERE t.prediction_id IS NOT NULL"  # noqa: S608  names are ours
            " AND NOT EXISTS (SELECT 1 FROM predictions p WHERE p.prediction_id = t.prediction_id)"
        )
        yield from _rows(connection, Problem.WITHOUT_PREDICTION, table, query)


def without_decision(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Predictions under an order that is not there: a whole chain of decisions can be taken away unseen."""
    query = (
        "SELECT p.writer, p.sequence, p.prediction_id FROM predictions p WHERE p.decision_id IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.decision_id = p.decision_id)"
    )
    yield from _rows(connection, Problem.WITHOUT_DECISION, "predictions", query)


def _rows(connection: sqlite3.Connection, problem: Problem, table: str, query: str) -> Iterator[Finding]:
    for writer, sequence, prediction_id in connection.execute(query):
        yield _finding(problem, table, writer, sequence, prediction_id)


def _finding(
    problem: Problem,
    table: str,
    writer: object,
    sequence: object,
    prediction_id: object,
    detail: str | None = None,
) -> Finding:
    place = sequence if isinstance(sequence, int) else None
    return Finding(problem, table, shown(writer), place, shown(prediction_id), detail)


def files(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Kept files that are not what their digest says, and digests without a file."""
    kept = set()
    for digest, content in connection.execute("SELECT digest, content FROM kept_files"):
        kept.add(digest)
        raw = content if isinstance(content, bytes) else repr(content).encode()
        if digest != f"sha256:{hashlib.sha256(raw).hexdigest()}":
            yield Finding(Problem.FILE_ALTERED, "kept_files", detail=shown(digest))
    # SQLite hands out the other columns of the row that has the least of what is asked for: the first row.
    query = "SELECT file_digests, writer, min(sequence), prediction_id FROM predictions GROUP BY file_digests"
    for text, writer, sequence, prediction_id in connection.execute(query):
        for kind in _kinds_without(text, kept):
            yield _finding(Problem.FILE_MISSING, "predictions", writer, sequence, prediction_id, shown(kind))


def _kinds_without(text: object, kept: set[object]) -> list[str]:
    """Kinds of file whose digest no kept file has; a text that is no JSON object is its row's own problem."""
    digests: object = None
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        digests = json.loads(text) if isinstance(text, str) else None
    if not isinstance(digests, Mapping):
        return []
    return [kind for kind, digest in digests.items() if not isinstance(digest, str) or digest not in kept]


_LEFT_BY_ANALYZE = {("table", "sqlite_stat1"), ("table", "sqlite_stat4")}


def schema_objects(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Tables, indexes, triggers and views that are not those this version makes."""
    found = _objects(connection)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in schema.ddl():
            fresh.execute(statement)
        made = _objects(fresh)
    for name in made.keys() - found.keys():
        yield Finding(Problem.SCHEMA_MISSING, name[1], detail=name[0])
    for name in made.keys() & found.keys():
        if made[name] != found[name]:
            yield Finding(Problem.SCHEMA_ALTERED, name[1], detail=name[0])
    for name in found.keys() - made.keys():
        # What ANALYZE leaves is nobody's alteration.
        if name not in _LEFT_BY_ANALYZE:
            yield Finding(Problem.SCHEMA_ADDED, shown(name[1]), detail=shown(name[0]))


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[object, object]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    return {(str(kind), str(name)): (table, sql) for kind, name, table, sql in connection.execute(query)}


def damage(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What SQLite's own check finds, indexes that do not fit their tables included."""
    for (line,) in connection.execute(f"PRAGMA integrity_check({_CHECK_LINES})"):
        if line != "ok":
            yield Finding(Problem.DAMAGED, "database", detail=shown(line))


def hidden_rows(connection: sqlite3.Connection, table: str, seen: int) -> Iterator[Finding]:
    """Rows that stand in a table and not in the index it was read by."""
    query = f"SELECT count(*) FROM {table} NOT INDEXED"  # noqa: S608  names are ours
    there = connection.execute(query).fetchone()[0]
    if there != seen:
        yield Finding(Problem.HIDDEN_ROWS, table, detail=f"{there} in the table, {seen} by the index")


CHECKS: Mapping[str, Callable[[sqlite3.Connection], Iterator[Finding]]] = {
    "cards": cards,
    "predictions": without_prediction,
    "decisions": without_decision,
    "reviews": reviews,
    "kept_files": files,
    "schema": schema_objects,
    "database": damage,
}
"""By what they are about, in the order in which they are run."""
