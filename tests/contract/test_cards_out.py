"""What a card keeps of the vendor's, what ours adds, and what still stands when a client shows half of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from pydantic import ValidationError

from tests import fakes
from tests.contract import wire
from tests.contract.known_gaps import KNOWN_GAPS
from tests.service.harness import ROOT, copy_hooks, request_of, settings_for, wrapper

CASES = sorted(
    path.stem
    for path in (ROOT / "fixtures" / "requests").glob("*.json")
    if json.loads(path.read_bytes())["hook"] == "patient-view"
)
CAVEAT = "true risk may be higher for this patient"
OUR_MARKUP = {
    "paragraph",
    "bullet_list",
    "ordered_list",
    "list_item",
    "strong",
    "link",
    "hr",
    "text",
    "softbreak",
}


async def answered(folder: Path, *cards: dict[str, Any]) -> Any:
    """What goes back for a patient with a finding when the vendor gives these cards, and what was changed."""
    given = [{**fakes.DEFAULT_CARD, **card} for card in cards] or [fakes.DEFAULT_CARD]
    async with fakes.running(fakes.answers({"cards": given})) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url)) as running:
            cards_out = (await running.call(request_of("black-35"))).json()["cards"]
            (row,) = running.rows()
    return cards_out, json.loads(row["changes_made"])


def kinds(markdown: str) -> set[str]:
    """The kinds of markup a text uses, as a reader of GitHub's Markdown sees them."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    inside = [child for token in tokens for child in token.children or []]
    return {re.sub("_(open|close)$", "", token.type) for token in [*tokens, *inside]} - {"inline"}


async def test_our_own_text_uses_plain_markup_only(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answers = [(await running.call(request_of(case))).json() for case in CASES]
    ours = [answer["cards"][0]["detail"].split("\n\n---\n\n")[0] for answer in answers]
    assert set().union(*map(kinds, ours)) <= OUR_MARKUP
    assert kinds("# A\n\n| a |\n|---|\n\n![x](y)\n\n<b>") - OUR_MARKUP, "the check would notice more"


async def test_a_client_that_knows_no_extension_still_shows_the_caveat(tmp_path: Path) -> None:
    (card,), _ = await answered(tmp_path)
    shown = {name: value for name, value in card.items() if name != "extension"}
    assert shown["summary"].endswith(CAVEAT)
    assert shown["detail"].startswith("**Elsewhere, this score has been too low for similar patients.")


@pytest.mark.parametrize(
    "key", ["prediction", "cds prediction", "Org.example", "org.", "", "https://example.org/x"]
)
def test_a_name_of_our_extension_that_is_not_by_reverse_domain_is_refused(key: str, tmp_path: Path) -> None:
    assert settings_for(tmp_path, ROOT / "hooks", extension_key="org.example.risk").extension_key
    with pytest.raises(ValidationError):
        settings_for(tmp_path, ROOT / "hooks", extension_key=key)


async def test_a_client_that_hides_the_detail_still_shows_what_changes_the_meaning(tmp_path: Path) -> None:
    (card,), _ = await answered(tmp_path, {"summary": "Risk " * 60})
    assert card["summary"].endswith(CAVEAT) and len(card["summary"]) <= 139


async def test_neither_urgency_nor_order_nor_preselection_is_touched(tmp_path: Path) -> None:
    suggestions = [{"label": "a", "uuid": "s1"}, {"label": "b", "uuid": "s2", "isRecommended": True}]
    given: list[dict[str, Any]] = [
        {"summary": "First", "indicator": "info"},
        {
            "summary": "Second",
            "indicator": "critical",
            "suggestions": suggestions,
            "selectionBehavior": "any",
        },
        {"summary": "Third", "indicator": "warning"},
    ]
    cards, _ = await answered(tmp_path, *given)
    assert [card["indicator"] for card in cards] == ["info", "critical", "warning"]
    assert [card["summary"].split(" ")[0] for card in cards] == ["First", "Second", "Third"]
    assert cards[1]["suggestions"] == suggestions and cards[1]["selectionBehavior"] == "any"


async def test_the_clinical_content_is_the_vendors_and_only_its_id_is_ours(tmp_path: Path) -> None:
    topic = {"code": "risk9", "system": "urn:x", "display": "Risk", "userSelected": False}
    source = {
        "label": "Vendor",
        "url": "https://v.example",
        "icon": "https://v.example/i.png",
        "topic": topic,
    }
    given = {"source": source, "detail": "A *table*:\n\n- 1\n- 2", "extension": {"org.example.x": {"n": 1.5}}}
    (card,), changes = await answered(tmp_path, given)
    assert card["source"] == source and card["extension"]["org.example.x"] == {"n": 1.5}
    assert card["summary"].startswith("10-year cardiovascular risk 3.1 %")
    assert card["detail"].endswith("\n\n---\n\nA *table*:\n\n- 1\n- 2")
    assert changes == ["cards[0].uuid: replaced by ours"]


async def test_nothing_that_acts_by_itself_goes_out(tmp_path: Path) -> None:
    """What launches an app, changes the chart or asks for a reason stays here, and the record says so."""
    launching = {"label": "x", "url": "https://x", "type": "smart", "autolaunchable": True, "appContext": "y"}
    action = {"type": "create", "description": "x", "resource": {"resourceType": "Task"}}
    given = {
        "links": [launching],
        "overrideReasons": [{"code": "a", "system": "b"}],
        "suggestions": [{"label": "a", "actions": [action, action]}],
        "selectionBehavior": "any",
    }
    document = {"cards": [{**fakes.DEFAULT_CARD, **given}], "systemActions": [action]}
    async with fakes.running(fakes.answers(document)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            answer = (await running.call(request_of("black-35"))).json()
            (row,) = running.rows()
    (card,) = answer["cards"]
    assert set(answer) == {"cards"}
    assert not {"suggestions", "selectionBehavior", "overrideReasons"} & set(card)
    assert [(link["type"], set(link)) for link in card["links"]] == [("absolute", {"label", "url", "type"})]
    held = ["systemActions", "links", "overrideReasons", "suggestions[0]"]
    assert all(name in row["changes_made"] for name in held)


async def test_a_gap_is_still_as_the_table_of_requirements_says(tmp_path: Path) -> None:
    """When this fails because nothing is wrong any more, the gap is mended: the row may be called met."""
    for number, (row, members, wrong) in enumerate(KNOWN_GAPS):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert await wrong_with_answer(folder, members) == [wrong], row
    assert await wrong_with_answer(tmp_path, {}) == []


async def wrong_with_answer(folder: Path, members: dict[str, Any]) -> list[str]:
    document = {"cards": [{**fakes.DEFAULT_CARD, **members}]}
    async with fakes.running(fakes.answers(document)) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url)) as running:
            running.http.event_hooks = {}
            return wire.wrong_with(await running.call(request_of("black-35")))


