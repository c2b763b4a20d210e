"""The cards that go out: what is added, what is kept, what is held back, and that each change is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.caveats.cards import (
    AI_LABEL,
    CONTENT_TYPE,
    MOST_CHANGES,
    Composition,
    Passage,
    compose,
    unavailable_card,
)
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, CaveatReason, Disposition, Reason, Scope, Side
from cds_wrapper.caveats.evidence import Direction, evidence_token
from cds_wrapper.caveats.passage import CLOSED
from cds_wrapper.caveats.wording import CaveatWords, OwnCard
from cds_wrapper.cds import CDSResponse, encode
from cds_wrapper.cds_answer import VendorCard, VendorSource, VendorSuggestion, read_card
from cds_wrapper.vendors.base import NoPrediction, Status, VendorCall
from tests.spec.prevent import MODEL, SERVICE, VENDOR_CARD, WORDING, book, prediction, stamp

WORDS = CaveatWords(
    wording_ids=("G5",),
    lines=("This score has been too low for similar patients. True risk may be higher than shown.",),
    short="true risk may be higher for this patient",
    evidence_line="Not yet checked here.",
    ai_line="Calculated by PREVENT base 2023.1 (American Heart Association). Not reviewed by a person.",
    link_label="How this score was checked",
    title="10-year cardiovascular risk",
    replacement=None,
    fallback=("10-year cardiovascular risk: no result right now. This does not mean low risk.", "No answer."),
)
QUIET = replace(WORDS, wording_ids=(), lines=(), short=None)
REASON = CaveatReason(
    Reason.KNOWN_GAP,
    Scope.PATIENT,
    Direction.SCORES_TOO_LOW,
    Side.ANY,
    attributes=("race",),
    groups=(("race", "black"),),
    finding_id="outside-1",
    external=True,
)
CAVEAT = Caveat(CaveatLevel.REDUCED, (REASON,))
STAMP = stamp(CAVEAT, book())
KEY = STAMP.extension_key


def composed(
    *cards: VendorCard,
    words: CaveatWords = WORDS,
    caveat: Caveat = CAVEAT,
    passage: Passage = CLOSED,
) -> Composition:
    return compose(prediction(0.031, *cards), words, caveat, Disposition.ANNOTATE, STAMP, passage)


def sent(composition: Composition) -> list[dict[str, Any]]:
    """The cards as an EHR reads them."""
    cards = json.loads(encode(CDSResponse(list(composition.cards))))["cards"]
    assert isinstance(cards, list)
    return cards


def vendor(**members: Any) -> VendorCard:
    """A vendor's card as it comes over the wire; a member of None is left out."""
    whole = {"summary": "Risk 3.1 %", "indicator": "info", "source": {"label": "Vendor"}, **members}
    return read_card({name: value for name, value in whole.items() if value is not None})


def in_source(**members: Any) -> dict[str, Any]:
    return {"source": {"label": "V", **members}}


def test_the_caveat_stands_first_in_detail_and_last_in_the_summary() -> None:
    (card,) = sent(composed())
    assert card["summary"] == "10-year cardiovascular risk 3.1 % – true risk may be higher for this patient"
    assert card["detail"].split("\n\n")[:5] == [
        "**This score has been too low for similar patients. True risk may be higher than shown.**",
        "Not yet checked here.",
        "Calculated by PREVENT base 2023.1 (American Heart Association). Not reviewed by a person.",
        "---",
        "**Risk within 10 years**",
    ]


def test_the_vendors_own_stays_as_it_was() -> None:
    composition = composed()
    (card,) = sent(composition)
    assert card["indicator"] == VENDOR_CARD.indicator
    assert card["source"] == {"label": VENDOR_CARD.source.label}
    assert card["extension"]["org.example.prevent"] == {"probability": 0.031}
    assert card["detail"].endswith(VENDOR_CARD.detail or "")
    assert composition.changes == ("cards[0].uuid: replaced by ours",)


