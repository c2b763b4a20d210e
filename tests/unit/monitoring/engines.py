"""A hundred thousand generated episodes, everything awkward in them, and what plain Python says of them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from functools import cache
from math import sqrt
from typing import Any

import pytest

from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.values import Group, Measure, ServiceFigures
from tests.unit.monitoring.made import AS_OF, figure, table
from tests.unit.monitoring.plain import Plain, plain

ROWS = 100_000
T = 0.25
ASKED = MonitoredAttributes(
    ("sex", "age_band"), (("sex", "age_band"),), ("black",), {"sex": ("female", "male", "other")}
)
ASK = Question("s", "m", "1", "o", AS_OF, T)
_STATES = ("event", "no_event", "pending", "censored", "unverified")


@cache
def generated() -> tuple[dict[str, Any], ...]:
    """Ties, missing values, nobody of one sex, an age band with few people, patients who change bands."""
    draw = random.Random(20_260_101)
    return tuple(_row(draw) for _ in range(ROWS))


def _row(draw: random.Random) -> dict[str, Any]:
    patient = draw.randrange(40_000)
    usual = ("<40", "40-64", "65+")[(patient + (draw.random() < 0.05)) % 3]
    ages = (usual, "100+", "missing:imprecise", None)
    age = draw.choices(ages, (0.97, 0.001, 0.02, 0.009))[0]
    score = round(min(max(draw.betavariate(1.5, 6), 0.001), 0.999), draw.choice((1, 2, 6)))
    score = min(max(score, 0.0), 1.0)
    happens = draw.random() < score * (1.3 if age == "65+" else 1.0)
    state = draw.choices(_STATES[:1] if happens else _STATES[1:2], k=1)[0]
    state = draw.choices((state, *_STATES[2:]), (0.9, 0.05, 0.03, 0.02))[0]
    day = dt.date(2026, 1, 1) + dt.timedelta(days=draw.randrange(200))
    return {
        "patient_key": f"p{patient}",
        "score": score,
        "state": "event" if age == "100+" else state,
        "sex": ("female", "male", "missing:declined")[patient % 100 // 49],
        "age_band": age,
        "race_members": (None, "|white|", "|black|white|", "|black|")[patient % 7 % 4],
        "day": day,
        "due_on": day + dt.timedelta(days=31),
        "site": ("north", "south")[patient % 2],
        "action": draw.choice(("none", "accepted", "overridden")),
    }


@cache
def arrow() -> Any:
    """The same as an Arrow table."""
    return table(generated())


def belongs(row: dict[str, Any], group: Group) -> bool:
    """Whether a row is of a group, as a person would say it."""
    if not group.exclusive:
        return f"|{group.level}|" in (row["race_members"] or "")
    return all((row[name] or "missing:not_fetched") == level for name, level in group.where)


def assert_as_plain_python_says(found: ServiceFigures) -> None:
    """Every group's counts, values, errors and days."""
    assert len(found.groups) == 1 + 4 + 6 + 3 * 4 + 1
    for of in found.groups:
        known = _plain_of(of.group)
        assert {name: n for name, n in of.counts.items() if n} == known.counts, of.group
        days = dict(
            zip(of.daily.days, zip(of.daily.group_events, of.daily.group_expected, strict=True), strict=True)
        )
        for day, (events, expected) in known.days.items():
            assert days.pop(day) == pytest.approx((events, expected), rel=1e-9)
        assert not any(events or expected for events, expected in days.values())
        for measure, value in known.values.items():
            one = figure(of, measure)
            assert one.value == pytest.approx(value, rel=1e-9), (of.group, measure)
            assert one.patients == known.patients
        for measure, why in _missing(of.group, known):
            assert figure(of, measure).value is None, (of.group, measure, why)


def _missing(group: Group, known: Plain) -> Iterator[tuple[Measure, str]]:
    for measure in (Measure.AUROC, Measure.SENSITIVITY, Measure.PPV, Measure.SPECIFICITY, Measure.OE_RATIO):
        if measure not in known.values:
            yield measure, "plain Python has none"


@cache
def _plain_of(group: Group) -> Plain:
    return plain((row for row in generated() if belongs(row, group)), T)


def assert_errors_as_plain_python_says(found: ServiceFigures) -> None:
    """Sensitivity's design effect is that of its clustered error, where enough patients have an event."""
    for of in found.groups:
        known = _plain_of(of.group)
        for measure in (Measure.SENSITIVITY, Measure.PPV, Measure.EVENT_RATE):
            if known.counts.get("event", 0) < 1000 or measure not in known.errors:
                continue
            one = figure(of, measure)
            value = known.values[measure]
            n = {
                Measure.SENSITIVITY: known.counts["event"],
                Measure.EVENT_RATE: known.counts["event"] + known.counts.get("no_event", 0),
            }.get(measure, one.n)
            alone = sqrt(value * (1 - value) / n)
            expected = max(1.0, (known.errors[measure] / alone) ** 2)
            assert one.design_effect == pytest.approx(expected, rel=1e-9), (of.group, measure)