ONCE_WRONG: dict[str, dict[str, Any]] = {
    "a label nobody can see": {
        "suggestions": [{"label": "\u200b", "uuid": "s1"}],
        "selectionBehavior": "any",
    },
    "an id of blanks": {"suggestions": [{"label": "a", "uuid": " "}], "selectionBehavior": "any"},
    "a topic's display of another type": {
        "source": {"label": "x", "topic": {"code": "1", "system": "s", "display": 5}}
    },
    "a topic with an unknown member": {
        "source": {"label": "x", "topic": {"code": "1", "system": "s", "x": 5}}
    },
    "a topic with a blank code": {"source": {"label": "x", "topic": {"code": " ", "system": "s"}}},
}


@pytest.mark.parametrize("members", ONCE_WRONG.values(), ids=ONCE_WRONG)
async def test_what_once_went_out_wrong_does_not_any_more(members: dict[str, Any], tmp_path: Path) -> None:
    assert await wrong_with_answer(tmp_path, members) == []


async def test_the_record_says_what_an_audit_asks_for(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            (card,) = (await running.call(request_of("black-35"))).json()["cards"]
            (row,) = running.rows()
    assert json.loads(row["cards_returned"]) == [card["uuid"]]
    assert row["hook_instance"] == request_of("black-35")["hookInstance"] and row["hook_instance_valid"] == 1
    assert row["user_kind"] == "Practitioner" and row["user_key"] and row["client"] == "development"
    assert {"issuer", "tenant"} <= set(row)
    came = {"state": "present", "source": "prefetch", "read_at": row["occurred_at"]}
    assert json.loads(row["inputs"])["patient"] == came and row["model_version"] == "2023.1"
