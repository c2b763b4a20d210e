"""Feedback passed on to a vendor: under its own ids, every entry, in order, over kills and outages."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest

from cds_wrapper.ledger.cursor import CursorFile
from cds_wrapper.ledger.for_vendors import FeedbackReader
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Outbound
from cds_wrapper.vendor_feedback import FeedbackForwarder, FeedbackPeer
from cds_wrapper.vendors.peer import VendorPeer
from tests import fakes
from tests.ports import free_port
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper
from tests.service.servers import server

WITHIN_SECONDS = 60.0
TAKES: fakes.Behaviour = fakes.answers(body=b"")
CARD = str(fakes.DEFAULT_CARD["uuid"])


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds; fail when it never does."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def with_feedback(url: str) -> dict[str, str]:
    return {"  protocol: cds-hooks": f"  protocol: cds-hooks\n  feedback: {url}"}


@contextlib.asynccontextmanager
async def passing_on(
    folder: Path, listener: fakes.FakeVendor, **answer: Any
) -> AsyncIterator[tuple[Wrapper, fakes.FakeVendor]]:
    """The wrapper between a vendor that answers and one that listens to feedback."""
    async with fakes.running(fakes.answers({"cards": [{**fakes.DEFAULT_CARD, **answer}]})) as vendor:
        hooks = copy_hooks(folder, vendor.url, **with_feedback(listener.url))
        async with wrapper(folder, hooks) as running:
            yield running, vendor


async def card_of(running: Wrapper) -> dict[str, Any]:
    card: dict[str, Any] = (await running.call(request_of("white-55"))).json()["cards"][0]
    return card


async def give(running: Wrapper, *entries: dict[str, Any]) -> None:
    content = json.dumps({"feedback": list(entries)}).encode()
    headers = {"content-type": "application/json"}
    answer = await running.http.post("/cds-services/cvd-risk/feedback", content=content, headers=headers)
    assert answer.status_code == 200


def overridden(card: str, second: int = 0, **members: Any) -> dict[str, Any]:
    at = f"2026-06-30T12:00:{second:02d}.000Z"
    return {"card": card, "outcome": "overridden", "outcomeTimestamp": at, **members}


def heard(listener: fakes.FakeVendor) -> list[dict[str, Any]]:
    """Every entry; that each call is CDS Hooks is what `fakes.running` looks at."""
    return [entry for body in listener.asked for entry in body["feedback"]]


async def test_the_vendor_hears_of_its_own_card_without_the_clinicians_words(tmp_path: Path) -> None:
    reason = {"code": "risk-benefit-ratio", "system": "http://example.org/reasons", "display": "Not worth it"}
    async with fakes.running(TAKES) as listener:
        async with passing_on(tmp_path, listener) as (running, _):
            card = (await card_of(running))["uuid"]
            comment = {"reason": reason, "userComment": "Quetzal told me so"}
            await give(running, overridden(card, overrideReason=comment), overridden("unknown", 1))
            await until(lambda: bool(listener.asked))
            events = [event for event in running.events() if event["event"].startswith("vendor_feedback")]
    assert heard(listener) == [overridden(CARD, overrideReason={"reason": reason})]
    assert [(event["event"], event["entries"]) for event in events] == [("vendor_feedback_sent", 1)]
    assert "Quetzal" not in str(listener.bodies) and card not in str(listener.bodies)
    assert CARD not in running.log.getvalue()


async def test_of_the_suggestions_the_vendor_hears_its_own_ids_and_none_of_ours(tmp_path: Path) -> None:
    theirs = {"label": "Statin", "uuid": "vendors-1"}
    answer = {"suggestions": [theirs, {"label": "Diet"}], "selectionBehavior": "any"}
    async with fakes.running(TAKES) as listener:
        async with passing_on(tmp_path, listener, **answer) as (running, _):
            card = await card_of(running)
            ours = str(uuid5(UUID(card["uuid"]), "suggestion 1"))
            assert [one["uuid"] for one in card["suggestions"]] == ["vendors-1", ours]
            accepted = {**overridden(card["uuid"]), "outcome": "accepted"}
            await give(
                running,
                {**accepted, "acceptedSuggestions": [{"id": ours}]},
                {**accepted, "acceptedSuggestions": [{"id": "vendors-1"}, {"id": ours}]},
            )
            await until(lambda: bool(listener.asked))
    (entry,) = heard(listener)
    assert entry["acceptedSuggestions"] == [{"id": "vendors-1"}], "one that names only ours is not sent"


async def test_nothing_is_said_of_a_card_that_we_wrote_ourselves(tmp_path: Path) -> None:
    async with fakes.running(TAKES) as listener:
        async with passing_on(tmp_path, listener, selectionBehavior="all") as (running, _):
            own = (await card_of(running))["uuid"]
            await give(running, overridden(own))
        async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
            hooks = tmp_path / "hooks" / "cvd-risk" / "service.yaml"
            hooks.write_text(_pointed_at(hooks.read_text(), vendor.url))
            async with wrapper(tmp_path, tmp_path / "hooks") as running:
                await give(running, overridden((await card_of(running))["uuid"], 1))
                await until(lambda: bool(listener.asked))
    assert [entry["outcomeTimestamp"] for entry in heard(listener)] == ["2026-06-30T12:00:01.000Z"]


def _pointed_at(text: str, url: str) -> str:
    lines = [f"  url: {url}" if line.startswith("  url: ") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def answers_in_turn(*statuses: int) -> fakes.Behaviour:
    """Each status once, the last one from then on."""
    left = list(statuses)

    async def behave(writer: asyncio.StreamWriter) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        await fakes.answers(body=b"", status=status)(writer)

    return behave


@pytest.mark.parametrize("trouble", [401, 404, 429, 500, 503])
async def test_a_vendor_that_does_not_take_it_is_told_again_and_the_trouble_is_said_once(
    trouble: int, tmp_path: Path
) -> None:
    async with fakes.running(answers_in_turn(trouble, 200)) as listener:
        async with passing_on(tmp_path, listener) as (running, _):
            await give(running, overridden((await card_of(running))["uuid"]))
            await until(lambda: len(listener.asked) == 2)
            await until(lambda: "vendor_feedback_sent" in running.log.getvalue())
            failed = [event for event in running.events() if event["event"] == "vendor_feedback_failed"]
    assert [event["reason"] for event in failed] == [f"http_{trouble}"]
    first, second = listener.asked
    assert first == second


async def test_an_entry_that_the_vendor_finds_wrong_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with fakes.running(answers_in_turn(400, 200, 400, 200)) as listener:
        async with passing_on(tmp_path, listener) as (running, _):
            card = (await card_of(running))["uuid"]
            await give(running, *(overridden(card, second) for second in range(3)))
            await until(lambda: "vendor_feedback_refused" in running.log.getvalue())
            (told,) = [event for event in running.events() if event["event"] == "vendor_feedback_refused"]
    assert [len(body["feedback"]) for body in listener.asked] == [3, 1, 1, 1]
    assert (told["entries"], told["refused"]) == (2, 1)


async def test_off_is_the_default_and_nothing_is_sent(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await give(running, overridden((await card_of(running))["uuid"]))
            await asyncio.sleep(0.1)
    assert len(vendor.asked) == 1 and not list(tmp_path.glob("*.feedback-*"))


async def test_a_listener_that_hangs_holds_up_no_stop_and_hears_it_after_the_next_start(
    tmp_path: Path,
) -> None:
    asked_before: list[bool] = []

    async def hangs_at_first(writer: asyncio.StreamWriter) -> None:
        asked_before.append(True)
        await (fakes.says_nothing_for(3600) if len(asked_before) == 1 else TAKES)(writer)

    async with fakes.running(hangs_at_first, strict=False) as listener:
        async with asyncio.timeout(25):  # what is sent has thirty seconds
            async with passing_on(tmp_path, listener) as (running, _):
                await give(running, overridden((await card_of(running))["uuid"]))
                await until(lambda: len(listener.asked) == 1)
        async with wrapper(tmp_path, tmp_path / "hooks"):
            await until(lambda: len(listener.asked) == 2)
    assert listener.asked[0] == listener.asked[1]


# The ledger's file under the reader -------------------------------------------------------------------------


async def ledger_with(folder: Path, *seconds: int) -> bytes:
    """The file of a ledger in a folder after one more card and what became of it, each at its second."""
    hooks = folder / "hooks"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        if not hooks.exists():
            copy_hooks(folder, vendor.url)
        service = hooks / "cvd-risk" / "service.yaml"
        service.write_text(_pointed_at(service.read_text(), vendor.url))
        async with wrapper(folder, hooks) as running:
            for second in seconds:
                await give(running, overridden((await card_of(running))["uuid"], second))
    return (folder / "ledger.db").read_bytes()


async def test_another_ledger_in_its_place_is_not_told_and_costs_ours_no_entry(tmp_path: Path) -> None:
    """Writers are named alike in both: by their numbers alone, rows of one would pass for the other's."""
    for name in ("ours", "other", "read"):
        (tmp_path / name).mkdir()
    first, other = await ledger_with(tmp_path / "ours", 0), await ledger_with(tmp_path / "other", 7, 8, 9)
    second = await ledger_with(tmp_path / "ours", 1)
    path, lines = tmp_path / "read" / "ledger.db", io.StringIO()

    def put(content: bytes) -> None:
        path.with_suffix(".new").write_bytes(content)
        path.with_suffix(".new").replace(path)

    put(first)
    async with fakes.running(TAKES, strict=False) as listener:
        forwarder = FeedbackForwarder(
            FeedbackPeer("cvd-risk", VendorPeer(listener.url, 64 * 1024, Outbound())),
            FeedbackReader(path, "cvd-risk", "patient-view"),
            CursorFile(tmp_path / "cursor"),
            OperatorLog("test-0", lines),
            timedelta(milliseconds=10),
        )
        await forwarder.open()
        try:
            await until((tmp_path / "cursor").exists)
            put(other)
            await until(lambda: "another_ledger" in lines.getvalue())
            path.unlink()
            await until(lambda: "LedgerUnavailable" in lines.getvalue())
            put(second)
            await until(lambda: len(listener.asked) == 2)
        finally:
            await forwarder.close()
    assert list(times(listener)) == ["2026-06-30T12:00:00.000Z", "2026-06-30T12:00:01.000Z"]