def test_a_card_without_a_caveat_is_left_alone_but_for_what_says_when_it_was_checked() -> None:
    composition = composed(vendor(), words=QUIET, caveat=Caveat(CaveatLevel.SUPPORTED))
    (card,) = sent(composition)
    assert card["summary"] == "Risk 3.1 %"
    assert card["detail"].startswith("Not yet checked here.\n\nCalculated by")
    assert "caveats" not in card["extension"][KEY]
    assert not composition.in_summary
    assert composition.changes == ()


def test_every_card_of_an_answer_carries_the_caveat_and_its_own_lasting_id() -> None:
    composition = composed(VENDOR_CARD, vendor(detail=None), vendor())
    cards = sent(composition)
    assert [card["uuid"] for card in cards] == [str(uuid5(STAMP.prediction_id, str(at))) for at in range(3)]
    assert all(card["detail"].startswith("**This score") for card in cards)
    assert all(card["summary"].endswith("for this patient") for card in cards)
    assert composed(VENDOR_CARD) == composed(VENDOR_CARD)


def test_the_link_opens_the_page_behind_the_caveat() -> None:
    (card,) = sent(composed())
    token = evidence_token(STAMP.edition, "outside-1")
    assert card["links"] == [
        {"label": "How this score was checked", "url": f"{STAMP.link_url}", "type": "absolute"}
    ]
    assert card["links"][0]["url"].endswith(f"/{token}")


@pytest.mark.parametrize(
    "summary", ["Risk " + "very " * 40 + "high", "風" * 200, "\U0001f600" * 90, "Risk é " * 30, "x" * 139]
)
def test_only_the_vendors_summary_is_cut_and_its_whole_text_is_kept(summary: str) -> None:
    composition = composed(vendor(summary=summary))
    (card,) = sent(composition)
    assert len(card["summary"]) <= 139
    assert len(card["summary"].encode("utf-16-le")) // 2 <= 139
    assert card["summary"].endswith("… – true risk may be higher for this patient")
    assert summary.strip() in card["detail"].split("---\n\n", 1)[1]
    assert "cards[0].summary: shortened" in composition.changes


def test_a_summary_that_just_fits_is_not_cut() -> None:
    room = 139 - len(" – true risk may be higher for this patient")
    fitting, longer = composed(vendor(summary="x" * room)), composed(vendor(summary="x" * (room + 1)))
    assert "cards[0].summary: shortened" not in fitting.changes
    assert "cards[0].summary: shortened" in longer.changes


def test_a_summary_is_one_clean_line() -> None:
    composition = composed(vendor(summary="Risk\n3.1 %\u202e"))
    (card,) = sent(composition)
    assert card["summary"].startswith("Risk 3.1 % – ")
    assert "cards[0].summary: cleaned" in composition.changes


def test_markup_that_could_hide_the_caveat_or_fetch_something_is_made_inert() -> None:
    detail = "```\n<details><style>x</style> ![p](https://x.example/p.png) [a](javascript:1)"
    composition = composed(vendor(detail=detail))
    (card,) = sent(composition)
    ours, theirs = card["detail"].split("\n\n---\n\n")
    assert ours.startswith("**This score")
    assert "<details" not in theirs
    assert "![" not in theirs
    assert "](javascript" not in theirs
    assert "cards[0].detail: cleaned" in composition.changes


