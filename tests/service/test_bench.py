"""Both benchmarks as they are run, for a moment: structure, counts and records, never times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.bench.nginx import nginx_program
from tests.service.harness import ROOT, copy_hooks, request_of, wrapper


def bench(folder: Path, *arguments: str, hooks: Path = ROOT / "hooks") -> subprocess.CompletedProcess[str]:
    """The command, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cds_wrapper.cli", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "CDS_WRAPPER_HOOKS": str(hooks)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def measured(folder: Path, *arguments: str) -> Mapping[str, Any]:
    """What a run prints for scripts; it went well, and nothing of it is left behind."""
    done = bench(folder, *arguments, "--rounds", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == []
    document: Mapping[str, Any] = json.loads(done.stdout)
    assert document["mistakes"] == []
    return document


@pytest.mark.slow
def test_the_serving_benchmark_finds_a_record_for_every_answer(tmp_path: Path) -> None:
    document = measured(tmp_path, "serving", "--seconds", "0.3", "--vendor-ms", "5")
    systems = {(row["system"], row["connections"]) for row in document["systems"]}
    names = {"vendor alone", "wrapper", "FastAPI + httpx", "Starlette + aiohttp"}
    names |= {"nginx"} if nginx_program() else set()
    assert systems == {(name, connections) for name in names for connections in (1, 32)}
    assert all(row["measured"] > 0 and row["cpu_us"]["median"] > 0 for row in document["systems"])
    assert document["answers"] - document["withheld"] == document["records"] > 0
    assert document["stream_lines"] >= document["records"]
    assert document["records_per_commit"][0] >= 1
    assert len(document["figures"]) == 9
    assert all(figure["measured"] is not None for figure in document["figures"])


@pytest.mark.slow
def test_the_ledger_benchmark_finds_every_record_it_was_told_is_durable(tmp_path: Path) -> None:
    document = measured(tmp_path, "ledger", "--records", "200")
    ledgers = [row for row in document["cases"] if row["case"]["system"] == "ledger"]
    assert {(row["case"]["place"], row["case"]["writers"]) for row in ledgers} >= {
        ("this disk", 1),
        ("this disk", 32),
    }
    assert all(row["wait_p99"]["median"] >= row["wait_p50"]["median"] > 0 for row in ledgers)
    assert document["records"] > 200
    assert len(document["ratios"]) == 2
    assert [bool(figure["measured"]) for figure in document["figures"]].count(False) == len(
        [place for place in document["left_out"] for _ in range(2 if place == "fast disk" else 1)]
    )


@pytest.mark.slow
def test_a_soak_finds_that_all_accounts_agree(tmp_path: Path) -> None:
    document = soaked(tmp_path, "--requests", "400")
    totals = document["totals"]
    assert totals["sent"] == totals["answers"] == totals["requests"] == totals["rows"] == 400
    assert totals["lost"] == totals["spooled"] == 0
    assert [tenth["answers"] for tenth in document["tenths"]] == [40] * 10
    assert all(tenth["resident_bytes"] > 0 and tenth["descriptors"] > 0 for tenth in document["tenths"])
    assert document["p99_ratio"] is None


@pytest.mark.slow
def test_a_soak_with_a_hanging_vendor_calls_two_services_and_accounts_for_both(tmp_path: Path) -> None:
    document = soaked(tmp_path, "--requests", "200", "--hanging", "--vendor-ms", "5")
    totals = document["totals"]
    beside = sum(tenth["beside"] for tenth in document["tenths"])
    assert beside > 0 and totals["answers"] == totals["requests"] == 200 + beside
    assert [tenth["hung"] for tenth in document["tenths"]] == [False, True] * 5
    assert document["p99_ratio"] > 0


def soaked(folder: Path, *arguments: str) -> Mapping[str, Any]:
    """What a soak prints for scripts; it found nothing wrong and left nothing behind."""
    done = bench(folder, "soak", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == []
    document: Mapping[str, Any] = json.loads(done.stdout)
    assert document["mistakes"] == []
    return document


def test_a_hospital_s_own_service_is_not_put_under_load(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    refused = bench(tmp_path, "serving", hooks=tmp_path / "hooks")
    assert refused.returncode == 2
    assert "CDS_WRAPPER_HOOKS" in refused.stderr and "cvd-risk" in refused.stderr


def test_the_command_has_help_with_an_example_and_its_exit_codes(tmp_path: Path) -> None:
    shown = bench(tmp_path, "--help").stdout
    assert "Example:" in shown and "Exit codes:" in shown


async def test_readyz_counts_records_and_the_commits_that_held_them(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        before = (await running.http.get("/readyz")).json()
        await running.call(request_of("black-35"))
        after = (await running.http.get("/readyz")).json()
    assert (before["records"], after["records"]) == (0, 1)
    assert after["batches"] == before["batches"] + 1
