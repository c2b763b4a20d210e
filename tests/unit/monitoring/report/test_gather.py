"""From an exported folder to a report: rows of eight synthetic months, measured and written as a page."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_wrapper.commands.table import build
from cds_wrapper.monitoring.equal_scores import Among
from cds_wrapper.monitoring.report.gather import gather, times_of
from cds_wrapper.monitoring.report.page import html_of, json_of, page_of, report_of
from cds_wrapper.monitoring.strata import KNOWN
from cds_wrapper.monitoring.values import EVERYBODY, DailySums, Group, Measure
from tests.unit.monitoring.exported import predictions, write
from tests.unit.monitoring.made import written
from tests.unit.monitoring.report.made import HOOKS, figures, service

FIRST, AS_OF = date(2026, 1, 1), date(2026, 8, 31)
RUNNER = CliRunner()


def rows(n: int = 6000, seed: int = 4) -> list[dict[str, Any]]:
    """Eight months of discharges whose scores are right for all but one group."""
    chance = random.Random(seed)
    return [_row(chance, FIRST + timedelta(days=place * 240 // n)) for place in range(n)]


def _row(chance: random.Random, day: date) -> dict[str, Any]:
    race = chance.choices(["white", "black", "missing:absent"], [70, 25, 5])[0]
    age = chance.choice(["40-59", "60-79"])
    score = round(0.02 + 0.3 * chance.random() ** 2, 4)
    happened = chance.random() < score * (1.9 if (race, age) == ("black", "40-59") else 1.0)
    due = day + timedelta(days=31)
    groups = [f"race={race}", f"age_band={age}"]
    groups += [f"race*age_band={race}*{age}"] if race[:8] != "missing:" else []
    return {
        "service_id": "readmission",
        "model_id": "readmission-diabetes",
        "model_version": "2026.1",
        "environment": "development",
        "outcome": "readmission",
        "day": day,
        "occurred_at": datetime.combine(day, datetime.min.time(), UTC),
        "due_on": due,
        "as_of": AS_OF,
        "score": score,
        "flagged": score >= 0.15,
        "state": "pending" if due > AS_OF else "event" if happened else "no_event",
        "label": None if due > AS_OF else int(happened),
        "race": race,
        "age_band": age,
        "action": chance.choice(["none", "none", "accepted", "overridden"]),
        "subgroups": json.dumps(groups),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported")
    written(place / "episodes" / "service_id=readmission", rows())
    write(place, "predictions", predictions(), service="readmission")
    return place


def test_an_exported_folder_becomes_figures_shares_and_times(folder: Path) -> None:
    known = gather(service(), folder, AS_OF)
    assert known.figures is not None
    everybody = known.figures.everybody.of(Measure.OE_RATIO)
    assert everybody is not None
    assert everybody.value == pytest.approx(1.1, abs=0.15)
    short = Group((("race", "black"), ("age_band", "40-59")))
    worst = next(one for one in known.figures.groups if one.group == short).of(Measure.OE_RATIO)
    assert worst is not None
    assert worst.low is not None
    assert worst.low > 1.3
    assert short in known.times
    assert EVERYBODY not in known.times
    activity = known.activity
    assert activity.representativeness
    assert activity.missing
    assert activity.score_drift
    assert activity.feedback
    assert activity.strata
    assert activity.follow_up
    everybody_in_bands = [one for one in activity.bands if one.group == EVERYBODY]
    assert sum(one.n for one in everybody_in_bands) == sum(known.figures.everybody.counts[s] for s in KNOWN)
    assert sum(one.events for one in everybody_in_bands) == known.figures.everybody.counts["event"]
    assert all(one.low <= one.predicted < one.high for one in activity.bands)
    assert sum(one.known for one in activity.due) == sum(one.n for one in everybody_in_bands)
    compared = {one.group: one for one in activity.compared if one.among is Among.ALL}
    low, _ = compared[short].ratio.interval or (0.0, 0.0)
    assert low > 1.2


def test_rows_none_of_which_is_of_production_are_called_synthetic(folder: Path) -> None:
    assert gather(service(), folder, AS_OF).synthetic


def test_days_on_which_nothing_matured_count_for_the_time_to_find() -> None:
    made = figures()
    sparse = [replace(one, daily=every_other_day(one.daily)) for one in made.groups]
    women = Group((("sex", "female"),))
    often, seldom = times_of(made)[women], times_of(replace(made, groups=tuple(sparse)))[women]
    for one, other in zip(often, seldom, strict=True):
        assert one.from_live is not None
        assert other.from_live is not None
        assert other.from_live > 1.8 * one.from_live


def every_other_day(sums: DailySums) -> DailySums:
    parts = (sums.days, sums.group_events, sums.group_expected, sums.rest_events, sums.rest_expected)
    days, *others = (part[::2] for part in parts)
    return DailySums(days, *others)  # type: ignore[arg-type]  # each a part of its own kind


def test_an_empty_folder_says_that_nothing_was_measured(tmp_path: Path) -> None:
    known = gather(service(), tmp_path, AS_OF)
    assert (known.figures, known.synthetic) == (None, False)
    assert "Nothing has been measured here yet" in html_of(page_of(known))
    assert json_of(report_of(known))["figures"] == []


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_WRAPPER_HOOKS", str(HOOKS))


def run(*arguments: str) -> Any:
    return RUNNER.invoke(build(["report", "check"]), ["report", *arguments])


@pytest.mark.usefixtures("hooks")
def test_the_command_writes_one_file_and_the_tables(folder: Path, tmp_path: Path) -> None:
    page, tables = tmp_path / "page.html", tmp_path / "tables"
    done = run(
        *("--service", "readmission", "--data", str(folder), "--as-of", AS_OF.isoformat()),
        *("--output", str(page), "--csv", str(tables)),
    )
    assert done.exit_code == 0, done.output
    assert done.output.startswith(str(page))
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "Synthetic data." in text
    assert (tables / "figures.csv").read_text().startswith("attribute,level,")
    assert sorted(tmp_path.iterdir()) == [page, tables], "no draft is left behind"


@pytest.mark.usefixtures("hooks")
def test_the_command_prints_json(folder: Path) -> None:
    done = run("--service", "readmission", "--data", str(folder), "--as-of", "2026-08-31", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["as_of"] == "2026-08-31"
    assert any(one["measure"] == "oe_ratio" for one in found["figures"])


@pytest.mark.usefixtures("hooks")
def test_the_command_refuses_what_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    data = ("--data", str(folder))
    unknown = run("--service", "nonsense", *data)
    assert (unknown.exit_code, "readmission" in unknown.output) == (3, True)
    assert run("--service", "readmission", *data, "--as-of", "yesterday").exit_code == 2
    nowhere = tmp_path / "nowhere" / "page.html"
    failed = run("--service", "readmission", "--data", str(tmp_path), "--output", str(nowhere))
    assert failed.exit_code == 1
    assert "cannot be written" in failed.output
