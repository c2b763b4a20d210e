"""What we send is CDS Hooks 2.0.1: rows of the requirements that this version serves, by their ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import fakes
from tests.service.harness import ROOT, copy_hooks, request_of, wrapper

CASES = sorted(path.stem for path in (ROOT / "fixtures" / "requests").glob("*.json"))
MAY_BE_EMPTY = {"cards", "services"}

# Vendor cards that bend every rule a card has.
ODD_CARDS: list[tuple[str, dict[str, Any]]] = [
    ("everything empty", {"detail": "", "suggestions": [], "links": [], "overrideReasons": [], "extension": {}}),
    ("nulls", {"detail": None, "uuid": None, "selectionBehavior": None}),
    ("empty values in its extension", {"extension": {"a": None, "b": "", "c": [], "d": {"e": {}}}}),
    ("a summary of 500", {"summary": "Long " * 100}),
    ("emoji at the edge", {"summary": "👩‍⚕️" * 40}),
    ("lines in the summary", {"summary": "Risk\n\n8 %\u202e"}),
    ("shouting indicator", {"indicator": "CRITICAL"}),
    ("no indicator", {"indicator": None}),
    ("no source", {"source": None}),
    ("a source of text", {"source": "us"}),
    ("a file as icon", {"source": {"label": "x", "icon": "file:///x.png", "url": "javascript:alert(1)"}}),
    ("half a topic", {"source": {"label": "x", "topic": {"code": "1"}}}),
    ("a topic", {"source": {"label": "x", "topic": {"code": "1", "system": "s", "display": "d", "userSelected": True}}}),
    ("suggestions without behaviour", {"suggestions": [{"label": "a"}]}),
    ("suggestions", {"suggestions": [{"label": "a"}, {"uuid": "u"}], "selectionBehavior": "any"}),
    (
        "two recommended where one may be",
        {
            "suggestions": [{"label": "a", "isRecommended": True}, {"label": "b", "isRecommended": True}],
            "selectionBehavior": "at-most-one",
        },
    ),
    ("actions", {"suggestions": [{"label": "a", "actions": [{"type": "create"}]}], "selectionBehavior": "any"}),
    ("an unknown behaviour", {"suggestions": [{"label": "a"}], "selectionBehavior": "exactly-one"}),
    ("a launching link", {"links": [{"label": "x", "url": "http://x", "type": "smart", "autolaunchable": True}]}),
    ("an unknown member", {"surprise": 1}),
    ("an open fence", {"detail": "```\n<details><summary>x</summary>"}),
]


def empties(value: Any, path: str = "$") -> Iterator[str]:
    """Every null, empty text, empty array and empty object, but the arrays that may be (GEN-3)."""
    if value in (None, "", [], {}) and path.rsplit(".", 1)[-1] not in MAY_BE_EMPTY:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from empties(item, f"{path}.{key}")


def problems_of(card: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a card, by the requirement's id."""
    if not card.get("uuid"):
        yield "CARD-1"
    summary = card.get("summary", "")
    if not summary or len(summary) > 139 or len(summary.encode("utf-16-le")) // 2 > 139:
        yield "CARD-2"
    if card.get("indicator") not in {"info", "warning", "critical"}:
        yield "CARD-5"
    if not card.get("source", {}).get("label"):
        yield "CARD-6"
    if ("suggestions" in card) != ("selectionBehavior" in card):
        yield "CARD-8"
    if card.get("selectionBehavior", "any") not in {"at-most-one", "any"}:
        yield "CARD-9"
    for name in ("url", "icon"):
        if urlsplit(card["source"].get(name, "https://x")).scheme not in {"http", "https"}:
            yield "SRC-2, SRC-3"
    topic = card["source"].get("topic")
    if topic is not None and not (topic.get("code") and topic.get("system")):
        yield "SRC-4"
    for suggestion in card.get("suggestions", []):
        if not suggestion.get("label") or not suggestion.get("uuid"):
            yield "SUG-1, SUG-2"
        if "actions" in suggestion:
            yield "ACT: nothing that changes the chart passes yet"
    if not card.get("detail", "").startswith("**") and "extension" in card and "caveats" in str(card["extension"]):
        yield "OWN-4"


@pytest.mark.parametrize("case", CASES)
async def test_every_answer_to_a_named_case_is_a_valid_answer(case: str, tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        response = await running.call(request_of(case))
    assert response.headers["content-type"] == "application/json"
    assert list(empties(response.json())) == []
    assert [list(problems_of(card)) for card in response.json()["cards"]] == [[]]


@pytest.mark.parametrize(("name", "members"), ODD_CARDS, ids=[row[0] for row in ODD_CARDS])
async def test_whatever_card_a_vendor_sends_a_valid_caveated_card_goes_out_and_every_change_is_recorded(
    name: str, members: dict[str, Any], tmp_path: Path
) -> None:
    async with fakes.running(fakes.answers({"cards": [{**fakes.DEFAULT_CARD, **members}]})) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            response = await running.call(request_of("black-35"))
            (row,) = running.rows()
    assert response.status_code == 200 and list(empties(response.json())) == []
    (card,) = response.json()["cards"]
    assert list(problems_of(card)) == []
    changed = json.loads(row["changes_made"])
    untouched = {"everything empty", "nulls", "a topic"}
    beside_its_id = [change for change in changed if change != "cards[0].uuid: replaced by ours"]
    assert bool(beside_its_id) is (name not in untouched), changed


async def test_several_cards_of_one_prediction_each_carry_the_caveat(tmp_path: Path) -> None:
    cards = [fakes.DEFAULT_CARD, {**fakes.DEFAULT_CARD, "summary": "Second"}]
    async with fakes.running(fakes.answers({"cards": cards})) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answered = (await running.call(request_of("black-35"))).json()["cards"]
            (row,) = running.rows()
    assert len({card["uuid"] for card in answered}) == 2
    assert all("true risk may be higher for this patient" in card["summary"] for card in answered)
    assert json.loads(row["cards_returned"]) == [card["uuid"] for card in answered]


async def test_discovery_and_refusals_hold_nothing_empty(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/x")) as running:
        discovery = (await running.http.get("/cds-services")).json()
        refusal = (await running.call(b"{")).json()
    assert list(empties(discovery)) == [] and list(empties(refusal)) == []


async def test_names_in_any_script_survive_the_way_through(tmp_path: Path) -> None:
    text = "Ångström 你好 👩‍⚕️"
    async with fakes.running(fakes.answers({"cards": [{**fakes.DEFAULT_CARD, "detail": text}]})) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(request_of("white-55"))).json()["cards"]
    assert card["detail"].endswith(text)
