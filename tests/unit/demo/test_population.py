"""The synthetic population: valid, the same every time, right in age on any day, as diverse as real data."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_wrapper.demo.codes import US_CORE
from cds_wrapper.demo.fhir_values import birth_date
from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.patient_resource import POSTAL_CODES
from cds_wrapper.demo.person import Person, read_person
from cds_wrapper.demo.population import FIXTURE_DAY, SIZE, populate
from cds_wrapper.demo.prevent import risk
from cds_wrapper.demo.prevent_inputs import TEMPLATES, Scorable, read_inputs
from cds_wrapper.demo.refusals import Input, Why
from cds_wrapper.demo.requests import build_request
from cds_wrapper.demo.store import Store

POPULATION = populate(FIXTURE_DAY)
STORE = Store(POPULATION.resources)
PATIENTS = [one for one in POPULATION.resources if one["resourceType"] == "Patient"]
CASES = {case.profile.id: case for case in POPULATION.cases}


def extension(patient: dict[str, Any], name: str) -> dict[str, Any]:
    found = [one for one in patient.get("extension", []) if one["url"] == f"{US_CORE}/{name}"]
    return found[0] if found else {}


def codes_in(patient: dict[str, Any], name: str, part: str = "ombCategory") -> list[str]:
    parts = extension(patient, name).get("extension", [])
    return [one["valueCoding"]["code"] for one in parts if one["url"] == part]


def test_every_resource_is_valid_fhir_r4() -> None:
    for resource in POPULATION.resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    kinds = Counter(resource["resourceType"] for resource in POPULATION.resources)
    assert kinds["Patient"] == SIZE + len(INPATIENT_CASES)
    assert set(kinds) == {
        "Patient", "Observation", "Condition", "MedicationRequest", "Practitioner", "Encounter",
    }  # fmt: skip


def test_every_resource_is_labelled_synthetic_and_none_as_a_test_patient() -> None:
    for resource in POPULATION.resources:
        assert {"system": "urn:cds-wrapper:demo", "code": "synthetic"} in resource["meta"]["tag"]
        assert "security" not in resource["meta"]


def test_nothing_in_it_could_be_a_real_person() -> None:
    for patient in PATIENTS:
        assert patient["name"][0]["family"].startswith("Example-")
        numbers = [one["value"] for one in patient["identifier"]]
        assert any(number.startswith("999-") for number in numbers)
        assert all(address["postalCode"].startswith("000") for address in patient["address"])
        assert patient["telecom"][0]["value"].startswith("555-")


def test_ids_and_record_numbers_are_unique() -> None:
    names = [(one["resourceType"], one["id"]) for one in POPULATION.resources]
    numbers = [one["value"] for patient in PATIENTS for one in patient["identifier"]]
    assert len(names) == len(set(names))
    assert len(numbers) == len(set(numbers))


def test_it_comes_out_the_same_every_time() -> None:
    assert populate(FIXTURE_DAY).resources == POPULATION.resources


# What must be there at least twice (once for the rare) -> how to see it in a Patient.
VARIETY: dict[str, Callable[[dict[str, Any]], bool]] = {
    "white": lambda p: codes_in(p, "us-core-race") == ["2106-3"],
    "black": lambda p: codes_in(p, "us-core-race") == ["2054-5"],
    "asian": lambda p: codes_in(p, "us-core-race") == ["2028-9"],
    "native": lambda p: codes_in(p, "us-core-race") == ["1002-5"],
    "pacific": lambda p: codes_in(p, "us-core-race") == ["2076-8"],
    "other race": lambda p: codes_in(p, "us-core-race") == ["2131-1"],
    "several races": lambda p: len(codes_in(p, "us-core-race")) > 1,
    "race unknown": lambda p: codes_in(p, "us-core-race") == ["UNK"],
    "race asked but unknown": lambda p: codes_in(p, "us-core-race") == ["ASKU"],
    "race declined": lambda p: codes_in(p, "us-core-race") == ["asked-declined"],
    "ethnicity in the race slot": lambda p: "2135-2" in codes_in(p, "us-core-race"),
    "race as text only": lambda p: bool(extension(p, "us-core-race")) and not codes_in(p, "us-core-race"),
    "no race": lambda p: not extension(p, "us-core-race"),
    "detailed race": lambda p: bool(codes_in(p, "us-core-race", "detailed")),
    "hispanic": lambda p: codes_in(p, "us-core-ethnicity") == ["2135-2"],
    "no ethnicity": lambda p: not extension(p, "us-core-ethnicity"),
    "year of birth only": lambda p: len(p["birthDate"]) == 4,
    "month of birth only": lambda p: len(p["birthDate"]) == 7,
    "gender other": lambda p: p["gender"] == "other",
    "gender unknown": lambda p: p["gender"] == "unknown",
    "individual sex": lambda p: bool(extension(p, "us-core-individual-sex")),
    "interpreter needed": lambda p: (
        extension(p, "us-core-interpreter-needed").get("valueCoding", {}).get("code") == "373066001"
    ),
    "interpreter not needed": lambda p: (
        extension(p, "us-core-interpreter-needed").get("valueCoding", {}).get("code") == "373067005"
    ),
    "tribal affiliation": lambda p: bool(extension(p, "us-core-tribal-affiliation")),
    "old address": lambda p: any(one.get("use") == "old" for one in p["address"]),
    "language not marked preferred": lambda p: (
        "communication" in p and "preferred" not in p["communication"][0]
    ),
    "no language": lambda p: "communication" not in p,
    "postal code in no table": lambda p: p["address"][-1]["postalCode"] == POSTAL_CODES[None],
    "under 30": lambda p: _age(p) < 30,
    "80 and over": lambda p: _age(p) >= 80,
}


def _age(patient: dict[str, Any]) -> int:
    born = birth_date(patient["birthDate"])
    assert born is not None
    return born.age_on(FIXTURE_DAY)


@pytest.mark.parametrize("variety", VARIETY)
def test_the_population_holds(variety: str) -> None:
    assert sum(map(VARIETY[variety], PATIENTS)) >= 2


def test_the_records_lack_what_real_records_lack() -> None:
    refused: Counter[tuple[Input, Why]] = Counter()
    scored = 0
    for patient in PATIENTS:
        found = ask(patient["id"])
        if isinstance(found, Scorable):
            scored += 1
        else:
            refused.update((refusal.input, refusal.why) for refusal in found)
    assert scored > SIZE / 2
    for reason in (
        (Input.HDL, Why.MISSING),
        (Input.TOTAL_CHOLESTEROL, Why.MISSING),
        (Input.SMOKING, Why.MISSING),
        (Input.SMOKING, Why.UNUSABLE),
        (Input.SYSTOLIC_PRESSURE, Why.OUTSIDE),
    ):
        assert refused[reason] >= 1, reason


def test_some_kidney_results_are_race_adjusted_and_some_come_from_creatinine() -> None:
    scored = [found for patient in PATIENTS if isinstance(found := ask(patient["id"]), Scorable)]
    used = Counter(one.egfr_code for one in scored)
    assert {"98979-8", "48643-1", "33914-3", "62238-1", "2160-0"} <= set(used)


def ask(patient_id: str, today: date = FIXTURE_DAY, store: Store = STORE) -> Any:
    request = build_request(store, TEMPLATES, patient_id, "i", "http://127.0.0.1:8082")
    return read_inputs(
        request["prefetch"], patient_id, datetime(today.year, today.month, today.day, tzinfo=UTC)
    )


# --- the named cases

SCORED = {name for name in CASES if name not in {"no-hdl", "no-smoking-44", "sex-unknown"}}


@pytest.mark.parametrize("name", sorted(SCORED))
def test_a_named_case_can_be_scored(name: str) -> None:
    assert isinstance(ask(name), Scorable)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("no-hdl", Input.HDL), ("no-smoking-44", Input.SMOKING), ("sex-unknown", Input.SEX)],
)
def test_a_named_case_lacks_one_thing_and_nothing_else(name: str, missing: Input) -> None:
    assert [refusal.input for refusal in ask(name)] == [missing]


def test_black_white_and_declined_at_35_have_the_same_inputs_and_the_same_risk() -> None:
    inputs = [ask(name).inputs for name in ("black-35", "white-35", "declined-35")]
    assert inputs[0] == inputs[1] == inputs[2]
    assert risk(inputs[0]).total_cvd == pytest.approx(0.030777, abs=5e-7)


AGES = {name: int(name[-2:]) for name in CASES if name[-2:].isdigit()}
DAYS = [date(2026, 1, 1), FIXTURE_DAY, date(2026, 12, 31), date(2028, 2, 29), date(2027, 8, 29)]


@pytest.mark.parametrize("today", DAYS)
def test_the_age_in_a_name_is_right_on_the_day_it_is_made_for_and_months_after(today: date) -> None:
    store = Store(populate(today).resources)
    for name, age in AGES.items():
        for later in (timedelta(), timedelta(days=90)):
            person = read_person(store.read("Patient", name), name, today + later)
            assert isinstance(person, Person)
            assert person.age == age


def test_a_year_of_birth_leaves_two_ages_open() -> None:
    found = ask("partial-birth-date")
    assert found.person.precision == "year"
    assert found.person.age in {39, 40}


def test_no_case_says_what_the_wrapper_should_conclude() -> None:
    levels = ("supported", "limited", "not_assessed", "not_validated", "reduced", "out_of_scope", "caveat")
    for case in CASES.values():
        assert not any(level in f"{case.title} {case.why}".lower() for level in levels)


def test_the_label_of_a_case_stands_in_no_resource() -> None:
    everything = str(POPULATION.resources)
    assert not any(case.title in everything or case.why in everything for case in CASES.values())
