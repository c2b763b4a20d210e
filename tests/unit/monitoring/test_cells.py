"""What a table does not show: small numbers, and whatever would give them away."""

from __future__ import annotations

import itertools

import pytest

from cds_wrapper.monitoring.cells import Parts, hidden_rows
from cds_wrapper.monitoring.values import EVERYBODY, Group


def group(attribute: str, level: str) -> Group:
    return Group(tuple(zip(attribute.split("*"), level.split("*"), strict=True)))


WOMEN, MEN, OTHERS = (group("sex", level) for level in ("female", "male", "other"))


def rows(**sexes: tuple[int, int]) -> dict[Group, Parts]:
    """Events and non-events by sex, and everybody's."""
    found: dict[Group, Parts] = {
        group("sex", sex): {"event": events, "no_event": others} for sex, (events, others) in sexes.items()
    }
    total = {part: sum(parts[part] for parts in found.values()) for part in ("event", "no_event")}
    return {EVERYBODY: total, **found}


def test_nothing_is_hidden_where_nothing_is_small() -> None:
    hidden = hidden_rows(rows(female=(100, 900), male=(90, 910)))
    assert hidden.counts == hidden.rates == frozenset()


def test_nobody_at_all_is_no_small_number() -> None:
    assert hidden_rows(rows(female=(100, 900), male=(90, 910), other=(0, 0))).counts == frozenset()


def test_a_small_group_shows_nothing_and_the_next_smallest_keeps_its_counts() -> None:
    hidden = hidden_rows(rows(female=(1000, 9000), male=(900, 9100), other=(6, 34)))
    assert hidden.rates == {OTHERS}
    assert hidden.counts == {OTHERS, MEN}


def test_among_few_people_the_neighbour_shows_no_rates_either() -> None:
    hidden = hidden_rows(rows(female=(100, 900), male=(90, 910), other=(6, 34)))
    assert hidden.rates == {OTHERS, MEN}


def test_a_small_number_without_the_outcome_is_small_too() -> None:
    assert OTHERS in hidden_rows(rows(female=(100, 900), male=(90, 910), other=(34, 6))).rates


def test_what_a_crossing_leaves_out_of_a_group_is_protected_too() -> None:
    parents = rows(female=(500, 2500), male=(400, 2600))
    cells: dict[Group, Parts] = {
        group("sex*age", "female*young"): {"event": 200, "no_event": 1200},
        group("sex*age", "female*old"): {"event": 297, "no_event": 1300},
    }
    hidden = hidden_rows({**parents, **cells})
    assert hidden.counts & cells.keys(), "three women of unknown age could be worked out"


def test_a_race_alone_or_in_combination_is_hidden_where_the_difference_is_small() -> None:
    alone = group("race", "black")
    combined = Group(alone.where, exclusive=False)
    base: dict[Group, Parts] = {alone: {"event": 600, "no_event": 5000}}
    assert combined in hidden_rows({**base, combined: {"event": 605, "no_event": 5050}}).rates
    assert combined not in hidden_rows({**base, combined: {"event": 640, "no_event": 5400}}).counts


def test_members_that_are_more_than_the_whole_add_up_to_nothing_and_harm_nothing() -> None:
    odd: dict[Group, Parts] = {EVERYBODY: {"n": 50}, WOMEN: {"n": 40}, MEN: {"n": 40}, OTHERS: {"n": 3}}
    assert hidden_rows(odd).rates == {OTHERS}


@pytest.mark.parametrize("small", [1, 5, 10])
def test_no_small_count_follows_from_the_total_and_what_is_shown(small: int) -> None:
    shown_rows = rows(female=(700, 3000), male=(500, 3100), other=(small, 200))
    hidden = hidden_rows(shown_rows).counts
    for part in ("event", "no_event"):
        left = shown_rows[EVERYBODY][part] - sum(
            parts[part] for one, parts in shown_rows.items() if one != EVERYBODY and one not in hidden
        )
        assert left - small > 10 or part == "no_event"
    assert len(hidden) > 1


def test_a_whole_table_is_decided_in_reasonable_size() -> None:
    many: dict[Group, Parts] = {EVERYBODY: {"event": 0, "no_event": 0}}
    for race, age in itertools.product("abcdef", "123456"):
        cell = {"event": 3 + ord(race) % 7 * int(age), "no_event": 200}
        many[group("race*age", f"{race}*{age}")] = cell
        single = many.setdefault(group("race", race), {"event": 0, "no_event": 0})
        for part, n in cell.items():
            single[part] += n  # type: ignore[index]  # a dict of ours
            many[EVERYBODY][part] += n  # type: ignore[index]  # a dict of ours
    hidden = hidden_rows(many)
    small = {one for one, parts in many.items() if 0 < parts["event"] < 11}
    assert small < hidden.counts
