"""What an answer promises about its record, tested with the real thing.

Processes are killed, system calls read, disks are full, read-only, slow or broken.
"""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.store import LedgerReader
from tests.durability import (
    Call,
    end,
    gaps,
    is_answer,
    kill_after,
    lines,
    needs_trace,
    python,
    read_trace,
    start,
    traced,
    unsynced_answers,
    untrue_records,
    without_record,
)

WRITER = "tests.service.ledger_writer"
KILLS = 20


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def told(printed: list[str]) -> dict[str, bool]:
    """What callers were told, by id: True for durable."""
    return {line.split()[1]: line.startswith("durable ") for line in printed}


def of(outcome: bool, printed: list[str]) -> list[str]:
    return [one for one, durable in told(printed).items() if durable is outcome]


@pytest.mark.kill
@pytest.mark.slow
def test_whatever_moment_the_process_is_killed_every_acknowledged_prediction_is_recorded(
    ledger: Path,
) -> None:
    acknowledged: list[str] = []
    for number in range(KILLS):
        # Every other process is copying its log back nearly all the time.
        copying = ["--checkpoint-above", 50_000] if number % 2 else []
        printed = kill_after(start(python(WRITER, ledger, *copying)), 1 + 7 * number)
        acknowledged += of(True, [line for line in printed if len(line.split()) == 2])

    assert len(acknowledged) >= sum(1 + 7 * number for number in range(KILLS))
    assert without_record(ledger, acknowledged) == []
    assert gaps(ledger) == []
    assert LedgerReader(ledger).rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


# Syncs ------------------------------------------------------------------------------------------------------


def trace_of(ledger: Path, synchronous: str) -> tuple[list[Call], list[str]]:
    trace = ledger.with_name("trace")
    command = python(WRITER, ledger, "--count", 60, "--workers", 6, "--synchronous", synchronous)
    with start(traced(command, trace)) as process:
        printed = lines(process.stdout)
    return read_trace(trace), of(True, printed)


@pytest.mark.trace
@needs_trace
def test_the_ledger_is_synced_before_each_acknowledgement_leaves(ledger: Path) -> None:
    calls, acknowledged = trace_of(ledger, "FULL")

    assert len(acknowledged) == 60
    assert unsynced_answers(calls, ledger, acknowledged) == []


@pytest.mark.trace
@needs_trace
def test_the_check_of_the_syncs_reports_every_acknowledgement_when_there_are_none(ledger: Path) -> None:
    calls, acknowledged = trace_of(ledger, "OFF")

    assert len(acknowledged) == 60
    assert unsynced_answers(calls, ledger, acknowledged) == acknowledged


# Disks ------------------------------------------------------------------------------------------------------


def until(outcome: bool, process: subprocess.Popen[str], count: int, printed: list[str]) -> None:
    """Read on until `count` more appends have ended in that way."""
    wanted = "durable " if outcome else "unavailable "
    while count:
        printed += lines(process.stdout, 1)
        count -= printed[-1].startswith(wanted)


@pytest.mark.slow
def test_a_full_disk_is_said_to_every_caller_and_the_ledger_recovers_with_the_disk(ledger: Path) -> None:
    printed: list[str] = []
    with start(python(WRITER, ledger)) as process:
        until(True, process, 50, printed)
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8192, hard))
        until(False, process, 50, printed)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        until(True, process, 50, printed)
        printed += end(process)

    assert untrue_records(ledger, told(printed)) == []
    assert gaps(ledger) == []


def remount(process: subprocess.Popen[str], folder: Path, mode: str) -> None:
    command = ["nsenter", "-t", str(process.pid), "-m", "mount", "-o", f"remount,bind,{mode}", str(folder)]
    subprocess.run(command, check=True, timeout=30)


