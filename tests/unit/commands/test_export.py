"""`export` writes the stream's lines again, from the ledger: the same bytes, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.commands.export import MOST_ROWS
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from tests.service.harness import ROOT
from tests.unit.ledger.examples import LONG_ENOUGH, NOON, card_of, opened
from tests.unit.ledger.streams import append, rewrite, streaming


def export(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", "export", *arguments],
        cwd=ROOT,
        env={**os.environ, "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}"},
        capture_output=True,
        check=False,
        timeout=300,
    )


def sequences(output: bytes, schema: str = "prediction.v1") -> list[tuple[str, int]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    return [(line["writer"], line["sequence"]) for line in lines if line["schema"] == schema]


async def recorded(folder: Path, host: str, count: int) -> None:
    """Predictions `host-1` and on, of one writer."""
    ledger = await opened(folder / "ledger.db", host=host)
    await append(ledger, *(f"{host}-{number + 1}" for number in range(count)))
    await ledger.close()


async def with_feedback_and_correction(folder: Path) -> None:
    """Two predictions, feedback about the first, a correction of the second."""
    ledger = await opened(folder / "ledger.db", host="host")
    await append(ledger, "a", "b")
    raw = {"card": card_of("a"), "outcome": "accepted", "outcomeTimestamp": "2027-03-04T12:05:00Z"}
    read = read_feedback_entry(raw, "cvd-risk", "demonstration", NOON)
    assert isinstance(read, FeedbackEntry)
    await ledger.append_feedback([read], LONG_ENOUGH)
    await ledger.close()
    file = LedgerFile(folder / "ledger.db", "host-0")
    file.begin()
    file.add_corrections([Correction("b", ("other",))])
    file.commit()
    file.discard()


async def test_the_lines_are_those_of_the_stream_byte_for_byte(tmp_path: Path) -> None:
    await with_feedback_and_correction(tmp_path)
    async with streaming(tmp_path):
        pass
    streamed = (tmp_path / "predictions.jsonl").read_bytes()

    exported = export(tmp_path, "predictions").stdout + export(tmp_path, "feedback").stdout

    assert exported == streamed and len(streamed.splitlines()) == 4


async def test_a_correction_belongs_to_its_prediction_and_can_be_had_alone(tmp_path: Path) -> None:
    await with_feedback_and_correction(tmp_path)

    def corrections(*arguments: str) -> list[tuple[str, int]]:
        return sequences(export(tmp_path, *arguments).stdout, "correction.v1")

    assert corrections("predictions", "--since", "1") == [("host-0", 1)]
    assert corrections("predictions", "--since", "2") == []
    assert corrections("corrections") == [("host-0", 1)]
    assert corrections("corrections", "--since", "1") == []


async def test_since_is_the_last_sequence_one_has(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 5)

    assert sequences(export(tmp_path, "predictions", "--since", "3").stdout) == [("host-0", 4), ("host-0", 5)]
    assert len(sequences(export(tmp_path, "predictions", "--since", "0").stdout)) == 5
    assert export(tmp_path, "predictions", "--since", "5").stdout == b""


async def test_each_writer_has_its_own_count(tmp_path: Path) -> None:
    await recorded(tmp_path, "one", 3)
    await recorded(tmp_path, "two", 2)

    everything = export(tmp_path, "predictions", "--since", "1").stdout
    assert sequences(everything) == [("one-0", 2), ("one-0", 3), ("two-0", 2)]
    assert sequences(export(tmp_path, "predictions", "--writer", "two-0").stdout) == [
        ("two-0", 1),
        ("two-0", 2),
    ]
    missing = export(tmp_path, "predictions", "--writer", "three-0")
    assert missing.returncode == 3 and b"three-0" in missing.stderr


async def test_more_rows_than_one_snapshot_holds_are_all_written(tmp_path: Path) -> None:
    count = MOST_ROWS + 7
    await recorded(tmp_path, "host", count)

    assert sequences(export(tmp_path, "predictions").stdout) == [("host-0", n + 1) for n in range(count)]


async def test_erased_rows_are_simply_not_there(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 3)
    rewrite(
        tmp_path / "ledger.db",
        "INSERT INTO erasures SELECT 'predictions', writer, sequence, hash, previous_hash, 'now', 'retention'"
        " FROM predictions WHERE sequence <> 2",
        "DELETE FROM predictions WHERE sequence <> 2",
    )

    assert sequences(export(tmp_path, "predictions").stdout) == [("host-0", 2)]


async def test_a_file_is_readable_by_nobody_else_and_never_overwritten_unasked(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 2)
    output = tmp_path / "out" / "lines.jsonl"
    output.parent.mkdir()

    first = export(tmp_path, "predictions", "--output", str(output))
    assert (first.returncode, sequences(output.read_bytes())) == (0, [("host-0", 1), ("host-0", 2)])
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert b"2 lines prediction.v1" in first.stdout

    output.write_bytes(b"mine\n")
    second = export(tmp_path, "predictions", "--output", str(output))
    assert second.returncode == 1 and b"--overwrite" in second.stderr
    assert output.read_bytes() == b"mine\n"

    assert export(tmp_path, "predictions", "--output", str(output), "--overwrite").returncode == 0
    assert sequences(output.read_bytes()) == [("host-0", 1), ("host-0", 2)]
    assert [path.name for path in output.parent.iterdir()] == ["lines.jsonl"], "nothing is left lying about"


async def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 1)

    refused = export(tmp_path, "predictions", "--output", str(tmp_path / "nowhere" / "lines.jsonl"))

    assert refused.returncode == 1 and b"Traceback" not in refused.stderr
    assert b"cannot be written" in refused.stderr and b"nowhere" in refused.stderr


async def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 200)
    command = [sys.executable, "-m", "cds_wrapper.cli", "export", "predictions", "--output"]
    limited = subprocess.run(
        ["prlimit", "--fsize=100000", *command, str(tmp_path / "lines.jsonl")],
        cwd=ROOT,
        env={**os.environ, "CDS_WRAPPER_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}"},
        capture_output=True,
        check=False,
        timeout=300,
    )

    assert limited.returncode == 1 and b"File too large" in limited.stderr
    assert not [path for path in tmp_path.iterdir() if "lines.jsonl" in path.name]


@pytest.mark.parametrize("to_a_file", [False, True])
async def test_a_script_gets_counts_and_where_to_go_on(to_a_file: bool, tmp_path: Path) -> None:
    await with_feedback_and_correction(tmp_path)
    output = ["--output", str(tmp_path / "lines.jsonl")] if to_a_file else []

    done = export(tmp_path, "predictions", "--json", *output)

    assert json.loads(done.stdout if to_a_file else done.stderr) == {
        "what": "predictions",
        "since": 0,
        "format": "jsonl",
        "lines": {"prediction.v1": 2, "correction.v1": 1},
        "last_sequence": {"host-0": 2},
    }


async def test_it_reads_beside_the_writer(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    await append(ledger, "a", "b")
    assert len(sequences(export(tmp_path, "predictions").stdout)) == 2
    await append(ledger, "c")
    assert len(sequences(export(tmp_path, "predictions").stdout)) == 3
    await ledger.close()


async def test_a_reader_that_has_had_enough_ends_it_quietly(tmp_path: Path) -> None:
    await recorded(tmp_path, "host", 200)
    piped = subprocess.run(
        f"{sys.executable} -m cds_wrapper.cli export predictions | head -n 1",
        shell=True,
        cwd=ROOT,
        env={**os.environ, "CDS_WRAPPER_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}"},
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert sequences(piped.stdout) == [("host-0", 1)] and piped.stderr == b""


def test_without_a_ledger_it_says_so_and_makes_none(tmp_path: Path) -> None:
    refused = export(tmp_path, "predictions")

    assert refused.returncode == 2 and b"cannot be read" in refused.stderr
    assert not (tmp_path / "ledger.db").exists()


def test_its_help_has_an_example_and_its_exit_codes(tmp_path: Path) -> None:
    shown = export(tmp_path, "--help")
    assert shown.returncode == 0 and b"Example:" in shown.stdout and b"Exit codes:" in shown.stdout


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "folder"])
async def test_the_ledger_is_never_replaced_by_an_export_nor_is_what_is_no_file(
    tmp_path: Path, name: str
) -> None:
    await recorded(tmp_path, "host", 2)
    (tmp_path / "folder").mkdir()
    (tmp_path / "ledger.db-wal").touch()
    before = (tmp_path / "ledger.db").read_bytes()
    done = export(tmp_path, "predictions", "--output", str(tmp_path / name), "--overwrite")
    assert done.returncode == 1 and b"name another file" in done.stderr
    assert (tmp_path / "ledger.db").read_bytes() == before
