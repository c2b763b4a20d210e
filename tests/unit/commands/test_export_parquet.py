"""`export --format parquet`: parts by service and day that grow, a manifest that names them, none twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from cds_wrapper.ledger.columns import COLUMNS
from cds_wrapper.ledger.parquet import MANIFEST, export_rows
from tests.unit.commands.test_export import export, recorded


async def test_a_second_export_adds_what_is_new_and_the_manifest_names_every_part(tmp_path: Path) -> None:
    await recorded(tmp_path, "cds1", 5)
    folder = tmp_path / "exported"
    first = export_rows(tmp_path / "ledger.db", folder)
    again = export_rows(tmp_path / "ledger.db", folder)

    manifest = json.loads((folder / "predictions" / MANIFEST).read_text())
    assert (first.rows, again.rows) == (5, 0)
    assert manifest["rows"] == 5 == sum(part["rows"] for part in manifest["parts"])
    for part in manifest["parts"]:
        file = folder / "predictions" / part["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == part["sha256"]
        assert part["file"].startswith("service_id=")
        assert pq.ParquetFile(file).schema_arrow.names == [column.name for column in COLUMNS]


async def test_a_part_that_no_manifest_names_is_written_again_and_not_twice(tmp_path: Path) -> None:
    await recorded(tmp_path, "cds1", 3)
    folder = tmp_path / "exported"
    export_rows(tmp_path / "ledger.db", folder)
    (folder / "predictions" / MANIFEST).unlink()

    export_rows(tmp_path / "ledger.db", folder)

    parts = list((folder / "predictions").rglob("*.parquet"))
    assert sum(pq.ParquetFile(part).metadata.num_rows for part in parts) == 3
    assert not list(folder.rglob("*.making"))


async def test_the_command_needs_a_folder(tmp_path: Path) -> None:
    await recorded(tmp_path, "cds1", 1)

    assert export(tmp_path, "predictions", "--format", "parquet").returncode == 2
    assert export(tmp_path, "episodes").returncode == 2
    done = export(tmp_path, "predictions", "--format", "parquet", "--output", str(tmp_path / "out"), "--json")
    assert json.loads(done.stdout)["rows"] == 1
