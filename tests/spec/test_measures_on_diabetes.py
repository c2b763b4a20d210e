"""Figures by group of real hospital stays against a computation that is not the product's.

Stays of people with diabetes in 130 hospitals, of whom many come again. Two routes: the formulas on rows, and
the whole way from the file through episodes and cube. Point estimates and errors of independent stays are
known from elsewhere for every group; so are some errors when the same patients come again.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.cube import Question
from cds_wrapper.monitoring.formulas import auroc, clustered, oe_ratio, proportions
from cds_wrapper.monitoring.formulas.bins import Floats
from cds_wrapper.monitoring.measures import measure
from cds_wrapper.monitoring.table_file import NAME, TableColumns, read_table
from cds_wrapper.monitoring.values import GroupFigures, Measure, Measured, ServiceFigures, WhyNot
from tests.unit.monitoring.plain import bin_of

DATA = Path(__file__).parents[2] / "../shared/data/real"
STAYS = DATA / "diabetes130_dev.csv.gz"
EXPECTED = DATA / "diabetes130_dev_expected.json"
SCORES = ("LGBM_score", "score_lr")
BANDS = {"0-49": ("[0-10)", "[10-20)", "[20-30)", "[30-40)", "[40-50)"), "50-69": ("[50-60)", "[60-70)")}
CROSSED = "race*gender"
ROUNDED = 3e-6
"""The file gives scores to six digits: sums differ by so much of themselves, and a few pairs tie."""
TIED = 2.0
"""So many pairs of an event and a non-event in a small group, or a few in a million of a large one."""

pytestmark = pytest.mark.skipif(not STAYS.exists(), reason="the diabetes stays are not beside this checkout")


@dataclass(frozen=True, slots=True)
class Stays:
    """Stays that have the score, column by column."""

    score: Floats
    event: Floats
    patient: NDArray[np.int64]
    groups: dict[str, list[str]]

    def of(self, attribute: str, level: str) -> Stays:
        chosen = np.array([one == level for one in self.groups[attribute]])
        groups = {
            name: [one for one, here in zip(found, chosen, strict=True) if here]
            for name, found in self.groups.items()
        }
        return Stays(self.score[chosen], self.event[chosen], self.patient[chosen], groups)


def age_band(age: str) -> str:
    return next((name for name, ages in BANDS.items() if age in ages), "70+")


@cache
def file() -> list[dict[str, str]]:
    with gzip.open(STAYS, "rt", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@cache
def stays(score: str) -> Stays:
    rows = [row for row in file() if row[score]]
    groups = {name: [row[name] for row in rows] for name in ("race", "gender", "age")}
    groups["age_band"] = [age_band(row["age"]) for row in rows]
    groups[CROSSED] = [f"{row['race']}|{row['gender']}" for row in rows]
    return Stays(
        np.array([float(row[score]) for row in rows]),
        np.array([float(row["readmitted"] == "<30") for row in rows]),
        np.array([int(row["patient_nbr"]) for row in rows]),
        groups,
    )


@cache
def expected(score: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))[f"dev:{score}"]
    return found


def expected_groups(score: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Attribute, level and figures; everybody has no name."""
    yield "", "", expected(score)["overall"]
    for attribute, levels in expected(score).items():
        if attribute != "overall":
            yield from ((attribute, level, figures) for level, figures in levels.items())


# --- on rows


def per_patient(patient: NDArray[np.int64], values: Floats) -> Floats:
    _, place = np.unique(patient, return_inverse=True)
    return np.bincount(place, weights=values).astype(np.float64)


def error(patient: NDArray[np.int64], above: Floats, below: Floats) -> float:
    x, y = per_patient(patient, above), per_patient(patient, below)
    sums = clustered.PatientSums(
        float(x.sum()), float(y.sum()), float(x @ x), float(x @ y), float(y @ y), len(x)
    )
    return math.sqrt(sums.variance or 0.0)


