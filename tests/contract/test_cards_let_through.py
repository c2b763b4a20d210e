"""What a site lets through of a vendor's cards reaches the EHR right, and what it does not stays here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.caveats.cards import CardPolicy, Passage
from cds_wrapper.caveats.codings import NON_ADHERENCE_REASONS
from cds_wrapper.cds_answer import read_card
from cds_wrapper.cds_client import ClientProfile
from cds_wrapper.ehr.suggested import ResourceJudge
from cds_wrapper.fhir_models import fault_of
from tests import fakes
from tests.contract import wire
from tests.contract.test_wire import empties
from tests.service.harness import ROOT, copy_hooks, request_of, wrapper
from tests.unit.caveats.test_cards import WORDS, composed, sent, vendor

CARDS = """displayed: shown
cards:
  suggestions: pass
  link_hosts: [v.example]
  override_reason_set: non-adherence
  override_reasons:
    - {code: site, system: "urn:site", display: Ask the desk}
  topic: {code: cvdrisk, system: "urn:site"}
  system_actions: {allow: [update/ServiceRequest]}
"""
PATIENT = request_of("black-35")["context"]["patientId"].removeprefix("Patient/")
ORDER = {
    "resourceType": "ServiceRequest",
    "status": "draft",
    "intent": "proposal",
    "subject": {"reference": f"Patient/{PATIENT}"},
    "code": {"text": "Lipid panel"},
}
CREATE = {"type": "create", "description": "Order a lipid panel", "resource": ORDER}
UPDATE = {"type": "update", "description": "Change the order", "resource": {**ORDER, "id": "sr1"}}
DELETE = {"type": "delete", "description": "Cancel the order", "resourceId": "ServiceRequest/sr1"}
SOMEBODY_ELSES = {**ORDER, "id": "x", "subject": {"reference": "Patient/other"}}
FOR_ANOTHER = {**UPDATE, "resource": SOMEBODY_ELSES}
REASON = {"code": "no", "system": "urn:v", "display": "Not now"}
LINK = {"label": "Guideline", "url": "https://v.example/g", "type": "absolute"}
LAUNCH = {**LINK, "type": "smart", "appContext": "x", "autolaunchable": True}
GIVEN = {
    **fakes.DEFAULT_CARD,
    "suggestions": [
        {"label": "Order", "uuid": "s1", "actions": [CREATE, DELETE]},
        {"label": "For another", "uuid": "s2", "actions": [CREATE, FOR_ANOTHER]},
    ],
    "selectionBehavior": "at-most-one",
    "overrideReasons": [REASON, {"code": "x", "system": "urn:v"}],
    "links": [LINK, LAUNCH, {**LINK, "url": "https://evil.example/"}, {**LINK, "appContext": "x"}],
}


async def through(folder: Path, document: dict[str, Any], case: str = "black-35") -> tuple[Any, list[str]]:
    """The answer of a site that lets through what it can, and the changes on record."""
    async with fakes.running(fakes.answers(document)) as peer:
        hooks = copy_hooks(folder, peer.url, **{"displayed: shown": CARDS})
        async with wrapper(folder, hooks) as running:
            answer = (await running.call(request_of(case))).json()
            (row,) = running.rows()
    return answer, json.loads(row["changes_made"])


async def test_what_a_site_lets_through_arrives_whole_and_valid(tmp_path: Path) -> None:
    answer, changes = await through(tmp_path, {"cards": [GIVEN], "systemActions": [UPDATE]})
    (card,) = answer["cards"]
    (suggestion,) = card["suggestions"]
    assert (suggestion["uuid"], card["selectionBehavior"]) == ("s1", "at-most-one")
    assert [action["type"] for action in suggestion["actions"]] == ["create", "delete"]
    assert suggestion["actions"][0]["resource"]["meta"]["security"][0]["code"] == "AIAST"
    site = {"code": "site", "system": "urn:site", "display": "Ask the desk"}
    assert card["overrideReasons"] == [REASON, *NON_ADHERENCE_REASONS, site]
    assert card["source"]["topic"] == {"code": "cvdrisk", "system": "urn:site"}
    launch = {name: value for name, value in LAUNCH.items() if name != "autolaunchable"}
    assert card["links"][1:] == [LINK, launch, LINK]
    assert {
        "cards[0].suggestions[1].actions[1]: with a resource about another patient, suggestion removed",
        "cards[0].overrideReasons[1]: without display, removed",
        "cards[0].links[2]: to no listed address, removed",
        "cards[0].links[3].appContext: on a link that launches nothing, removed",
        "cards[0].links[1].autolaunchable: the caveat would not be seen, removed",
        "cards[0].source.topic: missing, added",
        "systemActions: held_back",
    } <= set(changes)
    assert "systemActions" not in answer, "a caveat is due for this patient"


async def test_a_caveat_holds_back_what_would_act_without_a_person(tmp_path: Path) -> None:
    """The demonstration's evidence supports nobody fully, so no case of it lets a system action pass."""
    answer, changes = await through(tmp_path, {"cards": [], "systemActions": [UPDATE]}, "white-55")
    assert answer == {"cards": []} and changes == ["systemActions: held_back"]


