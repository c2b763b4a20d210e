"""The demonstration's EHR screen, over small real servers: see `screen_parts`."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from cds_wrapper.demo.cases import NAMED_CASES
from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.queries import QUERIES
from cds_wrapper.demo.screen import REHEARSALS
from tests.unit.demo.screen_parts import CARD, Stage, the_stage


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with the_stage() as made:
        yield made


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


async def test_the_list_has_every_named_case_on_top_and_everybody_else_below(stage: Stage) -> None:
    page = (await stage.browser.get("/")).text
    listed = re.findall(r'<button name="patient" value="([^"]+)" class="person', page)
    named = [case.profile.id for case in (*NAMED_CASES, *INPATIENT_CASES)]
    assert listed[: len(named)] == named
    assert len(listed) > len(named)


async def test_every_screen_says_that_it_is_a_demonstration(stage: Stage) -> None:
    label = "Demonstration – synthetic patients, not a medical device"
    assert label in text_of((await stage.browser.get("/")).text)
    assert label in text_of(await stage.open("black-35"))


async def test_no_patient_id_stands_in_an_address(stage: Stage) -> None:
    for page in ((await stage.browser.get("/")).text, await stage.open("black-35")):
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page)
        assert not [one for one in addresses if "35" in one or "patient" in one.lower()]
        assert not re.findall(r'<form(?![^>]*method="post")', page)


async def test_opening_a_chart_fires_the_hook_as_an_ehr_does(stage: Stage) -> None:
    await stage.open("black-35")
    (request,) = stage.wrapper.asked
    assert request["hook"] == "patient-view"
    assert request["context"]["patientId"] == "black-35"
    assert request["prefetch"]["patient"]["id"] == "black-35"
    assert request["prefetch"]["lipids"]["entry"]


@pytest.mark.parametrize(
    ("patient", "hook", "service"),
    [
        ("ward-low-67", "encounter-start", "deterioration"),
        ("back-again-66", "encounter-discharge", "readmission"),
    ],
)
async def test_a_patient_in_hospital_fires_the_hook_of_the_story(
    stage: Stage, patient: str, hook: str, service: str
) -> None:
    page = await stage.open(patient)
    (request,) = stage.wrapper.asked
    assert (request["hook"], stage.wrapper.services) == (hook, [service])
    assert request["context"]["encounterId"] == f"{patient}-stay"
    assert set(request["prefetch"]) == set(QUERIES[hook])
    assert f'value="{hook}" aria-pressed="true"' in page
    assert "In hospital since" in page


async def test_the_chart_of_a_patient_in_hospital_can_be_opened_at_other_moments(stage: Stage) -> None:
    await stage.open("ward-low-67", hook="encounter-discharge")
    await stage.open("ward-low-67", hook="patient-view", fault="html")
    assert stage.wrapper.services == ["readmission", "cvd-risk"]
    assert "encounterId" not in stage.wrapper.asked[1]["context"]


async def test_somebody_at_a_clinic_is_neither_admitted_nor_discharged(stage: Stage) -> None:
    page = await stage.open("black-35", hook="encounter-start")
    assert stage.wrapper.services == ["cvd-risk"]
    assert "Admits the patient" not in page
    assert "Hospital stay" not in page


async def test_the_chart_shows_bedside_values_in_the_units_they_were_written_in(stage: Stage) -> None:
    shown = text_of(await stage.open("ward-other-units-54"))
    assert "Temperature 102.7 °F" in shown
    assert "15.7/9.7 kPa" in shown
    assert "Responsiveness not on file" not in text_of(await stage.open("ward-no-alertness-71"))


async def test_each_opening_is_a_firing_of_its_own(stage: Stage) -> None:
    await stage.open("black-35")
    await stage.open("black-35")
    first, second = stage.wrapper.asked
    assert first["hookInstance"] != second["hookInstance"]


async def test_the_card_is_shown_with_summary_urgency_source_and_link(stage: Stage) -> None:
    page = await stage.open("black-35")
    assert f"<h3>{CARD['summary']}</h3>" in page
    assert "Warning" in text_of(page)
    assert 'href="http://127.0.0.1:8080/evidence/cvd-risk/e/t"' in page
    assert "Demonstration model" in text_of(page)


async def test_markup_in_a_card_is_text_and_a_script_address_is_no_link(stage: Stage) -> None:
    page = await stage.open("black-35")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "<li>one</li>" in page


async def test_the_record_of_the_call_is_shown_beside_the_card(stage: Stage) -> None:
    shown = text_of(await stage.open("black-35"))
    for words in (
        "Score 3.1 % low; below the threshold of 7.5 %",
        "Race missing: declined declined to say, as is a patient’s right",
        "Level reduced",
        "known_gap:scores_too_low:any",
        "Evidence edition 2026-06-30.0123abcd",
        "p1:0123456789abcdef",
    ):
        assert words in shown


async def test_a_record_that_reaches_the_ledger_a_moment_later_is_shown_all_the_same(stage: Stage) -> None:
    stage.wrapper.late = 2
    page = await stage.open("black-35")
    assert "No record was found" not in page
    assert stage.wrapper.late == 0


async def test_an_answer_without_cards_is_said_and_its_record_still_shown(stage: Stage) -> None:
    stage.wrapper.cards = []
    stage.wrapper.changes = {"status": "no_cards", "cards_returned": []}
    shown = text_of(await stage.open("black-35"))
    assert "No card came back (HTTP status 200)." in shown
    assert "Status no_cards" in shown


async def test_the_chart_says_what_is_not_on_file(stage: Stage) -> None:
    page = text_of(await stage.open("no-hdl"))
    assert "HDL cholesterol not on file" in page
    assert "Total cholesterol 212 mg/dL" in page


@pytest.mark.parametrize("rehearsal", REHEARSALS, ids=lambda one: one.name)
async def test_a_button_makes_the_vendor_fail_in_that_way(stage: Stage, rehearsal: object) -> None:
    wanted = next(one for one in REHEARSALS if one == rehearsal)
    page = await stage.open("black-35", fault=wanted.name)
    assert f'value="{wanted.name}" aria-pressed="true"' in page
    assert len(re.findall(r'name="fault"[^>]*aria-pressed="true"', page)) == 1
    assert stage.wrapper.vendor_switched == [wanted.fault is not None]


async def test_the_vendor_really_misbehaves_after_the_button(stage: Stage) -> None:
    await stage.open("black-35", fault="html")
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{stage.vendor_url}/cds-services/prevent", json={"hook": "patient-view"})
    assert answer.headers["content-type"].startswith("text/html")


async def test_an_unknown_way_to_fail_changes_nothing(stage: Stage) -> None:
    page = await stage.open("black-35", fault="explode")
    assert 'value="ok" aria-pressed="true"' in page
    assert stage.wrapper.vendor_switched == []


async def test_a_search_by_name_lists_those_of_that_name(stage: Stage) -> None:
    page = (await stage.browser.post("/", data={"query": "Aspen"})).text
    assert re.findall(r'value="([^"]+)" class="person', page) == ["black-35"]
    page = (await stage.browser.post("/", data={"query": "nobody-at-all"})).text
    assert "Nobody of that name." in page


async def test_a_patient_who_does_not_exist_leaves_the_screen_as_it_was(stage: Stage) -> None:
    page = await stage.open("no-such-patient")
    assert "The same score, not the same evidence" in page


async def test_a_form_that_another_site_sent_is_refused(stage: Stage) -> None:
    answer = await stage.browser.post(
        "/", data={"patient": "black-35"}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert stage.wrapper.asked == []


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 50, b"x" * 20_000], ids=["bytes", "many", "large"])
async def test_a_body_that_is_no_form_is_refused(stage: Stage, body: bytes) -> None:
    answer = await stage.browser.post("/", content=body)
    assert answer.status_code == 400


async def test_the_screen_loads_nothing_from_elsewhere_and_is_not_cached(stage: Stage) -> None:
    answer = await stage.browser.get("/")
    assert answer.headers["cache-control"] == "private, no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert "style=" not in answer.text


@pytest.mark.parametrize("name", ["screen.css", "screen.js", "icon.svg"])
async def test_what_the_page_names_is_served(stage: Stage, name: str) -> None:
    assert f"/demo-screen/{name}" in (await stage.browser.get("/")).text
    answer = await stage.browser.get(f"/demo-screen/{name}")
    assert answer.status_code == 200
    assert answer.content


async def test_no_other_file_can_be_had(stage: Stage) -> None:
    assert (await stage.browser.get("/demo-screen/screen.html")).status_code == 404


async def test_the_ehr_can_be_told_to_send_a_token_in_place_of_the_data(stage: Stage) -> None:
    page = await stage.browser.post("/", data={"patient": "black-35", "sends": "token"})
    assert "the wrapper reads every input" in text_of(page.text)
    await stage.open("white-35")
    await stage.browser.post("/", data={"patient": "black-35", "sends": "prefetch"})
    without, still_without, whole = stage.wrapper.asked
    for request in (without, still_without):
        assert "prefetch" not in request and request["fhirServer"].startswith("http://127.0.0.1:")
        assert request["fhirAuthorization"]["access_token"] and request["fhirAuthorization"]["expires_in"] > 0
    assert whole["prefetch"]["lipids"] and "fhirAuthorization" not in whole
