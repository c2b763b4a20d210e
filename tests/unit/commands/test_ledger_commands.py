"""`check --ledger` and `retention`, as an auditor and an operator run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.commands import retention
from cds_wrapper.commands.retention import _before
from cds_wrapper.commands.table import build
from cds_wrapper.ledger.database import LedgerFile, prepare
from cds_wrapper.ledger.entries import Waiting
from cds_wrapper.ledger.outcome_file import folder_beside
from cds_wrapper.ledger.parquet import MANIFEST, export_rows
from cds_wrapper.ledger.store import LedgerReader
from tests.unit.ledger.attacks import attacker, rewrite_from, written
from tests.unit.ledger.examples import entry


def run(*arguments: str, ledger: Path | None = None) -> Result:
    setting = {"CDS_WRAPPER_LEDGER": f"sqlite:///{ledger}"} if ledger else {}
    environment = {"CDS_WRAPPER_PROFILE": "development", **setting}
    return CliRunner().invoke(build(["check", "retention"]), arguments, env=environment)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return written(tmp_path / "ledger.db")


def test_a_whole_ledger_is_said_to_be_whole_with_its_heads(ledger: Path) -> None:
    checked = run("check", "--ledger", ledger=ledger)

    assert checked.exit_code == 0 and checked.stderr == ""
    assert "predictions of host-0: 9 rows, head 9 " in checked.stdout
    assert checked.stdout.endswith("The ledger is whole.\n")


def test_a_broken_ledger_is_named_row_by_row_and_has_an_exit_code_of_its_own(ledger: Path) -> None:
    with attacker(ledger) as connection:
        connection.execute("UPDATE predictions SET score = 0.9 WHERE sequence IN (3, 6, 8)")
        connection.execute("DELETE FROM feedback WHERE sequence BETWEEN 4 AND 5")

    checked = run("check", "--ledger-file", str(ledger))
    assert checked.exit_code == 6
    assert (
        "BROKEN  predictions, writer host-0, row 3, prediction prediction-3: content does not"
        in checked.stdout
    )
    assert "; 2 more like it" in checked.stdout
    assert "BROKEN  feedback, writer host-0, rows 4 to 5: rows are missing" in checked.stdout
    assert "NOT whole" in checked.stdout


def document(*arguments: str, ledger: Path, code: int = 0) -> dict[str, Any]:
    ran = run(*arguments, "--json", ledger=ledger)
    assert ran.exit_code == code, ran.stderr
    read: dict[str, Any] = json.loads(ran.stdout)
    return read


def test_what_one_audit_printed_is_compared_by_a_later_one(ledger: Path, tmp_path: Path) -> None:
    noted = tmp_path / "heads.json"
    noted.write_text(json.dumps(document("check", "--ledger", ledger=ledger)))
    assert run("check", "--heads", str(noted), ledger=ledger).exit_code == 0
    with attacker(ledger) as connection:
        rewrite_from(connection, "predictions", 4, score=0.001)

    assert document("check", "--ledger", ledger=ledger)["whole"] is True
    (finding,) = document("check", "--heads", str(noted), ledger=ledger, code=6)["findings"]
    assert (finding["problem"], finding["table"], finding["sequence"]) == (
        "noted_head_differs",
        "predictions",
        9,
    )


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"heads": [{"chain": 1}]}', None])
def test_heads_that_cannot_be_read_are_refused_in_one_sentence(
    ledger: Path, tmp_path: Path, content: bytes | None
) -> None:
    noted = tmp_path / "heads.json"
    if content is not None:
        noted.write_bytes(content)
    checked = run("check", "--heads", str(noted), ledger=ledger)

    assert checked.exit_code == 2
    assert checked.stderr.count("\n") == 1 and str(noted) in checked.stderr


def test_a_ledger_that_is_not_there_is_refused_in_one_sentence(tmp_path: Path) -> None:
    checked = run("check", "--ledger", ledger=tmp_path / "missing.db")

    assert checked.exit_code == 2
    missing = f"{tmp_path / 'missing.db'} cannot be opened (SQLITE_CANTOPEN)"
    assert checked.stderr == f"{missing}: the setting CDS_WRAPPER_LEDGER names the ledger.\n"


# Retention --------------------------------------------------------------------------------------------------


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    prepare(path)
    file = LedgerFile(path, "host-0")
    file.begin()
    for days in (1, 200, 700, 900, 1000):
        moment = datetime.now(UTC) - timedelta(days=days)
        file.add_predictions([Waiting(entry(prediction_id=f"d{days}", occurred_at=moment), timedelta())])
    file.commit()
    file.discard()
    return path


def left(path: Path) -> list[str]:
    return [str(one["prediction_id"]) for one in LedgerReader(path).rows("SELECT * FROM predictions_v1")]


def test_retention_counts_what_is_due_and_erases_nothing_in_a_dry_run(aged: Path) -> None:
    counted = document("retention", "--dry-run", ledger=aged)

    assert counted["due"] == {"predictions": 2, "unmatched_feedback": 0}
    assert len(left(aged)) == 5


def test_retention_erases_what_is_older_than_25_months_unless_told_otherwise(aged: Path) -> None:
    erased = run("retention", ledger=aged)

    assert erased.exit_code == 0
    assert ": 2 predictions, 0 corrections, 0 feedback entries." in erased.stdout
    assert sorted(left(aged)) == ["d1", "d200", "d700"]
    checked = run("check", "--ledger", ledger=aged)
    assert "3 rows (2 erased)" in checked.stdout and "reason retention P25M" in checked.stdout
    assert document("retention", "--older-than", "P1Y", ledger=aged)["erased"]["predictions"] == 1


@pytest.fixture
def exported(aged: Path) -> Path:
    """What a review exported, and a further folder."""
    assert MANIFEST == retention.MANIFEST
    for folder in (folder_beside(aged), aged.with_name("lake")):
        export_rows(aged, folder)
    return folder_beside(aged)


def in_parquet(folder: Path) -> list[str]:
    parts = [pq.ParquetFile(path).read().to_pylist() for path in folder.rglob("*.parquet")]
    return sorted(str(row["prediction_id"]) for part in parts for row in part)


def test_retention_takes_the_same_rows_out_of_the_folder_beside_and_of_those_it_is_told_of(
    aged: Path, exported: Path
) -> None:
    lake = aged.with_name("lake")
    assert "taken out of the Parquet in" in run("retention", "--dry-run", ledger=aged).stdout
    erased = run("retention", ledger=aged)
    assert f"{exported}: 2 rows taken out; 2 parts gone, 0 written again." in erased.stdout
    assert "Not reached: folders not named" in erased.stdout
    assert in_parquet(exported) == sorted(left(aged)) and len(in_parquet(lake)) == 5
    told = document("retention", "--exported", str(lake), ledger=aged)["exported"]
    assert [told[str(folder)]["rows"] for folder in (exported, lake)] == [0, 2]
    assert in_parquet(lake) == sorted(left(aged))


def test_a_folder_that_nothing_was_exported_to_is_refused_before_anything_is_erased(aged: Path) -> None:
    refused = run("retention", "--exported", str(aged.parent), ledger=aged)
    assert refused.exit_code == 2 and "no `export` wrote into it" in refused.stderr
    assert len(left(aged)) == 5


WITHOUT_PYARROW = """
import sys


