"""A service that is stopped or in shadow, from the order to the card, the record and the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from cds_wrapper import invocation
from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.decisions import NewOrder, Outcome, give
from cds_wrapper.ledger.store import LedgerReader
from tests import fakes
from tests.durability import without_spool
from tests.fhir import Asked, Says, authorization, fhir_server
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper
from tests.unit.ledger.attacks import attacker

TITLE = "10-year cardiovascular risk (demonstration)"
SWITCHED_OFF = f"{TITLE} is switched off since "
PAUSED = f"{TITLE} is paused; scores are being checked. They are calculated, not shown."
NO_RESULT = f"{TITLE}: no result right now. This does not mean low risk."
ROLE = "informatician on call"


def ordered(folder: Path, decision: Ordered, decision_id: str = "the-order") -> None:
    """Give an order as the command does, beside the running process."""
    new = NewOrder(decision_id, "cvd-risk", decision, ROLE, "AI committee chair", "a recall", "1")
    assert give(folder / "ledger.db", new).outcome is Outcome.WRITTEN


async def until(running: Wrapper, state: Ordered) -> None:
    """Return when the process follows an order."""
    async with asyncio.timeout(60):
        while (await running.http.get("/readyz")).json()["services"] != {"cvd-risk": state.value}:
            await asyncio.sleep(0.02)


async def order(running: Wrapper, decision: Ordered, decision_id: str = "the-order") -> None:
    """Give an order, and wait until it is in force."""
    ordered(running.folder, decision, decision_id)
    await until(running, decision)


def plan_with(hooks: Path, *lines: str, **replaced: str) -> Path:
    """The hooks with lines put before the plan's own, and some of these otherwise."""
    plan = hooks / "cvd-risk" / "plan.yaml"
    text = plan.read_text()
    for old, new in replaced.items():
        assert f"{old}: card" in text
        text = text.replace(f"{old}: card", f"{old}: {new}")
    plan.write_text("\n".join((*lines, text)))
    return hooks


def summaries(answer: Any) -> list[str]:
    return [card["summary"] for card in answer.json().get("cards", [])]


async def test_a_stopped_services_vendor_is_not_asked_and_the_call_is_recorded_in_full(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            before = await running.call(request_of("black-35"))
            await order(running, Ordered.STOP)
            stopped = await running.call(request_of("black-35"))
            shown, row = running.rows()
            events = running.events()

    assert len(vendor.asked) == 1
    assert len(summaries(before)) == 1 and "switched off" not in before.text
    (card,) = stopped.json()["cards"]
    assert stopped.status_code == 200
    assert card["summary"].startswith(SWITCHED_OFF) and card["summary"].endswith("No score is calculated.")
    assert card["indicator"] == "info" and "No card does not mean low risk." in card["detail"]
    assert (row["status"], row["disposition"], row["decision_id"]) == ("stopped", "stop", "the-order")
    assert (row["vendor_attempts"], row["score"], row["vendor_hook_instance"]) == (0, None, None)
    assert json.loads(row["cards_returned"]) == [card["uuid"]]
    same = (
        "age_band",
        "sex",
        "race",
        "ethnicity",
        "language",
        "demographics",
        "subgroups",
        "patient_fhir_key",
    )
    assert [row[name] for name in same] == [shown[name] for name in same]
    assert shown["decision_id"] is None
    told = [event for event in events if event["event"] in {"service_stopped", "vendor_failed"}]
    assert [(event["event"], event["by"]) for event in told] == [("service_stopped", ROLE)]
    assert "a recall" not in running.log.getvalue() + stopped.text


async def test_in_shadow_the_vendor_is_asked_and_recorded_and_nothing_is_shown(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer(score=0.4))) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await order(running, Ordered.SHADOW)
            answer = await running.call(request_of("black-35"))
            (row,) = running.rows()

    assert len(vendor.asked) == 1
    assert summaries(answer) == [PAUSED]
    assert "0.4" not in answer.text and "systemActions" not in answer.json()
    assert (row["status"], row["score"], row["flagged"]) == ("answered", 0.4, 1)
    assert (row["disposition"], row["decision_id"]) == ("shadow", "the-order")
    assert "cards: shadow" in json.loads(row["changes_made"])
    assert json.loads(row["vendor_cards"]) == [None], "feedback on our card is not the vendor's"