@pytest.mark.parametrize(
    ("members", "change"),
    [
        ({"links": [{"label": "x", "url": "https://x", "type": "smart"}]}, "cards[0].links: held_back"),
        ({"overrideReasons": [{}]}, "cards[0].overrideReasons[0]: without code or system, removed"),
        ({"hardStop": True}, "cards[0].(others): 1 unknown members, held_back"),
        ({"Jane Doe, born 1950": 1}, "cards[0].(others): 1 unknown members, held_back"),
        ({"detail": ["a"]}, "cards[0].detail: of another type, held_back"),
        (in_source(url="/about"), "cards[0].source.url: not an http(s) address, removed"),
        (in_source(icon="data:x"), "cards[0].source.icon: not an http(s) address, removed"),
        (in_source(topic={"code": "a"}), "cards[0].source.topic: without code or system, removed"),
        (in_source(url=5), "cards[0].source.url: of another type, removed"),
        (in_source(topic="a"), "cards[0].source.topic: of another type, removed"),
        (in_source(hardStop=1), "cards[0].source: 1 unknown members, held_back"),
        ({"source": {"url": "https://v.example"}}, "cards[0].source.label: missing, added"),
        ({"source": None}, "cards[0].source.label: missing, added"),
        ({"extension": {CONTENT_TYPE: "text/html"}}, f'cards[0].extension."{CONTENT_TYPE}": removed'),
        ({"extension": {KEY: {"level": "supported"}}}, f'cards[0].extension."{KEY}": removed'),
        ({"extension": {"a": {"b": None}, "c": 1}}, "cards[0].extension: empty values removed"),
        ({"suggestions": [{"label": "a"}]}, "cards[0].suggestions: without selectionBehavior, removed"),
    ],
)  # fmt: skip
def test_what_is_held_back_or_repaired_is_recorded_without_the_vendors_words(
    members: dict[str, Any], change: str
) -> None:
    composition = composed(vendor(**members))
    (card,) = sent(composition)
    assert change in composition.changes
    assert card["detail"].startswith("**This score")
    assert card["source"]["label"] in {"V", "Vendor", "Demonstration vendor"}
    assert card["extension"][KEY]["level"] == "reduced"
    assert "hardStop" not in card
    assert "overrideReasons" not in card


def test_a_label_is_one_clean_line_too() -> None:
    dirty = vendor(
        source={"label": "Ven\ndor"}, suggestions=[suggestion(label="a\tb")], selectionBehavior="any"
    )
    composition = composed(dirty)
    (card,) = sent(composition)
    assert (card["source"]["label"], card["suggestions"][0]["label"]) == ("Ven dor", "a b")
    assert set(composition.changes) == {
        "cards[0].source.label: cleaned",
        "cards[0].suggestions[0].label: cleaned",
    }


def test_a_whole_source_goes_through_unchanged() -> None:
    source = {
        "label": "Vendor",
        "url": "https://vendor.example/about",
        "icon": "https://vendor.example/icon.png",
        "topic": {
            "system": "urn:x",
            "code": "prevent",
            "display": "Risk",
            "version": "1",
            "userSelected": False,
        },
    }
    composition = composed(vendor(source=source))
    assert sent(composition)[0]["source"] == source
    assert composition.changes == ()


def suggestion(**members: Any) -> dict[str, Any]:
    return {"label": "Repeat lipids", "uuid": "3b2f6e0e-6d2c-4b53-9d8f-000000000002", **members}


def test_a_suggestion_that_changes_nothing_is_kept_and_one_with_actions_is_held_back_whole() -> None:
    actions = [{"type": "create", "description": "x", "resource": {}}]
    composition = composed(
        vendor(
            suggestions=[
                suggestion(isRecommended=True),
                suggestion(actions=actions),
                {"label": "No id"},
                {"uuid": "u"},
            ],
            selectionBehavior="any",
        )
    )
    (card,) = sent(composition)
    assert card["selectionBehavior"] == "any"
    assert card["suggestions"][0] == suggestion(isRecommended=True)
    assert card["suggestions"][1]["label"] == "No id"
    assert UUID(card["suggestions"][1]["uuid"]).version == 5
    assert len(card["suggestions"]) == 2
    assert {
        "cards[0].suggestions[1]: actions_held_back",
        "cards[0].suggestions[2].uuid: missing, added",
        "cards[0].suggestions[3]: without label, removed",
    } <= set(composition.changes)


def test_no_suggestion_left_means_no_selection_behaviour_either() -> None:
    held = vendor(suggestions=[suggestion(actions=[{"type": "create"}])], selectionBehavior="at-most-one")
    (card,) = sent(composed(held))
    assert "suggestions" not in card
    assert "selectionBehavior" not in card


