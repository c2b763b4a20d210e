"""The record is on the disk before the answer's bytes are sent, by the kernel's own account of the server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.durability import needs_trace, read_trace, traced, unsynced_answers
from tests.service.harness import copy_hooks, request_of
from tests.service.servers import demo_vendor, server

CALLS = 40
CASES = ("black-35", "white-55", "native-50", "no-hdl")


async def answered_ids(folder: Path, module: str) -> tuple[list[str], list[str]]:
    """Prediction ids of every answer, and those whose answer ran ahead of the sync of their record."""
    trace = folder / "trace"
    bodies = [json.dumps(request_of(case)).encode() for case in CASES]
    with demo_vendor() as vendor:
        hooks = copy_hooks(folder, f"{vendor}/cds-services/prevent", **{"PT0.5S": "PT9S", "PT0.1S": "PT8S"})
        with server(folder, hooks, before=traced([], trace), module=module) as running:
            async with httpx.AsyncClient(timeout=30) as client:
                answers = await asyncio.gather(
                    *(
                        client.post(
                            f"{running.url}/cds-services/cvd-risk",
                            content=bodies[number % len(bodies)],
                            headers={"content-type": "application/json"},
                        )
                        for number in range(CALLS)
                    )
                )
            ids = [
                card["extension"]["org.cds-wrapper.prediction"]["prediction_id"]
                for answer in answers
                for card in answer.json()["cards"]
            ]
    return ids, unsynced_answers(read_trace(trace), folder / "ledger.db", ids)


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
async def test_every_answer_follows_a_sync_of_its_record(tmp_path: Path) -> None:
    ids, unsynced = await answered_ids(tmp_path, "cds_wrapper.cli")
    assert len(set(ids)) == CALLS and unsynced == []


@pytest.mark.trace
@pytest.mark.slow
@needs_trace
async def test_the_same_trace_of_a_ledger_that_does_not_sync_is_told_from_it(tmp_path: Path) -> None:
    ids, unsynced = await answered_ids(tmp_path, "tests.service.unsynced_server")
    assert len(set(ids)) == CALLS and set(unsynced) == set(ids)