async def test_a_later_order_lifts_an_earlier_one(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            for decision in (Ordered.STOP, Ordered.SHADOW, Ordered.LIVE):
                await order(running, decision, decision.value)
                await running.call(request_of("black-35"))
            rows = running.rows()

    assert [(row["disposition"], row["decision_id"]) for row in rows] == [
        ("stop", "stop"),
        ("shadow", "shadow"),
        ("annotate", None),
    ]
    assert len(vendor.asked) == 2


async def test_an_order_that_comes_while_the_vendor_is_asked_holds_its_answer_back(tmp_path: Path) -> None:
    was_asked, go_on = asyncio.Event(), asyncio.Event()

    async def behave(writer: asyncio.StreamWriter) -> None:
        was_asked.set()
        await go_on.wait()
        await fakes.answers(fakes.card_answer())(writer)

    async with fakes.running(behave) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks) as running:
            calling = asyncio.create_task(running.call(request_of("black-35")))
            await was_asked.wait()
            await order(running, Ordered.STOP)
            go_on.set()
            answer = await calling
            (row,) = running.rows()

    assert [one.startswith(SWITCHED_OFF) for one in summaries(answer)] == [True]
    assert (row["status"], row["disposition"], row["decision_id"]) == ("answered", "stop", "the-order")


@pytest.mark.parametrize("wanted", ["card", "empty", "error"])
@pytest.mark.parametrize("decision", [Ordered.STOP, Ordered.SHADOW])
async def test_what_a_site_wants_of_a_failure_is_no_part_of_an_order(
    wanted: str, decision: Ordered, tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers({}, status=500)) as vendor:
        failure = {"on_vendor_failure: card": f"on_vendor_failure: {wanted}"}
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **failure)) as running:
            await order(running, decision)
            answer = await running.call(request_of("black-35"))
            (row,) = running.rows()

    assert answer.status_code == 200
    assert len(summaries(answer)) == 1
    assert row["status"] == ("stopped" if decision is Ordered.STOP else "failed")
    assert row["disposition"] == decision.value


def fails(*_: object) -> object:
    raise ZeroDivisionError("planted")


async def without_any_record(running: Wrapper, _: pytest.MonkeyPatch) -> None:
    for file in running.folder.glob("ledger.db*"):
        if "writer" not in file.name:
            file.unlink()
    without_spool(running.folder)


async def with_a_bug_of_ours(_: Wrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "decide", fails)


@pytest.mark.parametrize("trouble", [without_any_record, with_a_bug_of_ours])
@pytest.mark.parametrize("on_error", ["card", "error"])
async def test_our_own_trouble_shows_what_was_ordered(
    trouble: Callable[..., Any], on_error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = plan_with(copy_hooks(tmp_path, vendor.url), on_error=on_error)
        async with wrapper(tmp_path, hooks) as running:
            await order(running, Ordered.STOP)
            await trouble(running, monkeypatch)
            answer = await running.call(request_of("black-35"))

    assert answer.status_code == 200
    assert [one.startswith(SWITCHED_OFF) for one in summaries(answer)] == [True]
    assert vendor.asked == []


async def test_the_record_of_our_own_trouble_names_the_order_whose_card_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await order(running, Ordered.STOP)
            await with_a_bug_of_ours(running, monkeypatch)
            await running.call(request_of("black-35"))
            monkeypatch.undo()
    reader = LedgerReader(tmp_path / "ledger.db")
    (row,) = reader.recent(1)
    assert (row["status"], row["decision_id"]) == ("error", "the-order")
    explained = replay(row, reader.kept_file, reader.decision)
    assert explained.mismatches == () and "It was under the order stop of " in explained.story[-1]


# Before the first go-live -----------------------------------------------------------------------------------


@pytest.mark.parametrize("live_since", ["never", "2999-01-01"])
async def test_before_the_first_go_live_everything_is_recorded_and_nothing_is_seen(
    live_since: str, tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer(score=0.4))) as vendor:
        hooks = plan_with(copy_hooks(tmp_path, vendor.url), f"live_since: {live_since}")
        async with wrapper(tmp_path, hooks) as running:
            await until(running, Ordered.SHADOW)
            answer = await running.call(request_of("black-35"))
            (row,) = running.rows()
            page = (await running.http.get("/evidence/cvd-risk")).text
            replayed = replay(
                LedgerReader(tmp_path / "ledger.db").recent(1)[0],
                LedgerReader(tmp_path / "ledger.db").kept_file,
            )

    assert answer.json() == {"cards": []}
    assert (row["status"], row["score"], row["disposition"], row["decision_id"]) == (
        "answered",
        0.4,
        "shadow",
        None,
    )
    assert replayed.mismatches == ()
    told = "has not been released to clinicians yet" if live_since == "never" else "before 1 January 2999"
    assert told in page


