"""Suggestions with actions and system actions: passed whole, with the vendor's bytes, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cds_wrapper.caveats.actions import AI_CODING, LONGEST_RESOURCE, MOST_SYSTEM_ACTIONS, NEUTRAL
from cds_wrapper.caveats.cards import CardPolicy, Composition, Passage, compose
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.suggestions import MOST_ACTIONS
from cds_wrapper.cds import CDSResponse, encode
from cds_wrapper.cds_answer import read_answer
from cds_wrapper.cds_client import ClientProfile
from cds_wrapper.ehr.suggested import ResourceJudge
from cds_wrapper.fhir_models import fault_of
from tests.spec.prevent import prediction
from tests.unit.caveats.test_cards import CAVEAT, QUIET, STAMP, WORDS

PASSING = CardPolicy(suggestions=True, system_actions=frozenset({"update/ServiceRequest", "delete/Task"}))
SUPPORTED = Caveat(CaveatLevel.SUPPORTED)
ORDER = (
    '{"resourceType":"ServiceRequest","status":"draft","intent":"proposal", '
    '"subject":{"reference":"Patient/p1"},'
    '"code":{"text":"Lipids é"},"quantityQuantity":{"value":1.50}}'
)
KNOWN = ORDER.replace('"status"', '"id":"sr1","status"')
CREATE = {"type": "create", "description": "Order lipids", "resource": "ORDER"}
UPDATE = {"type": "update", "description": "Change order", "resource": "KNOWN"}
DELETE = {"type": "delete", "description": "Cancel order", "resourceId": "ServiceRequest/sr1"}


def body_of(card: dict[str, Any], system_actions: Any = None) -> bytes:
    """A vendor's answer whose resources are written byte for byte as above."""
    document = {
        "cards": [card] if card else [],
        **({"systemActions": system_actions} if system_actions else {}),
    }
    text = json.dumps(document, ensure_ascii=False)
    return text.replace('"ORDER"', ORDER).replace('"KNOWN"', KNOWN).encode()


def answered(
    body: bytes,
    passage: Passage | None = None,
    caveat: Caveat = CAVEAT,
    disposition: Disposition = Disposition.ANNOTATE,
) -> tuple[bytes, Composition]:
    """What an EHR is sent, and how it was made."""
    given = read_answer(body)
    assert given is not None
    whole = replace(prediction(), cards=given.cards, system_actions=given.system_actions)
    words = WORDS if caveat is CAVEAT else QUIET
    made = compose(whole, words, caveat, disposition, STAMP, passage or passing())
    return encode(CDSResponse(list(made.cards), list(made.system_actions) or None)), made


def passing(profile: ClientProfile | None = None) -> Passage:
    return Passage(PASSING, profile or ClientProfile(), judge=ResourceJudge("p1", fault_of))


def suggesting(*actions: Any, **members: Any) -> dict[str, Any]:
    suggestion = {"label": "Do it", "uuid": "s1", "actions": list(actions), **members}
    return {
        "summary": "Risk",
        "indicator": "info",
        "source": {"label": "V"},
        "suggestions": [suggestion],
        "selectionBehavior": "any",
    }


def test_a_whole_suggestion_passes_in_order_and_byte_for_byte() -> None:
    sent, made = answered(body_of(suggesting(DELETE, CREATE, UPDATE)))
    (suggestion,) = json.loads(sent)["cards"][0]["suggestions"]
    assert [action["type"] for action in suggestion["actions"]] == ["delete", "create", "update"]
    assert suggestion["actions"][0] == DELETE
    assert KNOWN.encode() in sent, "an update goes out as it came"
    created = suggestion["actions"][1]["resource"]
    assert created.pop("meta") == {"security": [AI_CODING]} and created == json.loads(ORDER)
    assert b'"quantityQuantity":{"value":1.50}' in sent.split(b'"update"')[0]
    assert "isRecommended" not in suggestion
    assert made.changes == ("cards[0].suggestions[0].actions[1].resource: labelled as made by a machine",)


def test_the_vendors_preselection_is_neither_taken_nor_given() -> None:
    sent, _ = answered(body_of(suggesting(CREATE, isRecommended=True)))
    assert json.loads(sent)["cards"][0]["suggestions"][0]["isRecommended"] is True


