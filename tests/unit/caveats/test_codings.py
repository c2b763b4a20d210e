"""The topic that EHRs remember overrides by, and the reasons for dismissing a card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cds_wrapper.caveats.cards import CardPolicy, Passage
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, CaveatReason, Reason, Scope
from cds_wrapper.caveats.codings import LONGEST_CODE, NON_ADHERENCE_REASONS, code_with_state
from cds_wrapper.cds_client import ClientProfile
from tests.unit.caveats.test_cards import CAVEAT, QUIET, REASON, composed, sent, vendor

TOPIC = {"system": "urn:x", "code": "risk9", "display": "Risk", "version": "1", "userSelected": False}
THIN = Caveat(CaveatLevel.LIMITED, (CaveatReason(Reason.THIN_EVIDENCE, Scope.PATIENT),))


def topic_of(topic: Any, passage: Passage | None = None, caveat: Caveat = CAVEAT) -> Any:
    """The topic that goes out, and what was changed."""
    source = {"label": "V", **({"topic": topic} if topic is not None else {})}
    composition = composed(vendor(source=source), passage=passage or Passage(), caveat=caveat)
    return sent(composition)[0]["source"].get("topic"), composition.changes


@pytest.mark.parametrize(
    "topic", [TOPIC, {"code": " a-1 ", "system": "s"}, {**TOPIC, "extension": [{"url": "urn:e"}]}]
)
def test_a_right_topic_passes_unchanged(topic: Any) -> None:
    assert topic_of(topic) == (topic, ())


@pytest.mark.parametrize(
    "odd",
    [
        {"display": 5},
        {"display": ""},
        {"version": None},
        {"userSelected": "no"},
        {"x": 1},
        {"extension": [{}]},
    ],
)
def test_members_that_are_wrong_are_taken_from_a_topic_and_that_is_said(odd: dict[str, Any]) -> None:
    kept = {name: value for name, value in TOPIC.items() if name not in odd}
    change = "cards[0].source.topic: empty, unknown or wrongly typed members removed"
    assert topic_of({**TOPIC, **odd}) == (kept, (change,))


@pytest.mark.parametrize(
    "odd", [{"code": " "}, {"code": "\u200b"}, {"code": 9}, {"system": ""}, {"system": None}]
)
def test_a_topic_without_a_code_or_system_is_removed_and_a_site_may_have_its_own(odd: dict[str, Any]) -> None:
    removed = "cards[0].source.topic: without code or system, removed"
    assert topic_of({**TOPIC, **odd}) == (None, (removed,))
    own = Passage(CardPolicy(topic={"code": "ours", "system": "urn:site"}))
    added = "cards[0].source.topic: missing, added"
    assert topic_of({**TOPIC, **odd}, own) == ({"code": "ours", "system": "urn:site"}, (removed, added))
    assert topic_of(None, own)[1] == (added,)
    assert topic_of(TOPIC, own) == (TOPIC, ())


def test_the_state_of_the_caveat_is_appended_where_the_ehr_remembers_overrides() -> None:
    remembers = Passage(profile=ClientProfile(topic_state=True))
    topic, changes = topic_of(TOPIC, remembers)
    assert topic == {**TOPIC, "code": "risk9Reduced065cf283"}, "overrides hang on it: never change it"
    assert changes == ("cards[0].source.topic.code: caveat state appended",)
    assert topic_of(TOPIC, remembers, Caveat(CaveatLevel.SUPPORTED)) == (TOPIC, ())
    assert topic_of(None, remembers) == (None, ())


def test_a_state_has_one_code_and_another_state_another() -> None:
    same_gap = Caveat(CaveatLevel.REDUCED, (replace(REASON, figures=None, since=None),))
    other_gap = Caveat(CaveatLevel.REDUCED, (replace(REASON, finding_id="outside-2"),))
    codes = {code_with_state("risk9", caveat) for caveat in (CAVEAT, same_gap, other_gap, THIN)}
    assert code_with_state("risk9", CAVEAT) == code_with_state("risk9", same_gap)
    assert len(codes) == 3


@pytest.mark.parametrize("code", ["a-1", "a1", "a 1", "é", "x" * 100, "x" * 99 + "y", "x" * 1_000])
@pytest.mark.parametrize("caveat", [CAVEAT, THIN, Caveat(CaveatLevel.NOT_VALIDATED)])
def test_a_code_with_a_state_is_letters_and_digits_and_short_enough(code: str, caveat: Caveat) -> None:
    made = code_with_state(code, caveat)
    assert made.isascii() and made.isalnum() and len(made) <= LONGEST_CODE


def test_codes_that_had_to_be_changed_stay_apart() -> None:
    codes = ["a-1", "a1", "a 1", "x" * 100, "x" * 99 + "y", "x" * 1_000]
    assert len({code_with_state(code, CAVEAT) for code in codes}) == len(codes)


# Reasons for dismissal --------------------------------------------------------------------------------------

FIRST = {"code": "no", "system": "urn:v", "display": "No"}
OWN = {"code": "site", "system": "urn:s", "display": "Ask the desk"}


def reasons_of(*reasons: Any, own: tuple[dict[str, str], ...] = ()) -> Any:
    passage = Passage(CardPolicy(override_reasons=own))
    composition = composed(vendor(overrideReasons=list(reasons) or None), passage=passage)
    return sent(composition)[0].get("overrideReasons"), composition.changes


def test_the_vendors_reasons_come_first_then_the_sites_each_once() -> None:
    second = {**FIRST, "code": "later", "display": "Later"}
    assert reasons_of(FIRST, second, own=(OWN, FIRST)) == ([FIRST, second, OWN], ())
    assert reasons_of(own=(OWN,)) == ([OWN], ())
    assert reasons_of() == (None, ())


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("x", "cards[0].overrideReasons[1]: of another type, removed"),
        ({"code": "a", "display": "A"}, "cards[0].overrideReasons[1]: without code or system, removed"),
        ({"code": "a", "system": "s"}, "cards[0].overrideReasons[1]: without display, removed"),
        (
            {"code": "a", "system": "s", "display": "\u200b"},
            "cards[0].overrideReasons[1]: without display, removed",
        ),
        (FIRST, "cards[0].overrideReasons[1]: a second time, removed"),
    ],
)
def test_a_reason_that_is_not_whole_is_removed(reason: Any, change: str) -> None:
    reasons, changes = reasons_of(FIRST, reason)
    assert reasons == [FIRST] and changes[-1] == change


def test_a_display_is_one_clean_line_and_there_is_an_end_to_reasons() -> None:
    reasons, changes = reasons_of(
        {**FIRST, "display": "N\no"}, *[{**FIRST, "code": str(n)} for n in range(30)]
    )
    assert reasons[0]["display"] == "N o" and len(reasons) == 20
    assert "cards[0].overrideReasons[0].display: cleaned" in changes
    assert "cards[0].overrideReasons: more than 20, the others removed" in changes


def test_the_built_in_reasons_are_lasting_and_have_a_display() -> None:
    assert [reason["code"] for reason in NON_ADHERENCE_REASONS] == [
        *("recipient-does-not-trust", "does-not-align-latest-evidence", "patient-ineligible"),
        *("inappropriate-recipient", "wrong-time-workflow", "need-more-info", "risk-benefit-ratio"),
        "cultural-religious-reason",
    ]
    assert all(reason["display"] and len(reason["display"]) < 50 for reason in NON_ADHERENCE_REASONS)
    assert {reason["system"] for reason in NON_ADHERENCE_REASONS} == {
        "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
    }


def test_a_card_without_a_caveat_offers_the_reasons_too() -> None:
    passage = Passage(CardPolicy(override_reasons=(OWN,)))
    quiet = composed(vendor(), words=QUIET, caveat=Caveat(CaveatLevel.SUPPORTED), passage=passage)
    assert sent(quiet)[0]["overrideReasons"] == [OWN]
