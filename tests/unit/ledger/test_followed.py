"""A further ledger has what the first has of reviews, whatever came between them."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_values import NewReview
from cds_wrapper.ledger.editions import (
    close_finding,
    findings_in,
    kept_in,
    published_in,
    record_review,
    review_result,
    reviews_in,
)
from cds_wrapper.ledger.followed import follow
from tests.unit.ledger.attacks import write
from tests.unit.ledger.test_audit_reviews import DETAIL, result
from tests.unit.ledger.test_editions import BOOK, DAY, FINDING, SUBJECT, edition, review

TWO = replace(FINDING, finding_id="here-2", review_id="r2")


@pytest.fixture
def ledgers(tmp_path: Path) -> tuple[Path, Path]:
    both = tmp_path / "one.db", tmp_path / "two.db"
    for ledger in both:
        prepare(ledger)
    record_review(both[0], review(1), [FINDING], edition(1, b'{"n": 1}'))
    return both


def test_what_it_lacks_is_copied_once_with_the_files_it_names(ledgers: tuple[Path, Path]) -> None:
    one, two = ledgers
    assert follow(one, two) == 3
    record_review(one, review(2), [TWO], edition(2, b'{"n": 2}'))
    record_review(one, review(3))
    close_finding(one, "here-1", "owner", "chair", "explained")
    assert follow(one, two) == 5
    assert follow(one, two) == 0
    assert findings_in(two) == findings_in(one) and published_in(two) == published_in(one)
    assert reviews_in(two, "cvd-risk") == reviews_in(one, "cvd-risk")
    for published in published_in(two)["cvd-risk"]:
        assert kept_in(two, published.local_digest) == kept_in(one, published.local_digest) is not None
    assert kept_in(two, BOOK.digest) == kept_in(one, BOOK.digest)
    (past, *_) = reviews_in(two, "cvd-risk")
    assert review_result(two, past.result_digest) == b'{"n": 1}'


def test_its_own_predictions_stay_as_they_are_and_the_ledger_is_whole(tmp_path: Path) -> None:
    one, served = tmp_path / "one.db", tmp_path / "served.db"
    prepare(one)
    finding = replace(FINDING, detail=DETAIL)
    told = NewReview("r1", SUBJECT, DAY, result(SUBJECT, DAY, finding, edition=None))
    record_review(one, told, [finding])
    write(served, range(1, 6))
    assert follow(one, served) == 2
    assert audit(served).findings == ()
    with contextlib.closing(sqlite3.connect(served)) as database:
        assert database.execute("SELECT count(*) FROM predictions").fetchone() == (5,)


def test_one_that_is_away_or_locked_is_told_of_and_reached_the_next_time(
    ledgers: tuple[Path, Path], tmp_path: Path
) -> None:
    one, two = ledgers
    for pair in ((one, tmp_path / "none.db"), (tmp_path / "none.db", two)):
        with pytest.raises(LedgerUnavailable, match="did NOT reach it"):
            follow(*pair)
    with contextlib.closing(sqlite3.connect(two, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="did NOT reach it"):
            follow(one, two, timedelta(milliseconds=10))
    assert findings_in(two) == ()
    assert follow(one, two) == 3