def test_a_label_that_is_there_is_not_added_twice_and_other_labels_stay() -> None:
    other = {"system": "urn:x", "code": "R"}
    already = ORDER.replace("{", f'{{"meta":{{"security":[{json.dumps(AI_CODING)}]}},', 1)
    sent, made = answered(body_of(suggesting(CREATE)).replace(ORDER.encode(), already.encode()))
    assert already.encode() in sent and made.changes == ()
    beside = ORDER.replace("{", f'{{"meta":{{"profile":["urn:p"],"security":[{json.dumps(other)}]}},', 1)
    sent, _ = answered(body_of(suggesting(CREATE)).replace(ORDER.encode(), beside.encode()))
    meta = json.loads(sent)["cards"][0]["suggestions"][0]["actions"][0]["resource"]["meta"]
    assert meta == {"profile": ["urn:p"], "security": [other, AI_CODING]}


def creating(*without: str, **members: Any) -> dict[str, Any]:
    """A creation whose resource lacks some members and has others."""
    resource = {name: value for name, value in json.loads(ORDER).items() if name not in without}
    return {"type": "create", "description": "x", "resource": {**resource, **members}}


def updating(identity: Any) -> dict[str, Any]:
    """An update of a resource with this id."""
    return {**UPDATE, "resource": {**json.loads(ORDER), "id": identity}}


NOT_BY_ID = "about a patient who is not told by an id"
MRN = {"system": "urn:mrn", "value": "999"}
TASK = {"resourceType": "Task", "status": "requested", "intent": "order"}
EMPTY_OR_TWICE = "an empty value or a name twice"
NO_REFERENCE = "without a relative reference"
LONG = {"text": "x" * LONGEST_RESOURCE}
HIDDEN = [{"url": "urn:x", "valueReference": {"type": "Group"}, "subject": "Patient/p2"}]


