"""The rows of the readmission model's card: whom it was made from, and how it does in people it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cds_wrapper.demo.readmission import ReadmissionModel
from cds_wrapper.demo.stay_figures import (
    Figure,
    Judged,
    auroc,
    calibration_slope,
    observed_over_expected,
    share,
)
from cds_wrapper.demo.stays import PastStay

THRESHOLD: Final = 0.15
"""The hospital's own cut point for a call after discharge; no part of the model."""
SMALLEST: Final = 11
"""Fewer events than that make no figure, and fewer people are not counted out."""
CITE: Final = "Diabetes 130-US Hospitals (Strack et al. 2014, CC BY 4.0), own computation"

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the people: their name in a row's id, in the card and in the source, and how to see them."""

    id: str
    where: Mapping[str, tuple[str, ...]]
    holds: Callable[[PastStay], bool]
    as_reported: str | None = None


def _race(name: str, level: str) -> Group:
    said = "not recorded" if name == "?" else name
    return Group(f"race-{level}", {"race": (level,)}, lambda one: one.race == name, said)


def _ages(first: int, end: int) -> Group:
    band = f"{first}-{end - 1}" if end < 100 else f"{first}+"
    return Group(f"age-{band.rstrip('+')}", {"age_band": (band,)}, lambda one: first <= one.age < end)


def _crossing(one: Group, other: Group) -> Group:
    return Group(
        f"{one.id}-{other.id}",
        {**one.where, **other.where},
        lambda stay: one.holds(stay) and other.holds(stay),
        one.as_reported,
    )


EVERYBODY: Final = Group("all", {}, lambda _: True)
SEXES: Final = (
    Group("female", {"sex": ("female",)}, lambda one: one.gender == "Female"),
    Group("male", {"sex": ("male",)}, lambda one: one.gender == "Male"),
)
WHITE: Final = _race("Caucasian", "white")
BLACK: Final = _race("AfricanAmerican", "black")
RACES: Final = (BLACK, WHITE, _race("Asian", "asian"), _race("Other", "other"), _race("?", "missing"))
HISPANIC: Final = Group(
    "hispanic", {"ethnicity": ("hispanic",)}, lambda one: one.race == "Hispanic", "Hispanic"
)
BANDS: Final = (_ages(20, 40), _ages(40, 60), _ages(60, 80), _ages(80, 100))
GROUPS: Final = (*SEXES, *RACES, HISPANIC, *BANDS)
CROSSINGS: Final = tuple(_crossing(race, band) for race in (BLACK, WHITE) for band in BANDS)


def training_rows(made_from: Sequence[PastStay]) -> list[Entry]:
    """How many people of each group the model was made from: people, not stays."""
    everybody = len({one.patient for one in made_from})
    return [_training_row(group, made_from, everybody) for group in (EVERYBODY, *GROUPS)]


def _training_row(group: Group, made_from: Sequence[PastStay], everybody: int) -> Entry:
    people = len({one.patient for one in made_from if group.holds(one)})
    row: Entry = {"where": _where(group), "n": people, "share": round(people / everybody, 4)}
    if group.as_reported:
        row["as_reported"] = group.as_reported
    return row | {"cite": CITE}


def _where(group: Group) -> dict[str, list[str]]:
    return {attribute: list(levels) for attribute, levels in group.where.items()}


def metric_rows(tested_on: Sequence[PastStay], model: ReadmissionModel) -> list[Entry]:
    """The figures for everybody, for each group, and for each crossing of race and age."""
    judged = [(one, judge(one, model)) for one in tested_on]
    rows: list[Entry] = []
    for group in (EVERYBODY, *GROUPS, *CROSSINGS):
        inside = [verdict for one, verdict in judged if group.holds(one)]
        rows.extend(_rows_of(group, inside))
    return rows


def judge(one: PastStay, model: ReadmissionModel) -> Judged:
    """What the model said of a stay, and what came."""
    return Judged(one.patient, model.probability(one.stay), one.readmitted)


def _rows_of(group: Group, inside: Sequence[Judged]) -> Iterator[Entry]:
    events = sum(one.event for one in inside)
    if events < SMALLEST:
        known = {"n": len(inside)} if len(inside) >= SMALLEST else {}
        note = f"Fewer than {SMALLEST} readmissions: too few to say."
        yield (
            _base(group, "oe", "oe_ratio", {"state": "not_available"}) | known | {"note": note, "cite": CITE}
        )
        return
    for name, metric, figure in _figures(group, inside):
        at = {"threshold": THRESHOLD} if name in {"sensitivity", "ppv", "alerts"} else {}
        yield (
            _base(group, name, metric, {})
            | at
            | {
                "n": len(inside),
                "positives": events,
                "estimate": round(figure.estimate, 4),
                "ci": [round(figure.low, 4), round(figure.high, 4)],
                "level": 0.95,
                "method": figure.method,
                "data_ended": 2008,
                "cite": CITE,
            }
        )


def _figures(group: Group, inside: Sequence[Judged]) -> Iterator[tuple[str, str, Figure]]:
    yield "oe", "oe_ratio", observed_over_expected(inside)
    if group in CROSSINGS:
        return
    yield "auroc", "auroc", auroc(inside)
    yield "sensitivity", "sensitivity", share(inside, _flagged, lambda one: one.event)
    if any(map(_flagged, inside)):
        yield "ppv", "ppv", share(inside, lambda one: one.event, _flagged)
    if group is EVERYBODY:
        yield "alerts", "alert_rate", share(inside, _flagged, lambda _: True)
        yield "slope", "calibration_slope", calibration_slope(inside)


def _flagged(one: Judged) -> bool:
    return one.probability >= THRESHOLD


def _base(group: Group, name: str, metric: str, state: Entry) -> Entry:
    row: Entry = {
        "id": f"{group.id}-{name}",
        **state,
        "metric": metric,
        "source": "development",
        "outcome": "readmission",
        "horizon": "P30D",
        "where": _where(group),
        "who": "US patients with diabetes",
    }
    return row | ({"as_reported": group.as_reported} if group.as_reported else {})