def why_no_mount() -> str | None:
    """Why a file system cannot be made read-only here, or None when it can."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "needs root, unshare and nsenter"
    trial = subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/tmp", "/tmp"], capture_output=True, check=False
    )
    return None if trial.returncode == 0 else "this machine does not allow a mount of one's own"


@pytest.mark.slow
@pytest.mark.skipif(why_no_mount() is not None, reason=str(why_no_mount()))
def test_on_a_read_only_file_system_callers_are_told_and_the_ledger_recovers_when_it_is_not(
    ledger: Path,
) -> None:
    ledger.with_name("ledger.db.writer-0").touch()
    folder = str(ledger.parent)
    mounts = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    printed: list[str] = []
    with start(
        ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *python(WRITER, ledger)]
    ) as process:
        until(False, process, 30, printed)
        remount(process, ledger.parent, "rw")
        until(True, process, 30, printed)
        printed += end(process)

    assert untrue_records(ledger, told(printed)) == []


def corrections(ledger: Path) -> list[str]:
    query = "SELECT prediction_id FROM predictions_v1 WHERE delivery = 'not_returned'"
    return [row["prediction_id"] for row in LedgerReader(ledger).rows(query)]


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
def test_while_a_sync_hangs_callers_give_up_in_time_and_their_rows_are_corrected(ledger: Path) -> None:
    trace = ledger.with_name("trace")
    command = python(WRITER, ledger, "--count", 80, "--workers", 4, "--within-ms", 200)
    stall = "fdatasync,fsync:delay_enter=2000000:when=6"
    with start(traced(command, trace, stall)) as process:
        printed = lines(process.stdout)

    gave_up = of(False, printed)
    assert gave_up
    assert untrue_records(ledger, told(printed)) == []
    late = corrections(ledger)
    assert late
    assert set(late) <= set(gave_up)
    assert {tuple(row["cards_returned"]) for row in rows_of(ledger, late)} == {
        ("card-of-the-planned-answer",)
    }
    assert_answered_during_the_stall(read_trace(trace), ledger, late)


def rows_of(ledger: Path, ids: list[str]) -> list[dict[str, list[str]]]:
    rows = [LedgerReader(ledger).prediction(one) for one in ids]
    return [row for row in rows if row is not None]


def assert_answered_during_the_stall(calls: list[Call], ledger: Path, late: list[str]) -> None:
    """Their callers were told before the sync of their rows had ended: by order, not by a clock."""
    for one in late:
        written = next(call.ended for call in calls if call.file == f"{ledger}-wal" and one in call.arguments)
        synced = next(
            call
            for call in calls
            if call.file == f"{ledger}-wal" and call.name in {"fdatasync", "fsync"} and call.began > written
        )
        answered = next(call.began for call in calls if is_answer(call) and one in call.arguments)
        assert synced.began < answered < synced.ended


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
@pytest.mark.parametrize("failing", ["when=6", "when=6..9", "when=6+7", "when=3+2"])
def test_whatever_sync_fails_of_ledger_and_spool_records_agree_with_answers(
    ledger: Path, failing: str
) -> None:
    """The threads count their own syncs: those of the ledger and those of the spool fail in turn."""
    spool = ["--spool", ledger.with_name("spool")]
    command = python(WRITER, ledger, "--count", 150, "--workers", 4, "--within-ms", 5000, *spool)
    with start(traced(command, ledger.with_name("trace"), f"fdatasync,fsync:error=EIO:{failing}")) as process:
        printed = lines(process.stdout)
    with start(python(WRITER, ledger, "--count", 0, "--drain", *spool)) as process:
        assert lines(process.stdout) == []

    assert of(True, printed)
    assert untrue_records(ledger, told(printed)) == []
    assert gaps(ledger) == []


@pytest.mark.kill
@pytest.mark.slow
def test_what_was_acknowledged_in_the_spool_is_recorded_whatever_moment_the_process_is_killed(
    ledger: Path,
) -> None:
    spool = ["--spool", ledger.with_name("spool")]
    acknowledged: list[str] = []
    for number in range(KILLS):
        other = sqlite3.connect(ledger, isolation_level=None, timeout=30)
        other.execute("BEGIN IMMEDIATE")
        process = start(python(WRITER, ledger, "--within-ms", 2000, *spool))
        printed = lines(process.stdout, 1 + 7 * number)
        if number % 2:
            other.execute("ROLLBACK")
        printed += kill_after(process, 0 if number % 2 else 20)
        acknowledged += of(True, [line for line in printed if len(line.split()) == 2])
        other.close()
    with start(python(WRITER, ledger, "--count", 0, "--drain", *spool)) as process:
        assert lines(process.stdout) == []

    assert without_record(ledger, acknowledged) == []
    assert gaps(ledger) == []


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
@pytest.mark.parametrize("failing", ["when=6", "when=6..9", "when=6+7"])
def test_a_sync_that_fails_is_said_and_a_row_that_was_written_all_the_same_is_corrected(
    ledger: Path, failing: str
) -> None:
    command = python(WRITER, ledger, "--count", 120, "--workers", 4, "--within-ms", 5000)
    with start(traced(command, ledger.with_name("trace"), f"fdatasync,fsync:error=EIO:{failing}")) as process:
        printed = lines(process.stdout)

    assert of(False, printed)
    assert of(True, printed)
    assert untrue_records(ledger, told(printed)) == []
    assert gaps(ledger) == []