# A process that is stopped, killed, and a vendor that is away ----------------------------------------------


def post(url: str, body: dict[str, Any]) -> httpx.Response:
    answer = httpx.post(url, json=body, timeout=30)
    assert answer.status_code == 200
    return answer


def call_and_override(base: str, second: int) -> None:
    """One card, and what became of it."""
    service = f"{base}/cds-services/cvd-risk"
    card = post(service, request_of("white-55")).json()["cards"][0]["uuid"]
    post(f"{service}/feedback", {"feedback": [overridden(card, second)]})


@pytest.mark.kill
async def test_no_entry_is_lost_over_kills_and_an_outage_and_their_order_is_kept(tmp_path: Path) -> None:
    """The vendor is away at first; each process is killed right behind an entry, whatever is under way."""
    listener = fakes.FakeVendor(TAKES, port=free_port())
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **with_feedback(listener.url))
        listening: asyncio.Server | None = None
        for turn in range(4):
            with server(tmp_path, hooks) as running:
                await asyncio.to_thread(call_and_override, running.url, turn)
                if turn == 1:
                    listening = await asyncio.start_server(
                        listener.serve_connection, "127.0.0.1", listener.port
                    )
                running.kill()
        with server(tmp_path, hooks):
            await until(lambda: len(times(listener)) == 4)
    assert listening is not None
    listening.close()
    assert list(times(listener)) == [f"2026-06-30T12:00:0{turn}.000Z" for turn in range(4)]


def times(listener: fakes.FakeVendor) -> dict[str, int]:
    """How often each entry was heard, in the order in which it was heard first."""
    counted: dict[str, int] = {}
    for entry in heard(listener):
        counted[entry["outcomeTimestamp"]] = counted.get(entry["outcomeTimestamp"], 0) + 1
    return counted