async def test_without_a_word_of_the_site_nothing_that_acts_passes(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers({"cards": [GIVEN], "systemActions": [UPDATE]})) as peer:
        async with wrapper(tmp_path, copy_hooks(tmp_path, peer.url)) as running:
            answer = (await running.call(request_of("black-35"))).json()
            assert running.app.state.doors.runtime.check_resource is None
    (card,) = answer["cards"]
    assert not {"suggestions", "selectionBehavior"} & set(card) and "systemActions" not in answer
    assert len(card["links"]) == 1 and card["overrideReasons"] == [REASON]


def test_the_models_of_fhir_are_not_loaded_where_no_action_may_pass() -> None:
    program = (
        "import sys; import cds_wrapper.app as app; from pathlib import Path;"
        "from cds_wrapper.services import ServiceCatalog, examine_services;"
        "held = ServiceCatalog(examine_services(Path('hooks')).services);"
        "assert len(held) == 3 and app.resource_check(held) is None;"
        "print([name for name in sys.modules if name.startswith('fhir.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Whatever a vendor writes -----------------------------------------------------------------------------------

texts = st.text(max_size=20) | st.sampled_from(
    ["a", "create", "delete", "Task/1", "https://v.example/x", "smart"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def objects_with(*names: str, right: list[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these members, right ones now and then, and other values."""
    return (
        st.sampled_from(right) | values | st.dictionaries(st.sampled_from(names), values, max_size=len(names))
    )


actions = objects_with("type", "description", "resource", "resourceId", right=[CREATE, UPDATE, DELETE])
suggestions = st.fixed_dictionaries(
    {},
    optional={
        "label": texts,
        "uuid": values,
        "isRecommended": values,
        "actions": st.lists(actions, max_size=3) | values,
        "actionSelectionBehavior": values,
        "x": values,
    },
)
links = objects_with(
    "label", "url", "type", "appContext", "autolaunchable", "extension", right=[LINK, LAUNCH]
)
codings = objects_with("code", "system", "display", "userSelected", "x", right=[REASON])
cards = st.fixed_dictionaries(
    {
        "summary": texts,
        "indicator": st.sampled_from(["info", "warning", "critical", "loud"]),
        "source": st.fixed_dictionaries({"label": values, "topic": codings, "url": values}) | values,
    },
    optional={
        "detail": texts | st.text(alphabet="`~<>[]()!#- \n:/&;w.@", max_size=60) | values,
        "suggestions": st.lists(suggestions, max_size=3) | values,
        "selectionBehavior": st.sampled_from(["any", "at-most-one"]) | values,
        "links": st.lists(links, max_size=3) | values,
        "overrideReasons": st.lists(codings, max_size=3) | values,
        "extension": st.dictionaries(texts, values, max_size=2) | values,
        "x": values,
    },
)
PROFILES = [ClientProfile(), ClientProfile(topic_state=True, content_type_extension="a")]
POLICIES = [
    CardPolicy(),
    CardPolicy(
        suggestions=True,
        link_hosts=frozenset({"v.example"}),
        override_reasons=tuple(NON_ADHERENCE_REASONS),
        topic={"code": "a", "system": "b"},
    ),
]


@settings(max_examples=200)
@given(cards, st.sampled_from(POLICIES), st.sampled_from(PROFILES))
def test_whatever_a_vendor_writes_the_card_fits_the_schema_and_holds_nothing_empty(
    card: dict[str, Any], policy: CardPolicy, profile: ClientProfile
) -> None:
    passage = Passage(policy, profile, judge=ResourceJudge(PATIENT, fault_of))
    out = sent(composed(read_card(card), passage=passage))
    assert wire.misfits("response", {"cards": out}) == []
    assert list(empties({"cards": out})) == []
    (one,) = out
    assert one["summary"].endswith(f" – {WORDS.short}") or one["summary"] == WORDS.fallback[0]
    assert WORDS.lines[0] in one["detail"].split("\n\n")[0] or one["summary"] == WORDS.fallback[0]


@pytest.mark.parametrize("member", ["suggestions", "links", "overrideReasons", "detail", "extension"])
def test_an_empty_member_of_the_vendors_leaves_no_trace(member: str) -> None:
    plain = sent(composed(vendor()))
    assert sent(composed(vendor(**{member: "" if member == "detail" else []}))) == plain