UNFIT: dict[str, tuple[Any, str]] = {
    "no object": ("x", "of no known type"),
    "no type": ({"description": "x"}, "of no known type"),
    "an unknown type": ({**CREATE, "type": "replace"}, "of no known type"),
    "capitals": ({**CREATE, "type": "Create"}, "of no known type"),
    "no description": ({**CREATE, "description": ""}, "without description"),
    "a description of nothing visible": ({**CREATE, "description": "\u200b \u202e"}, "without description"),
    "a description of another type": ({**CREATE, "description": 5}, "without description"),
    "an unknown member": ({**CREATE, "if": "x"}, "with unknown members"),
    "an odd extension": ({**CREATE, "extension": {"a": None, "b": 1}}, "with an odd extension"),
    "an extension of another type": ({**CREATE, "extension": [1]}, "with an odd extension"),
    "no resource": ({"type": "create", "description": "x"}, "without a FHIR resource"),
    "a text as resource": ({**CREATE, "resource": "Task/1"}, "without a FHIR resource"),
    "a resource without type": (creating("resourceType"), "without a FHIR resource"),
    "a resource of no type": (creating(resourceType="Nope"), "of no known type"),
    "a container": ({**CREATE, "resource": {"resourceType": "Bundle", "type": "batch"}}, "of no known type"),
    "a data type": ({**CREATE, "resource": {"resourceType": "HumanName", "text": "x"}}, "of no known type"),
    "no FHIR": (creating(surprise=1), "does not fit FHIR R4"),
    "a missing member": (creating("intent"), "does not fit FHIR R4"),
    "an unknown code": (creating(intent="wish"), "code FHIR R4 does not know"),
    "a null": (creating(note=[None]), EMPTY_OR_TWICE),
    "an empty text": (creating(language=""), EMPTY_OR_TWICE),
    "too long": (creating(code=LONG), "too long to check"),
    "an update without id": ({**UPDATE, "resource": "ORDER"}, "without id"),
    "two resources": ({**UPDATE, "resourceId": "Task/1"}, "with two resources"),
    "another patient": (creating(subject={"reference": "Patient/p2"}), "about another patient"),
    "another patient, hidden": (creating(extension=HIDDEN), "about another patient"),
    "another Patient": (
        {**UPDATE, "resource": {"resourceType": "Patient", "id": "p2"}}, "about another patient",
    ),
    "another patient, by identifier": (creating(subject={"identifier": MRN}), NOT_BY_ID),
    "another patient, by identifier and type": (
        creating(subject={"type": "Patient", "identifier": MRN}), NOT_BY_ID,
    ),
    "another patient, by search": (creating(subject={"reference": "Patient?identifier=9"}), NOT_BY_ID),
    "another patient, by a bare id": (creating(subject={"reference": "p2"}), NOT_BY_ID),
    "another patient, by an odd mark": (creating(subject={"reference": "Patient|p2"}), NOT_BY_ID),
    "another patient, encoded twice": (creating(subject={"reference": "%2550atient/p2"}), NOT_BY_ID),
    "another patient, contained": (
        creating(subject={"reference": "#p"}, contained=[{"resourceType": "Patient", "id": "p"}]), NOT_BY_ID,
    ),
    "another patient's task": (
        {**CREATE, "resource": {**TASK, "for": {"identifier": MRN}}}, NOT_BY_ID,
    ),
    "another patient in an extension": (
        creating(extension=[{**HIDDEN[0], "subject": {"identifier": MRN}}]),
        NOT_BY_ID,
    ),
    "a new Patient": (
        {**CREATE, "resource": {"resourceType": "Patient", "active": True}}, "creates a patient",
    ),
    "an update elsewhere": (updating(".."), "without id"),
    "an update of an operation": (updating("$purge"), "fit FHIR R4"),
    "an update of no text": (updating(5), "fit FHIR R4"),
    "a place elsewhere to delete": ({**DELETE, "resourceId": "Task/.."}, NO_REFERENCE),
    "an encoded place to delete": ({**DELETE, "resourceId": "Task/..%2FPatient%2Fp1"}, NO_REFERENCE),
    "an operation to delete": ({**DELETE, "resourceId": "Task/$purge"}, NO_REFERENCE),
    "all versions to delete": ({**DELETE, "resourceId": "Task/_history"}, NO_REFERENCE),
    "nothing to delete": ({"type": "delete", "description": "x"}, NO_REFERENCE),
    "an absolute reference": ({**DELETE, "resourceId": "https://x/Task/1"}, NO_REFERENCE),
    "a bare id to delete": ({"type": "delete", "description": "x", "resource": "sr1"}, NO_REFERENCE),
    "an object to delete": ({"type": "delete", "description": "x", "resource": "KNOWN"}, NO_REFERENCE),
    "two to delete": ({**DELETE, "resource": "Task/1"}, "with two resources to delete"),
    "a patient to delete": ({**DELETE, "resourceId": "Patient/p1"}, "that deletes a patient"),
    "a search to delete": ({**DELETE, "resourceId": "Task/1?x=y"}, NO_REFERENCE),
}  # fmt: skip


@pytest.mark.parametrize(("action", "why"), UNFIT.values(), ids=UNFIT)
def test_one_action_that_cannot_pass_takes_its_whole_suggestion_with_it(action: Any, why: str) -> None:
    card = suggesting(CREATE, action, DELETE)
    card["suggestions"].append({"label": "Other", "uuid": "s2", "actions": [DELETE]})
    sent, made = answered(body_of(card))
    assert [one["uuid"] for one in json.loads(sent)["cards"][0]["suggestions"]] == ["s2"]
    (change,) = made.changes
    assert change.startswith("cards[0].suggestions[0].actions[1]: ") and why in change
    assert change.endswith(", suggestion removed") and "x" not in change.split(": ")[1].split()


@pytest.mark.parametrize(
    "members",
    [
        {"subject": {"reference": "Patient/p1", "identifier": MRN, "display": "A"}},
        {"performer": [{"identifier": MRN}]},
        {"subject": {"reference": "https://ehr.example/fhir/Patient/p1/_history/2"}},
        {"subject": {"reference": "Patient/p1", "type": "Patient"}},
        {"contained": [{"resourceType": "Practitioner", "id": "a"}], "requester": {"reference": "#a"}},
    ],
)
def test_identifiers_of_others_than_the_patient_pass(members: dict[str, Any]) -> None:
    sent, _ = answered(body_of(suggesting(creating(**members))))
    assert "suggestions" in json.loads(sent)["cards"][0]


