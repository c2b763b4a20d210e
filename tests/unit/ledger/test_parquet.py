"""Parquet holds what the ledger holds: every row once, whatever an export went through."""

from __future__ import annotations

import hashlib
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import parquet
from cds_wrapper.ledger.columns import COLUMNS, Kind
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction, Waiting
from cds_wrapper.ledger.parquet import MANIFEST, export_rows
from cds_wrapper.ledger.store import LedgerReader
from tests.durability import ROOT
from tests.unit.ledger.examples import NOON, card_of, entry, feedback

SERVICES = ("cvd-risk", "readmission")


def record(path: Path, ids: Sequence[str], writer: str = "host-0", services: int = 1) -> None:
    """Predictions, eleven hours apart and of one service after the other."""
    path.touch()
    file = LedgerFile(path, writer)
    file.begin()
    file.add_predictions(
        [
            Waiting(
                entry(
                    prediction_id=one,
                    occurred_at=NOON + timedelta(hours=11 * place),
                    service_id=SERVICES[place % services],
                ),
                timedelta(),
            )
            for place, one in enumerate(ids)
        ]
    )
    file.commit()
    file.discard()


def exported(folder: Path, what: str = "count(*)", dataset: str = "predictions") -> list[tuple[Any, ...]]:
    """What somebody sees who reads the whole folder."""
    query = f"SELECT {what} FROM read_parquet('{folder}/{dataset}/**/*.parquet', hive_partitioning=false)"
    rows: list[tuple[Any, ...]] = duckdb.connect().execute(query).fetchall()
    return rows


def manifest(folder: Path) -> Any:
    there = folder / MANIFEST
    return json.loads(there.read_bytes()) if there.exists() else {}


def test_every_row_is_there_once_however_often_it_is_run(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, [f"a{n}" for n in range(7)], services=2)
    record(ledger, ["b0"], "host-1")

    assert export_rows(ledger, folder).rows == 8
    assert export_rows(ledger, folder).rows == 0
    record(ledger, ["a7", "a8"])
    again = export_rows(ledger, folder)

    assert (again.rows, dict(again.last_sequence)) == (2, {"host-0": 9, "host-1": 1})
    assert exported(folder, "count(*), count(DISTINCT prediction_id)") == [(10, 10)]


def test_parts_stand_by_service_and_day_and_the_manifest_names_each_with_its_digest(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, [f"a{n}" for n in range(7)], services=2)

    export_rows(ledger, folder)

    found = manifest(folder)["predictions"]
    assert found["last_sequence"] == {"host-0": 7}
    assert sum(part["rows"] for part in found["parts"]) == found["rows"] == 7
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")} == {
        part["file"] for part in found["parts"]
    }
    for part in found["parts"]:
        path = folder / part["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part["sha256"]
        assert pq.ParquetFile(path).metadata.num_rows == part["rows"]
    assert "predictions/service_id=cvd-risk/day=2027-03-04/part-host-0-1-7.parquet" in {
        part["file"] for part in found["parts"]
    }
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 in ({0} if "lock" not in path.name else {0, 0o44})


def test_a_row_is_the_same_there_as_in_the_ledger(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, ["a"])
    export_rows(ledger, folder)
    (part,) = folder.rglob("*.parquet")

    (row,) = pq.ParquetFile(part).read().to_pylist()
    (recorded,) = LedgerReader(ledger).rows("SELECT * FROM predictions")

    assert list(row) == [column.name for column in COLUMNS]
    for column in COLUMNS:
        value = row[column.name]
        if column.kind is Kind.TIMESTAMP and value is not None:
            value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if column.kind is Kind.JSON and value is not None:
            value = json.loads(value)
        assert value == recorded[column.name], column.name


def test_corrections_feedback_and_groups_stand_beside(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, ["a", "b"])
    file = LedgerFile(ledger, "host-0")
    file.begin()
    file.add_corrections([Correction("b", ("other",))])
    file.add_feedback([feedback(card_of("a"))])
    file.commit()
    file.discard()

    for dataset in ("predictions", "corrections", "feedback", "prediction_subgroups"):
        export_rows(ledger, folder, dataset)

    assert exported(folder, "prediction_id, delivery", "corrections") == [("b", "not_returned")]
    assert exported(folder, "prediction_id, outcome", "feedback") == [("a", "overridden")]
    assert exported(folder, "DISTINCT delivery") == [("sent",)], "a part that was written stays as it is"
    view = LedgerReader(ledger).rows("SELECT count(*) AS n FROM prediction_subgroups_v1")[0]["n"]
    assert exported(folder, dataset="prediction_subgroups") == [(view,)] and view > 10


def test_long_stretches_and_erased_rows_leave_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, [f"a{n}" for n in range(23)])
    short = parquet.Stream("predictions", "predictions", COLUMNS, "occurred_at", 4)
    monkeypatch.setitem(parquet.STREAMS, "predictions", short)

    assert export_rows(ledger, folder, since=3).rows == 20
    assert exported(folder, "count(*), min(sequence), max(sequence)") == [(20, 4, 23)]


def test_a_view_is_the_same_stretch_by_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, [f"a{n}" for n in range(9)])
    record(ledger, [f"b{n}" for n in range(5)], "host-1")
    whole = parquet.STREAMS["prediction_subgroups"]
    monkeypatch.setitem(parquet.STREAMS, "prediction_subgroups", replace(whole, stretch=2))

    export_rows(ledger, folder, "prediction_subgroups")

    columns = "prediction_id, attribute, level, view, missing"
    view = LedgerReader(ledger).rows(f"SELECT {columns} FROM prediction_subgroups_v1")
    assert sorted(exported(folder, columns, "prediction_subgroups"), key=repr) == sorted(
        (tuple(row.values()) for row in view), key=repr
    )


def test_parts_that_no_manifest_names_are_not_read_twice(tmp_path: Path) -> None:
    """An export that was cut off before its manifest; by the next one, the ledger has grown."""
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    record(ledger, ["a0", "a1"])
    export_rows(ledger, folder)
    (folder / MANIFEST).unlink()
    record(ledger, ["a2"])

    export_rows(ledger, folder)

    assert exported(folder) == [(3,)]


def test_a_ledger_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db"):
        export_rows(tmp_path / "ledger.db", tmp_path / "out")


@pytest.mark.kill
@pytest.mark.slow
def test_after_kill_9_at_any_point_the_next_export_makes_it_whole(tmp_path: Path) -> None:
    """Killed with parts written and not named, and before its first, second and third manifest."""
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    killed = unnamed = 0
    for turn in range(6):
        record(ledger, [f"{turn}-{n}" for n in range(40)])
        command = [
            sys.executable,
            "-m",
            "tests.unit.ledger.export_killed",
            str(ledger),
            str(folder),
            str(turn),
        ]
        killed += subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode == -signal.SIGKILL
        named = [folder / part["file"] for part in manifest(folder).get("predictions", {}).get("parts", [])]
        assert all(pq.ParquetFile(path).metadata.num_rows for path in named), "what is named is whole"
        unnamed += len(set(folder.rglob("*.parquet")) - set(named))

    export_rows(ledger, folder)

    assert killed == 6 and unnamed > 0, "else nothing was cut off"
    assert exported(folder, "count(*), count(DISTINCT prediction_id)") == [(240, 240)]
    assert manifest(folder)["predictions"]["rows"] == 240
