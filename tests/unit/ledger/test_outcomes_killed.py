"""An import that is killed again and again leaves the table that one whole run leaves."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.ledger.pseudonyms import new_keys_file
from tests.service.harness import ROOT
from tests.unit.ledger.import_killed import BATCH

ROWS = 6 * BATCH + 3
WHAT = "sequence, outcome_id, report, patient_key, happened_at, is_current"


def table(path: Path) -> Path:
    """Every third row corrects the one before it."""
    lines = [f"{n - (n % 3 == 2)},{n},2026-03-{1 + n % 28:02}" for n in range(ROWS)]
    path.write_text("\n".join(["row,mrn,admitted", *lines, ""]), encoding="utf-8")
    return path


def imported(folder: Path, database: str, last: int) -> int:
    places = [str(folder / name) for name in ("table.csv", database, "keys.json")]
    command = [sys.executable, "-m", "tests.unit.ledger.import_killed", *places, str(last)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode


def asked(database: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.kill
def test_an_import_killed_in_any_batch_goes_on_and_ends_as_one_run_would(tmp_path: Path) -> None:
    table(tmp_path / "table.csv")
    (tmp_path / "keys.json").write_bytes(new_keys_file("test"))

    lengths = []
    for last in (0, BATCH - 1, BATCH + 1, 3 * BATCH, 5 * BATCH + 7, ROWS - 1):
        assert imported(tmp_path, "killed.db", last) == -signal.SIGKILL
        lengths.append(len(asked(tmp_path / "killed.db", "SELECT 1 FROM outcomes")))
    assert asked(tmp_path / "killed.db", "SELECT * FROM follow_up") == [], "nothing is covered before the end"
    assert imported(tmp_path, "killed.db", -1) == 0
    assert imported(tmp_path, "whole.db", -1) == 0

    assert lengths == sorted(lengths) and 0 < lengths[2] < lengths[-1] < ROWS, "else nothing was cut off"
    rows = f"SELECT {WHAT} FROM outcomes_v1 ORDER BY sequence"
    assert asked(tmp_path / "killed.db", rows) == asked(tmp_path / "whole.db", rows)
    counts = "SELECT read, written, same, rejected, done_at IS NOT NULL FROM imports"
    assert asked(tmp_path / "killed.db", counts) == asked(tmp_path / "whole.db", counts)
    assert len(asked(tmp_path / "killed.db", "SELECT 1 FROM follow_up")) == 1
