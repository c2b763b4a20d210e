"""What the real service writes, whatever became of its calls, is a ledger the audit finds whole."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.retention import erase
from tests.service.harness import NOON, copy_hooks, request_of, wrapper
from tests.unit.ledger.attacks import attacker, found

CASES = ("black-35", "white-35", "native-50", "declined-35", "age-81")
REASON = {"code": "not-applicable", "system": "urn:example:reasons", "display": "Not applicable"}


async def test_a_day_of_calls_failures_and_feedback_is_whole_and_stays_so_when_it_is_erased(
    tmp_path: Path, vendor_url: str
) -> None:
    hooks = copy_hooks(tmp_path, vendor_url)
    async with wrapper(tmp_path, hooks) as running:
        answers = await asyncio.gather(*(running.call(request_of(case)) for case in CASES))
        without_patient = request_of("black-35")
        without_patient["prefetch"] = {}
        await running.call(without_patient)
        cards = [card["uuid"] for answer in answers for card in answer.json()["cards"]]
        for card in (*cards, "c0ffee00-0000-4000-8000-000000000000"):
            told = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2027-03-04T12:05:00Z"}
            await running.http.post(
                "/cds-services/cvd-risk/feedback",
                json={"feedback": [{**told, "overrideReason": {"reason": REASON}}]},
            )
        while_serving = await asyncio.to_thread(audit, tmp_path / "ledger.db")
    async with wrapper(tmp_path, hooks) as started_again:
        await started_again.call(request_of("black-35"))

    seen = audit(tmp_path / "ledger.db")
    assert while_serving.findings == () and seen.findings == ()
    assert {chain.chain: chain.rows for chain in seen.chains} == {
        "predictions": 7,
        "feedback": len(cards) + 1,
    }
    assert "chain_broken" not in {event["event"] for event in running.events() + started_again.events()}
    assert erase(tmp_path / "ledger.db", NOON + timedelta(days=365), "retention").predictions == 7
    assert audit(tmp_path / "ledger.db").findings == ()


async def test_a_ledger_whose_last_rows_were_cut_off_is_told_of_at_the_start_and_written_on(
    tmp_path: Path, vendor_url: str
) -> None:
    hooks = copy_hooks(tmp_path, vendor_url)
    async with wrapper(tmp_path, hooks) as running:
        for case in CASES:
            await running.call(request_of(case))
    with attacker(tmp_path / "ledger.db") as connection:
        connection.execute("DELETE FROM predictions WHERE sequence > 3")
    async with wrapper(tmp_path, hooks) as started_again:
        answer = await started_again.call(request_of("black-35"))

    assert len(answer.json()["cards"]) == 1
    told = [event for event in started_again.events() if event["event"] == "chain_broken"]
    assert [event["level"] for event in told] == ["critical"]
    assert ("missing", "predictions", 4) in found(tmp_path / "ledger.db")
