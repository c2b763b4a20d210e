"""Feedback as EHRs send it: in batches, late, twice, misspelt; what is right is not lost for what is not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from tests import fakes
from tests.contract import wire
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper

PATH = "/cds-services/cvd-risk/feedback"
NOWHERE = "http://127.0.0.1:9/x"
AT = "2026-06-30T12:00:30Z"
CARD = "0d9f2c9e-6a4b-4f6e-9c93-0d7f1f0d3f11"
REASON = {"code": "c", "system": "s", "display": "No"}


def entry(**members: Any) -> dict[str, Any]:
    """A right entry with some members changed; `...` takes one away."""
    whole = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": AT, **members}
    return {name: value for name, value in whole.items() if value is not ...}


async def post(running: Wrapper, *entries: Any) -> int:
    return (await running.http.post(PATH, json={"feedback": list(entries)})).status_code


@dataclass(frozen=True, slots=True)
class Odd:
    """An entry no specification wants: what becomes of its reason and its comment when it is kept at all."""

    name: str
    entry: Any
    kept: bool = True
    reason: str | None = None
    comment: bool = False


ODD = [
    Odd(
        "plural reasons, an object",
        entry(overrideReasons={"reason": REASON, "userComment": "x"}),
        True,
        "c",
        True,
    ),
    Odd("plural reasons, a list", entry(overrideReasons=[{"reason": REASON}]), True, "c"),
    Odd("a reason in an extension only", entry(overrideReason={"extension": {"reasonCategory": "1"}})),
    Odd(
        "plural reasons, built in the EHR, with a comment",
        entry(overrideReasons={"extension": {"com.ehr.reason": {"reasonTitle": "t"}}, "userComment": "x"}),
        comment=True,
    ),
    Odd(
        "several reasons", entry(overrideReasons=[{"reason": REASON}, {"userComment": "x"}]), True, "c", True
    ),
    Odd("a reason with codings", entry(overrideReason={"reason": {"coding": [REASON]}}), True, "c"),
    Odd("a reason that is a list", entry(overrideReason={"reason": [REASON]}), True, "c"),
    Odd("a card in braces", entry(card=f"{{{CARD[:-1].upper()}2}}", acceptedSuggestions={})),
    Odd("a card that is no UUID", entry(card="card/17§", overrideReasons={})),
    Odd(
        "a reason without display",
        entry(overrideReason={"reason": {"code": "c", "system": " s "}}),
        True,
        "c",
    ),
    Odd("a reason of text", entry(overrideReason="no")),
    Odd("a reason that is a list of lists", entry(overrideReason=[[REASON]])),
    Odd("a null reason", entry(overrideReason=None)),
    Odd("a card with its urn", entry(card=f"urn:uuid:{CARD}", overrideReasons=None)),
    Odd("accepted without suggestions", entry(outcome="accepted")),
    Odd("accepted suggestions as texts", entry(outcome="accepted", acceptedSuggestions=["s1"])),
    Odd("accepted suggestions as an object", entry(outcome="accepted", acceptedSuggestions={"id": "s1"})),
    Odd("a time without zone", entry(outcomeTimestamp="2026-06-30T12:00:30")),
    Odd("a time elsewhere", entry(outcomeTimestamp="2026-06-30T07:00:30.123456789-05:00")),
    Odd("a day", entry(outcomeTimestamp="2026-06-30")),
    Odd("members nobody knows", entry(surprise=[None])),
    Odd("a time in seconds", entry(outcomeTimestamp=1782820830)),
    Odd("a time in milliseconds", entry(outcomeTimestamp=1782820830123)),
    Odd("a time in seconds, as text", entry(outcomeTimestamp="1782820830")),
    Odd("a leap second", entry(outcomeTimestamp="2016-12-31T23:59:60")),
    Odd("a time that is true", entry(outcomeTimestamp=True), kept=False),
    Odd("a time beyond all time", entry(outcomeTimestamp=10**40), kept=False),
    Odd("a time that is an object", entry(outcomeTimestamp={"value": AT}), kept=False),
    Odd("no time", entry(outcomeTimestamp=...), kept=False),
    Odd("a time in words", entry(outcomeTimestamp="at noon"), kept=False),
    Odd("an outcome in capitals", entry(outcome="ACCEPTED")),
    Odd("an outcome with blanks", entry(outcome=" Overridden ")),
    Odd("ignored", entry(outcome="ignored"), kept=False),
    Odd("no outcome", entry(outcome=...), kept=False),
    Odd("no card", entry(card=...), kept=False),
    Odd("a card that is a number", entry(card=17), kept=False),
    Odd("a card of blanks", entry(card=" "), kept=False),
    Odd("text", "accepted", kept=False),
    Odd("null", None, kept=False),
    Odd("a list", [entry()], kept=False),
]


def of_its_own(odd: Odd) -> Any:
    """The entry under a card of its own, so that none is taken for another's repetition."""
    if not isinstance(odd.entry, dict) or odd.entry.get("card") != CARD:
        return odd.entry
    return {**odd.entry, "card": str(uuid5(NAMESPACE_URL, odd.name))}


