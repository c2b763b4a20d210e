"""The table of attacks names tests that are there and run, and the page is what the table says."""

from __future__ import annotations

from collections import Counter

from tests.contract.attacks import ATTACKS, COMMAND, PAGE, page
from tests.contract.requirements import faults_of

ROWS = [attack for rows in ATTACKS.values() for attack in rows]


def test_every_attack_names_a_test_that_is_there_and_runs_everywhere() -> None:
    assert [fault for attack in ROWS for fault in faults_of(attack.test)] == []


def test_no_attack_stands_there_twice() -> None:
    assert [name for name, count in Counter(attack.name for attack in ROWS).items() if count > 1] == []


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), f"stale: run `{COMMAND}`"
