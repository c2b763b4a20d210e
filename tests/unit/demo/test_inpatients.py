"""The patients in hospital: what their records hold, and what they are asked about with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_wrapper.demo.inpatient_resources import stay_id
from cds_wrapper.demo.inpatients import ADMITTED, DISCHARGED, INPATIENT_CASES
from cds_wrapper.demo.population import FIXTURE_DAY, populate
from cds_wrapper.demo.queries import QUERIES
from cds_wrapper.demo.requests import build_call, encounter_context
from cds_wrapper.demo.store import Store

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
STORE = Store(populate(FIXTURE_DAY, now=NOW).resources)
CASES = {case.profile.id: case for case in INPATIENT_CASES}


def call(patient_id: str) -> dict[str, Any]:
    case = CASES[patient_id]
    context = encounter_context(patient_id, stay_id(case.profile))
    return build_call(STORE, QUERIES[case.hook], case.hook, context, "i", "http://127.0.0.1:8082")


def resources(patient_id: str, key: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in call(patient_id)["prefetch"][key].get("entry", [])]


def bedside(patient_id: str) -> dict[str, dict[str, Any]]:
    """Bedside observations by the last part of their id."""
    found = [one for one in resources(patient_id, "vitals") if "-bedside-" in one["id"]]
    return {one["id"].rpartition("-")[2]: one for one in found}


@pytest.mark.parametrize("patient_id", CASES)
def test_a_call_has_every_key_and_names_the_stay_that_is_going_on(patient_id: str) -> None:
    body = call(patient_id)
    assert set(body["prefetch"]) == set(QUERIES[body["hook"]])
    encounter = STORE.read("Encounter", body["context"]["encounterId"])
    assert isinstance(encounter, dict)
    assert encounter["status"] == "in-progress"


@pytest.mark.parametrize("case", ADMITTED, ids=lambda case: case.profile.id)
def test_bedside_values_are_recent_but_for_those_that_are_meant_to_be_old(case: Any) -> None:
    for name, one in bedside(case.profile.id).items():
        age = NOW - datetime.fromisoformat(one["effectiveDateTime"])
        assert (age > timedelta(hours=12)) is (name in case.stay.vitals.old)


def test_the_two_men_of_62_differ_in_nothing_that_is_measured() -> None:
    first, second = (bedside(name) for name in ("ward-oximetry-62", "ward-same-62"))
    values = [{name: one.get("valueQuantity") for name, one in them.items()} for them in (first, second)]
    assert values[0] == values[1]
    assert len(first) == 7


def test_what_was_not_recorded_has_no_resource() -> None:
    assert "alertness" not in bedside("ward-no-alertness-71")
    assert "oxygen" not in bedside("ward-no-oxygen-58")
    assert bedside("ward-nothing-66") == {}
    assert bedside("ward-low-67")["oxygen"]["valueQuantity"]["value"] == 0


def test_other_units_say_the_same() -> None:
    found = bedside("ward-other-units-54")
    heat = found["temperature"]["valueQuantity"]
    pressure = found["systolic"]["component"][0]["valueQuantity"]
    assert (heat["code"], pressure["code"]) == ("[degF]", "kPa")
    assert (heat["value"] - 32) / 1.8 == pytest.approx(39.3, abs=0.05)
    assert pressure["value"] * 7.50062 == pytest.approx(118, abs=0.5)


def test_earlier_stays_and_visits_are_told_apart_and_end_before_now() -> None:
    stays, visits = resources("back-again-66", "stays"), resources("back-again-66", "visits")
    assert (len(stays), len(visits)) == (4, 3)
    assert {one["class"]["code"] for one in stays} == {"IMP"}
    assert {one["class"]["code"] for one in visits} == {"EMER"}
    ends = [datetime.fromisoformat(one["period"]["end"]) for one in stays]
    assert ends == sorted(ends, reverse=True)
    assert [NOW - end > timedelta(days=365) for end in ends] == [False, False, False, True]


@pytest.mark.parametrize("case", DISCHARGED, ids=lambda case: case.profile.id)
def test_the_diagnoses_of_the_stay_are_found_by_it(case: Any) -> None:
    found = resources(case.profile.id, "diagnoses")
    assert len(found) == case.stay.diagnoses
    assert {one["encounter"]["reference"] for one in found} == {f"Encounter/{stay_id(case.profile)}"}


def test_no_number_stands_for_two_people() -> None:
    numbers = [case.profile.number for case in INPATIENT_CASES]
    assert len(numbers) == len(set(numbers))
