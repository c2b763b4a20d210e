"""`measure`: any table of scores and outcomes, by group and at equal score, as an analyst runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build

OF_COST = ("--further", "cost=cost_t:cost:label")
OF_ILLNESS = ("--further", "illness=conditions:count:need")
BY_RACE = ("--group", "race")
SCALES = ("raw", "percentile", "signed")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(["measure", "check"]), ["measure", *arguments])


def measured(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def audited(path: Path, people: int = 20_000, more: float = 1.26, seed: int = 11) -> Path:
    """A table shaped like that of a published audit of a programme for people with complex needs.

    One row a patient. The score was trained on cost, and the two groups cost the same at every score; there
    Black patients have so many times the active chronic conditions. An eighth are Black.
    """
    random = np.random.default_rng(seed)
    is_black = random.random(people) < 0.125
    # Illness goes with score as cost does; Black patients score a little higher, as in the audit.
    health = random.gamma(1.1, 1.0, people) * np.where(is_black, 1.15, 1.0)
    raw = 4.0 * health
    cost = np.where(
        random.random(people) < 0.05, 0.0, random.lognormal(np.log(1900 * health + 1), 1.0, people)
    )
    conditions = random.poisson(1.2 * health**0.7 * np.where(is_black, more, 1.0))
    percentile = np.ceil(100 * (np.argsort(np.argsort(raw)) + 1) / people)
    columns = {
        "race": np.where(is_black, "black", "white"),
        "raw": raw.round(6),
        "percentile": percentile.astype(int),
        "probability": (1 / (1 + np.exp(3 - 0.9 * health))).round(8),
        "signed": np.log(health + 1e-9).round(6),
        "cost_t": cost.round(2),
        "conditions": conditions,
        "high_cost": (cost > np.quantile(cost, 0.9)).astype(int),
    }
    pacsv.write_csv(pa.table(columns), path)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audited(tmp_path_factory.mktemp("audit") / "people.csv")


@pytest.fixture(scope="module", params=SCALES)
def audit(request: pytest.FixtureRequest, table: Path) -> dict[str, Any]:
    share = ("--threshold", "97") if request.param == "percentile" else ("--flag-share", "0.03")
    return measured(str(table), "--score", request.param, *OF_COST, *OF_ILLNESS, *BY_RACE, *share)


def equal_score(
    found: dict[str, Any], outcome: str, race: str = "black", among: str = "all"
) -> dict[str, Any]:
    return next(
        one
        for one in found["equal_score"]
        if (one["outcome"], one["group"], one["among"]) == (outcome, f"race={race}", among)
    )


def test_a_score_right_about_cost_and_too_low_for_illness_is_caught(audit: dict[str, Any]) -> None:
    cost, illness = equal_score(audit, "cost"), equal_score(audit, "illness")
    assert cost["low"] < 1 < cost["high"], cost
    assert cost["reading"] == "gap_ruled_out"
    assert illness["value"] == pytest.approx(1.26, abs=0.04)
    assert 1 < illness["low"] < 1.26 < illness["high"]
    assert illness["label_mismatch"] and not cost["label_mismatch"]
    assert illness["over_label"]["low"] > 1
    assert {"group": "race=black", "need": "illness", "label": "cost"} in audit["label_mismatch"]


def test_the_estimator_run_on_the_score_itself_gives_one_in_each_group(audit: dict[str, Any]) -> None:
    controls = {one["group"]: one["control"] for one in audit["equal_score"] if one["among"] == "all"}
    assert set(controls) == {"race=black", "race=white"}
    for group, control in controls.items():
        assert 0.97 <= control <= 1.03, group


def test_a_score_that_is_no_probability_is_flagged_at_its_threshold_and_nothing_is_said_of_it_as_one(
    table: Path,
) -> None:
    found = measured(
        str(table), "--score", "percentile", "--event", "high_cost", *BY_RACE, "--threshold", "97"
    )
    assert found["score_kind"] == "index"
    figures = {one["measure"]: one for one in found["groups"][0]["figures"]}
    assert figures["flag_rate"]["value"] == pytest.approx(0.04, abs=0.001)
    assert figures["auroc"]["value"] > 0.6
    assert figures["oe_ratio"]["why_not"] == "not_a_probability"
    assert figures["oe_ratio"]["state"] == "not_estimable"
    assert found["checked_against_need"] is False


def test_what_gives_few_people_away_is_left_out_and_shown_to_those_who_may_see_it(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    rows = [
        f"{0.1 + 0.8 * (n % 7) / 7:.3f},{n % 3 == 0:d},{'rare' if n < 5 else 'a' if n % 2 else 'b'}"
        for n in range(300)
    ]
    path.write_text("\n".join(["score,y,kind", *rows]), encoding="utf-8")
    asked = (str(path), "--score", "score", "--event", "y", "--group", "kind", "--threshold", "0.6")
    kept, shown = measured(*asked), measured(*asked, "--small-cells")
    levels = {one["group"]: one for one in kept["groups"]}
    assert "hidden" in levels["kind=rare"] and "figures" not in levels["kind=rare"]
    assert all(one["value"] is None for one in kept["equal_score"] if one["group"] == "kind=rare")
    assert next(one for one in shown["groups"] if one["group"] == "kind=rare")["counts"]["event"] == 2
    text = run(*asked).output
    assert "--small-cells shows it" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name an outcome"),
        (("--further", "illness=conditions"), "NAME=COLUMN:KIND:ROLE"),
        (("--further", "illness=conditions:sum:need"), "NAME=COLUMN:KIND:ROLE"),
        (("--further", "a=cost_t:cost:label", "--further", "b=conditions:count:label"), "one outcome"),
        (("--further", "a=cost_t:cost", "--further", "a=conditions:count"), "one name"),
        (("--event", "conditions=many"), "there is no event to measure"),
        (("--event", "race"), "--event race=TEXT"),
        (("--event", "high_cost", "--score-kind", "probability"), "no probabilities"),
        (("--event", "high_cost", "--score-kind", "odds"), "--score-kind is one of"),
        (("--event", "high_cost", "--group", "cost_t"), "put them into bands"),
        (("--event", "high_cost", "--crossing", "race*sex"), "--crossing crosses"),
        (("--event", "high_cost", "--threshold", "2", "--flag-share", "0.1"), "give one of them"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(
    table: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run(str(table), "--score", "raw", *arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_score_trained_fairly_on_illness_shows_no_mismatch(tmp_path: Path) -> None:
    path = audited(tmp_path / "fair.csv", more=1.0)
    found = measured(str(path), "--score", "raw", *OF_COST, *OF_ILLNESS, *BY_RACE)
    assert found["label_mismatch"] == []
    assert equal_score(found, "illness")["reading"] == "gap_ruled_out"


def test_a_large_gap_is_confirmed_beyond_the_band_that_matters(tmp_path: Path) -> None:
    path = audited(tmp_path / "large.csv", more=1.6)
    found = measured(str(path), "--score", "raw", *OF_COST, *OF_ILLNESS, *BY_RACE)
    illness = equal_score(found, "illness")
    assert (illness["reading"], illness["finding"]) == ("gap_confirmed", "scores_too_low")
    assert equal_score(found, "illness", "white")["finding"] == "scores_too_high"
