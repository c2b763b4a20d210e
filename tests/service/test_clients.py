"""EHRs with habits of their own, end to end: what they send is read rightly and recorded as it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.settings import Profile
from tests import fakes
from tests.ehr import EHR, NORTH, bearer, key_of, published, write_clients
from tests.service.harness import NOON, Wrapper, copy_hooks, request_of, wrapper

PUBLIC = "https://cds.example.org"
HERE = f"{PUBLIC}/cds-services/cvd-risk"
PATH = "/cds-services/cvd-risk"
EHR_NORTH = EHR(NOON)
EHR_SOUTH = EHR(NOON, key_of("ehr-2"), issuer="https://south.example/oauth2")
SOUTH = f"name: south\nenvironment: test\nissuer: {EHR_SOUTH.issuer}\nkeys: {{file: south.jwks.json}}\n"
TRIGGER = "com.epic.cdshooks.request.bpa-trigger-action"


def hooks_with(folder: Path, vendor_url: str, *entries: str) -> Path:
    hooks = copy_hooks(folder, vendor_url)
    write_clients(hooks, *entries)
    (hooks / "south.jwks.json").write_bytes(published(key_of("ehr-2")))
    return hooks


async def call(running: Wrapper, body: dict[str, Any], ehr: EHR = EHR_NORTH) -> Any:
    headers = bearer(ehr.token(HERE))
    answer = await running.http.post(PATH, content=json.dumps(body).encode(), headers=headers)
    await asyncio.sleep(0)  # the operator is told once the answer is on its way
    return answer


async def test_prefetch_under_the_analysts_keys_reaches_the_vendor_and_the_record(tmp_path: Path) -> None:
    body = request_of("white-55")
    sent = body["prefetch"]
    body["prefetch"] = {"-user": {}, "-pat": sent.pop("patient"), "CHOL": sent.pop("lipids"), **sent}
    entry = NORTH + "profile: epic\nalgorithms: [ES384]\nprefetch_keys: {CHOL: lipids, '-pat': patient}\n"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_with(tmp_path, vendor.url, entry), public_url=PUBLIC) as running:
            assert (await call(running, body)).status_code == 200
            (row,) = running.rows()
    assert {"patient", "lipids"} <= set(vendor.asked[0]["prefetch"])
    assert row["race"] == "white" and json.loads(row["inputs"])["lipids"]["state"] == "present"


async def test_the_patient_is_recognised_under_a_key_that_nobody_mapped(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["-user"] = body["prefetch"].pop("patient")
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_with(tmp_path, vendor.url, NORTH), public_url=PUBLIC) as running:
            await call(running, body)
            body["context"]["patientId"] = "somebody-else"
            await call(running, body)
            mine, others = running.rows()
    assert (mine["race"], others["race"]) == ("white", "missing:not_fetched")
    assert mine["inputs_used"] > others["inputs_used"]


async def test_the_operator_is_told_which_keys_nothing_came_for_and_how_many_came_under_other_names(
    tmp_path: Path,
) -> None:
    body = request_of("white-55")
    whole = {**body, "prefetch": dict(body["prefetch"])}
    body["prefetch"]["CHOLESTEROL"] = body["prefetch"].pop("lipids")
    less = {**body, "prefetch": {"patient": body["prefetch"]["patient"]}}
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, hooks_with(tmp_path, vendor.url, NORTH), public_url=PUBLIC) as running:
            for sent in (whole, body, less):
                await call(running, sent)
            right, misspelt, short = [
                one for one in running.events() if one["event"] == "invocation_completed"
            ]
    assert "prefetch_absent" not in right and "prefetch_unasked" not in right
    assert (misspelt["prefetch_absent"], misspelt["prefetch_unasked"]) == (["lipids"], 1)
    assert len(short["prefetch_absent"]) == short["prefetch"]["absent"] and "prefetch_unasked" not in short


async def test_what_set_the_hook_off_is_recorded_and_logged(tmp_path: Path) -> None:
    body = {**request_of("white-55"), "extension": {TRIGGER: "26", "internalemployeeid": "E-1"}}
    entry = NORTH + f"trigger_extension: {TRIGGER}\n"
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, entry, SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            await call(running, body)
            await call(running, {**body, "extension": {TRIGGER: "Ann Smith, 1 Main Street"}})
            await call(running, body, EHR_SOUTH)
            lines = [one for one in running.events() if one["event"] == "invocation_completed"]
            rows = running.rows()
    assert [row["trigger"] for row in rows] == [line["trigger"] for line in lines] == ["26", None, None]


async def test_a_test_patient_is_recorded_as_one_by_label_or_by_the_sites_rule(tmp_path: Path) -> None:
    ruled, labelled, real = request_of("white-55"), request_of("white-55"), request_of("white-55")
    ruled["prefetch"]["patient"]["identifier"] = [{"system": "urn:oid:9", "value": "ZZ-1"}]
    labelled["prefetch"]["patient"]["meta"] = {"security": [{"code": "HTEST"}]}
    entry = NORTH + 'test_patients: ["urn:oid:9|ZZ*"]\n'
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, entry, SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            for body in (ruled, labelled, real):
                await call(running, body)
            await call(running, ruled, EHR_SOUTH)
            rows = running.rows()
    assert [(row["client"], row["is_test"]) for row in rows] == [
        ("north", 1),
        ("north", 1),
        ("north", 0),
        ("south", 0),
    ]


async def test_an_ehr_that_shows_no_card_is_recorded_as_silent_whatever_the_service_says(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH + "displayed: silent\n", SOUTH)
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            await call(running, request_of("white-55"))
            await call(running, request_of("white-55"), EHR_SOUTH)
            rows = running.rows()
    assert [row["displayed"] for row in rows] == ["silent", "shown"]


async def test_the_same_id_in_two_ehrs_is_two_patients(tmp_path: Path) -> None:
    """A FHIR id is unique within its server, so that each issuer's ids are a system of their own."""
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = hooks_with(tmp_path, vendor.url, NORTH, SOUTH + "namespace: https://south.example/fhir\n")
        async with wrapper(tmp_path, hooks, public_url=PUBLIC) as running:
            for ehr in (EHR_NORTH, EHR_NORTH, EHR_SOUTH):
                await call(running, request_of("white-55"), ehr)
            north, again, south = running.rows()
    for column in ("patient_fhir_key", "user_key"):
        assert north[column] == again[column] != south[column]
    assert north["patient_key"] == south["patient_key"], "an identifier with a system is the same everywhere"


