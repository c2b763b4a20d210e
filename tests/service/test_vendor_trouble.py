"""A vendor in trouble and a patient in doubt; each fault by itself is in the laboratory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from tests.service.harness import SILENCE, copy_hooks, request_of, wrapper

NO_RESULT = "10-year cardiovascular risk (demonstration): no result right now. This does not mean low risk."


@pytest.mark.slow
async def test_a_budget_of_more_than_five_seconds_leaves_the_record_its_part_too(tmp_path: Path) -> None:
    async with fakes.running(fakes.says_nothing_for(60)) as vendor:
        more = {
            "time_budget: PT0.5S": "time_budget: PT7S",
            "ledger_reserve: PT0.1S": "ledger_reserve: PT1.5S",
        }
        hooks = copy_hooks(tmp_path, vendor.url, **more)
        async with wrapper(tmp_path, hooks) as running:
            (card,) = (await running.call(request_of("white-55"))).json()["cards"]
            (row,) = running.rows()
    assert (card["summary"], row["status"], row["delivery"]) == (NO_RESULT, "timed_out", "sent")


async def test_a_vendor_with_nothing_to_say_is_not_a_failure(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers({"cards": []})) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            response = await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert response.json() == {"cards": []} and row["status"] == "no_cards"


@pytest.mark.parametrize(("choice", "status", "cards"), [("empty", 200, 0), ("error", 504, 0)])
async def test_a_site_may_want_no_card_or_an_error_for_a_vendor_that_is_late(
    choice: str, status: int, cards: int, tmp_path: Path
) -> None:
    async with fakes.running(fakes.says_nothing_for(60)) as vendor:
        plan = {"on_vendor_failure: card": f"on_vendor_failure: {choice}"}
        hooks = copy_hooks(tmp_path, vendor.url, **plan, **SILENCE)
        async with wrapper(tmp_path, hooks) as running:
            response = await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert response.status_code == status and len(response.json().get("cards", [])) == cards
    assert (row["http_status"], row["status"], row["cards_returned"]) == (status, "timed_out", "[]")


AN_ERROR = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
SOMEBODY_ELSE = {"resourceType": "Patient", "id": "somebody-else"}
DSTU2 = {"resourceType": "Patient", "id": "white-55", "careProvider": [], "birthDate": 5}
PATIENTS: list[tuple[str, Any, str, str]] = [
    ("not sent", "DROP", "absent", "missing:not_fetched"),
    ("looked for and not found", None, "empty", "missing:absent"),
    ("an error", AN_ERROR, "error", "missing:fetch_failed"),
    ("text", "Jane", "unreadable", "missing:fetch_failed"),
    ("another resource", {"resourceType": "Practitioner", "id": "white-55"}, "present", "missing:invalid"),
    ("another patient", SOMEBODY_ELSE, "other_patient", "missing:fetch_failed"),
    ("DSTU2", DSTU2, "present", "missing:absent"),
]


@pytest.mark.parametrize(("name", "patient", "state", "race"), PATIENTS, ids=[row[0] for row in PATIENTS])
async def test_without_a_usable_patient_the_vendor_is_asked_and_the_card_says_that_it_could_not_be_checked(
    name: str, patient: Any, state: str, race: str, tmp_path: Path
) -> None:
    body = request_of("white-55")
    body["prefetch"].pop("patient") if patient == "DROP" else body["prefetch"].update(patient=patient)
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(body)).json()["cards"]
            (row,) = running.rows()
    assert len(vendor.asked) == 1
    assert "could not be checked: details not on file" in card["detail"]
    assert (row["race"], row["caveat_level"]) == (race, "not_assessed")
    assert json.loads(row["inputs"])["patient"]["state"] == state


async def test_a_call_stripped_of_everything_is_answered_and_rings(tmp_path: Path) -> None:
    body = {**request_of("white-55"), "prefetch": {}}
    async with fakes.running(fakes.answers({}, status=412)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(body)).json()["cards"]
            events = [event["event"] for event in running.events()]
    assert "This does not mean low risk" in card["summary"]
    assert "request_stripped" in events


async def test_another_patients_data_are_forwarded_to_nobody(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["patient"]["id"] = "somebody-else"
    body["prefetch"]["lipids"]["entry"][0]["resource"]["subject"]["reference"] = "Patient/somebody-else"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(body)
            (event,) = [event for event in running.events() if event["event"] == "patient_mismatch"]
    assert not {"patient", "lipids"} & set(vendor.asked[0]["prefetch"])
    assert event["level"] == "error" and event["prefetch_keys"] == ["patient", "lipids"]
    assert "somebody-else" not in str(vendor.asked[0]["prefetch"])


async def test_one_slow_vendor_call_does_not_make_another_wait(tmp_path: Path) -> None:
    turn = {"slow": True}

    async def behave(writer: Any) -> None:
        if turn.pop("slow", False):
            await fakes.says_nothing_for(60)(writer)
        await fakes.answers(fakes.card_answer())(writer)

    async with fakes.running(behave) as vendor:
        two_seconds = {"PT0.5S": "PT4S", "PT0.1S": "PT2S"}
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **two_seconds)) as running:
            await asyncio.gather(*(running.call(request_of("white-55")) for _ in range(3)))
            rows = running.rows()
    in_order_of_their_ends = [row["status"] for row in rows]
    assert in_order_of_their_ends == ["answered", "answered", "timed_out"]
