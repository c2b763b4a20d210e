"""A new edition of evidence: kept, put in force whole, named in each record, explained, shown by its page."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds_wrapper.caveats.evidence import EvidenceBook
from cds_wrapper.commands.replay import replay
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.store import LedgerReader
from tests import fakes
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper

SOON = timedelta(seconds=5)


def without_findings(running: Wrapper) -> EvidenceBook:
    """The edition in force, a month later and with nothing found."""
    (service,) = running.app.state.doors.runtime.services.catalog
    contents = dataclasses.replace(service.book.contents, findings=(), as_of=date(2026, 7, 31))
    return EvidenceBook.of(contents)


async def test_the_next_card_follows_the_new_edition_and_both_records_replay(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("black-35"))
            book, runtime = without_findings(running), running.app.state.doors.runtime
            await runtime.services.publish(book, runtime.ledger, SOON)
            (card,) = (await running.call(request_of("black-35"))).json()["cards"]
            page = await running.http.get(card["links"][-1]["url"].removeprefix("http://127.0.0.1:8080"))
    before, after = LedgerReader(tmp_path / "ledger.db").recent(2)[::-1]
    assert [before["caveat_level"], after["caveat_level"]] == ["reduced", "limited"]
    assert after["evidence_edition"] == book.edition != before["evidence_edition"]
    assert after["file_digests"]["edition"] == book.digest
    reader = LedgerReader(tmp_path / "ledger.db")
    assert [replay(row, reader.kept_file).mismatches for row in (before, after)] == [(), ()]
    assert "made with an earlier edition" not in page.text


async def test_no_call_fails_or_waits_while_editions_are_swapped(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (service,) = running.app.state.doors.runtime.services.catalog
            books = [without_findings(running), service.book]
            runtime = running.app.state.doors.runtime

            async def swap() -> None:
                for number in range(20):
                    await runtime.services.publish(books[number % 2], runtime.ledger, SOON)

            calls = (running.call(request_of("black-35")) for _ in range(40))
            answers, _ = await asyncio.gather(asyncio.gather(*calls), swap())
    reader = LedgerReader(tmp_path / "ledger.db")
    rows = reader.recent(100)
    assert [answer.status_code for answer in answers] == [200] * 40 and len(rows) == 40
    assert {row["evidence_edition"] for row in rows} <= {book.edition for book in books}
    assert all(replay(row, reader.kept_file).mismatches == () for row in rows)


async def test_an_edition_that_cannot_be_kept_is_not_put_in_force(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/x")) as running:
        runtime = running.app.state.doors.runtime
        (service,) = runtime.services.catalog
        await runtime.ledger.close()
        with pytest.raises(LedgerUnavailable):
            await runtime.services.publish(without_findings(running), runtime.ledger, SOON)
        (still,) = runtime.services.catalog
    assert still.book is service.book