def ranks(part: Stays, place: NDArray[np.int64]) -> auroc.Ranks | WhyNot:
    events = np.bincount(place, weights=part.event).astype(np.float64)
    return auroc.ranks(events, np.bincount(place).astype(np.float64) - events)


def area_error(part: Stays) -> float:
    """The known errors join each stay to its bin, as the cube does."""
    place = np.array([bin_of(float(score)) for score in part.score])
    found = ranks(part, place)
    assert isinstance(found, auroc.Ranks)
    of_event = (found.v10[place] - found.area) / found.events
    of_none = (found.v01[place] - found.area) / found.non_events
    each = per_patient(part.patient, np.where(part.event == 1, of_event, of_none))
    return math.sqrt(clustered.variance_of_linear(float(each @ each), len(each)) or 0.0)


@pytest.mark.parametrize("score", SCORES)
def test_every_group_has_the_area_and_delongs_error_that_are_known(score: str) -> None:
    for attribute, level, known in expected_groups(score):
        part = stays(score).of(attribute, level) if attribute else stays(score)
        found = ranks(part, np.unique(part.score, return_inverse=True)[1])
        if known.get("auroc") is None:
            assert isinstance(found, WhyNot), (attribute, level)
            continue
        assert isinstance(found, auroc.Ranks), (attribute, level)
        near = max(ROUNDED, TIED / (found.events * found.non_events))
        assert found.area == pytest.approx(known["auroc"], abs=near), (attribute, level)
        if known["auroc_se_delong"] is None:
            assert not math.isfinite(found.se), (attribute, level)
        else:
            assert found.se == pytest.approx(known["auroc_se_delong"], abs=near), (attribute, level)


@pytest.mark.parametrize("score", SCORES)
def test_every_group_has_the_counts_and_ratios_that_are_known(score: str) -> None:
    for attribute, level, known in expected_groups(score):
        part = stays(score).of(attribute, level) if attribute else stays(score)
        flagged = part.score >= known["threshold"]
        tp = float((part.event * flagged).sum())
        assert (len(part.score), part.event.sum(), tp) == (known["n"], known["events"], known["TP"])
        for name, of in (("sens", part.event.sum()), ("ppv", flagged.sum())):
            value = proportions.share(tp, float(of), WhyNot.NO_EVENTS).value
            assert value == (None if known[name] is None else pytest.approx(known[name])), (level, name)
        ratio = oe_ratio.oe_ratio(float(part.event.sum()), float(part.score.sum()), None)
        assert ratio.value == pytest.approx(known["O_over_E"], rel=ROUNDED)


@pytest.mark.parametrize(
    ("level", "patients", "errors"),
    [
        (None, 34_956, (0.001673, 0.012553, 0.007113, 0.007637, 0.004219)),
        ("AfricanAmerican", 6_274, (0.003737, 0.029301, 0.015820, 0.016634, 0.009677)),
        ("Hispanic", 742, (0.010776, 0.090299, 0.059164, 0.051450, 0.030144)),
    ],
)
def test_errors_when_patients_come_again_are_those_known(
    level: str | None, patients: int, errors: tuple[float, ...]
) -> None:
    part = stays("score_lr").of("race", level) if level else stays("score_lr")
    flagged = (part.score >= expected("score_lr")["overall"]["threshold"]).astype(np.float64)
    one = np.ones(len(part.score))
    pairs = (
        (part.event, one),
        (part.event, part.score),
        (part.event * flagged, flagged),
        (part.event * flagged, part.event),
    )

    found = [error(part.patient, x, y) for x, y in pairs]
    assert len(np.unique(part.patient)) == patients
    assert (*found, area_error(part)) == pytest.approx(errors, abs=6e-7)


# --- from the file through episodes and cube


