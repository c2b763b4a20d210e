"""From an exported folder to a report: rows of eight synthetic months, measured and written as a page."""

from __future__ import annotations

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_wrapper.caveats.found import Limits
from cds_wrapper.commands.table import build
from cds_wrapper.ledger.parquet import held
from cds_wrapper.monitoring.backends import parquet_source
from cds_wrapper.monitoring.by_group import read
from cds_wrapper.monitoring.equal_scores import Among
from cds_wrapper.monitoring.past import Past
from cds_wrapper.monitoring.report.gather import activity_of, gather
from cds_wrapper.monitoring.report.known import Known, Reviews
from cds_wrapper.monitoring.report.page import html_of, json_of, page_of, report_of
from cds_wrapper.monitoring.review import looked_at
from cds_wrapper.monitoring.strata import KNOWN
from cds_wrapper.monitoring.values import EVERYBODY, Group, Measure
from cds_wrapper.services import ServiceDefinition
from tests.unit.monitoring.exported import predictions, write
from tests.unit.monitoring.made import written
from tests.unit.monitoring.report.made import HOOKS, service

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
        "race_members": None if race[:8] == "missing:" else f"|{race}|",
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


PAST = Past((), 0, None, {"race=black": 4.0}, (1, AS_OF), AS_OF)
"""A review of the same day, after which patients who come again count for a quarter in one group."""


def strict() -> ServiceDefinition:
    """A service whose plan allows less error than plans usually do, and whose limits are its own."""
    made = service()
    monitoring, limits = replace(made.plan.monitoring, family_error=0.001), Limits(ratio_too_low=1.3)
    return replace(made, plan=replace(made.plan, monitoring=monitoring, limits=limits))


@pytest.fixture(scope="module")
def known(folder: Path) -> Known:
    return gather(strict(), folder, AS_OF, Reviews(past=PAST))


def test_the_report_tells_the_times_that_the_review_of_the_day_told(known: Known, folder: Path) -> None:
    with parquet_source(folder / "episodes" / "service_id=readmission") as source:
        done = looked_at(source, strict(), AS_OF, PAST, 0, lambda _: None)
    told = {one.group: one.times for one in done.looked if one.times}
    assert Group((("race", "black"),), exclusive=False) in told
    assert known.times == told


def test_an_exported_folder_becomes_figures_shares_and_times(known: Known) -> None:
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
    made = json_of(report_of(known))["figures"]
    assert any(one["measure"] == "oe_ratio" for one in made)
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
    assert {one.material for one in activity.compared} == {(0.8, 1.3)}, "those of the plan"


def test_rows_none_of_which_is_of_production_are_called_synthetic(known: Known) -> None:
    assert known.synthetic


def test_what_fell_due_after_the_day_of_a_report_is_not_in_it(folder: Path) -> None:
    early = date(2026, 4, 15)
    found = activity_of(service(), None, read(folder, "episodes", "readmission"), early)
    due = sum(row["due_on"] <= early for row in rows())
    assert {one.month for one in found.due} == {date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)}
    assert sum(one.due for one in found.due) == due
    everybody = [one for one in found.follow_up if one.group == EVERYBODY]
    assert sum(one.due for one in everybody) == sum(one.known for one in everybody) == due


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
def test_without_a_folder_the_one_that_reviews_keep_beside_the_ledger_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours-monitoring").symlink_to(folder)
    monkeypatch.setenv("CDS_WRAPPER_LEDGER", f"sqlite:///{tmp_path / 'ours.db'}")
    asked = ("--service", "readmission", "--as-of", AS_OF.isoformat(), "--json")
    assert run(*asked).output == run(*asked, "--data", str(folder)).output


@pytest.mark.usefixtures("hooks")
def test_the_command_prints_json(tmp_path: Path) -> None:
    done = run("--service", "readmission", "--data", str(tmp_path), "--as-of", "2026-08-31", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["as_of"] == "2026-08-31"
    assert found["figures"] == []


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("dataset", ["episodes", "predictions"])
def test_a_damaged_file_is_named_with_what_to_do_next(dataset: str, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    next((copy / dataset).rglob("*.parquet")).write_bytes(b"PAR1 cut off")
    done = run("--service", "readmission", "--data", str(copy), "--as-of", AS_OF.isoformat())
    assert done.exit_code == 2, done.output
    assert str(copy) in done.output
    assert "Run `review` again" in done.output


def test_a_report_waits_for_the_export_that_is_under_way(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(tmp_path):
            waiting = pool.submit(gather, service(), tmp_path, AS_OF)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        assert waiting.result(timeout=60).figures is None


def test_a_folder_that_nobody_exports_into_is_left_as_it_is(tmp_path: Path) -> None:
    gather(service(), tmp_path, AS_OF)
    assert not list(tmp_path.iterdir())


def test_a_report_of_another_day_says_of_which_day_its_outcomes_are(known: Known) -> None:
    assert known.known_on == AS_OF
    assert "Outcomes as known on" not in page_of(known).subtitle
    early = page_of(replace(known, as_of=date(2026, 7, 1))).subtitle
    assert early.endswith("Outcomes as known on 31 August 2026.")


@pytest.mark.usefixtures("hooks")
def test_the_command_refuses_what_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    data = ("--data", str(folder))
    unknown = run("--service", "nonsense", *data)
    assert (unknown.exit_code, "readmission" in unknown.output) == (3, True)
    assert run("--service", "readmission", *data, "--as-of", "yesterday").exit_code == 2
    misspelt = run("--service", "readmission", "--data", f"{folder}-")
    assert (misspelt.exit_code, f"no folder {folder}-: run `review` first" in misspelt.output) == (2, True)
    nowhere = tmp_path / "nowhere" / "page.html"
    failed = run("--service", "readmission", "--data", str(tmp_path), "--output", str(nowhere))
    assert failed.exit_code == 1
    assert "cannot be written" in failed.output
