"""What nobody foresaw still ends in a truthful card, in the time budget, and in a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_wrapper import invocation
from cds_wrapper.ledger.pseudonyms import Pseudonyms
from tests import fakes
from tests.service.harness import copy_hooks, request_of, wrapper

TITLE = "10-year cardiovascular risk (demonstration)"


def fails(*_arguments: object) -> object:
    raise ZeroDivisionError("planted")


@pytest.mark.parametrize(
    ("on_error", "status", "summaries"),
    [
        ("card", 200, [f"{TITLE}: no result right now. This does not mean low risk."]),
        ("empty", 200, []),
        ("error", 500, []),
    ],
)
async def test_a_bug_of_ours_gives_what_the_plan_decided_ahead_and_is_recorded(
    on_error: str, status: int, summaries: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        plan = hooks / "cvd-risk" / "plan.yaml"
        plan.write_text(plan.read_text().replace("on_error: card", f"on_error: {on_error}"))
        monkeypatch.setattr(invocation, "decide", fails)
        async with wrapper(tmp_path, hooks) as running:
            answer = await running.call(request_of("white-55"))
            (row,) = running.rows()
            events = [event["event"] for event in running.events()]
    assert answer.status_code == status
    assert [card["summary"] for card in answer.json().get("cards", [])] == summaries
    assert (row["status"], row["http_status"], row["score"]) == ("error", status, None)
    assert row["caveat_level"] is None and row["race"] == "white", "what was known of the patient is kept"
    assert "invocation_failed" in events


async def test_when_the_patient_could_not_be_read_because_of_us_every_detail_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            monkeypatch.setattr(invocation, "complete_prefetch", fails)
            await running.call(request_of("white-55"))
            (row,) = running.rows()
    assert vendor.asked == []
    assert (row["status"], row["race"]) == ("error", "missing:fetch_failed")


async def test_when_not_even_the_error_can_be_recorded_no_score_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            monkeypatch.setattr(Pseudonyms, "patient", fails)
            (card,) = (await running.call(request_of("white-55"))).json()["cards"]
            assert running.rows() == []
    assert card["summary"] == f"{TITLE}: not shown right now. This does not mean low risk."


async def test_an_operator_log_that_breaks_changes_no_answer_and_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invocation, "tell_operator", fails)
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(request_of("white-55"))).json()["cards"]
            (row,) = running.rows()
    assert card["uuid"] in row["cards_returned"] and row["delivery"] == "sent"
