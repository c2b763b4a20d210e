"""What an audit checks of reviews, editions and findings, which are no chains.

Rows are numbered without gaps, and the kept result of a review says which findings it opened and which
edition it published: a result is safe by its digest, so a row that differs from it is not as it was written.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cds_wrapper.caveats.orders import is_same_role
from cds_wrapper.ledger.edition_schema import EDITION_TABLES
from cds_wrapper.ledger.findings import Finding, Problem

LARGEST_RESULT: Final = 64 << 20
"""Bytes of a result unpacked; a forged one could be a bomb."""

Row = Mapping[str, Any]
_SAID: Final = ("kind", "outcome", "direction", "since")
_IN_DETAIL: Final = ("what", "sure", "plan")
_COPIED: Final = ("service_id", "model_id", "model_version", "groups", "exclusive", "detail")


def reviews(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Rows that are missing, and rows that are not what their review says."""
    for table in EDITION_TABLES:
        yield from _gaps(connection, table)
    rows = {table: _rows(connection, table) for table in EDITION_TABLES}
    known = {row["review_id"] for row in rows["reviews"]}
    for table in ("editions", "findings"):
        for row in rows[table]:
            if row["review_id"] not in known and row.get("state") != "closed":
                yield _finding(Problem.WITHOUT_REVIEW, table, row)
    for row in rows["reviews"]:
        result = _result(connection, row["result_digest"])
        if result is None:
            yield _finding(Problem.FILE_MISSING, "reviews", row, "result")
        else:
            yield from _unlike(row, result, rows)
    yield from _closings(rows["findings"])
    yield from _editions(connection, rows["editions"])


def _gaps(connection: sqlite3.Connection, table: str) -> Iterator[Finding]:
    """Numbers that no row has any more; the file itself counts them, so that the last ones are missed too."""
    before = 0
    for (number,) in connection.execute(f"SELECT number FROM {table} ORDER BY number"):  # noqa: S608  names are ours
        if number > before + 1:
            yield Finding(Problem.MISSING, table, sequence=before + 1, until=number - 1)
        before = number
    counted = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    last = counted[0] if counted and isinstance(counted[0], int) else 0
    if last > before:
        yield Finding(Problem.MISSING, table, sequence=before + 1, until=last)


def _rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    names = ["number", *(column.name for column in EDITION_TABLES[table])]
    found = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY number")  # noqa: S608  names are ours
    return [dict(zip(names, row, strict=True)) for row in found]


def _result(connection: sqlite3.Connection, digest: object) -> Row | None:
    """What a review found; None when it is not kept. Whether it fits its digest is checked with the files."""
    row = connection.execute("SELECT content FROM kept_files WHERE digest = ?", (digest,)).fetchone()
    if row is None or not isinstance(row[0], bytes):
        return None
    with contextlib.suppress(zlib.error, ValueError, RecursionError):
        found = json.loads(zlib.decompressobj().decompress(row[0], LARGEST_RESULT))
        return found if isinstance(found, dict) else {}
    return {}


def _unlike(review: Row, result: Row, rows: Mapping[str, list[Row]]) -> Iterator[Finding]:
    model = result.get("model")
    said = (result.get("service"), result.get("as_of"), result.get("dated_review"), model)
    is_model = {"id": review["model_id"], "version": review["model_version"]}
    if said != (review["service_id"], review["as_of"], review["dated"], is_model):
        yield _finding(Problem.UNLIKE_REVIEW, "reviews", review)
    told = {str(one.get("id")): one for one in _listed(result, "findings") if isinstance(one, dict)}
    opened = [row for row in rows["findings"] if _is_of(row, review) and row["state"] == "opened"]
    for row in opened:
        if not _is_told(row, told.get(str(row["finding_id"]))):
            yield _finding(Problem.UNLIKE_REVIEW, "findings", row)
    if {str(row["finding_id"]) for row in opened} != set(map(str, _listed(result, "opened"))):
        yield _finding(Problem.UNLIKE_REVIEW, "reviews", review, "the findings it opened")
    editions = [row["edition"] for row in rows["editions"] if _is_of(row, review)]
    if editions != [one for one in (result.get("edition"),) if one is not None]:
        yield _finding(Problem.UNLIKE_REVIEW, "reviews", review, "the edition it published")


def _listed(result: Row, name: str) -> list[Any]:
    found = result.get(name)
    return found if isinstance(found, list) else []


def _is_of(row: Row, review: Row) -> bool:
    return bool(row["review_id"] == review["review_id"])


def _is_told(row: Row, told: Row | None) -> bool:
    """Whether a finding is what its review says; a text that is no JSON is not."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        groups, detail = json.loads(row["groups"]), json.loads(row["detail"])
        if told is None or not isinstance(detail, dict):
            return False
        mine = {name: row[name] for name in _SAID} | {name: detail.get(name) for name in _IN_DETAIL}
        mine |= {"groups": groups, "exclusive": bool(row["exclusive"])}
        return all(value == told.get(name) for name, value in mine.items())
    return False


def _closings(findings: list[Row]) -> Iterator[Finding]:
    """A closing says again what was opened, and names two roles."""
    opened = {row["finding_id"]: row for row in findings if row["state"] == "opened"}
    for row in findings:
        if row["state"] == "opened":
            continue
        first = opened.get(row["finding_id"])
        by, second = row["by_role"], row["second_role"]
        two = bool(by) and bool(second) and not is_same_role(str(by), str(second))
        same = first is not None and all(row[name] == first[name] for name in (*_SAID, *_COPIED))
        if not same or not two or not row["why"]:
            yield _finding(Problem.ALTERED, "findings", row)


def _editions(connection: sqlite3.Connection, editions: list[Row]) -> Iterator[Finding]:
    """Editions stand in the order in which they were published, and what they hold is kept."""
    latest = ""
    for row in editions:
        if str(row["published_at"]) < latest:
            yield _finding(Problem.MOVED, "editions", row)
        latest = max(latest, str(row["published_at"]))
        for name in ("digest", "local_digest"):
            kept = connection.execute("SELECT 1 FROM kept_files WHERE digest = ?", (row[name],)).fetchone()
            if kept is None:
                yield _finding(Problem.FILE_MISSING, "editions", row, name)


def _finding(problem: Problem, table: str, row: Row, detail: str | None = None) -> Finding:
    number = row["number"]
    return Finding(problem, table, sequence=number if isinstance(number, int) else None, detail=detail)
