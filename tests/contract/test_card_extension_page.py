"""The page about our extension says what a card carries, member by member, and its example is a real one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from cds_wrapper.caveats.cards import unavailable_card
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel
from cds_wrapper.caveats.wording import OwnCard
from tests.spec.prevent import SERVICE, WORDING
from tests.unit.caveats.test_cards import CAVEAT, KEY, REASON, STAMP, composed, sent

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "card-extension.md"
TEXT = PAGE.read_text()


def listed(table: str) -> list[str]:
    """The members a table names, in its order."""
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_the_example_is_what_a_card_carries() -> None:
    (card,) = sent(composed())
    assert json.loads(TEXT.split("```json\n")[1].split("```")[0]) == {KEY: card["extension"][KEY]}


def test_every_member_is_in_the_tables_and_no_other() -> None:
    of_the_card, of_a_caveat = TEXT.split("Each of `caveats`:")
    old = replace(REASON, attributes=("age_band",), groups=(("age_band", "80+"),))
    (card,) = sent(composed(caveat=Caveat(CaveatLevel.REDUCED, (old,))))
    assert listed(of_the_card) == list(card["extension"][KEY])
    assert listed(of_a_caveat) == list(card["extension"][KEY]["caveats"][0])


def test_what_the_page_calls_needed_is_always_there() -> None:
    bare = replace(REASON, direction=None, side=None)
    (card,) = sent(composed(caveat=Caveat(CaveatLevel.REDUCED, (bare,))))
    needed = re.findall(r"^\| `(\w+)` \| yes \|", TEXT, re.MULTILINE)
    assert list(card["extension"][KEY]["caveats"][0]) == needed
    on_every_card = re.findall(r"^\| `(\w+)` \| every card \|", TEXT, re.MULTILINE)
    own = unavailable_card(OwnCard.NO_RESULT, WORDING, SERVICE, STAMP)
    assert own.extension is not None and list(own.extension[KEY]) == on_every_card


def test_every_level_is_named() -> None:
    assert all(f"`{level.value}`" in TEXT for level in CaveatLevel) and CAVEAT.level in CaveatLevel