async def send_all(folder: Path) -> dict[str, tuple[int, list[dict[str, Any]]]]:
    became = {}
    async with wrapper(folder, copy_hooks(folder, NOWHERE)) as running:
        for odd in ODD:
            before = len(running.rows("feedback_v1"))
            became[odd.name] = await post(running, of_its_own(odd)), running.rows("feedback_v1")[before:]
    return became


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[dict[str, Any]]]]:
    return asyncio.run(send_all(tmp_path_factory.mktemp("feedback")))


@pytest.mark.parametrize("odd", ODD, ids=[odd.name for odd in ODD])
def test_an_odd_entry_is_kept_or_refused_and_breaks_nothing(
    odd: Odd, became: dict[str, tuple[int, list[dict[str, Any]]]]
) -> None:
    status, rows = became[odd.name]
    assert wire.misfits("feedback", {"feedback": [odd.entry]}), "it is odd"
    assert status == (200 if odd.kept else 400)
    found = [(row["reason_code"], bool(row["user_comment_present"])) for row in rows]
    assert found == ([(odd.reason, odd.comment)] if odd.kept else [])


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"feedback": null}', b'{"feedback": {}}', b'{"feedback": "x"}', b'{"feedback": [}'],
)
async def test_a_body_without_an_array_of_feedback_is_refused(body: bytes, tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.post(PATH, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


async def test_a_batch_of_five_hundred_keeps_what_is_right_in_its_order(tmp_path: Path) -> None:
    batch = [entry(card=f"card-{number}") if number % 5 else {"card": number} for number in range(500)]
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        status = await post(running, *batch)
        rows = running.rows("feedback_v1")
    assert status == 200
    assert [row["card_uuid"] for row in rows] == [f"card-{number}" for number in range(500) if number % 5]


async def test_a_repetition_adds_nothing_and_a_change_of_mind_is_kept_after_it(
    tmp_path: Path,
) -> None:
    accepted = entry(outcome="accepted", acceptedSuggestions=[{"id": "s2"}, {"id": "s1"}])
    again = entry(outcome="accepted", acceptedSuggestions=[{"id": "s1"}, {"id": "s2"}])
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        statuses = [await post(running, one) for one in (accepted, again, entry(), accepted)]
        outcomes = [row["outcome"] for row in running.rows("feedback_v1")]
    assert statuses == [200] * 4 and outcomes == ["accepted", "overridden"]


async def test_one_batch_speaks_of_several_calls_and_finds_each(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answers = [
                (await running.call(request_of(case))).json() for case in ("white-55", "black-35", "age-81")
            ]
            cards = [answer["cards"][0]["uuid"] for answer in answers]
            status = await post(running, *[entry(card=card) for card in reversed(cards)])
            predictions = [row["prediction_id"] for row in running.rows()]
            found = [row["prediction_id"] for row in running.rows("feedback_v1")]
    assert status == 200 and found == predictions[::-1]


async def test_late_batches_in_any_order_tell_what_happened_in_its_order(tmp_path: Path) -> None:
    """Hours late, the later act first, one of them again: both are kept once, in the order they happened."""
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            card = (await running.call(request_of("white-55"))).json()["cards"][0]["uuid"]
            second = entry(card=card, outcomeTimestamp="2026-06-30T09:30:00-05:00")
            first = entry(card=card, outcome="accepted", outcomeTimestamp="2026-06-30T12:10:00Z")
            first["acceptedSuggestions"] = [{"id": "s1"}]
            for batch in ([second], [first, second], [first]):
                assert await post(running, *batch) == 200
            rows = running.rows("(SELECT * FROM feedback_v1 ORDER BY outcome_at LIMIT 9)")
            in_order = sorted(rows, key=lambda row: row["outcome_at"])
    assert [row["outcome"] for row in in_order] == ["accepted", "overridden"]
    assert [row["delay_s"] for row in in_order] == [600, 9000]
    assert all(row["matched"] for row in rows)


async def test_a_card_nobody_spoke_of_has_no_feedback(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("white-55"))
            await running.call(request_of("black-35"))
            spoken_of = json.loads(running.rows()[0]["cards_returned"])[0]
            await post(running, entry(card=spoken_of))
            rows = running.rows("feedback_v1")
    assert [row["card_uuid"] for row in rows] == [spoken_of]


async def test_feedback_to_nobodys_service_is_a_404_and_reading_it_a_405(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        unknown = await running.http.post("/cds-services/sepsis/feedback", json={"feedback": [entry()]})
        reading = await running.http.get(PATH)
        assert running.rows("feedback_v1") == []
    assert (unknown.status_code, reading.status_code) == (404, 405)
