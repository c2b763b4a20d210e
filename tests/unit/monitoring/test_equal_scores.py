"""Does a score mean the same for a group? A score fair to cost and unfair to illness is caught."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cds_wrapper.monitoring.attributes import MonitoredAttributes
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.equal_scores import Among, Compared, Reading, Standing, equal_scores
from cds_wrapper.monitoring.values import Group
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, Role
from tests.unit.monitoring.formulas.oracle import IS_B, NEED, PATIENT, P, Y
from tests.unit.monitoring.made import DAY, QUESTION, written

RACE = MonitoredAttributes(("race",))
LABEL = Outcome("o", "the label", "P30D")
ILLNESS = Outcome("illness", "illness", "P30D", OutcomeKind.COUNT, Role.NEED)
COST = Outcome("cost", "cost", "P30D", OutcomeKind.COST, Role.NEED)
B = Group((("race", "B"),))


def compared(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    further: dict[str, Sequence[float]],
    outcomes: Sequence[Outcome],
    **usual: Any,
) -> tuple[Compared, ...]:
    answers = [
        {"episode_id": f"e{n}", "service_id": "s", "outcome": name, "role": "need", "kind": "count",
         "state": "event", "value": float(value), "due_on": DAY + dt.timedelta(days=31), "as_of": DAY}
        for name, values in further.items()
        for n, value in enumerate(values)
    ]  # fmt: skip
    beside = folder / "further"
    beside.mkdir(parents=True)
    if answers:
        pq.write_table(pa.Table.from_pylist(answers), beside / "part-0.parquet")
    with parquet_source(written(folder / "episodes", rows), beside if answers else None) as source:
        return equal_scores(source, RACE, QUESTION, outcomes, **usual)


def of(found: Sequence[Compared], outcome: str, among: Among = Among.ALL, group: Group = B) -> Compared:
    return next(one for one in found if one.outcome == outcome and one.among is among and one.group == group)


def known_rows() -> list[dict[str, Any]]:
    return [
        {
            "score": float(p),
            "patient_key": f"p{patient}",
            "race": "B" if is_b else "A",
            "state": "event" if y else "no_event",
        }
        for p, y, is_b, patient in zip(P, Y, IS_B, PATIENT, strict=True)
    ]


def test_bands_too_wide_to_compare_give_no_finding(tmp_path: Path) -> None:
    """Forty rows make bands so wide that the score itself differs within them."""
    found = of(compared(tmp_path, known_rows(), {"illness": list(NEED)}, (ILLNESS,)), "illness")
    assert found.control is not None and not 0.97 <= found.control <= 1.03
    assert found.standing is Standing.NOT_COMPARABLE
    assert not found.label_mismatch


def population(n: int = 12_000, illness: float = 1.6, seed: int = 7) -> tuple[list[dict[str, Any]], Any, Any]:
    """Cost follows the score in both groups alike; at every score, group B is `illness` times as ill."""
    random = np.random.default_rng(seed)
    is_b = random.random(n) < 0.3
    p = 1 / (1 + np.exp(1.8 - random.normal(0, 0.8, n)))
    event = random.random(n) < p
    ill = random.poisson(4 * p * np.where(is_b, illness, 1.0))
    cost = np.where(random.random(n) < 0.3, 0, random.lognormal(np.log(4000 * p), 0.8, n))
    rows = [
        {"score": float(score), "race": "B" if b else "A", "state": "event" if e else "no_event"}
        for score, b, e in zip(p, is_b, event, strict=True)
    ]
    return rows, ill, cost


@pytest.fixture(scope="module")
def obermeyer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Compared, ...]:
    rows, ill, cost = population()
    further = {"illness": ill, "cost": cost}
    return compared(tmp_path_factory.mktemp("o"), rows, further, (LABEL, ILLNESS, COST))


def test_a_score_fair_to_cost_and_unfair_to_illness_is_caught(obermeyer: tuple[Compared, ...]) -> None:
    illness, cost = of(obermeyer, "illness"), of(obermeyer, "cost")
    assert illness.standing is Standing.SCORES_TOO_LOW
    assert illness.label_mismatch
    assert illness.ratio.value == pytest.approx(1.6, abs=0.1)
    assert cost.standing is Standing.NO_FINDING
    assert not cost.label_mismatch
    assert of(obermeyer, "o").standing is Standing.NO_FINDING
    assert of(obermeyer, "o").over_label is None


def test_the_estimator_run_on_the_score_itself_gives_one(obermeyer: tuple[Compared, ...]) -> None:
    for one in obermeyer:
        assert one.control is not None and 0.97 <= one.control <= 1.03, (one.group, one.among)


def test_both_sides_of_the_threshold_are_compared(obermeyer: tuple[Compared, ...]) -> None:
    whole, above, below = (of(obermeyer, "illness", among) for among in Among)
    assert above.n + below.n == whole.n
    for side in (above, below):
        assert side.ratio.value == pytest.approx(1.6, abs=0.15)


def test_a_cost_is_compared_on_three_scales(obermeyer: tuple[Compared, ...]) -> None:
    costs = of(obermeyer, "cost").costs
    assert costs is not None and costs.positive > 500
    assert of(obermeyer, "illness").costs is None


def test_a_gap_in_costs_that_few_amounts_make_is_no_finding(tmp_path: Path) -> None:
    """One scale says dearer, another cheaper: nothing is concluded, and all are printed."""
    rows, _, cost = population()
    is_b = np.array([row["race"] == "B" for row in rows])
    rank = np.argsort(np.argsort(cost * is_b))
    few = is_b & (rank >= len(rows) - 180)
    odd = np.where(few, cost * 60, np.where(is_b, cost * 0.6, cost))
    found = of(compared(tmp_path, rows, {"cost": odd}, (COST,)), "cost")
    assert found.ratio.low is not None and found.ratio.low > 1.25
    assert found.standing is Standing.SCALES_DISAGREE


def test_a_need_that_was_not_imported_is_not_compared(tmp_path: Path) -> None:
    assert compared(tmp_path, known_rows(), {}, (ILLNESS,)) == ()


def test_the_group_that_is_less_ill_at_equal_scores_is_scored_too_high(tmp_path: Path) -> None:
    rows, ill, _ = population(illness=0.5)
    found = of(
        compared(tmp_path, rows, {"illness": ill}, (replace(ILLNESS, kind=OutcomeKind.COUNT),)), "illness"
    )
    assert found.standing is Standing.SCORES_TOO_HIGH
    assert found.label_mismatch
    wider = compared(tmp_path / "wider", rows, {"illness": ill}, (ILLNESS,), material=(0.4, 2.5))
    assert (of(wider, "illness").standing, of(wider, "illness").reading) == (
        Standing.NO_FINDING,
        Reading.RULED_OUT,
    ), "a plan that lets half as much pass"