def test_a_place_may_be_told_by_its_identifier() -> None:
    actor = [{"actor": {"type": "Location", "identifier": MRN}, "status": "accepted"}]
    patient = [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}]
    visit = {"resourceType": "Appointment", "status": "proposed", "participant": patient + actor}
    sent, _ = answered(body_of(suggesting({**CREATE, "resource": visit})))
    assert "suggestions" in json.loads(sent)["cards"][0]


def test_two_readings_of_one_name_do_not_pass() -> None:
    twice = ORDER.replace("{", '{"subject":{"reference":"Patient/p2"},', 1)
    _, made = answered(body_of(suggesting(CREATE)).replace(ORDER.encode(), twice.encode()))
    assert made.changes[0].endswith("holds an empty value or a name twice, suggestion removed")


def test_the_old_form_of_a_deletion_is_rewritten_where_it_can_mean_one_thing_only() -> None:
    old = {"type": "delete", "description": "Cancel order", "resource": "ServiceRequest/sr1"}
    sent, made = answered(body_of(suggesting(old)))
    assert json.loads(sent)["cards"][0]["suggestions"][0]["actions"] == [DELETE]
    assert made.changes == ("cards[0].suggestions[0].actions[0].resource: old form, moved to resourceId",)


def test_a_description_is_one_clean_line_and_an_extension_of_an_action_stays() -> None:
    action = {**DELETE, "description": "Cancel\nit\u202e", "extension": {"org.example": {"a": 1.50}}}
    sent, made = answered(body_of(suggesting(action)))
    (out,) = json.loads(sent)["cards"][0]["suggestions"][0]["actions"]
    assert out == {**action, "description": "Cancel it"}
    assert made.changes == ("cards[0].suggestions[0].actions[0].description: cleaned",)


@pytest.mark.parametrize("actions", [{"type": "create"}, "create", 5, [[]], [None]])
def test_actions_that_are_no_list_of_objects_are_actions_nobody_can_read(actions: Any) -> None:
    card = suggesting()
    card["suggestions"][0]["actions"] = actions
    sent, made = answered(body_of(card))
    assert "suggestions" not in json.loads(sent)["cards"][0]
    assert made.changes == ("cards[0].suggestions[0].actions[0]: of no known type, suggestion removed",)


def test_a_site_that_has_not_decided_gets_no_actions() -> None:
    sent, made = answered(body_of(suggesting(CREATE)), Passage(judge=ResourceJudge("p1", fault_of)))
    assert b"actions" not in sent
    assert made.changes == ("cards[0].suggestions[0]: actions_held_back",)
    _, made = answered(body_of(suggesting(CREATE)), Passage(PASSING))
    assert made.changes[0].endswith("nobody can check, suggestion removed")


def test_there_is_an_end_to_what_is_checked() -> None:
    _, made = answered(body_of(suggesting(*[DELETE] * (MOST_ACTIONS + 1))))
    assert made.changes == (f"cards[0].suggestions[0]: more than {MOST_ACTIONS} actions, removed",)
    card = suggesting()
    card["suggestions"] = [
        {"label": "a", "uuid": f"s{n}", "actions": [UPDATE] * MOST_ACTIONS} for n in range(6)
    ]
    sent, made = answered(body_of(card))
    assert len(json.loads(sent)["cards"][0]["suggestions"]) == 5
    assert "more resources than are checked" in made.changes[-1]


def test_suggestions_beyond_what_anybody_reads_are_left_out_and_that_is_said() -> None:
    card = suggesting()
    card["suggestions"] = [{"label": "a", "uuid": f"s{n}"} for n in range(25)]
    sent, made = answered(body_of(card))
    assert len(json.loads(sent)["cards"][0]["suggestions"]) == 20
    assert made.changes == ("cards[0].suggestions: more than 20, the others removed",)


UNKNOWN_CHOICE = "cards[0].suggestions[0]: actionSelectionBehavior the EHR does not know, removed"


