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

CASES = sorted(
    path.stem
    for path in (ROOT / "fixtures" / "requests").glob("*.json")
    if json.loads(path.read_bytes())["hook"] == "patient-view"
)
MAY_BE_EMPTY = {"cards", "services"}

TOPIC = {"code": "1", "system": "s", "display": "d", "userSelected": True}
CREATES = {"label": "a", "actions": [{"type": "create"}]}
LAUNCHES = {"label": "x", "url": "http://x", "type": "smart", "autolaunchable": True}
EMPTY = {"detail": "", "suggestions": [], "links": [], "overrideReasons": [], "extension": {}}

# Vendor cards that bend every rule a card has.
ODD_CARDS: list[tuple[str, dict[str, Any]]] = [
    ("everything empty", EMPTY),
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
    ("a topic", {"source": {"label": "x", "topic": TOPIC}}),
    ("suggestions without behaviour", {"suggestions": [{"label": "a"}]}),
    ("suggestions", {"suggestions": [{"label": "a"}, {"uuid": "u"}], "selectionBehavior": "any"}),
    (
        "two recommended where one may be",
        {
            "suggestions": [{"label": "a", "isRecommended": True}, {"label": "b", "isRecommended": True}],
            "selectionBehavior": "at-most-one",
        },
    ),
    ("actions", {"suggestions": [CREATES], "selectionBehavior": "any"}),
    ("an unknown behaviour", {"suggestions": [{"label": "a"}], "selectionBehavior": "exactly-one"}),
    ("a launching link", {"links": [LAUNCHES]}),
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


def rules_of_a_card(card: dict[str, Any]) -> dict[str, bool]:
    """Whether each rule holds for a card, by the requirement's id."""
    summary, source = card.get("summary", ""), card.get("source", {})
    return {
        "CARD-1": bool(card.get("uuid")),
        "CARD-2": 0 < len(summary) <= 139 and len(summary.encode("utf-16-le")) // 2 <= 139,
        "CARD-5": card.get("indicator") in {"info", "warning", "critical"},
        "CARD-6": bool(source.get("label")),
        "CARD-8": ("suggestions" in card) is ("selectionBehavior" in card),
        "CARD-9": card.get("selectionBehavior", "any") in {"at-most-one", "any"},
        "SRC-2": urlsplit(source.get("url", "https://x")).scheme in {"http", "https"},
        "SRC-3": urlsplit(source.get("icon", "https://x")).scheme in {"http", "https"},
        "SRC-4": "topic" not in source or {"code", "system"} <= source["topic"].keys(),
        "OWN-4": "caveats" not in json.dumps(card.get("extension")) or card["detail"].startswith("**"),
    }


def rules_of_a_suggestion(suggestion: dict[str, Any]) -> dict[str, bool]:
    """The same for a suggestion; none that changes the chart passes yet."""
    return {
        "SUG-1": bool(suggestion.get("label")),
        "SUG-2": bool(suggestion.get("uuid")),
        "SUG-4": "actions" not in suggestion,
    }


def problems_of(card: dict[str, Any]) -> list[str]:
    """The requirements a card breaks."""
    checked = [rules_of_a_card(card), *map(rules_of_a_suggestion, card.get("suggestions", []))]
    return [name for rules in checked for name, holds in rules.items() if not holds]


@pytest.mark.parametrize("case", CASES)
async def test_every_answer_to_a_named_case_is_valid(case: str, tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        response = await running.call(request_of(case))
    assert response.headers["content-type"] == "application/json"
    assert list(empties(response.json())) == []
    assert [problems_of(card) for card in response.json()["cards"]] == [[]]


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
    assert problems_of(card) == []
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
