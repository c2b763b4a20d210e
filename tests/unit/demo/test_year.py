"""The synthetic year: its truth is what it says, and the program records the scores it was drawn from."""

from __future__ import annotations

import io
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_wrapper import log
from cds_wrapper.app import DEVELOPMENT_CLIENT, create_app
from cds_wrapper.commands.demo import settle
from cds_wrapper.demo.profiles import Profile, Race
from cds_wrapper.demo.readmission import load_model
from cds_wrapper.demo.supervisor import Ports
from cds_wrapper.demo.year import play, runtime_of_the_year, write_records
from cds_wrapper.demo.year_lives import (
    DRIFT_BEGINS,
    DRIFT_IS_WHOLE,
    DRIFT_RATIO,
    HORIZON,
    PLANTED_RATIO,
    Admission,
    Discharge,
    Year,
    live,
)
from cds_wrapper.demo.year_resources import instance_of

DAY = date(2026, 6, 30)
MODEL = load_model()
YEARS = [live(MODEL, DAY, seed=seed) for seed in range(4)]


def came_back(asked: Discharge, later: list[Admission]) -> bool:
    return any(
        one.number == asked.number + 1 and not one.planned and one.admitted - asked.discharged < HORIZON
        for one in later
    )


def observed_and_expected(concerns: Callable[[Profile, int], bool]) -> tuple[int, float, float]:
    """Over all years: events, sum of scores, and the variance of the events."""
    events, expected, variance = 0, 0.0, 0.0
    for year in YEARS:
        admissions = defaultdict(list)
        for one in year.admissions:
            admissions[one.patient].append(one)
        for asked in year.discharges:
            profile = year.profiles[asked.patient]
            if asked.discharged + HORIZON > year.end or not concerns(profile, profile.age):
                continue
            events += came_back(asked, admissions[asked.patient])
            expected += asked.risk
            variance += asked.truth * (1 - asked.truth)
    return events, expected, variance


def is_planted(profile: Profile, age: int) -> bool:
    return profile.race is Race.BLACK and 61 <= age <= 79


def test_most_patients_come_back_as_often_as_the_model_says() -> None:
    events, expected, variance = observed_and_expected(
        lambda profile, age: profile.race is not Race.BLACK and profile.language != "es"
    )

    assert abs(events - expected) < 4 * math.sqrt(variance)
    assert expected > 1500


def test_one_crossing_of_age_and_race_comes_back_as_much_more_often_as_is_published() -> None:
    events, expected, variance = observed_and_expected(
        lambda profile, age: is_planted(profile, age) and profile.language != "es"
    )

    assert abs(events - PLANTED_RATIO * expected) < 4 * math.sqrt(variance)
    assert events > 1.5 * expected


def test_one_language_group_drifts_from_the_third_month_on() -> None:
    ratios = []
    for is_late in (False, True):
        risk = truth = 0.0
        for year in YEARS:
            for asked in year.discharges:
                profile = year.profiles[asked.patient]
                since = asked.discharged - year.start
                late = since > DRIFT_IS_WHOLE
                if profile.language == "es" and profile.race is not Race.BLACK and late is is_late:
                    risk += asked.risk if late or since < DRIFT_BEGINS else 0.0
                    truth += asked.truth if late or since < DRIFT_BEGINS else 0.0
        ratios.append(truth / risk)

    assert ratios == [pytest.approx(1.0), pytest.approx(DRIFT_RATIO)]


def test_a_group_is_too_small_to_judge_and_one_has_no_race_on_file() -> None:
    for year in YEARS:
        races = [year.profiles[asked.patient].race for asked in year.discharges]
        assert 5 < races.count(Race.PACIFIC) < 100
        unknown = sum(races.count(one) for one in (Race.ABSENT, Race.DECLINED, Race.UNKNOWN))
        assert 0.05 < unknown / len(races) < 0.12


def test_the_same_seed_gives_the_same_year_and_another_another() -> None:
    assert live(MODEL, DAY, seed=0).discharges == YEARS[0].discharges
    assert YEARS[0].discharges != YEARS[1].discharges


def test_nobody_is_discharged_after_death_and_every_stay_has_its_own_number() -> None:
    for year in YEARS:
        last = {asked.patient: asked.discharged for asked in year.discharges}
        assert all(died > last[patient] for patient, died in year.deaths.items() if patient in last)
        assert len({(one.patient, one.number) for one in year.admissions}) == len(year.admissions)


async def test_the_program_records_each_score_of_the_year_and_the_records_are_valid_fhir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_WRAPPER_HOOKS", str(Path(__file__).resolve().parents[3] / "hooks"))
    year = live(MODEL, DAY, patients=60, seed=5)
    settings, files = settle(Ports(9500), tmp_path / "demo")
    app = create_app(settings, log.OperatorLog("test", io.StringIO()))
    told: list[int] = []
    async with app.router.lifespan_context(app):
        rt = runtime_of_the_year(app.state.doors.runtime, MODEL, seed=5)
        played = await play(year, rt, DEVELOPMENT_CLIENT, "http://127.0.0.1:9502", 5, told.append)
    with sqlite3.connect(files.ledger) as ledger:
        rows = {
            instance: (score, occurred)
            for instance, score, occurred in ledger.execute(
                "SELECT hook_instance, score, occurred_at FROM predictions_v1"
            )
        }
        feedback = ledger.execute("SELECT COUNT(*) FROM feedback_v1 WHERE matched").fetchone()[0]

    assert played.calls == sum(told) == len(rows) == len(year.discharges)
    assert played.feedback == feedback > 0
    for asked in year.discharges:
        score, occurred = rows[instance_of(asked, year)]
        assert score is None or score == pytest.approx(asked.risk, abs=2e-6)
        assert occurred == asked.discharged.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for path in write_records(year, tmp_path / "records"):
        for line in path.read_bytes().splitlines():
            resource = msgspec.json.decode(line)
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_a_year_holds_no_call_of_the_future(tmp_path: Path) -> None:
    year: Year = YEARS[0]

    assert all(year.start <= asked.discharged < year.end for asked in year.discharges)
    folder = tmp_path / "records"
    write_records(year, folder)
    stays = [msgspec.json.decode(line) for line in (folder / "Encounter.ndjson").read_bytes().splitlines()]
    assert {one["status"] for one in stays} == {"finished", "in-progress"}
    assert all(one["period"].get("end", "") < year.end.isoformat() for one in stays)