@pytest.mark.parametrize(
    ("behaviour", "known", "passes", "change"),
    [
        ("all", False, True, "cards[0].suggestions[0].actionSelectionBehavior: removed"),
        ("any", False, False, UNKNOWN_CHOICE),
        (5, False, False, UNKNOWN_CHOICE),
        ("at-most-one", True, True, None),
        ("some", True, False, UNKNOWN_CHOICE),
    ],
)  # fmt: skip
def test_a_choice_among_actions_goes_only_to_an_ehr_that_offers_it(
    behaviour: Any, known: bool, passes: bool, change: str | None
) -> None:
    profile = ClientProfile(partial_acceptance=known)
    sent, made = answered(body_of(suggesting(DELETE, actionSelectionBehavior=behaviour)), passing(profile))
    assert (b"suggestions" in sent) is passes
    assert (b"actionSelectionBehavior" in sent) is (passes and known)
    assert made.changes == ((change,) if change else ())


def test_unknown_members_of_a_suggestion_stay_here_and_that_is_said() -> None:
    sent, made = answered(body_of(suggesting(DELETE, surprise=1)))
    assert b"surprise" not in sent
    assert made.changes == ("cards[0].suggestions[0]: 1 unknown members, held_back",)


# System actions ---------------------------------------------------------------------------------------------

OTHER = {**DELETE, "resourceId": "Flag/1"}
MANY = [UPDATE] * (MOST_SYSTEM_ACTIONS + 1)


def test_an_agreed_system_action_passes_where_no_caveat_is_due() -> None:
    sent, made = answered(body_of({}, [UPDATE]), caveat=SUPPORTED)
    assert json.loads(sent) == {"cards": [], "systemActions": [{**UPDATE, "resource": json.loads(KNOWN)}]}
    assert KNOWN.encode() in sent
    assert made.changes == ("systemActions: 1 passed on",)


def test_a_system_action_without_description_gets_a_neutral_one() -> None:
    nameless = {name: value for name, value in UPDATE.items() if name != "description"}
    sent, made = answered(body_of({}, [nameless]), caveat=SUPPORTED, disposition=Disposition.SHOW)
    assert json.loads(sent)["systemActions"][0]["description"] == NEUTRAL
    assert "systemActions[0].description: missing, added" in made.changes


@pytest.mark.parametrize(
    ("actions", "caveat", "disposition", "change"),
    [
        ([UPDATE], CAVEAT, Disposition.ANNOTATE, "systemActions: held_back"),
        ([UPDATE], Caveat(CaveatLevel.LIMITED), Disposition.SHOW, "systemActions: held_back"),
        ([UPDATE], SUPPORTED, Disposition.LOWER_URGENCY, "systemActions: held_back"),
        ([UPDATE], SUPPORTED, Disposition.SHADOW, "systemActions: held_back"),
        ([UPDATE, CREATE], SUPPORTED, Disposition.SHOW, "systemActions[1]: not agreed, all held_back"),
        ([OTHER], SUPPORTED, Disposition.SHOW, "systemActions[0]: not agreed, all held_back"),
        ([UPDATE, {}], SUPPORTED, Disposition.SHOW, "systemActions[1]: of no known type, all held_back"),
        ("x", SUPPORTED, Disposition.SHOW, "systemActions[0]: of no known type, all held_back"),
        (MANY, SUPPORTED, Disposition.SHOW, "systemActions: more than 10, held_back"),
    ],
)  # fmt: skip
def test_a_system_action_that_was_not_agreed_or_whose_caveat_nobody_would_see_is_held_back(
    actions: Any, caveat: Caveat, disposition: Disposition, change: str
) -> None:
    sent, made = answered(body_of({}, actions), caveat=caveat, disposition=disposition)
    assert json.loads(sent) == {"cards": []}
    assert made.changes == (change,)


def test_no_system_action_passes_beside_a_card_that_was_withheld() -> None:
    strange = {**suggesting(), "selectionBehavior": "exactly-one"}
    sent, made = answered(body_of(strange, [UPDATE]), caveat=SUPPORTED)
    assert "systemActions" not in json.loads(sent)
    assert "systemActions: held_back" in made.changes


def test_a_card_of_our_own_has_no_system_actions_beside_it() -> None:
    given = read_answer(body_of(suggesting(), [UPDATE]))
    assert given is not None
    whole = replace(prediction(), cards=given.cards, system_actions=given.system_actions)
    words = replace(QUIET, replacement=("Not shown.", "By decision."))
    made = compose(whole, words, SUPPORTED, Disposition.WITHHOLD, STAMP, passing())
    assert made.system_actions == () and made.changes == ("systemActions: held_back", "cards: withhold")
