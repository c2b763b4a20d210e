"""What `check` says of the spool: what it holds, and whether it stands where it would help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds_wrapper.ledger.entries import Correction
from cds_wrapper.ledger.spool import Spool
from cds_wrapper.ledger.spool_lines import Draft
from cds_wrapper.ledger.spool_report import report_on

AT = datetime(2027, 3, 4, 12, tzinfo=UTC)


def test_a_spool_on_the_ledgers_own_disk_is_warned_of_before_either_is_there(tmp_path: Path) -> None:
    report = report_on(tmp_path / "a" / "ledger.db", tmp_path / "b" / "spool")

    (warning,) = report.warnings
    assert "CDS_WRAPPER_SPOOL" in str(warning) and "the ledger's own disk" in str(warning)
    assert str(report).endswith("empty")


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == Path("/").stat().st_dev,
    reason="this machine has no second file system",
)
def test_one_on_another_disk_is_not(tmp_path: Path) -> None:
    assert report_on(tmp_path / "ledger.db", Path("/dev/shm/not-there/spool")).warnings == ()


def test_it_says_how_much_waits_and_since_when_and_disturbs_nobody(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    spool.append(
        [Draft(Correction(name, None), AT + timedelta(seconds=int(name)), timedelta()) for name in "123"]
    )
    spool.drained(spool.read(1, spool.end))
    report = report_on(tmp_path / "ledger.db", spool.folder)

    assert (report.records, report.oldest) == (2, AT + timedelta(seconds=2))
    assert report.size == spool.size > 0
    assert "2 waiting for the ledger" in str(report) and "2027-03-04 12:00:02 UTC" in str(report)
    assert report.plain()["records"] == 2
    spool.drained(spool.read(9, spool.end))
    assert report_on(tmp_path / "ledger.db", spool.folder).records == 0
    spool.close()


def test_one_that_cannot_be_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "spool" / "cursor.json").mkdir(parents=True)

    assert "cannot be read" in str(report_on(tmp_path / "ledger.db", tmp_path / "spool").warnings[-1])