@pytest.mark.parametrize(
    ("members", "change"),
    [
        ({"indicator": "hard-stop"}, "cards[0].indicator: invalid, card replaced"),
        ({"indicator": "INFO"}, "cards[0].indicator: invalid, card replaced"),
        ({"indicator": None}, "cards[0].indicator: invalid, card replaced"),
        ({"summary": None}, "cards[0].summary: missing, card replaced"),
        ({"summary": " \n"}, "cards[0].summary: missing, card replaced"),
        ({"summary": {"text": "x"}}, "cards[0].summary: missing, card replaced"),
        (
            {"suggestions": [suggestion(isRecommended=True)] * 2, "selectionBehavior": "at-most-one"},
            "cards[0].suggestions: several recommended where one may be, card replaced",
        ),
    ],
)
def test_an_invalid_card_becomes_a_valid_minimal_one_with_its_caveat(
    members: dict[str, Any], change: str
) -> None:
    composition = composed(vendor(detail="The vendor's <b>text</b>", extension={"x": 1}, **members))
    (card,) = sent(composition)
    assert change in composition.changes
    assert card["indicator"] == "info"
    assert card["summary"].endswith(" – true risk may be higher for this patient")
    assert len(card["summary"]) > len(" – true risk may be higher for this patient") + 5
    assert card["detail"].startswith("**This score")
    assert card["detail"].endswith("The vendor's &lt;b>text&lt;/b>")
    assert card["source"] == {"label": "Vendor"}
    assert set(card["extension"]) == {KEY}
    assert composition.in_summary


def test_a_card_whose_selection_nobody_could_understand_is_withheld() -> None:
    strange = vendor(selectionBehavior="exactly-one", suggestions=[suggestion()])
    both = composed(strange, vendor())
    assert [card["uuid"] for card in sent(both)] == [STAMP.card_uuid(1)]
    assert "cards[0].selectionBehavior: unknown, card withheld" in both.changes


def test_when_no_card_is_left_a_card_of_our_own_says_so() -> None:
    composition = composed(vendor(selectionBehavior="exactly-one"))
    (card,) = sent(composition)
    assert card["summary"] == WORDS.fallback[0]
    assert not composition.in_summary


def test_the_answer_holds_no_value_that_is_none_or_empty() -> None:
    everything = vendor(
        detail="",
        suggestions=[],
        links=[],
        overrideReasons=None,
        extension={"a": [], "b": {"c": ""}},
        source={"label": "V", "topic": {"code": "a", "system": "b", "display": ""}},
    )

    def walk(value: Any) -> None:
        assert value not in (None, "", [], {})
        if isinstance(value, dict | list):
            for member in value.values() if isinstance(value, dict) else value:
                walk(member)

    walk(sent(composed(everything)))
    walk(sent(composed(everything, words=QUIET, caveat=Caveat(CaveatLevel.SUPPORTED))))


def test_the_machine_readable_copy_says_what_the_words_say() -> None:
    (card,) = sent(composed())
    assert card["extension"][KEY] == {
        "ai_label": AI_LABEL,
        "model": "prevent-base",
        "version": "2023.1",
        "level": "reduced",
        "caveats": [
            {
                "id": "G5",
                "level": "reduced",
                "reason": "known_gap",
                "scope": "patient",
                "direction": "scores_too_low",
                "side": "any",
                "evidence": evidence_token(STAMP.edition, "outside-1"),
            }
        ],
        "wording_ids": ["G5"],
        "prediction_id": str(STAMP.prediction_id),
        "evidence_edition": STAMP.edition,
        "plan_version": "1",
        "wording_version": "1",
    }


def test_the_machine_readable_copy_names_a_group_only_where_it_may_be_shown() -> None:
    old = replace(REASON, attributes=("age_band",), groups=(("age_band", "80+"),))
    crossing = replace(
        REASON, attributes=("race", "age_band"), groups=(("race", "black"), ("age_band", "30-39"))
    )
    (card,) = sent(composed(caveat=Caveat(CaveatLevel.REDUCED, (REASON, old, crossing))))
    groups = [caveat.get("group") for caveat in card["extension"][KEY]["caveats"]]
    assert groups == [None, ["age_band=80+"], None]
    assert "black" not in json.dumps(card)


