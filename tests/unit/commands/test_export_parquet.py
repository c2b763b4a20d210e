"""`export --format parquet`: a folder that is added to, and snapshots that are replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcomes import Report, Reported, Subject, import_rows
from tests.service.harness import ROOT
from tests.unit.ledger.examples import NOON, opened
from tests.unit.ledger.streams import append

READMITTED = Reported("one", Report.EVENT, patient_fhir_key="p1:51aa07c3e9d24411", happened_at=NOON)


def export(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", "export", *arguments],
        cwd=ROOT,
        env={**os.environ, "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


async def recorded(folder: Path, *ids: str) -> None:
    ledger = await opened(folder / "ledger.db", host="host")
    await append(ledger, *ids)
    await ledger.close()


def rows(folder: Path, dataset: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ds.dataset(folder / dataset, format="parquet").to_table().to_pylist()
    return found


async def test_predictions_are_added_and_what_was_corrected_stands_beside(tmp_path: Path) -> None:
    await recorded(tmp_path, "a", "b")
    arguments = ("predictions", "--format", "parquet", "--output", str(tmp_path / "out"), "--json")
    first = json.loads(export(tmp_path, *arguments).stdout)
    await recorded(tmp_path, "c")
    second = json.loads(export(tmp_path, *arguments).stdout)

    assert first["predictions"] == {"rows": 2, "parts": 1, "last_sequence": {"host-0": 2}}
    assert second["predictions"]["rows"] == 1 and second["corrections"]["rows"] == 0
    assert [row["prediction_id"] for row in rows(tmp_path / "out", "predictions")] == ["a", "b", "c"]


async def test_episodes_are_made_as_of_the_day_and_replaced(tmp_path: Path) -> None:
    await recorded(tmp_path, "a")
    folder = tmp_path / "out"
    wanted = ("episodes", "--format", "parquet", "--output", str(folder), "--service", "cvd-risk", "--as-of")

    states = []
    for day in ("2027-03-05", "2037-03-05"):
        assert export(tmp_path, *wanted, day).returncode == 0
        (row,) = rows(folder, "episodes")
        states.append((row["as_of"], row["state"], row["state_reason"]))

    assert states == [
        (date(2027, 3, 5), "pending", "horizon_not_over"),
        (date(2037, 3, 5), "unverified", "follow_up_not_shown"),
    ]


async def test_outcomes_are_written_with_the_days_they_cover(tmp_path: Path) -> None:
    await recorded(tmp_path, "a")
    subject = Subject("cvd-risk", "cardiovascular disease", "0" * 64, "csv")
    import_rows(beside(tmp_path / "ledger.db"), subject, [(1, READMITTED)])

    written = export(tmp_path, "outcomes", "--format", "parquet", "--output", str(tmp_path / "out"))

    assert written.returncode == 0, written.stderr
    assert [row["report"] for row in rows(tmp_path / "out", "outcomes")] == ["event"]
    assert rows(tmp_path / "out", "follow_up") == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("episodes",), 2, "--format parquet"),
        (("predictions", "--service", "cvd-risk"), 2, "--format parquet"),
        (("decisions", "--format", "parquet", "--output", "out"), 2, "decisions"),
        (("predictions", "--format", "parquet"), 2, "--output DIR"),
        (("episodes", "--format", "parquet"), 2, "--output DIR"),
        (("episodes", "--format", "parquet", "--output", "out", "--service", "nobody"), 3, "cvd-risk"),
        (("outcomes", "--format", "parquet", "--output", "out"), 2, "outcomes import"),
        (("predictions", "--format", "parquet", "--output", "/proc/out"), 1, "/proc/out"),
    ],
)
async def test_what_cannot_be_written_is_said(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    await recorded(tmp_path, "a")
    told = [str(tmp_path / "out") if one == "out" else one for one in arguments]

    result = export(tmp_path, *told)

    assert (result.returncode, said in result.stderr) == (code, True), result.stderr
