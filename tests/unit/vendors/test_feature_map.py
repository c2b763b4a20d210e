"""One input out of what an EHR sends: which resource counts, what it says, and why there may be nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cds_wrapper.vendors.feature_choice import MOST_JUDGED
from cds_wrapper.vendors.features import InputSource, Lack
from tests.unit.vendors.feature_maps import (
    LOINC,
    PATIENT,
    PULSE,
    SNOMED,
    bundle,
    concept,
    declared,
    observation,
    quantity,
    read_all,
    read_one,
)

PRESSURE = f"{LOINC}|8480-6"
PANEL = f"{LOINC}|85354-9"


def test_an_input_says_where_it_came_from_and_how_old_it_is() -> None:
    found = read_one(bundle(observation(value=80)))
    assert (found.value, found.lack) == (80, None)
    assert (found.path, found.code, found.source) == ("Observation.value", PULSE, InputSource.PREFETCH)
    assert found.age == timedelta(hours=1)


def test_a_resource_need_not_stand_in_a_bundle() -> None:
    assert read_one(observation(value=80)).value == 80


# Which one counts -------------------------------------------------------------------------------------------


def test_the_newest_counts_whatever_zone_its_time_is_written_in() -> None:
    older = observation(value=70, at="2026-06-30T11:30:00+02:00")
    newer = observation(value=80, at="2026-06-30T10:00:00Z")
    assert read_one(bundle(older, newer)).value == 80
    assert read_one(bundle(newer, older)).value == 80


def test_a_date_alone_counts_from_its_beginning() -> None:
    found = read_one(
        bundle(observation(value=70, at="2026-06-30"), observation(value=80, at="2026-06-29T23:00:00Z"))
    )
    assert (found.value, found.age) == (70, timedelta(hours=12))


@pytest.mark.parametrize("at", ["2026", "2026-06"])
def test_a_month_or_a_year_is_a_date_too(at: str) -> None:
    assert read_one(bundle(observation(value=70, at=at)), within="P365D").value == 70


def test_the_end_of_a_period_dates_a_value() -> None:
    period = {"start": "2026-06-01T00:00:00Z", "end": "2026-06-30T10:00:00Z"}
    found = read_one(bundle(observation(value=70, at="", effectivePeriod=period)))
    assert found.age == timedelta(hours=2)


def test_an_undated_value_stands_behind_every_dated_one() -> None:
    found = read_one(bundle(observation(value=70, at=""), observation(value=80, at="2010-01-01")))
    assert found.value == 80


def test_a_value_from_the_day_after_tomorrow_is_not_believed() -> None:
    assert read_one(bundle(observation(value=70, at="2026-07-02T12:01:00Z"))).lack is Lack.NOT_RECORDED


def test_of_two_with_one_time_a_correction_counts() -> None:
    corrected = observation(value=80, status="corrected")
    assert read_one(bundle(observation(value=70), corrected)).value == 80


def test_of_two_with_one_time_the_code_that_is_listed_first_counts() -> None:
    codes = [f"{LOINC}|59408-5", f"{LOINC}|2708-6"]
    second, first = (observation(code, value) for code, value in ((codes[1], 91), (codes[0], 97)))
    assert read_one(bundle(second, first), codes=codes).value == 97


def test_the_code_that_is_listed_first_counts_before_a_newer_one_where_the_site_says_so() -> None:
    codes = [f"{LOINC}|98979-8", f"{LOINC}|48643-1"]
    newer, older = observation(codes[1], 90), observation(codes[0], 60, at="2026-06-01")
    assert read_one(bundle(newer, older), codes=codes).value == 90
    assert read_one(bundle(newer, older), codes=codes, prefer="first_code").value == 60


def test_one_of_several_codings_is_enough_and_an_old_name_of_a_system_is_known() -> None:
    local = {
        "coding": [
            {"system": "urn:local", "code": "HR"},
            {"system": "urn:oid:2.16.840.1.113883.6.1", "code": "8867-4"},
        ]
    }
    assert read_one(bundle(observation(value=80, code_=0) | {"code": local})).value == 80


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "preliminary", None])
def test_what_is_not_final_does_not_count(status: str | None) -> None:
    assert read_one(bundle(observation(value=80, status=status))).lack is Lack.NOT_RECORDED


def test_a_site_may_let_other_statuses_count() -> None:
    assert read_one(bundle(observation(value=80, status="preliminary")), status=["preliminary"]).value == 80


@pytest.mark.parametrize(
    "about",
    [
        {"subject": {"reference": "Device/monitor"}},
        {"subject": {"reference": "Group/ward"}},
        {"focus": [{"reference": "Patient/" + PATIENT}, {"display": "fetus"}]},
    ],
)
def test_what_is_about_something_else_than_the_patient_is_passed_over(about: dict[str, Any]) -> None:
    assert read_one(bundle(observation(value=140, **about))).lack is Lack.NOT_RECORDED


def test_an_included_resource_is_no_match() -> None:
    value = bundle(observation(value=80), observation(value=150, at="2026-06-30T11:59:00Z"))
    value["entry"][1]["search"] = {"mode": "include"}
    assert read_one(value).value == 80


def test_a_resource_of_another_type_is_passed_over() -> None:
    report = observation(value=150) | {"resourceType": "DiagnosticReport"}
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    assert read_one(bundle(report, outcome, observation(value=80))).value == 80


def test_a_code_may_be_that_of_a_component() -> None:
    parts = [
        {"code": concept(f"{LOINC}|8462-4"), "valueQuantity": quantity(70, "mm[Hg]")},
        {"code": concept(PRESSURE), "valueQuantity": quantity(120, "mm[Hg]")},
    ]
    found = read_one(bundle(observation(PANEL, component=parts)), codes=[PRESSURE], unit="mm[Hg]")
    assert (found.value, found.path, found.code) == (120, "Observation.component.value", PRESSURE)


def test_what_is_too_old_or_undated_is_missing_where_it_must_be_recent() -> None:
    old = observation(value=80, at="2026-06-29T11:59:00Z")
    assert read_one(bundle(old), within="PT24H").lack is Lack.TOO_OLD
    assert read_one(bundle(old), within="PT24H").age == timedelta(hours=24, minutes=1)
    assert read_one(bundle(observation(value=80, at="")), within="PT24H").lack is Lack.UNDATED
    assert read_one(bundle(old, observation(value=70)), within="PT24H").value == 70


def test_a_value_that_was_not_taken_gives_way_to_one_that_was() -> None:
    untaken = observation(dataAbsentReason={"text": "refused"})
    assert read_one(bundle(untaken, observation(value=80, at="2026-06-30T09:00:00Z"))).value == 80
    assert read_one(bundle(untaken)).lack is Lack.DATA_ABSENT


def test_a_newer_value_that_cannot_be_true_is_not_replaced_by_an_older_one() -> None:
    absurd = observation(value=900)
    older = observation(value=80, at="2026-06-30T09:00:00Z")
    assert read_one(bundle(absurd, older), range=[0, 350]).lack is Lack.OUT_OF_RANGE


# What came --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "lack"),
    [
        (None, Lack.NOT_SENT),
        ({"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}, Lack.FETCH_FAILED),
        (bundle(observation(value=80, subject={"reference": "Patient/another"})), Lack.OTHER_PATIENT),
        ({"no": "resource"}, Lack.UNREADABLE),
        (bundle(), Lack.NOT_RECORDED),
        ([], Lack.UNREADABLE),
        (bundle(observation(f"{LOINC}|1-1", 5), link=[{"relation": "next", "url": "x"}]), Lack.INCOMPLETE),
    ],
)
def test_why_an_input_is_missing_is_told_apart(came: Any, lack: Lack) -> None:
    found = read_one(came)
    assert (found.value, found.lack) == (None, lack)


def test_a_value_that_was_read_from_the_server_says_so() -> None:
    files = {"one": declared()}
    found = read_all(files, {"vitals": bundle(observation(value=80))}).inputs[0]
    assert found.source is InputSource.PREFETCH


def test_several_keys_are_searched_together() -> None:
    files = {"one": declared(prefetch=["vitals", "labs"])}
    older, newer = observation(value=70, at="2026-06-30T10:00:00Z"), observation(value=80)
    assert read_all(files, {"vitals": bundle(older), "labs": bundle(newer)}).values == {"one": 80}
    found = read_all(files, {"vitals": bundle()}).inputs[0]
    assert found.lack is Lack.NOT_SENT


# Numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "unit", "value"),
    [
        (quantity(98.6, "[degF]"), "Cel", 37.0),
        ({"value": 98.6, "unit": "°F"}, "Cel", 37.0),
        (quantity(37, "Cel"), "Cel", 37),
        (quantity(5.172, "mmol/L"), "mg/dL", Lack.UNIT_UNKNOWN),
        (quantity(80, "{beats}/min"), "/min", 80),
        ({"value": 80, "unit": "beats/minute"}, "/min", 80),
        ({"value": 80, "code": "bpm", "system": "urn:local", "unit": "bpm"}, "/min", 80),
        ({"value": 80}, "/min", Lack.UNIT_UNKNOWN),
        (quantity(80, "furlong"), "/min", Lack.UNIT_UNKNOWN),
        ({"value": "80"}, "/min", Lack.UNREADABLE),
        ({"comparator": "<", **quantity(5)}, "/min", Lack.UNREADABLE),
        ({"unit": "/min", "_value": {"extension": []}}, "/min", Lack.DATA_ABSENT),
    ],
)
def test_a_quantity_becomes_a_number_in_the_declared_unit(given: Any, unit: str, value: Any) -> None:
    found = read_one(bundle(observation(valueQuantity=given)), unit=unit)
    assert (found.lack if found.value is None else found.value) == value


def test_mass_and_amount_are_converted_only_where_the_substance_is_known() -> None:
    cholesterol = bundle(observation(valueQuantity=quantity(5.172, "mmol/L")))
    assert read_one(cholesterol, unit="mg/dL", molar_mass=386.65).value == pytest.approx(199.975, abs=0.001)


def test_a_sites_own_spelling_of_a_unit_is_understood() -> None:
    local = bundle(observation(valueQuantity={"value": 80, "unit": "Schläge"}))
    assert read_one(local, other_units={"schläge": "/min"}).value == 80


def test_a_bound_may_stand_for_a_number_where_the_site_says_so() -> None:
    bound = bundle(observation(valueQuantity={"comparator": ">", **quantity(90)}))
    assert read_one(bound, bounds="use").value == 90


@pytest.mark.parametrize(
    ("value", "lack"), [(0, None), (350, None), (-1, Lack.OUT_OF_RANGE), (351, Lack.OUT_OF_RANGE)]
)
def test_what_is_outside_the_range_is_missing(value: float, lack: Lack | None) -> None:
    assert read_one(bundle(observation(value=value)), range=[0, 350]).lack is lack


@pytest.mark.parametrize(
    ("value", "unit", "lack"),
    [
        (10**400, "/min", Lack.UNREADABLE),
        (-(10**400), "/min", Lack.UNREADABLE),
        (10**308, "/s", Lack.OUT_OF_RANGE),
    ],
    ids=["endless", "endlessly negative", "endless in our unit"],
)
def test_a_number_that_no_float_holds_is_missing(value: int, unit: str, lack: Lack) -> None:
    found = read_one(observation(valueQuantity=quantity(value, unit)))
    assert (found.value, found.lack) == (None, lack)


def test_a_bare_number_needs_no_unit_where_none_is_declared() -> None:
    score = bundle(observation(valueInteger=7))
    assert read_one(score, unit="1").value == 7
    assert read_one(score, unit="/min").lack is Lack.UNIT_UNKNOWN


# Answers, presence, counts, times ---------------------------------------------------------------------------

SMOKING = {
    f"{SNOMED}|449868002": "yes",
    f"{SNOMED}|266919005": "no",
    f"{SNOMED}|266927001": "unknown",
    "never smoked": "no",
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (concept(f"{SNOMED}|449868002"), True),
        (concept("urn:local|1", f"{SNOMED}|266919005"), False),
        (concept(f"{SNOMED}|266927001"), Lack.DATA_ABSENT),
        (concept(f"{SNOMED}|1"), Lack.UNREADABLE),
        ({"text": "Never  smoked"}, False),
        ({"text": "sometimes"}, Lack.UNREADABLE),
    ],
)
def test_an_answer_is_what_the_file_says_it_means(answer: Any, expected: Any) -> None:
    found = read_one(
        bundle(observation(valueCodeableConcept=answer)), kind="boolean", unit=None, answers=SMOKING
    )
    assert (found.lack if found.value is None else found.value) == expected


def test_a_boolean_is_itself_and_a_code_is_its_own_answer() -> None:
    assert read_one(bundle(observation(valueBoolean=False)), kind="boolean", unit=None).value is False
    alert = bundle(observation(valueCodeableConcept=concept(f"{SNOMED}|248234008")))
    assert read_one(alert, kind="code", unit=None).value == "248234008"
    assert read_one(alert, kind="code", unit=None, answers={f"{SNOMED}|248234008": "A"}).value == "A"


def condition(code: str = f"{SNOMED}|44054006", **more: Any) -> dict[str, Any]:
    active = {"clinicalStatus": {"coding": [{"code": "active"}]}}
    return {"resourceType": "Condition", "code": concept(code), **active, **more}


DIABETES: dict[str, Any] = {
    "kind": "presence",
    "type": "Condition",
    "unit": None,
    "codes": [f"{SNOMED}|44054006", "http://hl7.org/fhir/sid/icd-10-cm|E11*"],
    "not_listed": "no",
}


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (bundle(condition()), True),
        (bundle(condition("http://hl7.org/fhir/sid/icd-10-cm|E11.9")), True),
        (bundle(condition("http://hl7.org/fhir/sid/icd-10-cm|E10.9")), False),
        (bundle(), False),
        (bundle(condition(clinicalStatus={"coding": [{"code": "resolved"}]})), False),
        (bundle(condition(verificationStatus={"coding": [{"code": "refuted"}]})), False),
        (bundle(condition(clinicalStatus=None)), True),
        (bundle(condition(clinicalStatus=None, abatementDateTime="2020")), False),
        (bundle(condition() | {"code": {"text": "diabetes, type 2"}}), Lack.NOT_RECORDED),
        (bundle(condition(f"{SNOMED}|1"), link=[{"relation": "next", "url": "x"}]), Lack.INCOMPLETE),
        (None, Lack.NOT_SENT),
    ],
)
def test_a_whole_list_without_a_match_is_a_no_and_nothing_else_is(came: Any, expected: Any) -> None:
    found = read_one(came, **DIABETES)
    assert (found.lack if found.value is None else found.value) == expected


def test_a_list_without_a_match_is_no_answer_unless_the_file_says_so() -> None:
    assert read_one(bundle(), **DIABETES | {"not_listed": "unknown"}).lack is Lack.NOT_RECORDED


def stay(start: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "urn:c", "code": "EMER"},
        "period": {"start": start},
        **more,
    }


STAYS: dict[str, Any] = {
    "kind": "count",
    "type": "Encounter",
    "unit": None,
    "codes": ["urn:c|EMER"],
    "within": "P180D",
}


def test_matching_resources_are_counted_within_their_time() -> None:
    came = bundle(
        stay("2026-06-01"), stay("2026-05-01"), stay("2025-01-01"), stay("2026-06-02", status="planned")
    )
    assert read_one(came, **STAYS).value == 2
    assert read_one(bundle(), **STAYS).value == 0


@pytest.mark.parametrize(
    ("came", "lack"),
    [
        (bundle(stay("2026-06-01"), link=[{"relation": "next", "url": "x"}]), Lack.INCOMPLETE),
        (bundle(stay("2026-06-01", period=None)), Lack.UNDATED),
        (None, Lack.NOT_SENT),
    ],
)
def test_what_cannot_be_counted_to_the_end_is_no_count(came: Any, lack: Lack) -> None:
    assert read_one(came, **STAYS).lack is lack


@pytest.mark.parametrize(
    ("number", "expected"), [(MOST_JUDGED, MOST_JUDGED), (MOST_JUDGED + 1, Lack.INCOMPLETE)]
)
def test_a_criterion_is_asked_of_so_many_resources_and_a_count_of_more_is_no_count(
    number: int, expected: Any
) -> None:
    stays = [stay("2026-06-01", id=f"s{place}") for place in range(number)]
    found = read_one(bundle(*stays), **STAYS | {"path": "period.start.exists()", "range": [0, 1000]})
    assert (found.lack if found.value is None else found.value) == expected


def test_a_criterion_met_by_the_newest_of_very_many_is_met_and_met_by_none_of_them_is_no_no() -> None:
    many = [condition(recordedDate="2026-06-01", severity={"text": "x"}) for _ in range(MOST_JUDGED + 50)]
    criterion = DIABETES | {"path": "severity.text = 'x'"}
    assert read_one(bundle(*many), **criterion).value is True
    assert read_one(bundle(*many), **criterion | {"path": "severity.text = 'y'"}).lack is Lack.INCOMPLETE


AGE: dict[str, Any] = {"kind": "elapsed", "type": "Patient", "codes": None, "path": "birthDate", "unit": "a"}


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("1980-06-30", 46),
        ("1980-07-01", 45),
        ("1980", Lack.UNREADABLE),
        ("1980-02", 46),
        ("in May", Lack.UNREADABLE),
        (None, Lack.NOT_RECORDED),
    ],
)
def test_an_age_is_counted_in_completed_years_at_the_call(born: str | None, age: Any) -> None:
    found = read_one({"resourceType": "Patient", "id": PATIENT, "birthDate": born}, **AGE)
    assert (found.lack if found.value is None else found.value) == age


def test_an_elapsed_time_may_be_counted_in_hours() -> None:
    stays: dict[str, Any] = {
        "kind": "elapsed",
        "type": "Encounter",
        "codes": None,
        "path": "period.start",
        "unit": "h",
    }
    assert read_one(bundle(stay("2026-06-30T06:30:00Z")), **stays).value == 5.5


# Context, doubt, keeping ------------------------------------------------------------------------------------


def test_a_field_of_the_hooks_context_can_be_an_input() -> None:
    files = {"one": declared(prefetch=None, context="encounterId", kind="text", unit=None, codes=None)}
    found = read_all(files, {}, {"encounterId": "e9"}).inputs[0]
    assert (found.value, found.source, found.path) == ("e9", InputSource.CONTEXT, "context.encounterId")
    assert read_all(files, {}).inputs[0].lack is Lack.NOT_SENT


def test_resources_in_the_hooks_context_are_searched_like_prefetch() -> None:
    files = {"one": declared(prefetch=None, context="draftOrders")}
    found = read_all(files, {}, {"draftOrders": bundle(observation(value=80))}).inputs[0]
    assert (found.value, found.source) == (80, InputSource.CONTEXT)


def test_an_input_is_doubtful_by_any_of_its_codes_and_only_with_a_value() -> None:
    doubted = frozenset({f"{LOINC}|48643-1"})
    both = observation(value=80) | {"code": concept(PULSE, f"{LOINC}|48643-1")}
    assert read_one(bundle(both), doubted=doubted).doubtful
    assert not read_one(bundle(observation(value=80)), doubted=doubted).doubtful
    assert not read_one(bundle(both), doubted=doubted, range=[100, 200]).doubtful


def test_a_path_is_asked_about_the_resource_or_the_component_that_matched() -> None:
    part = {"code": concept(PRESSURE), "valueQuantity": quantity(120, "mm[Hg]")}
    written: dict[str, Any] = {
        "codes": [PRESSURE],
        "unit": "mm[Hg]",
        "path": "value.where(exists()).ofType(Quantity)",
    }
    found = read_one(bundle(observation(PANEL, component=[part])), **written)
    assert (found.value, found.path) == (120, "Observation.component.value.where(exists()).ofType(Quantity)")


def test_a_path_that_trips_over_a_resource_makes_the_input_missing() -> None:
    written: dict[str, Any] = {
        "type": "Patient",
        "codes": None,
        "unit": "1",
        "path": "multipleBirth.ofType(integer) - 1",
    }
    patient = {
        "resourceType": "Patient",
        "id": PATIENT,
        "multipleBirthInteger": "two",
    }
    assert read_one(patient, **written).lack is Lack.UNREADABLE
