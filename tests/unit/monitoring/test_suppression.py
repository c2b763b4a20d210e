"""Small counts are hidden, and nothing that is shown gives one away."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.monitoring.suppression import FLOOR, Cell, Sum, hidden_cells, is_small

ALL: Cell = ("all",)


def levels(*counts: int) -> tuple[dict[Cell, int], list[Sum]]:
    """One attribute's levels and their total."""
    cells: dict[Cell, int] = {(f"level {n}",): count for n, count in enumerate(counts)}
    return {ALL: sum(counts), **cells}, [Sum(ALL, tuple(cells))]


def shown(counts: tuple[dict[Cell, int], list[Sum]]) -> list[int | str]:
    hidden = hidden_cells(*counts)
    return ["-" if cell in hidden else count for cell, count in counts[0].items()]


@pytest.mark.parametrize(
    ("counts", "page"),
    [
        ((40, 30, 0), [70, 40, 30, 0]),
        ((40, 11, 11), [62, 40, 11, 11]),
        # One small count beside a total: its smallest neighbour goes too.
        ((40, 30, 5), [75, 40, "-", "-"]),
        # Two small counts protect each other,
        ((40, 30, 5, 4), [79, 40, 30, "-", "-"]),
        # unless their sum says what they are.
        ((40, 30, 1, 1), [72, 40, "-", "-", "-"]),
        ((40, 30, 10, 10), [90, 40, "-", "-", "-"]),
        # A neighbour of 0 protects less than one above it.
        ((40, 0, 7), [47, "-", 0, "-"]),
        # Nobody but a small group: the total goes with it.
        ((7,), ["-", "-"]),
    ],
)
def test_what_a_page_may_show_of_one_attribute(counts: Sequence[int], page: list[int | str]) -> None:
    assert shown(levels(*counts)) == page


def test_events_and_others_of_a_group_hide_each_other() -> None:
    counts: dict[Cell, int] = {("n",): 200, ("events",): 6, ("others",): 194}

    assert hidden_cells(counts, [Sum(("n",), (("events",), ("others",)))]) == {("events",), ("others",)}


def test_a_row_is_shown_or_hidden_as_one() -> None:
    """Three people of unknown sex, none of them with an event: a second row goes, and nothing else."""
    counts: dict[Cell, int] = {}
    sums: list[Sum] = []
    for name, events, others in (("all", 5594, 43937), ("f", 3064, 23702), ("m", 2530, 20232), ("u", 0, 3)):
        counts |= {(name, "n"): events + others, (name, "events"): events, (name, "others"): others}
        sums.append(Sum((name, "n"), ((name, "events"), (name, "others"))))
    sums += [Sum(("all", what), tuple((name, what) for name in "fmu")) for what in ("n", "events", "others")]

    hidden = hidden_cells(counts, sums, row_of=lambda cell: cell[0])

    assert {cell[0] for cell in hidden} == {"u", "m"}


def test_a_count_that_stands_in_no_sum_is_hidden_alone() -> None:
    assert hidden_cells({("a",): 5, ("b",): 50}, []) == {("a",)}


def test_zero_and_the_floor_itself_may_be_shown() -> None:
    assert [is_small(count) for count in (0, 1, 10, 11)] == [False, True, True, False]


def test_a_floor_may_be_raised() -> None:
    counts, sums = levels(40, 30, 15)

    assert hidden_cells(counts, sums, floor=20) == {("level 2",), ("level 1",)}
    assert hidden_cells(counts, sums) == frozenset()


def crossed(rows: Sequence[Sequence[int]]) -> tuple[dict[Cell, int], list[Sum]]:
    """A table of two attributes with both margins and the total."""
    counts: dict[Cell, int] = {ALL: sum(map(sum, rows))}
    width = len(rows[0])
    for a, b in itertools.product(range(len(rows)), range(width)):
        counts["cell", str(a), str(b)] = rows[a][b]
    for a, row in enumerate(rows):
        counts["row", str(a)] = sum(row)
    for b in range(width):
        counts["column", str(b)] = sum(row[b] for row in rows)
    sums = [
        Sum(("row", str(a)), tuple(("cell", str(a), str(b)) for b in range(width))) for a in range(len(rows))
    ]
    sums += [
        Sum(("column", str(b)), tuple(("cell", str(a), str(b)) for a in range(len(rows))))
        for b in range(width)
    ]
    sums.append(Sum(ALL, tuple(("row", str(a)) for a in range(len(rows)))))
    sums.append(Sum(ALL, tuple(("column", str(b)) for b in range(width))))
    return counts, sums


def other_tables(
    counts: Mapping[Cell, int], sums: Sequence[Sum], hidden: frozenset[Cell], cell: Cell
) -> set[int]:
    """Every value that a hidden count could have, found by trying: an attack that knows the rules."""
    order = sorted(hidden)
    found = set()
    ranges = [range(1, FLOOR) if is_small(counts[one]) else range(counts[one] + 25) for one in order]
    for values in itertools.product(*ranges):
        guess = {**counts, **dict(zip(order, values, strict=True))}
        if all(guess[one.whole] == sum(guess[part] for part in one.parts) for one in sums):
            found.add(guess[cell])
        if len(found) > 1:
            break
    return found


@given(st.lists(st.integers(0, 40), min_size=2, max_size=4))
@settings(max_examples=60)
def test_no_small_count_of_an_attribute_can_be_worked_out(counts: list[int]) -> None:
    cells, sums = levels(*counts)
    hidden = hidden_cells(cells, sums)

    for cell in hidden:
        if is_small(cells[cell]) and len(hidden) <= 3:
            assert len(other_tables(cells, sums, hidden, cell)) > 1


@given(st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=3, max_size=3))
@settings(max_examples=40)
def test_no_small_count_of_a_crossing_is_the_last_unknown_of_a_sum(rows: list[list[int]]) -> None:
    counts, sums = crossed(rows)
    hidden = hidden_cells(counts, sums)

    for one in sums:
        unknown = [cell for cell in one.cells if cell in hidden]
        if any(is_small(counts[cell]) for cell in unknown):
            assert len(unknown) > 1
