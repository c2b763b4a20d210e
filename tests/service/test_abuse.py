"""Callers and vendors that send too much, too deep, too slowly or to the wrong address."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper import routes
from tests import fakes
from tests.service.harness import copy_hooks, request_of, wrapper

NOWHERE = "http://127.0.0.1:9/x"
FEEDBACK = {"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}


def many_cards(count: int) -> dict[str, Any]:
    return {"cards": [{"summary": "a", "indicator": "info"}] * count}


def deep(levels: int) -> bytes:
    nested = '{"a":' * levels + "1" + "}" * levels
    return b'{"cards": [{"summary": "a", "indicator": "info", "extension": ' + nested.encode() + b"}]}"


@pytest.mark.parametrize(
    ("name", "body"),
    [("10,000 cards", json.dumps(many_cards(10_000)).encode()), ("nested 500 deep", deep(500))],
)
async def test_an_answer_no_clinician_could_read_is_unreadable(
    name: str, body: bytes, tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers(body=body)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answer = await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert "This does not mean low risk" in answer.text and row["status"] == "unreadable"


async def test_a_patient_with_thousands_of_extensions_costs_nobody_the_budget(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["prefetch"]["patient"]["extension"] += [{"url": "x"}] * 40_000
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(body)
            (row,) = running.rows()
    assert row["status"] == "answered" and row["race"] == "white"
    assert row["total_ms"] < row["budget_ms"], "by the record's own times"


async def test_one_feedback_entry_that_cannot_be_read_does_not_cost_the_others(tmp_path: Path) -> None:
    body = json.dumps({"feedback": [FEEDBACK]})[:-2].encode() + b', {"n": 1e999}]}'
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.post(
            "/cds-services/cvd-risk/feedback", content=body, headers={"content-type": "application/json"}
        )
        assert len(running.rows("feedback_v1")) == 1
    assert answer.status_code == 200


async def test_feedback_without_a_card_costs_no_prediction_its_record(tmp_path: Path) -> None:
    entry = {**FEEDBACK, "card": "urn:uuid:"}
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            calls = [running.call(request_of("white-55")) for _ in range(5)]
            posts = [
                running.http.post("/cds-services/cvd-risk/feedback", json={"feedback": [entry]})
                for _ in range(5)
            ]
            answers = await asyncio.gather(*calls, *posts)
            assert len(running.rows()) == 5
    assert [answer.status_code for answer in answers] == [200] * 5 + [400] * 5


async def test_a_feedback_batch_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.post(
            "/cds-services/cvd-risk/feedback", json={"feedback": [FEEDBACK] * 1001}
        )
    assert answer.status_code == 400 and "several calls" in answer.text


@pytest.mark.parametrize("path", ["/cds-services/cvd-risk/", "/cds-services/cvd-risk/feedback/"])
async def test_nobody_is_redirected(path: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.post(path, json={}, headers={"host": "evil.example"})
    assert answer.status_code == 404 and "location" not in answer.headers


async def test_a_body_that_stops_coming_is_refused_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stalling() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    monkeypatch.setattr(routes, "BODY_WITHIN", routes.BODY_WITHIN / 100)
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.post(
            "/cds-services/cvd-risk", content=stalling(), headers={"content-type": "application/json"}
        )
        ready = (await running.http.get("/readyz")).json()
    assert answer.status_code == 408 and answer.json()["resourceType"] == "OperationOutcome"
    assert ready["refused"] == {"timed_out": 1}


async def test_drafts_and_extensions_in_the_context_do_not_reach_the_vendor(tmp_path: Path) -> None:
    body = request_of("white-55")
    body["context"] |= {"draftOrders": {"resourceType": "Bundle"}, "extension": {"staff": "1"}}
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(body)
    assert set(vendor.asked[0]["context"]) <= {"patientId", "userId", "encounterId"}
