"""Published evidence reaches the serving process: the latest that is good, swapped whole."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.caveats.evidence import (
    Direction,
    EvidenceSource,
    Finding,
    LocalEvidence,
)
from cds_wrapper.edition_watch import EditionWatch
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_values import NewEdition, NewReview, Subject
from cds_wrapper.ledger.editions import published_in, record_review
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from cds_wrapper.log import OperatorLog
from cds_wrapper.runtime import ServicesInForce
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.services.definitions import kept_edition
from tests.service.harness import ROOT
from tests.unit.ledger.attacks import attacker

CATALOG = load_services(ROOT / "hooks")
(SERVICE,) = CATALOG.of("cvd-risk")
SOON = timedelta(milliseconds=5)


def evidence(service: ServiceDefinition = SERVICE, number: int = 1, **other: Any) -> LocalEvidence:
    """A review that found the whole model too low here."""
    nothing = (None, None, None, None, None)
    day = date(2026, 10, number)
    finding = Finding(
        f"here-{number}", {}, False, Direction.SCORES_TOO_LOW, EvidenceSource.LOCAL, *nothing, day, True, ()
    )
    facts: dict[str, Any] = {
        "service_id": service.id,
        "model_id": service.card.id,
        "model_version": service.card.version,
        "outcome": service.outcome.name,
        "horizon": service.outcome.horizon,
        "threshold": service.threshold,
        "as_of": day,
        "period": (date(2026, 1, 1), day),
        "findings": (finding,),
    }
    return LocalEvidence(**{**facts, **other})


def publish(
    ledger: Path, local: LocalEvidence | bytes, number: int = 1, service: ServiceDefinition = SERVICE
) -> None:
    """What a review writes."""
    subject = Subject(service.id, service.card.id, service.card.version)
    kept = local if isinstance(local, bytes) else local.to_json()
    book = service.edition_with(None if isinstance(local, bytes) else local)
    edition = NewEdition(f"e{number}", book.edition, kept_edition(book), kept)
    record_review(ledger, NewReview(f"r{number}", subject, date(2026, 10, number), b"{}"), (), edition)


class Watched:
    """A ledger, the services over it and what was told."""

    def __init__(self, path: Path) -> None:
        self.path = path / "ledger.db"
        prepare(self.path)
        self.services = ServicesInForce(CATALOG)
        self.said = io.StringIO()
        self.watch = EditionWatch(self.path, self.services, OperatorLog("test-0", self.said), every=SOON)

    @property
    def found_here(self) -> list[str]:
        (service,) = self.services.catalog.of("cvd-risk")
        return [finding.id for finding in service.book.findings if finding.is_local]

    def events(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.said.getvalue().splitlines()]
        return [(line["event"], line.get("problem", "")) for line in lines]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.005)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_what_was_published_before_is_in_force_from_the_start(watched: Watched) -> None:
    publish(watched.path, evidence())
    await watched.watch.open()
    assert watched.found_here == ["here-1"]
    assert [name for name, _ in watched.events()] == ["evidence_swapped"]
    others = [service.book for service in watched.services.catalog if service.id != "cvd-risk"]
    assert others == [service.book for service in CATALOG if service.id != "cvd-risk"]


async def test_a_later_edition_is_kept_and_swapped_and_told_once(watched: Watched) -> None:
    ledger = SQLiteLedger(watched.path)
    await ledger.open()
    await watched.watch.open()
    watched.watch.start(ledger)
    for number in (1, 2):
        publish(watched.path, evidence(number=number), number)
        await watched.until(lambda number=number: watched.found_here == [f"here-{number}"])  # type: ignore[misc]  # bound at once
    (service,) = watched.services.catalog.of("cvd-risk")
    await asyncio.sleep(0.05)
    await watched.watch.close()
    await ledger.close()
    assert LedgerReader(watched.path).kept_file(service.book.digest) == service.book.to_json()
    assert [name for name, _ in watched.events()] == ["evidence_swapped", "evidence_swapped"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"no json", "cannot be read"),
        (evidence(model_version="2099.1"), "it is about"),
        (evidence(outcome="another"), "it is about"),
        (evidence(horizon="P1Y"), "it is about"),
    ],
)
async def test_one_that_cannot_be_used_leaves_the_last_good_one_in_force(
    watched: Watched, bad: LocalEvidence | bytes, problem: str
) -> None:
    publish(watched.path, evidence())
    publish(watched.path, bad, 2)
    await watched.watch.open()
    assert watched.found_here == ["here-1"]
    (rejected, why), (swapped, _) = watched.events()
    assert (rejected, swapped) == ("evidence_rejected", "evidence_swapped")
    assert problem in why


async def test_evidence_that_was_altered_in_the_ledger_is_rejected(watched: Watched) -> None:
    publish(watched.path, evidence())
    with attacker(watched.path) as database:
        database.execute("UPDATE kept_files SET content = ? WHERE kind = 'local_evidence'", (b"{}",))
    await watched.watch.open()
    assert watched.found_here == []
    ((event, why),) = watched.events()
    assert event == "evidence_rejected" and "digest" in why


async def test_while_the_ledger_cannot_be_read_nothing_changes_and_both_are_told(watched: Watched) -> None:
    can_read = False

    def read(path: Path) -> Any:
        if not can_read:
            raise LedgerUnavailable("the disk is away")
        return published_in(path)

    watch = EditionWatch(watched.path, watched.services, OperatorLog("test-0", watched.said), read, SOON)
    publish(watched.path, evidence())
    await watch.open()
    assert watched.found_here == []
    ledger = SQLiteLedger(watched.path)
    await ledger.open()
    watch.start(ledger)
    can_read = True
    await watched.until(lambda: watched.found_here == ["here-1"])
    await watch.close()
    await ledger.close()
    assert [name for name, _ in watched.events()] == [
        "evidence_unreadable",
        "evidence_readable",
        "evidence_swapped",
    ]


async def test_an_edition_that_cannot_be_kept_is_not_put_in_force_and_tried_again(watched: Watched) -> None:
    ledger = SQLiteLedger(watched.path)  # not open: nothing can be kept
    await watched.watch.open()
    watched.watch.start(ledger)
    publish(watched.path, evidence())
    await watched.until(lambda: len(watched.events()) > 1)
    assert watched.found_here == []
    await ledger.open()
    await watched.until(lambda: watched.found_here == ["here-1"])
    await watched.watch.close()
    await ledger.close()
    assert {name for name, _ in watched.events()} == {"evidence_rejected", "evidence_swapped"}


async def test_evidence_of_a_service_that_is_not_served_here_is_passed_over(watched: Watched) -> None:
    publish(watched.path, evidence(service_id="another"), service=replace(SERVICE, id="another"))
    await watched.watch.open()
    assert watched.events() == []
