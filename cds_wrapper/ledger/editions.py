"""Reviews, editions and findings in the ledger: written beside the serving process, and read by it.

A review, what it opened and the edition it publishes are one transaction: a reader sees all or nothing. The
write lock that it holds is the serving process's too, for some milliseconds: a record waits, none is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cds_wrapper import __version__
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.database import check_not_empty, connect, error_name, is_locked
from cds_wrapper.ledger.edition_schema import EDITION_TABLES, insert
from cds_wrapper.ledger.edition_values import (
    LeftByReviews,
    NewEdition,
    NewReview,
    PastReview,
    Published,
    StoredFinding,
    Subject,
)
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.ledger.values import Plain, json_text, timestamp

LOCK_PATIENCE: Final = timedelta(seconds=10)
READ_PATIENCE: Final = timedelta(seconds=1)
LOCAL: Final = "local_evidence"
"""The kind under which this hospital's evidence is kept."""
REVIEW: Final = "review"
"""The kind under which a review's whole result is kept, compressed."""
OPENED: Final = "opened"
CLOSED: Final = "closed"


def local_file(local: bytes, edition: str) -> KeptFile:
    """This hospital's evidence as the ledger keeps it."""
    return KeptFile(f"sha256:{hashlib.sha256(local).hexdigest()}", LOCAL, f"{edition}/local.json", local)


# Writing ----------------------------------------------------------------------------------------------------


def record_review(
    path: Path,
    review: NewReview,
    opened: Sequence[StoredFinding] = (),
    edition: NewEdition | None = None,
    patience: timedelta = LOCK_PATIENCE,
) -> None:
    """Write a review, the findings it opens and the edition it publishes; on the disk when this returns.

    `LedgerUnavailable` when there is no ledger or it cannot be written within `patience`: nothing is changed.
    """
    result = zlib.compress(review.result, 9)
    result_file = KeptFile(_digest(result), REVIEW, f"{review.subject.service_id}/{review.as_of}", result)

    def write(connection: sqlite3.Connection) -> None:
        now = timestamp(datetime.now(UTC))
        _keep(connection, result_file, now)
        subject = _subject(review.subject)
        made = {"recorded_at": now, "review_id": review.review_id, **subject, "wrapper_version": __version__}
        _add(
            connection,
            "reviews",
            {
                **made,
                "as_of": review.as_of.isoformat(),
                "dated": review.dated,
                "result_digest": result_file.digest,
            },
        )
        for finding in opened:
            _add(connection, "findings", {**made, **_opened(finding)})
        if edition is not None:
            local = local_file(edition.local, edition.edition)
            for file in (local, edition.book):
                _keep(connection, file, now)
            _add(connection, "editions", {**made, **_edition(edition, review, local.digest, now)})

    _written(path, write, patience, "the review was NOT recorded")


def close_finding(
    path: Path, finding_id: str, by: str, second: str, why: str, patience: timedelta = LOCK_PATIENCE
) -> StoredFinding | None:
    """Close a finding that is open: two roles, since it loosens. Gives it back; None when none is open.

    `LedgerUnavailable` as for `record_review`.
    """
    closed: list[StoredFinding] = []

    def write(connection: sqlite3.Connection) -> None:
        found = next((one for one in _findings(connection) if one.finding_id == finding_id), None)
        if found is None or not found.is_open:
            return
        row = {
            **_opened(found),
            "state": CLOSED,
            "recorded_at": timestamp(datetime.now(UTC)),
            "by_role": by,
            "second_role": second,
            "why": why,
            "wrapper_version": __version__,
        }
        _add(connection, "findings", row)
        closed.append(found)

    _written(path, write, patience, "the finding was NOT closed")
    return closed[0] if closed else None


