"""What is looked at when somebody scrapes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds_wrapper.ledger.work import LedgerHealth
from cds_wrapper.metrics import looks, table
from cds_wrapper.metrics.samples import Look


def values(look: Look) -> dict[str, object]:
    return {metric.name: value for metric, _labels, value in look()}


def test_the_ledger_is_asked_anew_at_every_scrape() -> None:
    health = [LedgerHealth(spool_available=True)]
    look = looks.of_ledger(lambda: health[-1])
    before = values(look)
    oldest = datetime(2027, 3, 4, tzinfo=UTC)
    health.append(
        LedgerHealth(
            ledger_available=False, queue_depth=7, spool_records=5, spool_oldest=oldest, lost_total=2
        )
    )
    assert before["ledger_available"] == 1 and before["spool_available"] == 1
    assert before["records_lost_total"] == 0 and "spool_oldest_timestamp_seconds" not in before
    assert values(look) == {
        "ledger_available": 0,
        "spool_available": 0,
        "ledger_queue_depth": 7,
        "spool_records": 5,
        "records_lost_total": 2,
        "spool_oldest_timestamp_seconds": oldest.timestamp(),
    }


def test_an_edition_is_told_by_its_day() -> None:
    look = looks.of_editions(lambda: [("s", "2027-03-01.5f0c6a7d")])
    assert list(look()) == [(table.EVIDENCE_PUBLISHED, ("s",), datetime(2027, 3, 1, tzinfo=UTC).timestamp())]


def test_room_on_the_disk_is_found_out_beside_and_told_at_once(tmp_path: Path) -> None:
    space = looks.Space(tmp_path, every=timedelta(milliseconds=10))
    assert list(space.look()) == []
    space.looking.start()
    until = time.monotonic() + 30
    while not list(space.look()) and time.monotonic() < until:
        time.sleep(0.01)
    space.looking.stop()
    ((metric, _, free),) = space.look()
    assert metric is table.LEDGER_FREE and isinstance(free, int) and free > 0


def test_a_disk_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    space = looks.Space(tmp_path / "gone", every=timedelta(seconds=60))
    space.looking.start()
    space.looking.stop()
    assert list(space.look()) == []
