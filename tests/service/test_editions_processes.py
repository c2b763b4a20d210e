"""Evidence that a review publishes, beside real serving processes under load: no call fails or is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.services import ServiceDefinition, load_services
from tests import fakes
from tests.service.harness import copy_hooks, request_of
from tests.service.servers import Server
from tests.service.test_orders_processes import serving
from tests.unit.test_edition_watch import evidence, publish

EDITIONS = 5


class Load:
    """Calls one after the other from several callers, until told to end."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.editions: set[str] = set()
        self.is_over = False

    async def call(self, running: Server) -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while not self.is_over:
                answer = await client.post(
                    f"{running.url}/cds-services/cvd-risk", json=request_of("black-35")
                )
                self.statuses[answer.status_code] += 1
                (card,) = answer.json()["cards"]
                self.editions.add(card["links"][-1]["url"].split("/")[-2])


def edition_name(service: ServiceDefinition, number: int) -> str:
    return service.edition_with(evidence(service, number)).edition


def swapped(running: Server) -> list[str]:
    lines = [json.loads(line) for line in running.log().splitlines()]
    return [line["edition"] for line in lines if line["event"] == "evidence_swapped"]


@pytest.mark.kill
async def test_every_process_follows_each_edition_and_no_call_fails_meanwhile(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    load = Load()
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        (service,) = load_services(hooks)
        names = [edition_name(service, number) for number in range(1, EDITIONS + 1)]
        async with serving(folders[0], hooks) as one, serving(folders[1], hooks) as two:
            calls = [asyncio.create_task(load.call(running)) for running in (one, two) for _ in range(3)]
            for number, name in enumerate(names, start=1):
                for running in (one, two):
                    publish(running.ledger, evidence(service, number), number, service)
                async with asyncio.timeout(60):
                    while swapped(one)[-1:] != [name] or swapped(two)[-1:] != [name]:
                        await asyncio.sleep(0.05)
            load.is_over = True
            await asyncio.gather(*calls)
            for running in (one, two):
                assert swapped(running) == names
        readers = [LedgerReader(running.ledger) for running in (one, two)]

    assert set(load.statuses) == {200}
    assert load.editions > set(names[:-1]), "calls went on between one edition and the next"
    rows = [(reader, row) for reader in readers for row in reader.recent(10_000)]
    assert len(rows) == load.statuses.total()
    seen = {row["evidence_edition"]: (reader, row) for reader, row in rows}
    assert set(seen) == load.editions
    assert all(replay(row, reader.kept_file).mismatches == () for reader, row in seen.values())


@pytest.mark.kill
async def test_a_process_that_starts_is_under_the_last_edition_from_its_first_request(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        (service,) = load_services(hooks)
        async with serving(tmp_path / "one", hooks) as running:
            pass
        publish(running.ledger, evidence(service, 1), 1, service)
        publish(running.ledger, b"no evidence", 2, service)
        async with serving(tmp_path / "one", hooks) as running:
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.post(
                    f"{running.url}/cds-services/cvd-risk", json=request_of("black-35")
                )
        events = [json.loads(line)["event"] for line in running.log().splitlines()]
    (card,) = answer.json()["cards"]
    assert "This score has been too low for patients here." in card["detail"]
    assert edition_name(service, 1) in card["links"][-1]["url"]
    assert events.count("evidence_rejected") == events.count("evidence_swapped") == 1
