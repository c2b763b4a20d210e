"""A reader with a calculator: no small number of people follows from what a report gives away."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pytest

from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.page import FIGURES, figure_rows, shown_of
from cds_wrapper.monitoring.values import EVERYBODY, Group, GroupFigures, Measure, Measured, ServiceFigures
from tests.unit.monitoring.report import made

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """What is behind a group's figures."""

    found: int
    missed: int
    wrong: int
    silent: int
    unverified: int = 200
    pending: int = 300
    patients: int | None = None

    @property
    def n(self) -> int:
        return self.found + self.missed + self.wrong + self.silent

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.found + other.found,
            self.missed + other.missed,
            self.wrong + other.wrong,
            self.silent + other.silent,
            self.unverified + other.unverified,
            self.pending + other.pending,
            (self.patients or self.n) + (other.patients or other.n),
        )


WOMEN = Counts(found=300, missed=200, wrong=500, silent=4000)
MEN = Counts(found=200, missed=300, wrong=400, silent=4100)


def shares(one: Counts) -> dict[Measure, tuple[int, int]]:
    events, flagged = one.found + one.missed, one.found + one.wrong
    return {
        Measure.EVENT_RATE: (events, one.n),
        Measure.FLAG_RATE: (flagged, one.n),
        Measure.SENSITIVITY: (one.found, events),
        Measure.SPECIFICITY: (one.silent, one.silent + one.wrong),
        Measure.PPV: (one.found, flagged),
        Measure.NPV: (one.silent, one.silent + one.missed),
        Measure.KNOWN_SHARE: (one.n, one.n + one.unverified),
        Measure.VERIFIED_SHARE: (one.n, one.n + one.unverified),
    }


def figures_of(group: Group, one: Counts, rest: Counts | None) -> GroupFigures:
    def measured(measure: Measure, value: float | None, n: int) -> Measured:
        events, people = one.found + one.missed, one.patients or one.n
        return Measured(
            measure, group, value, value, value, n, events, people, "", made.PERIOD, "readmission"
        )

    found = [measured(name, x / n if n else None, n) for name, (x, n) in shares(one).items()]
    found.append(measured(Measure.EXPECTED_AUROC, 0.7, one.n + one.pending + one.unverified))
    if rest is not None:
        other = shares(rest)
        gaps = {Measure.SENSITIVITY_GAP: Measure.SENSITIVITY, Measure.SPECIFICITY_GAP: Measure.SPECIFICITY}
        for gap, share in gaps.items():
            (x, n), (y, m) = shares(one)[share], other[share]
            found.append(measured(gap, x / n - y / m, one.n))
    counts = {
        "event": one.found + one.missed,
        "no_event": one.wrong + one.silent,
        "pending": one.pending,
        "censored": 0,
        "unverified": one.unverified,
    }
    return GroupFigures(group, tuple(found), made.daily(one.n / 10, one.n), counts, 1.0)


def added(counts: Iterable[Counts]) -> Counts:
    return reduce(operator.add, counts)


def report_of(**sexes: Counts) -> dict[str, dict[str, Row]]:
    """The rows of `figures.csv` and the JSON report by group and measure."""
    total = added(sexes.values())
    groups = [figures_of(EVERYBODY, total, None)]
    for sex, one in sexes.items():
        others = [two for name, two in sexes.items() if name != sex]
        rest = added(others)
        groups.append(figures_of(made.group_of("sex", sex), one, rest))
    figures = ServiceFigures("readmission", "m", "1", "readmission", 0.15, made.AS_OF, tuple(groups))
    known: Known = replace(made.known(), figures=figures, found=(), times={})
    rows: dict[str, dict[str, Row]] = {}
    for values in figure_rows(shown_of(known)):
        row = dict(zip(FIGURES, values, strict=True))
        rows.setdefault(row["level"], {})[row["measure"]] = row
    return rows


def worked_out(rows: Mapping[str, Mapping[str, Row]]) -> Iterator[tuple[str, int]]:
    """Every count that stands in a report, follows from a share and its denominator, or from the others'."""
    counted: dict[str, dict[str, int]] = {}
    for level, measures in rows.items():
        own = counted.setdefault(level, {})
        for name, row in measures.items():
            own |= {
                f"{name} {what}": row[what] for what in ("n", "events", "patients") if row[what] is not None
            }
            if row["value"] is not None and row["n"] is not None and name in SHARES:
                own |= {
                    f"{name} yes": round(row["value"] * row["n"]),
                    f"{name} no": row["n"] - round(row["value"] * row["n"]),
                }
    levels = [level for level in rows if level]
    for what, whole in counted[""].items():
        unknown = [level for level in levels if what not in counted[level]]
        if len(unknown) == 1:
            counted[unknown[0]][what] = whole - sum(
                counted[level][what] for level in levels if level not in unknown
            )
    for level, own in counted.items():
        yield from ((f"{level} {what}", n) for what, n in own.items())
        yield from (
            (f"{level} {a} - {b}", own[a] - own[b])
            for a, b in itertools.permutations(own, 2)
            if a.endswith(" n") and b.endswith(" n")
        )


SHARES = {one.value for one in shares(WOMEN)}


@pytest.mark.parametrize(
    "other",
    [
        Counts(found=4, missed=40, wrong=30, silent=400),
        Counts(found=40, missed=4, wrong=30, silent=400),
        Counts(found=40, missed=30, wrong=4, silent=400),
        Counts(found=30, missed=40, wrong=400, silent=4),
        Counts(found=0, missed=40, wrong=4, silent=400),
        Counts(found=40, missed=40, wrong=40, silent=400, unverified=4),
        Counts(found=40, missed=40, wrong=40, silent=400, pending=4),
        Counts(found=40, missed=40, wrong=40, silent=400, patients=6),
    ],
)
def test_no_small_number_of_people_follows_from_the_figures(other: Counts) -> None:
    rows = report_of(female=WOMEN, male=MEN, other=other)

    given_away = [(what, n) for what, n in worked_out(rows) if 0 < n < 11]

    assert given_away == []


def test_a_gap_does_not_give_away_what_its_sensitivity_hides() -> None:
    rows = report_of(female=WOMEN, male=MEN, other=Counts(found=4, missed=40, wrong=30, silent=400))

    assert rows["other"]["sensitivity"]["value"] is None
    assert rows["other"]["sensitivity_gap"]["value"] is None
    assert rows["other"]["event_rate"]["value"] is not None, "the events themselves are many"


def test_where_nothing_is_small_every_figure_stands() -> None:
    rows = report_of(female=WOMEN, male=MEN)

    assert all(row["value"] is not None for measures in rows.values() for row in measures.values())