@cache
def measured(score: str, folder: Path) -> ServiceFigures:
    """Everything the product says of the file, as `measure` gives it."""
    table = folder / f"{score}.csv"
    names = (score, "readmitted", "patient_nbr", "race", "gender", "age")
    with table.open("w", encoding="utf-8", newline="") as text:
        out = csv.writer(text)
        out.writerow((*names[:3], "origin", "gender", "age", "band"))
        out.writerows((*(row[name] for name in names), age_band(row["age"])) for row in file() if row[score])
    groups = ("origin", "gender", "age", "band")
    threshold = float(expected(score)["overall"]["threshold"])
    columns = TableColumns(score, "readmitted", "<30", "patient_nbr", None, groups)
    into = folder / score
    into.mkdir()
    read = read_table(table, columns, threshold, "probability", into)
    question = Question(NAME, NAME, "1", "readmitted", date.max, threshold)
    assert (read.rows, dict(read.refused)) == (int(expected(score)["overall"]["n"]), {})
    with parquet_source(into) as source:
        return measure(source, MonitoredAttributes(groups, (("origin", "gender"),)), question)


KNOWN_AS = {
    Measure.EVENT_RATE: "event_rate",
    Measure.FLAG_RATE: "flag_rate",
    Measure.OE_RATIO: "O_over_E",
    Measure.SENSITIVITY: "sens",
    Measure.SPECIFICITY: "spec",
    Measure.PPV: "ppv",
    Measure.BRIER: "brier",
}
NAMES = {"": (), "race": ("origin",), "age_band": ("band",), CROSSED: ("origin", "gender")}


def group_of(found: ServiceFigures, attribute: str, level: str) -> GroupFigures:
    names = NAMES.get(attribute, (attribute,))
    where = tuple(zip(names, level.split("|") if len(names) > 1 else [level], strict=False))
    return next(one for one in found.groups if one.group.where == where)


def figure(group: GroupFigures, what: Measure) -> Measured:
    found = group.of(what)
    assert found is not None
    return found


@pytest.fixture(scope="module", params=SCORES)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ServiceFigures]:
    return request.param, measured(request.param, tmp_path_factory.mktemp("stays"))


def test_from_the_file_every_group_has_the_figures_that_are_known(whole: tuple[str, ServiceFigures]) -> None:
    score, found = whole
    for attribute, level, known in expected_groups(score):
        group = group_of(found, attribute, level)
        assert (figure(group, Measure.OE_RATIO).n, group.counts["event"]) == (known["n"], known["events"])
        for what, name in KNOWN_AS.items():
            value = figure(group, what).value
            # A score that is off by half of its sixth digit moves a Brier score by up to a millionth.
            near = pytest.approx(known[name], rel=ROUNDED, abs=1e-6) if known[name] is not None else None
            assert value == near, (level, name)
        area = figure(group, Measure.AUROC).value
        if known.get("auroc") is None:
            assert area is None, level
            continue
        # A thousand bins of the logit tie some pairs: less than a tenth of the area's own error.
        apart = max(
            0.1 * (known["auroc_se_delong"] or 0), TIED / (known["events"] * (known["n"] - known["events"]))
        )
        assert area == pytest.approx(known["auroc"], abs=apart), level


def test_from_the_file_intervals_hold_what_is_known_and_widen_where_patients_come_again(
    whole: tuple[str, ServiceFigures],
) -> None:
    score, found = whole
    for attribute, level, _ in expected_groups(score):
        group = group_of(found, attribute, level)
        for what in (Measure.OE_RATIO, Measure.SENSITIVITY, Measure.PPV, Measure.AUROC):
            one = figure(group, what)
            if one.value is None:
                assert one.why_not is not None
                continue
            assert one.low is not None
            assert one.high is not None
            assert one.low <= one.value <= one.high
            assert one.design_effect >= 1
            print(  # noqa: T201  shown by pytest -s: intervals beside the known figures
                f"{score} {attribute or 'all'} {level} {what.value} {one.value:.4f}"
                f" ({one.low:.4f}, {one.high:.4f}) x{one.design_effect:.2f}"
            )
    assert figure(found.everybody, Measure.SENSITIVITY).design_effect > 1.2
