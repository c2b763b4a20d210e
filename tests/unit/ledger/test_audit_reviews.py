"""Whoever can write the file can change what reviews found and published; the audit says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_schema import EDITION_TABLES
from cds_wrapper.ledger.edition_values import NewEdition, NewReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import close_finding, record_review
from cds_wrapper.ledger.entries import KeptFile
from tests.unit.ledger.attacks import attacker, found
from tests.unit.ledger.test_editions import DAY, FINDING, SUBJECT

DETAIL = {"what": "1.9 times the events expected", "sure": "rang", "plan": "annotate"}
BOOK = KeptFile(
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "edition", "book", b"{}"
)


def result(subject: Subject, day: date, *opened: StoredFinding, edition: str | None) -> bytes:
    """What a review keeps of itself, as far as the audit reads it."""
    told = [
        {
            "id": one.finding_id,
            "kind": one.kind,
            "groups": {name: list(levels) for name, levels in one.groups.items()},
            "exclusive": one.exclusive,
            "outcome": one.outcome,
            "direction": one.direction,
            "since": one.since.isoformat(),
            **DETAIL,
        }
        for one in opened
    ]
    return json.dumps(
        {
            "service": subject.service_id,
            "model": {"id": subject.model_id, "version": subject.model_version},
            "as_of": day.isoformat(),
            "dated_review": None,
            "edition": edition,
            "findings": told,
            "opened": [one.finding_id for one in opened],
        }
    ).encode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three reviews, each with a finding and an edition; the second finding was closed."""
    path = tmp_path_factory.mktemp("whole") / "ledger.db"
    prepare(path)
    for number in (1, 2, 3):
        day = DAY + timedelta(days=number)
        finding = replace(
            FINDING, finding_id=f"here-{number}", since=day, detail=DETAIL, review_id=f"r{number}"
        )
        made = result(SUBJECT, day, finding, edition=f"edition-{number}")
        edition = NewEdition(f"e{number}", f"edition-{number}", BOOK, b'{"n": %d}' % number)
        record_review(path, NewReview(f"r{number}", SUBJECT, day, made), [finding], edition)
    assert close_finding(path, "here-2", "clinical owner", "committee chair", "the coding changed")
    return path


_NAMES = [column.name for column in EDITION_TABLES["findings"] if column.name != "finding_id"]
FORGED = (
    f"INSERT INTO findings (number, finding_id, {', '.join(_NAMES)})"
    f" SELECT 5, 'here-5', {', '.join(_NAMES)} FROM findings WHERE number = 1"
)


@pytest.fixture
def ledger(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "ledger.db"))


def test_reviews_as_they_were_written_are_whole(ledger: Path) -> None:
    assert found(ledger) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM findings WHERE finding_id = 'here-1'", ("missing", "findings", 1)),
        ("DELETE FROM findings WHERE state = 'closed'", ("missing", "findings", 4)),
        ("DELETE FROM editions WHERE edition_id = 'e3'", ("missing", "editions", 3)),
        ("DELETE FROM reviews WHERE review_id = 'r2'", ("missing", "reviews", 2)),
        ("DELETE FROM reviews WHERE review_id = 'r2'", ("without_review", "editions", 2)),
        ("UPDATE findings SET direction = NULL WHERE number = 1", ("unlike_review", "findings", 1)),
        ("UPDATE findings SET groups = '{}' WHERE number = 3", ("unlike_review", "findings", 3)),
        ("UPDATE findings SET groups = x'ff' WHERE number = 3", ("unlike_review", "findings", 3)),
        ("UPDATE findings SET detail = '[]' WHERE number = 1", ("unlike_review", "findings", 1)),
        ("UPDATE findings SET second_role = 'Clinical Owner' WHERE number = 4", ("altered", "findings", 4)),
        ("UPDATE findings SET finding_id = 'here-3' WHERE number = 4", ("altered", "findings", 4)),
        ("UPDATE editions SET edition = 'edition-9' WHERE number = 2", ("unlike_review", "reviews", 2)),
        ("UPDATE editions SET review_id = 'r9' WHERE number = 2", ("without_review", "editions", 2)),
        ("UPDATE editions SET local_digest = 'sha256:0' WHERE number = 2", ("file_missing", "editions", 2)),
        ("UPDATE reviews SET as_of = '2020-01-01' WHERE number = 1", ("unlike_review", "reviews", 1)),
        ("UPDATE reviews SET result_digest = 'sha256:0' WHERE number = 1", ("file_missing", "reviews", 1)),
        ("DELETE FROM kept_files WHERE kind = 'review'", ("file_missing", "reviews", 1)),
        ("UPDATE kept_files SET content = x'00' WHERE kind = 'review'", ("file_altered", "kept_files", None)),
        ("UPDATE editions SET published_at = '2020' WHERE number = 3", ("moved", "editions", 3)),
        (FORGED, ("unlike_review", "findings", 5)),
    ],
)
def test_what_somebody_changed_is_found(
    ledger: Path, statement: str, problem: tuple[str, str, int | None]
) -> None:
    with attacker(ledger) as connection:
        connection.execute(statement)

    assert problem in found(ledger)