@pytest.mark.parametrize(
    ("answered", "status", "reason"),
    [
        ({"cards": []}, "missing_input", "request_stripped"),
        (fakes.card_answer(), "answered", "request_stripped"),
        (fakes.card_answer(score="none"), "unreadable", "score_not_a_number"),
    ],
)
async def test_a_stripped_call_never_looks_like_no_risk_and_is_counted(
    answered: Any, status: str, reason: str, tmp_path: Path
) -> None:
    body = {**request_of("white-55"), "prefetch": {}}
    async with fakes.running(fakes.answers(answered)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(body)).json()["cards"]
            (row,) = running.rows()
            ready = (await running.http.get("/readyz")).json()
            rung = [event for event in running.events() if event["event"] == "request_stripped"]
    assert row["status"] == status and row["reason"] == reason
    assert status == "answered" or "This does not mean low risk" in card["summary"]
    assert ready["alarms"] == {"request_stripped": 1} and rung[0]["level"] == "error"


async def test_a_call_with_data_is_no_alarm_and_may_end_without_a_card(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers({"cards": []})) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            assert (await running.call(request_of("white-55"))).json() == {"cards": []}
            (row,) = running.rows()
            ready = (await running.http.get("/readyz")).json()
    assert (row["status"], row["reason"], ready["alarms"]) == ("no_cards", None, {})


async def test_a_key_mapped_to_nothing_stops_the_start(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, "http://127.0.0.1:9/x", NORTH + "prefetch_keys: {CHOL: lipid}\n")
    with pytest.raises(ConfigurationRefused, match=r"maps to `lipid`, which no service asks for.*`lipids`"):
        async with wrapper(tmp_path, hooks):
            pass


async def test_production_does_not_start_with_a_client_that_anybody_can_be(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, "https://vendor.example/x", NORTH, SOUTH + "profile: sandbox\n")
    with pytest.raises(ConfigurationRefused, match="of south has a private key that is public"):
        async with wrapper(tmp_path, hooks, profile=Profile.PRODUCTION, public_url=PUBLIC):
            pass