class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Lacking())
from cds_wrapper.commands.table import build

build(["retention", "check"])(["retention"])
"""


def test_parquet_that_cannot_be_written_here_is_not_passed_over_in_silence(
    aged: Path, exported: Path
) -> None:
    environment = {
        **os.environ,
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_LEDGER": f"sqlite:///{aged}",
    }
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYARROW], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 7, ended.stderr
    assert f"{exported} STILL HOLDS rows that were erased" in ended.stderr and "[monitor]" in ended.stderr
    assert len(left(aged)) == 3 and len(in_parquet(exported)) == 5


def test_files_of_the_stream_that_still_hold_such_rows_are_named(aged: Path) -> None:
    stream = aged.with_name("predictions.jsonl")
    days = {"": "2026-09-01", ".1": "2024-01-01", ".2": "2023-01-01", ".cursor": "2023-01-01"}
    for name, day in days.items():
        line = json.dumps({"ts": f"{day}T00:00:00.000Z", "schema": "prediction.v1"}, separators=(",", ":"))
        stream.with_name(stream.name + name).write_text(line + "\n")
    told = document("retention", ledger=aged)["streams_left"]
    assert told == [f"{stream}.1", f"{stream}.2"]
    assert f"  {stream}.2" in run("retention", ledger=aged).stdout


@pytest.mark.parametrize("duration", ["25", "P", "P25D", "P0M", "PT5H", "P9999Y", "-P25M", "P5M"])
def test_a_duration_that_is_none_or_too_short_erases_nothing(aged: Path, duration: str) -> None:
    refused = run("retention", f"--older-than={duration}", ledger=aged)

    assert refused.exit_code == 2
    assert f"--older-than {duration}" in refused.stderr
    assert len(left(aged)) == 5


@pytest.mark.parametrize(
    ("duration", "now", "before"),
    [
        ("P25M", "2027-03-04", "2025-02-04"),
        ("P1Y", "2028-02-29", "2027-03-01"),
        ("P6M", "2027-08-31", "2027-03-01"),
        ("P2Y6M", "2027-03-04", "2024-09-04"),
        ("P30W", "2027-12-31", "2027-06-04"),
        ("P1Y1D", "2027-03-04", "2026-03-03"),
        ("P12M", "2027-12-31", "2026-12-31"),
    ],
)
def test_a_duration_is_counted_by_the_calendar(duration: str, now: str, before: str) -> None:
    moment = _before(duration, datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert moment.date().isoformat() == before


def test_a_ledger_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    refused = run("retention", ledger=tmp_path / "missing.db")

    assert refused.exit_code == 2
    assert refused.stderr == f"{tmp_path / 'missing.db'} cannot be written (SQLITE_CANTOPEN).\n"


@pytest.mark.parametrize("command", ["check", "retention"])
def test_the_help_names_an_example_and_every_exit_code(command: str) -> None:
    shown = run(command, "--help").stdout

    assert "Example:" in shown and "Exit codes:" in shown
    assert all(f"{code} " in shown for code in ((0, 2, 6) if command == "check" else (0, 2, 7)))