def test_a_card_of_our_own_is_one_info_card_without_reason_or_score() -> None:
    words = replace(QUIET, replacement=("Risk: not shown for this patient.", "By hospital decision."))
    composition = compose(prediction(changes=("x: held_back",)), words, CAVEAT, Disposition.WITHHOLD, STAMP)
    (card,) = sent(composition)
    assert card["indicator"] == "info"
    assert card["source"] == {"label": "PREVENT base (American Heart Association)"}
    assert card["links"][0]["url"] == STAMP.general_url
    assert "level" not in card["extension"][KEY]
    assert "3.1" not in json.dumps(card)
    assert composition.changes == ("x: held_back", "cards: withhold")


def test_a_failure_has_one_card_and_nothing_was_changed() -> None:
    words = replace(QUIET, replacement=WORDS.fallback)
    failed = NoPrediction(Status.TIMED_OUT, MODEL, VendorCall())
    composition = compose(failed, words, CAVEAT, Disposition.ANNOTATE, STAMP)
    assert len(composition.cards) == 1
    assert composition.changes == ()


def test_a_vendor_without_cards_is_answered_without_cards() -> None:
    none = replace(prediction(changes=("x: held_back",)), cards=())
    composition = compose(none, QUIET, CAVEAT, Disposition.ANNOTATE, STAMP)
    assert composition.cards == ()
    assert composition.changes == ("x: held_back",)


@pytest.mark.parametrize("kind", [OwnCard.NO_RESULT, OwnCard.NOT_RECORDED])
def test_our_own_trouble_needs_no_caveat_to_be_told(kind: OwnCard) -> None:
    card = unavailable_card(kind, WORDING, SERVICE, STAMP)
    assert card.indicator == "info"
    assert card.summary.endswith("right now. This does not mean low risk.")
    assert card.detail is not None
    assert SERVICE.contact in card.detail


def test_the_list_of_changes_is_bounded() -> None:
    composition = composed(*[vendor(links=[{}], overrideReasons=[{}]) for _ in range(40)])
    assert len(composition.changes) == MOST_CHANGES
    assert composition.changes[-1] == f"…: {80 - MOST_CHANGES + 1} more"


def test_a_composition_prints_no_card() -> None:
    assert "risk" not in repr(composed())
    assert "low" not in repr(WORDS)
    assert "black" not in repr(CAVEAT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(
    [
        "summary",
        "indicator",
        "detail",
        "uuid",
        "source",
        "suggestions",
        "selectionBehavior",
        "links",
        "extension",
        "x",
    ]
)


@given(st.dictionaries(members, json_values, max_size=8))
def test_whatever_the_vendor_sends_the_card_is_valid_and_carries_its_caveat(card: dict[str, Any]) -> None:
    composition = composed(read_card(card))
    (out,) = sent(composition)
    assert out["indicator"] in {"info", "warning", "critical"}
    assert 0 < len(out["summary"]) <= 139
    assert out["source"]["label"]
    assert out["detail"].startswith("**This score") or out["summary"] == WORDS.fallback[0]
    assert msgspec.json.decode(msgspec.json.encode(out)) == out


def test_fields_of_a_vendor_card_are_all_decided_about() -> None:
    """A member added to what is read must be thought of here: kept, cleaned or held back."""
    assert {
        field for cls in (VendorCard, VendorSource, VendorSuggestion) for field in cls.__dataclass_fields__
    } == {
        *("summary", "indicator", "detail", "uuid", "source", "suggestions", "selection_behavior", "links"),
        *("override_reasons", "extension", "left_out", "misshapen", "unknown", "label", "url", "icon"),
        *("topic", "is_recommended", "actions", "action_behavior"),
    }
