"""A vendor's links: which pass, what is taken from them, and where none may lead."""

from __future__ import annotations

from typing import Any

import pytest

from cds_wrapper.caveats.cards import CardPolicy, Passage
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel
from tests.unit.caveats.test_cards import CAVEAT, QUIET, WORDS, composed, sent, vendor

PASSAGE = Passage(CardPolicy(link_hosts=frozenset({"v.example", "app.v.example:8443"})), https_only=True)
LINK = {"label": "Guideline", "url": "https://v.example/g?a=b#c", "type": "absolute"}
SMART = {
    "label": "App",
    "url": "https://app.v.example:8443/launch",
    "type": "smart",
    "appContext": '{"a":1}',
}


def links_of(*links: Any, caveat: Caveat = CAVEAT) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The links after ours, and what was changed."""
    words = WORDS if caveat is CAVEAT else QUIET
    composition = composed(vendor(links=list(links)), passage=PASSAGE, caveat=caveat, words=words)
    (card,) = sent(composition)
    assert card["links"][0]["label"] == WORDS.link_label
    return card["links"][1:], composition.changes


def test_right_links_pass_unchanged_behind_ours() -> None:
    assert links_of(LINK, SMART) == ([LINK, SMART], ())


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("x", "without label, removed"),
        ({**LINK, "label": None}, "without label, removed"),
        ({**LINK, "label": "\u200b"}, "without label, removed"),
        ({**LINK, "type": "relative"}, "of no known type, removed"),
        ({**LINK, "type": ["smart"]}, "of no known type, removed"),
        ({**LINK, "url": None}, "to no listed address, removed"),
        ({**LINK, "url": "http://v.example/g"}, "to no listed address, removed"),
        ({**LINK, "url": "/g"}, "to no listed address, removed"),
        ({**LINK, "url": "//v.example/g"}, "to no listed address, removed"),
        ({**LINK, "url": "javascript:alert(1)//https://v.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "data:text/html,https://v.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "file:///v.example/g"}, "to no listed address, removed"),
        ({**LINK, "url": "https://evil.example/v.example"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example@evil.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example\\@evil.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example\\.evil.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example.evil.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example:8443/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://sub.v.example/"}, "to no listed address, removed"),
        ({**LINK, "url": " https://v.example/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example/a\nb"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v\uff0eexample/"}, "to no listed address, removed"),
        ({**LINK, "url": "https://v.example\u3002evil.example/"}, "to no listed address, removed"),
        ({**SMART, "appContext": {"a": 1}}, "with a context of another type, removed"),
    ],
)
def test_a_link_that_is_not_safe_to_open_is_removed(link: Any, why: str) -> None:
    passed, changes = links_of(LINK, link)
    assert passed == [LINK] and changes[-1] == f"cards[0].links[1]: {why}"


def test_a_context_is_for_an_app_only() -> None:
    passed, changes = links_of({**LINK, "appContext": "x"}, {**SMART, "appContext": " "})
    assert passed == [LINK, {name: value for name, value in SMART.items() if name != "appContext"}]
    assert changes == ("cards[0].links[0].appContext: on a link that launches nothing, removed",)


def test_a_link_opens_by_itself_only_where_no_caveat_is_due() -> None:
    launching = {**SMART, "autolaunchable": True}
    passed, changes = links_of(launching, {**LINK, "autolaunchable": False})
    assert passed == [SMART, {**LINK, "autolaunchable": False}]
    assert changes == ("cards[0].links[0].autolaunchable: the caveat would not be seen, removed",)
    assert links_of(launching, caveat=Caveat(CaveatLevel.LIMITED))[0] == [SMART]
    assert links_of(launching, caveat=Caveat(CaveatLevel.SUPPORTED)) == ([launching], ())
    odd = links_of({**SMART, "autolaunchable": "true"}, caveat=Caveat(CaveatLevel.SUPPORTED))
    assert odd == ([SMART], ("cards[0].links[0].autolaunchable: of another type, removed",))


def test_other_members_stay_here_and_an_extension_passes() -> None:
    extension = {"org.example": {"a": 1}}
    passed, changes = links_of({**LINK, "target": "_top", "extension": extension}, {**LINK, "extension": [1]})
    assert passed == [{**LINK, "extension": extension}, LINK]
    assert changes == (
        "cards[0].links[0]: unknown members, held_back",
        "cards[0].links[1].extension: of another type, held_back",
    )


def test_a_label_is_one_clean_line_and_there_is_an_end_to_links() -> None:
    passed, changes = links_of(*[{**LINK, "label": "a\nb"}] * 21)
    assert [link["label"] for link in passed] == ["a b"] * 20
    assert changes[0] == "cards[0].links: more than 20, the others removed"


def test_without_a_list_of_hosts_every_link_stays_here() -> None:
    composition = composed(vendor(links=[LINK]))
    assert len(sent(composition)[0]["links"]) == 1
    assert composition.changes == ("cards[0].links: held_back",)


def test_outside_production_a_listed_host_may_be_plain_http_on_its_usual_port() -> None:
    passage = Passage(PASSAGE.policy)
    assert passage.opens("http://v.example:80/x") and passage.opens("https://V.example:443")
    assert not PASSAGE.opens("http://v.example/x") and not passage.opens("ftp://v.example/x")