@pytest.mark.parametrize("trouble", [without_any_record, with_a_bug_of_ours])
async def test_before_the_first_go_live_no_trouble_of_ours_is_seen(
    trouble: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = plan_with(copy_hooks(tmp_path, vendor.url), "live_since: never")
        async with wrapper(tmp_path, hooks) as running:
            await trouble(running, monkeypatch)
            answer = await running.call(request_of("black-35"))

    assert answer.json() == {"cards": []}


# What is read, and what can be explained --------------------------------------------------------------------


async def test_of_a_stopped_service_only_what_the_record_needs_is_read_from_the_ehr(tmp_path: Path) -> None:
    case = request_of("black-35")
    patient = case["prefetch"]["patient"]

    def answering(asked: Asked) -> Says:
        return Says(
            patient if "/Patient/" in asked.target else {"resourceType": "Bundle", "type": "searchset"}
        )

    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor, fhir_server(answering) as ehr:
        del case["prefetch"]
        case |= {"fhirServer": ehr.base, "fhirAuthorization": authorization()}
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks, development_fhir=ehr.base) as running:
            await order(running, Ordered.STOP)
            await running.call(case)
            (row,) = running.rows()

    assert [unquote(target) for target in ehr.targets] == [f"/fhir/Patient/{case['context']['patientId']}"]
    assert (row["race"], row["status"]) == ("black", "stopped")


@pytest.mark.parametrize("decision", [Ordered.STOP, Ordered.SHADOW])
async def test_a_record_made_under_an_order_can_be_explained(decision: Ordered, tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await order(running, decision)
            await running.call(request_of("black-35"))
    reader = LedgerReader(tmp_path / "ledger.db")
    (row,) = reader.recent(1)

    whole = replay(row, reader.kept_file, reader.decision)
    assert whole.mismatches == ()
    assert f"It was under the order {decision.value} of " in whole.story[-1]
    assert f"by {ROLE} and AI committee chair." in whole.story[-1]

    lost = replay(row, reader.kept_file).mismatches
    assert "decision_id: recorded the-order, computed None" in lost
    with attacker(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE decisions SET decision = 'live'")
    altered = {line.split(":")[0] for line in replay(row, reader.kept_file, reader.decision).mismatches}
    assert {"disposition", "decision_id", "words_digest"} <= altered


async def test_the_page_behind_the_card_says_what_was_decided_since_when_and_by_which_role(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await order(running, Ordered.STOP)
            (card,) = (await running.call(request_of("black-35"))).json()["cards"]
            page = (await running.http.get(card["links"][0]["url"])).text
            await order(running, Ordered.LIVE, "another")
            after = (await running.http.get(card["links"][0]["url"])).text

    day = card["summary"].partition("since ")[2].partition(".")[0]
    assert f"Since {day}, by order of the {ROLE}, this tool is switched off: the model is not asked." in page
    assert "a recall" not in page
    assert "by order of" not in after


# When orders cannot be read at the start --------------------------------------------------------------------


async def test_while_nobody_knows_whether_a_service_is_stopped_no_vendor_is_asked(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks):
            pass
        ordered(tmp_path, Ordered.STOP)
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            async with wrapper(tmp_path, hooks) as running:
                unknown = await running.call(request_of("black-35"))
                holder.execute("COMMIT")
                holder.close()
                await until(running, Ordered.STOP)
                stopped = await running.call(request_of("black-35"))
                events = [event["event"] for event in running.events()]
        async with wrapper(tmp_path, hooks) as running:  # what the spool held is in the ledger now
            async with asyncio.timeout(60):
                while len(rows := running.rows()) < 2:
                    await asyncio.sleep(0.05)

    assert vendor.asked == []
    assert summaries(unknown) == [NO_RESULT]
    assert [one.startswith(SWITCHED_OFF) for one in summaries(stopped)] == [True]
    found = sorted((row["status"], row["reason"], row["race"]) for row in rows)
    assert found == [("error", "orders_unknown", "black"), ("stopped", None, "black")]
    assert events.count("orders_unreadable") == events.count("orders_readable") == 1
