"""What retention erases in the ledger goes out of exported Parquet too, row by row, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cds_wrapper.ledger import parquet_erasure
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction, Waiting
from cds_wrapper.ledger.outcome_columns import OUTCOME_COLUMNS
from cds_wrapper.ledger.outcome_file import erase_before, opened
from cds_wrapper.ledger.parquet import MANIFEST, export_rows, export_snapshot
from cds_wrapper.ledger.parquet_erasure import erase_exported
from cds_wrapper.ledger.retention import erase
from tests.durability import ROOT
from tests.unit.ledger.attacks import feedback
from tests.unit.ledger.examples import NOON, card_of, entry
from tests.unit.ledger.test_parquet import exported, manifest

DATASETS = ("predictions", "prediction_subgroups", "corrections", "feedback")
MIDNIGHT = NOON.replace(hour=0)


def written(path: Path, hours: int = 6, count: int = 12, writer: str = "host-0") -> None:
    """Predictions before and after noon of some days, each corrected and with feedback, written today."""
    path.touch()
    file = LedgerFile(path, writer)
    file.begin()
    moments = [NOON + timedelta(hours=hours * number) for number in range(count)]
    file.add_predictions(
        [
            Waiting(entry(prediction_id=f"{writer}-{number}", occurred_at=at), timedelta())
            for number, at in enumerate(moments)
        ]
    )
    file.add_corrections([Correction(f"{writer}-{number}", ("late",)) for number in range(count)])
    file.add_feedback([feedback(card_of(f"{writer}-{number}"), minutes=number) for number in range(count)])
    file.commit()
    file.discard()


def all_exported(ledger: Path, folder: Path) -> None:
    for dataset in DATASETS:
        export_rows(ledger, folder, dataset)


def erased(ledger: Path, folder: Path, hours: int) -> parquet_erasure.Taken:
    """Erase what is from before so many hours after noon, in the ledger and then in the folder."""
    erase(ledger, NOON + timedelta(hours=hours), "retention P25M")
    return erase_exported(ledger, ledger.with_name("ledger-outcomes.db"), folder)


def ids(folder: Path, dataset: str) -> set[str]:
    return {row[0] for row in exported(folder, "DISTINCT prediction_id", dataset)}


def is_as_its_manifest_says(folder: Path) -> bool:
    parts = [part for one in manifest(folder).values() if isinstance(one, dict) for part in one["parts"]]
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("part-*")}
    rows = [pq.ParquetFile(folder / part["file"]).metadata.num_rows for part in parts]
    digests = [hashlib.sha256((folder / part["file"]).read_bytes()).hexdigest() for part in parts]
    named = {part["file"] for part in parts}
    return (
        on_disk == named
        and rows == [part["rows"] for part in parts]
        and digests == [part["sha256"] for part in parts]
    )


def test_every_dataset_lets_go_of_the_erased_predictions_and_of_no_other(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    written(ledger)
    written(ledger, writer="host-1")
    all_exported(ledger, folder)
    whole = {name: sorted(exported(folder, "*", name), key=str) for name in DATASETS}

    taken = erased(ledger, folder, hours=20)  # in the middle of the second day: 4 predictions of each writer

    left = {f"{writer}-{number}" for writer in ("host-0", "host-1") for number in range(4, 12)}
    for dataset in DATASETS:
        assert ids(folder, dataset) == left, dataset
        kept = sorted(exported(folder, "*", dataset), key=str)
        assert kept == [row for row in whole[dataset] if row in kept], "what is left is as it was"
    assert exported(folder) == [(16,)] and manifest(folder)["predictions"]["rows"] == 16
    assert taken.rows > 3 * 8 and taken.gone and taken.rewritten
    assert is_as_its_manifest_says(folder)


def test_the_next_export_adds_what_is_new_and_brings_nothing_back(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    written(ledger)
    all_exported(ledger, folder)
    erased(ledger, folder, hours=20)
    assert export_rows(ledger, folder).rows == 0
    written(ledger, writer="host-1", count=1)
    assert export_rows(ledger, folder).rows == 1
    assert len(ids(folder, "predictions")) == 9
    assert erased(ledger, folder, hours=20).rows == 1, "a row from before the cut that came after it"
    assert len(ids(folder, "predictions")) == 8
    again = erased(ledger, folder, hours=20)
    assert (again.rows, again.gone, again.rewritten) == (0, [], [])


def test_when_all_is_erased_a_folder_can_still_be_read(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    written(ledger)
    all_exported(ledger, folder)
    erased(ledger, folder, hours=1_000)
    assert [exported(folder, dataset=name) for name in DATASETS] == [[(0,)]] * 4
    assert is_as_its_manifest_says(folder)
    assert [path for path in folder.rglob("day=2027*") if not any(path.iterdir())] == []


def test_days_that_people_deleted_before_are_no_obstacle(tmp_path: Path) -> None:
    ledger, folder = tmp_path / "ledger.db", tmp_path / "out"
    written(ledger)
    all_exported(ledger, folder)
    (first, *_) = sorted(folder.glob("predictions/*/day=*"))
    for path in first.iterdir():
        path.unlink()
    first.rmdir()
    taken = erased(ledger, folder, hours=20)
    assert ids(folder, "predictions") == {f"host-0-{number}" for number in range(4, 12)}
    assert taken.rows > 0 and is_as_its_manifest_says(folder)


def test_outcomes_and_episodes_in_the_folder_are_what_is_left_beside_the_ledger(tmp_path: Path) -> None:
    ledger, folder, outcomes = tmp_path / "ledger.db", tmp_path / "out", tmp_path / "ledger-outcomes.db"
    written(ledger)
    names = [column.name for column in OUTCOME_COLUMNS]
    with opened(outcomes) as store:
        for number, day in enumerate((date(2024, 1, 1), date(2027, 3, 5)), start=1):
            told = {
                "sequence": number,
                "recorded_at": "2027-03-06T00:00:00.000Z",
                "outcome_id": f"o{number}",
                "service_id": "s",
                "outcome": "o",
                "report": "event",
                "happened_at": f"{day}T00:00:00.000Z",
                "source": "csv",
                "import_id": "i",
            }
            store.execute(
                f"INSERT INTO outcomes VALUES ({', '.join('?' * len(names))})", [told.get(n) for n in names]
            )
    export_snapshot(outcomes, folder, "outcomes", "s")
    assert exported(folder, "outcome_id", "outcomes") == [("o1",), ("o2",)]
    erase_before(outcomes, MIDNIGHT)
    erase_exported(ledger, outcomes, folder)
    assert exported(folder, "outcome_id", "outcomes") == [("o2",)]


KILLED = """
import os, signal, sys
from pathlib import Path
from cds_wrapper.ledger import parquet_erasure
from tests.unit.ledger.export_killed import killing

ledger, folder, call, turn = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
setattr(parquet_erasure, call, killing(getattr(parquet_erasure, call), turn))
parquet_erasure.erase_exported(ledger, ledger.with_name("none.db"), folder)
"""


@pytest.mark.kill
def test_an_erasure_that_is_killed_goes_on_and_leaves_whole_files(tmp_path: Path) -> None:
    for call, turns in (("write", (0, 1)), ("sync", (0,)), ("keep", (0, 2))):
        for turn in turns:
            folder, ledger = tmp_path / f"{call}-{turn}", tmp_path / f"{call}-{turn}.db"
            written(ledger)
            all_exported(ledger, folder)
            erase(ledger, NOON + timedelta(hours=20), "retention P25M")
            command = [sys.executable, "-c", KILLED, str(ledger), str(folder), call, str(turn)]
            assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL, (call, turn)
            for path in folder.rglob("*.parquet"):
                pq.ParquetFile(path).read()
            erase_exported(ledger, tmp_path / "none.db", folder)
            for dataset in DATASETS:
                assert len(ids(folder, dataset)) == 8, (call, turn, dataset)
            assert is_as_its_manifest_says(folder)
            json.loads((folder / MANIFEST).read_bytes())
