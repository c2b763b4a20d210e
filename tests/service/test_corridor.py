"""One real request end to end: the demonstration vendor, the real ledger, the shipped service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from tests.service.harness import copy_hooks, request_of, wrapper

UNREPORTED = "The developer gives no results for similar patients, and we have none yet."

# case -> level, whether the summary carries a caveat, and the first caveat line of `detail`
CARDS = [
    ("black-35", "reduced", True, "Elsewhere, this score has been too low for similar patients."),
    ("white-35", "limited", False, "This score has not yet been checked on enough patients here."),
    ("white-55", "limited", False, "This score has not yet been checked on enough patients here."),
    ("native-50", "not_validated", True, UNREPORTED),
    ("declined-35", "not_assessed", False, "How well this score works for this patient could not be checked"),
    ("age-81", "reduced", True, "The developer advises against this score for ages outside 30 to 79."),
]


@pytest.mark.parametrize(("case", "level", "in_summary", "first_line"), CARDS, ids=[row[0] for row in CARDS])
async def test_the_card_says_first_how_far_the_score_may_be_relied_on(
    case: str, level: str, in_summary: bool, first_line: str, tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        response = await running.call(request_of(case))
        (row,) = running.rows()
    (card,) = response.json()["cards"]
    assert response.status_code == 200
    assert card["detail"].startswith(f"**{first_line}")
    assert ("–" in card["summary"]) is in_summary and len(card["summary"]) <= 139
    assert (row["caveat_level"], bool(row["caveat_in_summary"])) == (level, in_summary)


async def test_the_record_holds_the_prediction_with_the_patients_demographics(
    tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        response = await running.call(request_of("black-35"))
        (row,) = running.rows()
        groups = running.rows("prediction_subgroups_v1")
    (card,) = response.json()["cards"]
    assert json.loads(row["cards_returned"]) == [card["uuid"]]
    assert card["uuid"] == str(uuid5(UUID(row["prediction_id"]), "0"))
    assert (row["status"], row["disposition"], row["delivery"]) == ("answered", "annotate", "sent")
    assert row["score"] == pytest.approx(0.030777, abs=1e-5) and row["flagged"] == 0 and row["band"] == "low"
    assert (row["age_band"], row["sex"]) == ("30-39", "male")
    assert (row["race"], row["race_ethnicity"]) == ("black", "nh_black")
    assert (row["model_id"], row["model_version"]) == ("prevent-base", "2023.1")
    assert row["model_version_source"] == "response"
    assert row["patient_key_source"] == "urn:oid:1.2.3.4" and row["patient_key"].startswith("p1:")
    assert row["patient_fhir_key"].startswith("p1:") and row["patient_fhir_key"] != row["patient_key"]
    assert "race*age_band=black*30-39" in json.loads(row["subgroups"])
    assert {"race": "black"}.items() <= {group["attribute"]: group["level"] for group in groups}.items()


async def test_the_card_repeats_the_caveat_for_machines_without_naming_a_group(
    tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("black-35"))).json()["cards"]
        (row,) = running.rows()
    ours = card["extension"]["org.cds-wrapper.prediction"]
    assert ours["prediction_id"] == row["prediction_id"] and ours["version"] == "2023.1"
    assert ours["caveats"][0]["reason"] == "known_gap" and ours["caveats"][0]["direction"] == "scores_too_low"
    assert "black" not in json.dumps(card).lower()
    assert "org.example.prevent" in card["extension"], "the vendor's own extension stays"


async def test_the_vendors_words_and_source_stay_the_vendors(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("white-55"))).json()["cards"]
    assert "PREVENT" in card["source"]["label"]
    assert card["summary"].startswith("10-year cardiovascular risk")


async def test_the_cards_link_opens_a_page_that_names_neither_patient_nor_group(
    tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("black-35"))).json()["cards"]
        path = card["links"][-1]["url"].removeprefix("http://127.0.0.1:8080")
        page = await running.http.get(path)
        other = await running.http.get(f"{path[:-4]}0000")
    assert page.status_code == other.status_code == 200
    assert page.headers["referrer-policy"] == "no-referrer" and "no-store" in page.headers["cache-control"]
    assert "black-35" not in page.text and "Example-" not in page.text
    assert "too low for similar patients" in page.text


async def test_without_hdl_the_card_says_what_is_missing_and_that_this_is_not_low_risk(
    tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("no-hdl"))).json()["cards"]
        (row,) = running.rows()
    assert card["summary"] == (
        "10-year cardiovascular risk (demonstration): not calculated, HDL cholesterol missing."
        " This does not mean low risk."
    )
    assert card["indicator"] == "info"
    assert (row["status"], row["score"], row["vendor_http_status"]) == ("missing_input", None, 412)
    assert json.loads(row["inputs_missing"]) == ["HDL cholesterol"]


async def test_feedback_is_stored_beside_its_prediction(tmp_path: Path, vendor_url: str) -> None:
    entry = {"outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:30Z"}
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("white-55"))).json()["cards"]
        body = {"feedback": [{**entry, "card": card["uuid"]}, {"card": 5}, {**entry, "card": "nobody's"}]}
        answer = await running.http.post("/cds-services/cvd-risk/feedback", json=body)
        stored = running.rows("feedback_v1")
        (row,) = running.rows()
    assert (answer.status_code, answer.content) == (200, b"")
    matches = [(entry["matched"], entry["prediction_id"]) for entry in stored]
    assert matches == [(1, row["prediction_id"]), (0, None)]


@pytest.mark.parametrize("body", [{}, {"feedback": {}}, {"feedback": [{"card": "x"}]}])
async def test_feedback_of_which_nothing_can_be_stored_is_refused(
    body: Any, tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        answer = await running.http.post("/cds-services/cvd-risk/feedback", json=body)
    assert answer.status_code == 400 and answer.json()["resourceType"] == "OperationOutcome"


async def test_discovery_lists_the_service_while_the_vendor_is_down(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/cds-services/prevent")) as running:
        answer = await running.http.get("/cds-services")
    (service,) = answer.json()["services"]
    assert answer.headers["content-type"] == "application/json"
    assert (service["id"], service["hook"]) == ("cvd-risk", "patient-view")
    assert all(service[name] for name in ("title", "description", "prefetch"))