def _written(
    path: Path, write: Callable[[sqlite3.Connection], None], patience: timedelta, undone: str
) -> None:
    try:
        _check_there(path)
        with contextlib.closing(connect(path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {patience // timedelta(milliseconds=1)}")
            connection.execute("BEGIN IMMEDIATE")
            write(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        if is_locked(error):
            seconds = round(patience.total_seconds())
            problem = f"{path} was locked by another process for more than {seconds} seconds"
        else:
            problem = f"{path} cannot be written ({error_name(error)})"
        raise LedgerUnavailable(f"{problem}: {undone}.") from None


def _add(connection: sqlite3.Connection, table: str, row: Mapping[str, Plain]) -> None:
    connection.execute(insert(table), [row.get(column.name) for column in EDITION_TABLES[table]])


def _keep(connection: sqlite3.Connection, file: KeptFile, now: str) -> None:
    connection.execute(schema.INSERT_FILE, (file.digest, file.kind, file.name, file.content, now))


def _subject(subject: Subject) -> dict[str, Plain]:
    return {
        "service_id": subject.service_id,
        "model_id": subject.model_id,
        "model_version": subject.model_version,
    }


def _opened(finding: StoredFinding) -> dict[str, Plain]:
    return {
        **_subject(finding.subject),
        "finding_id": finding.finding_id,
        "state": OPENED,
        "outcome": finding.outcome,
        "kind": finding.kind,
        "groups": json_text({name: list(levels) for name, levels in finding.groups.items()}),
        "exclusive": finding.exclusive,
        "direction": finding.direction,
        "since": finding.since.isoformat(),
        "detail": json_text(dict(finding.detail)),
    }


def _edition(edition: NewEdition, review: NewReview, local: str, now: str) -> dict[str, Plain]:
    return {
        "edition_id": edition.edition_id,
        "published_at": now,
        "edition": edition.edition,
        "digest": edition.book.digest,
        "as_of": review.as_of.isoformat(),
        "local_digest": local,
    }


# Reading ----------------------------------------------------------------------------------------------------


def published_in(path: Path) -> Mapping[str, Sequence[Published]]:
    """The editions published for each service, by its id, the latest first.

    `LedgerUnavailable` when the ledger cannot be read; so for every function below.
    """
    names = (
        "edition_id",
        "service_id",
        "model_id",
        "model_version",
        "edition",
        "digest",
        "as_of",
        "published_at",
        "local_digest",
    )
    query = f"SELECT {', '.join(names)} FROM editions ORDER BY number DESC"  # noqa: S608  names are ours
    found: dict[str, list[Published]] = {}
    with _reading(path) as connection:
        for row in connection.execute(query):
            # A row that nobody could have written is passed over: the edition before stays in force.
            with contextlib.suppress(ValueError, TypeError):
                published = _published(dict(zip(names, row, strict=True)))
                found.setdefault(published.subject.service_id, []).append(published)
    return found


def findings_in(path: Path, service_id: str | None = None) -> tuple[StoredFinding, ...]:
    """Every finding that was ever opened, of one service or of all, in the order they were opened."""
    with _reading(path) as connection:
        found = _findings(connection)
    return tuple(one for one in found if service_id in (None, one.subject.service_id))


def kept_in(path: Path, digest: str) -> bytes | None:
    """A kept file by its digest; None when there is none, or when it is not what the digest says."""
    with _reading(path) as connection:
        row = connection.execute("SELECT content FROM kept_files WHERE digest = ?", (digest,)).fetchone()
    content = bytes(row[0]) if row and isinstance(row[0], bytes) else None
    return content if content is not None and _digest(content) == digest else None


def reviews_in(path: Path, service_id: str) -> tuple[PastReview, ...]:
    """Every review of a service, in the order they were made."""
    query = (
        "SELECT review_id, service_id, model_id, model_version, as_of, dated, result_digest FROM reviews"
        " WHERE service_id = ? ORDER BY number"
    )
    with _reading(path) as connection:
        return tuple(
            PastReview(name, Subject(*subject), date.fromisoformat(day), dated, digest)
            for name, *subject, day, dated, digest in connection.execute(query, (service_id,))
        )


def review_result(path: Path, digest: str) -> bytes | None:
    """The whole result of a review as JSON; None when it is not there."""
    kept = kept_in(path, digest)
    return None if kept is None else zlib.decompress(kept)


def left_by_reviews(path: Path) -> LeftByReviews:
    """What a serving process tells of reviews: three small counts, over a connection that cannot write."""
    with _reading(path) as connection:
        return LeftByReviews(
            findings_open=dict(connection.execute(_OPEN)),
            reviewed_at=_moments(connection.execute(_LAST)),
            served_since=_moments(connection.execute(_SERVED)),
        )


_OPEN: Final = (
    "SELECT service_id, COUNT(*) FROM findings o WHERE state = 'opened' AND NOT EXISTS"
    " (SELECT 1 FROM findings c WHERE c.finding_id = o.finding_id AND c.state = 'closed') GROUP BY service_id"
)
_LAST: Final = "SELECT service_id, MAX(recorded_at) FROM reviews GROUP BY service_id"
_SERVED: Final = "SELECT name, MIN(first_kept_at) FROM kept_files WHERE kind = 'service' GROUP BY name"


def _moments(rows: sqlite3.Cursor) -> dict[str, datetime]:
    """By service; a row that nobody could have written is passed over."""
    found: dict[str, datetime] = {}
    for name, moment in rows:
        with contextlib.suppress(ValueError, TypeError):
            found[name.split("/")[0]] = datetime.fromisoformat(moment)
    return found


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        _check_there(path)
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=READ_PATIENCE.total_seconds(), isolation_level=None)
        ) as connection:
            yield connection
    except OSError as error:
        raise LedgerUnavailable(f"{path} cannot be read ({error.strerror}).") from None
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{path} cannot be read ({error_name(error)}).") from None


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise LedgerUnavailable(
            f"There is no ledger at {path}: name the one that the service is run with, by CDS_WRAPPER_LEDGER"
            " or --ledger."
        )
    check_not_empty(path)


def _published(row: Mapping[str, Any]) -> Published:
    published_at = datetime.fromisoformat(row["published_at"])
    if published_at.tzinfo is None:
        raise ValueError("no time that a clock showed")
    return Published(
        edition_id=_text(row["edition_id"]),
        subject=_read_subject(row),
        edition=_text(row["edition"]),
        digest=_text(row["digest"]),
        as_of=date.fromisoformat(row["as_of"]),
        published_at=published_at,
        local_digest=_text(row["local_digest"]),
    )


def _findings(connection: sqlite3.Connection) -> list[StoredFinding]:
    names = [column.name for column in EDITION_TABLES["findings"]]
    opened: dict[str, StoredFinding] = {}
    for row in connection.execute(f"SELECT {', '.join(names)} FROM findings ORDER BY number"):  # noqa: S608  names are ours
        one = dict(zip(names, row, strict=True))
        before = opened.get(one["finding_id"])
        closing = {
            "closed_at": datetime.fromisoformat(one["recorded_at"]),
            "closed_by": tuple(role for role in (one["by_role"], one["second_role"]) if role),
            "why": one["why"],
        }
        finding = StoredFinding(
            finding_id=one["finding_id"],
            subject=_read_subject(one),
            outcome=one["outcome"],
            kind=one["kind"],
            groups={name: tuple(levels) for name, levels in json.loads(one["groups"]).items()},
            exclusive=bool(one["exclusive"]),
            direction=one["direction"],
            since=date.fromisoformat(one["since"]),
            detail=json.loads(one["detail"]),
            review_id=before.review_id if before else one["review_id"],
            **(closing if one["state"] == CLOSED else {}),
        )
        opened[finding.finding_id] = finding
    return list(opened.values())


def _read_subject(row: Mapping[str, Any]) -> Subject:
    return Subject(_text(row["service_id"]), _text(row["model_id"]), _text(row["model_version"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
