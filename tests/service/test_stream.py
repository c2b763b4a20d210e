"""The prediction stream of a real server under load: it agrees with ledger, export and answers."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.harness import ROOT, copy_hooks, request_of
from tests.service.servers import Server, demo_vendor, server

TINY: dict[str, Any] = {"CDS_WRAPPER_STREAM_MAX_BYTES": "60000", "CDS_WRAPPER_STREAM_KEEP": "1000"}
KILLS = 5
CALLERS = 8


def stream_files(folder: Path, name: str = "predictions.jsonl") -> list[Path]:
    """The stream's files, the oldest first."""
    numbered = [path for path in folder.glob(f"{name}.*") if path.suffix[1:].isdigit()]
    files = [*sorted(numbered, key=lambda path: -int(path.suffix[1:])), folder / name]
    return [path for path in files if path.exists()]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Every whole line; one that a kill tore is no line."""
    found = []
    for path in stream_files(folder):
        for line in path.read_bytes().splitlines(keepends=True):
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


def places(folder: Path) -> collections.Counter[tuple[str, int]]:
    """How often each prediction has a line."""
    lines = (line for line in lines_of(folder) if line["schema"] == "prediction.v1")
    return collections.Counter((line["writer"], line["sequence"]) for line in lines)


def cards_of(folder: Path) -> set[str]:
    """Every card that a line says was returned."""
    return {card for line in lines_of(folder) for card in line.get("cards_returned") or ()}


def in_ledger(ledger: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        return database.execute(query).fetchall()


def cursor_of(folder: Path) -> int:
    """Up to which prediction the saved cursor says that lines are written; 0 before it is saved first."""
    cursor = folder / "predictions.jsonl.cursor"
    saved = json.loads(cursor.read_bytes())["places"] if cursor.exists() else []
    return max((one["sequence"] for one in saved if one["table"] == "predictions"), default=0)


def wait_until_caught_up(folder: Path) -> None:
    """Until what earlier processes recorded is in the stream, and the cursor says so."""
    (recorded,) = in_ledger(folder / "ledger.db", "SELECT COALESCE(MAX(sequence), 0) FROM predictions")
    until(lambda: cursor_of(folder) >= recorded[0])


def exported(folder: Path) -> list[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", "export", "predictions"],
        cwd=ROOT,
        env={**os.environ, "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


async def load(running: Server, calls: int, on_half: Callable[[], Any] = lambda: None) -> list[str]:
    """So many calls by several callers, until the server is gone; the ids of the cards they were given."""
    given: list[str] = []
    left = iter(range(calls))
    half = asyncio.Event()
    body = json.dumps(request_of("black-35")).encode()

    async def caller(client: httpx.AsyncClient) -> None:
        for _ in left:
            try:
                response = await client.post(
                    f"{running.url}/cds-services/cvd-risk",
                    content=body,
                    headers={"content-type": "application/json"},
                )
            except httpx.TransportError:
                return
            if response.status_code == 200:
                given.extend(card["uuid"] for card in response.json()["cards"])
            if len(given) >= calls // 2 and not half.is_set():
                half.set()
                on_half()

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=CALLERS), timeout=20) as client:
        await asyncio.gather(*(caller(client) for _ in range(CALLERS)))
    return given


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def streamed(running: Server) -> dict[str, Any]:
    """What `/readyz` says of the stream."""
    said: dict[str, Any] = httpx.get(f"{running.url}/readyz").json()["stream"]
    return said


async def test_under_load_and_over_rotations_stream_export_ledger_and_answers_agree(tmp_path: Path) -> None:
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks, **TINY) as running:
            given = await load(running, 300)
            until(lambda: sum(places(tmp_path).values()) >= 300)
            assert streamed(running) == {"available": True, "lag_rows": 0}
            assert sorted(exported(tmp_path)) == sorted(
                line for path in stream_files(tmp_path) for line in path.read_bytes().splitlines()
            )
    recorded = in_ledger(tmp_path / "ledger.db", "SELECT writer, sequence FROM predictions")

    assert len(given) == 300 == len(recorded)
    assert places(tmp_path) == collections.Counter(dict.fromkeys(recorded, 1))
    assert set(given) == cards_of(tmp_path)
    files = stream_files(tmp_path)
    assert len(files) > 5 and max(path.stat().st_size for path in files) <= 60_000
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "predictions.jsonl.cursor").stat().st_mode) == 0o600


@pytest.mark.kill
@pytest.mark.slow
async def test_after_kills_under_load_no_line_is_missing_and_none_behind_the_cursor_comes_again(
    tmp_path: Path,
) -> None:
    given: list[str] = []
    killed_at: list[tuple[int, collections.Counter[tuple[str, int]]]] = []
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        for round_ in range(KILLS):
            with server(tmp_path, hooks, **TINY) as running:
                wait_until_caught_up(tmp_path)
                given += await load(running, 200 + 40 * round_, running.kill)
            killed_at.append((cursor_of(tmp_path), places(tmp_path)))
        with server(tmp_path, hooks, **TINY):
            pass
    recorded = in_ledger(tmp_path / "ledger.db", "SELECT writer, sequence FROM predictions")

    assert len(given) > KILLS * 100
    lines = places(tmp_path)
    assert set(lines) == set(recorded) and len(recorded) == len(set(recorded))
    again = [json.loads(line) for line in exported(tmp_path)]
    assert sorted(
        (one["writer"], one["sequence"]) for one in again if one["schema"] == "prediction.v1"
    ) == sorted(recorded)
    assert set(given) <= cards_of(tmp_path)
    assert killed_at[-1][0] > 0
    for cursor, counts in killed_at:
        behind = {place: count for place, count in counts.items() if place[1] <= cursor}
        assert {place: lines[place] for place in behind} == behind
    corrected = in_ledger(tmp_path / "ledger.db", "SELECT writer, sequence FROM corrections")
    of_corrections = (line for line in lines_of(tmp_path) if line["schema"] == "correction.v1")
    assert {(line["writer"], line["sequence"]) for line in of_corrections} == set(corrected)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own in memory; skipped where this user may mount none."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(["mount", *options], capture_output=True, check=False)
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
async def test_a_full_disk_under_the_stream_touches_no_answer_and_heals(tmp_path: Path) -> None:
    with demo_vendor() as vendor, small_disk(tmp_path / "disk", 256) as disk:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        full = disk / "predictions.jsonl"
        (disk / "ballast").write_bytes(bytes(160 * 1024))
        with server(tmp_path, hooks, CDS_WRAPPER_STREAM=str(full)) as running:
            given = await load(running, 60)
            until(lambda: not streamed(running)["available"])
            assert httpx.get(f"{running.url}/readyz").status_code == 200
            given += await load(running, 20)
            before = full.read_bytes()
            assert before.endswith(b"\n"), "no line is cut in two"
            (disk / "ballast").unlink()
            until(lambda: streamed(running)["available"] and streamed(running)["lag_rows"] == 0)
            recorded = in_ledger(tmp_path / "ledger.db", "SELECT writer, sequence FROM predictions")
            assert places(disk) == collections.Counter(dict.fromkeys(recorded, 1))
            assert full.read_bytes().startswith(before)
            events = [json.loads(line) for line in running.log().splitlines()]
    assert len(given) == 80 == len(recorded)
    told = [event for event in events if event["event"].startswith("stream_")]
    assert [event["event"] for event in told] == ["stream_interrupted", "stream_resumed"]
    assert told[0]["error"] == "ENOSPC" and "make room" in told[0]["problem"]


async def test_a_stop_writes_the_last_lines_and_leaves_the_ledger_in_one_file(tmp_path: Path) -> None:
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks) as running:
            given = await load(running, 20)
            running.stop()
    assert set(given) == cards_of(tmp_path)
    log = tmp_path / "ledger.db-wal"
    assert not log.exists() or log.stat().st_size == 0


async def test_it_can_be_switched_off_and_later_catches_up(tmp_path: Path) -> None:
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks, CDS_WRAPPER_STREAM="off") as running:
            given = await load(running, 10)
            assert "stream" not in httpx.get(f"{running.url}/readyz").json()
        assert not (tmp_path / "predictions.jsonl").exists()
        with server(tmp_path, hooks):
            until(lambda: (tmp_path / "predictions.jsonl").exists() and len(lines_of(tmp_path)) == 10)
    assert set(given) == cards_of(tmp_path)


async def test_nothing_of_a_line_reaches_the_operator_log(tmp_path: Path) -> None:
    with demo_vendor() as vendor:
        hooks = copy_hooks(tmp_path, f"{vendor}/cds-services/prevent")
        with server(tmp_path, hooks) as running:
            await load(running, 5)
            (tmp_path / "predictions.jsonl.cursor").unlink(missing_ok=True)
            until(lambda: len(lines_of(tmp_path)) == 5)
    (line, *_) = lines_of(tmp_path)
    said = running.log()
    for name in ("patient_fhir_key", "user_key", "encounter_fhir_key", "hook_instance", "score", "hash"):
        if line[name] is not None:
            assert str(line[name]) not in said, name
    assert not {"race", "score", "flagged", "subgroups", "caveat_level"} & {
        key for text in said.splitlines() for key in json.loads(text)
    }


def test_health_data_is_not_sent_over_a_network_in_clear_in_production() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", "check"],
        cwd=ROOT,
        env={
            **os.environ,
            "CDS_WRAPPER_PROFILE": "production",
            "CDS_WRAPPER_STREAM": "tcp://siem.example.org:6514",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "CDS_WRAPPER_STREAM" in refused.stdout and "unencrypted" in refused.stdout
