"""From FHIR to inputs: what is used, what is refused, and that missing is never "no"."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cds_wrapper.demo import codes
from cds_wrapper.demo.measurements import ckd_epi_2021
from cds_wrapper.demo.prevent import PreventInputs, Sex, risk
from cds_wrapper.demo.prevent_inputs import TEMPLATES, Scorable, read_inputs
from cds_wrapper.demo.refusals import Input, Why
from tests.unit.demo.records import (
    PATIENT,
    bundle,
    complete,
    condition,
    medicine,
    observation,
    patient,
    pressure,
    smoking,
    without,
)

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
RATE = "mL/min/{1.73_m2}"


def read(prefetch: dict[str, Any], at: datetime = NOW) -> PreventInputs:
    found = read_inputs(prefetch, PATIENT, at)
    assert isinstance(found, Scorable), found
    return found.inputs


def refused(prefetch: dict[str, Any]) -> dict[Input, Why]:
    found = read_inputs(prefetch, PATIENT, NOW)
    assert isinstance(found, tuple)
    return {refusal.input: refusal.why for refusal in found}


def test_a_complete_record_gives_the_published_example() -> None:
    result = risk(read(complete()))
    assert result.heart_failure is not None
    assert [round(100 * p, 1) for p in (result.total_cvd, result.ascvd, result.heart_failure)] == [
        14.7,
        9.2,
        8.1,
    ]


def test_the_record_holds_exactly_the_keys_the_vendor_asks_for() -> None:
    assert set(complete()) == set(TEMPLATES)


# prefetch key left out -> the inputs that are then missing
MISSING = [
    ("patient", {Input.AGE, Input.SEX}),
    ("lipids", {Input.TOTAL_CHOLESTEROL, Input.HDL}),
    ("blood_pressure", {Input.SYSTOLIC_PRESSURE}),
    ("kidney", {Input.EGFR}),
    ("smoking", {Input.SMOKING}),
    ("conditions", {Input.DIABETES}),
    ("medications", {Input.ANTIHYPERTENSIVE, Input.STATIN}),
]


@pytest.mark.parametrize(("key", "inputs"), MISSING)
def test_what_was_not_sent_is_missing_and_is_named(key: str, inputs: set[Input]) -> None:
    assert refused(without(key)) == dict.fromkeys(inputs, Why.MISSING)


@pytest.mark.parametrize("key", ["lipids", "blood_pressure", "kidney", "smoking"])
def test_an_empty_search_of_observations_is_missing_too(key: str) -> None:
    assert set(refused(complete(**{key: bundle()})).values()) == {Why.MISSING}


def test_everything_missing_is_reported_at_once() -> None:
    assert set(refused({})) == set(Input) - {Input.BMI}


def test_without_a_body_mass_index_the_patient_is_scored_all_the_same() -> None:
    assert read(without("bmi")).bmi is None


@pytest.mark.parametrize("sent", [bundle(), None])
def test_an_empty_list_that_was_sent_whole_is_a_no(sent: Any) -> None:
    inputs = read(complete(conditions=sent, medications=sent))
    assert (inputs.diabetes, inputs.antihypertensive, inputs.statin) == (False, False, False)


def test_a_list_with_more_pages_is_not_a_no() -> None:
    found = refused(complete(conditions=bundle(more=True), medications=bundle(more=True)))
    assert found == dict.fromkeys((Input.DIABETES, Input.ANTIHYPERTENSIVE, Input.STATIN), Why.MISSING)


def test_a_yes_on_the_first_page_is_a_yes() -> None:
    assert read(complete(conditions=bundle(condition("44054006"), more=True))).diabetes


def test_a_search_that_failed_is_not_a_no() -> None:
    failed = bundle(
        {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    )
    assert refused(complete(conditions=failed)) == {Input.DIABETES: Why.MISSING}


def test_a_warning_that_nothing_was_found_is_a_no() -> None:
    nothing = bundle(
        {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "not-found"}]}
    )
    assert read(complete(conditions=nothing)).diabetes is False


# --- age and sex


AGES = [
    ("1976-06-30", 50),
    ("1976-07-01", 49),
    ("1976-06", 50),  # the middle of the month
    ("1976", 49),  # the middle of the year
    ("1945-01-01", 81),  # outside the model's own range, scored by extrapolation
    ("2000-01-01", 26),
    ("1976-03-01T00:00:00Z", 50),
]


@pytest.mark.parametrize(("born", "age"), AGES)
def test_age_is_in_completed_years_at_the_time_of_prediction(born: str, age: int) -> None:
    assert read(complete(patient=patient(birthDate=born))).age == age


@pytest.mark.parametrize("born", ["2009-01-01", "1900-01-01", "2030-01-01"])
def test_ages_no_vendor_would_score_are_refused(born: str) -> None:
    assert refused(complete(patient=patient(birthDate=born))) == {Input.AGE: Why.OUTSIDE}


@pytest.mark.parametrize("born", [None, "", "1976-13-01", "spring 1976", 1976])
def test_an_unreadable_birth_date_is_missing(born: Any) -> None:
    assert refused(complete(patient=patient(birthDate=born))) == {Input.AGE: Why.MISSING}


def sex_extension(name: str, **value: Any) -> dict[str, Any]:
    return {"url": f"{codes.US_CORE}/{name}", **value}


INDIVIDUAL_SEX = sex_extension(
    "us-core-individual-sex", valueCoding={"system": codes.SNOMED, "code": "248153007"}
)
SEXES: list[tuple[dict[str, Any], Sex]] = [
    ({"gender": "male"}, Sex.MALE),
    ({"gender": "female"}, Sex.FEMALE),
    ({"gender": "other", "extension": [sex_extension("us-core-birthsex", valueCode="F")]}, Sex.FEMALE),
    ({"gender": "female", "extension": [sex_extension("us-core-birthsex", valueCode="UNK")]}, Sex.FEMALE),
    ({"gender": "female", "extension": [INDIVIDUAL_SEX]}, Sex.MALE),
    (
        {"gender": "female", "extension": [sex_extension("us-core-birthsex", valueCode="F"), INDIVIDUAL_SEX]},
        Sex.MALE,
    ),
]


@pytest.mark.parametrize(("stated", "sex"), SEXES)
def test_sex_comes_from_the_first_source_that_says_it(stated: dict[str, Any], sex: Sex) -> None:
    assert read(complete(patient=patient(**stated))).sex is sex


def test_other_and_unknown_sex_are_refused_and_never_guessed() -> None:
    assert refused(complete(patient=patient(gender="other"))) == {Input.SEX: Why.UNUSABLE}
    assert refused(complete(patient=patient(gender="unknown"))) == {Input.SEX: Why.MISSING}
    other_at_birth = patient(gender="female", extension=[sex_extension("us-core-birthsex", valueCode="OTH")])
    assert refused(complete(patient=other_at_birth)) == {Input.SEX: Why.UNUSABLE}


def test_another_patients_record_counts_as_none() -> None:
    assert refused(complete(patient=patient(id="p2"))) == {Input.AGE: Why.MISSING, Input.SEX: Why.MISSING}


def test_another_patients_result_is_not_used() -> None:
    foreign = observation("2085-9", 90, "mg/dL", "2026-06-01", subject={"reference": "Patient/p2"})
    own = [observation("2093-3", 200, "mg/dL"), observation("2085-9", 45, "mg/dL")]
    assert read(complete(lipids=bundle(foreign, *own))).hdl == 45


# --- measurements


def test_the_newest_result_is_used_whatever_the_order() -> None:
    old = observation("2085-9", 60, "mg/dL", "2024-05-01T23:00:00-05:00")
    new = observation("2085-9", 45, "mg/dL", "2026-05-01")
    total = observation("2093-3", 200, "mg/dL")
    assert read(complete(lipids=bundle(old, total, new))).hdl == 45
    assert read(complete(lipids=bundle(new, total, old))).hdl == 45


def test_moments_are_compared_across_time_zones() -> None:
    later = observation("2085-9", 45, "mg/dL", "2026-05-01T23:00:00-05:00")
    earlier = observation("2085-9", 60, "mg/dL", "2026-05-02T01:00:00+00:00")
    assert read(complete(lipids=bundle(earlier, later, observation("2093-3", 200, "mg/dL")))).hdl == 45


UNUSABLE: list[dict[str, Any]] = [
    {"status": "entered-in-error"},
    {"status": "preliminary"},
    {"status": "cancelled"},
    {"dataAbsentReason": {"coding": [{"code": "unknown"}]}},
    {"valueQuantity": {"value": 90, "code": "mg/dL", "comparator": ">"}},
    {"valueQuantity": {"value": "90", "code": "mg/dL"}},
    {"valueQuantity": {"code": "mg/dL"}},
    {"valueQuantity": {"value": 90, "code": "g/L"}},
    {"valueString": "ninety", "valueQuantity": None},
]


@pytest.mark.parametrize("spoilt", UNUSABLE)
def test_an_unusable_newer_result_gives_way_to_an_older_one(spoilt: dict[str, Any]) -> None:
    newer = observation("2085-9", 90, "mg/dL", "2026-06-01", **spoilt)
    older = [observation("2085-9", 45, "mg/dL"), observation("2093-3", 200, "mg/dL")]
    assert read(complete(lipids=bundle(newer, *older))).hdl == 45


def test_a_result_in_no_unit_we_know_is_named_as_unusable() -> None:
    lipids = bundle(observation("2093-3", 200, "mg/dL"), observation("2085-9", 0.45, "g/L"))
    assert refused(complete(lipids=lipids)) == {Input.HDL: Why.UNUSABLE}


CHOLESTEROL = [
    ("14647-2", 5.172, "mmol/L"),
    ("2093-3", 5.172, "mmol/L"),  # the mass code with a molar unit, as real data has it
    ("14647-2", 200, "mg/dL"),
    ("2093-3", 200, "mg/dl"),
]


@pytest.mark.parametrize(("code", "value", "unit"), CHOLESTEROL)
def test_cholesterol_is_converted_by_its_unit_and_not_by_its_code(code: str, value: float, unit: str) -> None:
    lipids = bundle(observation(code, value, unit), observation("14646-4", 1.1637, "mmol/L"))
    inputs = read(complete(lipids=lipids))
    assert inputs.total_cholesterol == pytest.approx(200)
    assert inputs.hdl == pytest.approx(45)


OUTSIDE = [
    (
        Input.TOTAL_CHOLESTEROL,
        "lipids",
        bundle(observation("2093-3", 321, "mg/dL"), observation("2085-9", 45, "mg/dL")),
    ),
    (Input.HDL, "lipids", bundle(observation("2093-3", 200, "mg/dL"), observation("2085-9", 19, "mg/dL"))),
    (Input.SYSTOLIC_PRESSURE, "blood_pressure", bundle(pressure(181))),
    (Input.EGFR, "kidney", bundle(observation("98979-8", 14, RATE))),
]


@pytest.mark.parametrize(("name", "key", "sent"), OUTSIDE)
def test_a_value_outside_the_models_range_is_refused_without_repeating_it(
    name: Input, key: str, sent: dict[str, Any]
) -> None:
    found = read_inputs(complete(**{key: sent}), PATIENT, NOW)
    assert isinstance(found, tuple)
    assert [(refusal.input, refusal.why) for refusal in found] == [(name, Why.OUTSIDE)]
    assert "outside" in found[0].text
    assert not any(number in found[0].text for number in ("321", "19 ", "181", "14 "))


def test_a_body_mass_index_outside_the_range_only_costs_the_heart_failure_risk() -> None:
    found = read_inputs(complete(bmi=bundle(observation("39156-5", 44, "kg/m2"))), PATIENT, NOW)
    assert isinstance(found, Scorable)
    assert found.inputs.bmi is None
    assert found.measurements.bmi_note == "body mass index: outside 18.5 to 39.9 kg/m2"


@pytest.mark.parametrize(
    "sent", [pressure(142), pressure(142, "55284-4"), observation("8480-6", 142, "mm[Hg]")], ids=str
)
def test_systolic_pressure_stands_alone_or_in_either_panel(sent: dict[str, Any]) -> None:
    assert read(complete(blood_pressure=bundle(sent))).systolic_pressure == 142


# --- kidney


def kidney(*sent: dict[str, Any]) -> Scorable:
    found = read_inputs(complete(kidney=bundle(*sent)), PATIENT, NOW)
    assert isinstance(found, Scorable), found
    return found


@pytest.mark.parametrize("code", codes.EGFR)
def test_every_filtration_code_is_accepted_and_named(code: str) -> None:
    found = kidney(observation(code, 71, RATE))
    assert (found.inputs.egfr, found.egfr_code, found.measurements.egfr_formula) == (71, code, "reported")


def test_a_newer_race_adjusted_rate_wins_over_an_older_current_one() -> None:
    found = kidney(observation("98979-8", 90, RATE, "2025-01-01"), observation("33914-3", 71, RATE))
    assert found.egfr_code == "33914-3"


def test_of_one_moments_results_the_one_without_race_wins() -> None:
    found = kidney(
        observation("48643-1", 101, RATE), observation("48642-3", 84, RATE), observation("98979-8", 90, RATE)
    )
    assert (found.egfr_code, found.inputs.egfr) == ("98979-8", 90)


@pytest.mark.parametrize(("value", "unit"), [(0.9, "mg/dL"), (79.578, "umol/L")])
@pytest.mark.parametrize("code", codes.CREATININE)
def test_a_rate_is_computed_from_creatinine(code: str, value: float, unit: str) -> None:
    found = kidney(observation(code, value, unit))
    assert found.inputs.egfr == pytest.approx(ckd_epi_2021(0.9, Sex.FEMALE, 50))
    assert (found.egfr_code, found.measurements.egfr_formula) == (code, "ckd-epi-2021")


def test_a_reported_rate_is_preferred_to_a_newer_creatinine() -> None:
    found = kidney(observation("2160-0", 0.9, "mg/dL", "2026-06-01"), observation("98979-8", 90, RATE))
    assert found.egfr_code == "98979-8"


def test_a_rate_in_plain_millilitres_a_minute_is_not_taken() -> None:
    sent = bundle(observation("33914-3", 90, "mL/min"))
    assert refused(complete(kidney=sent)) == {Input.EGFR: Why.UNUSABLE}


def test_a_bound_is_not_a_rate() -> None:
    bound = observation("98979-8", 60, RATE) | {
        "valueQuantity": {"value": 60, "code": RATE, "comparator": ">"}
    }
    assert refused(complete(kidney=bundle(bound))) == {Input.EGFR: Why.UNUSABLE}


def test_creatinine_is_no_second_complaint_when_the_sex_is_unknown() -> None:
    sent = complete(patient=patient(gender="unknown"), kidney=bundle(observation("2160-0", 0.9, "mg/dL")))
    assert refused(sent) == {Input.SEX: Why.MISSING}


# CKD-EPI 2021 worked by hand from Inker et al., NEJM 2021;385:1737: 142 x 0.9938^50 x ...
RATES = [
    (0.7, Sex.FEMALE, 50, 105.3),
    (1.0, Sex.FEMALE, 50, 68.6),
    (0.9, Sex.MALE, 50, 104.0),
    (1.8, Sex.MALE, 50, 45.3),
    (0.45, Sex.MALE, 50, 128.3),
]


@pytest.mark.parametrize(("creatinine", "sex", "age", "rate"), RATES)
def test_ckd_epi_2021(creatinine: float, sex: Sex, age: int, rate: float) -> None:
    assert ckd_epi_2021(creatinine, sex, age) == pytest.approx(rate, abs=0.06)


# --- history


SMOKING = [
    ("449868002", True),
    ("428041000124106", True),
    ("77176002", True),
    ("428071000124103", True),
    ("428061000124105", True),
    ("266919005", False),
    ("8517006", False),
]


@pytest.mark.parametrize(("code", "smoker"), SMOKING)
def test_smoking_codes(code: str, smoker: bool) -> None:
    assert read(complete(smoking=bundle(smoking(code)))).smoker is smoker


def test_unknown_smoking_is_not_a_no() -> None:
    assert refused(complete(smoking=bundle(smoking("266927001")))) == {Input.SMOKING: Why.UNUSABLE}


def test_unknown_smoking_does_not_hide_an_older_answer() -> None:
    both = bundle(smoking("266927001", "2026-06-01"), smoking("449868002", "2024-01-01"))
    assert read(complete(smoking=both)).smoker


DIABETES = [
    (condition("44054006"), True),
    (condition("46635009"), True),
    (condition("73211009"), True),
    (condition("E11.9", codes.ICD10CM), True),
    (condition("E08", codes.ICD10CM), True),
    (condition("O24.410", codes.ICD10CM), False),
    (condition("15777000"), False),  # prediabetes
    (condition("44054006", status="resolved"), False),
    (condition("44054006", status="inactive"), False),
    (condition("44054006") | {"clinicalStatus": None}, True),
    (condition("44054006") | {"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
    (condition("44054006") | {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}, False),
    (condition("44054006", "urn:local"), False),
]


@pytest.mark.parametrize(("sent", "diabetes"), DIABETES)
def test_diabetes(sent: dict[str, Any], diabetes: bool) -> None:
    assert read(complete(conditions=bundle(sent))).diabetes is diabetes


MEDICINES = [
    (medicine("29046"), True, False),
    (medicine("83367"), False, True),
    (medicine("197361", "Amlodipine 5 MG Oral Tablet"), True, False),
    (medicine("0", "amlodipine 5 MG / atorvastatin 10 MG Oral Tablet"), True, True),
    (medicine("316672", "Simvistatin 10 MG"), False, True),
    (medicine("10582", "levothyroxine"), False, False),
    (medicine("4603", "furosemide"), False, False),
    (medicine("29046", status="stopped"), False, False),
    (medicine("29046") | {"doNotPerform": True}, False, False),
    (medicine("29046") | {"resourceType": "MedicationStatement"}, True, False),
]


@pytest.mark.parametrize(("sent", "treated", "statin"), MEDICINES)
def test_medicines(sent: dict[str, Any], treated: bool, statin: bool) -> None:
    inputs = read(complete(medications=bundle(sent)))
    assert (inputs.antihypertensive, inputs.statin) == (treated, statin)


def by_reference(reference: str, **more: Any) -> dict[str, Any]:
    order = medicine("29046") | {"medicationReference": {"reference": reference}, **more}
    del order["medicationCodeableConcept"]
    return order


LISINOPRIL = {"resourceType": "Medication", "id": "m1", "code": {"text": "Lisinopril 10 MG Oral Tablet"}}


def test_a_medicine_is_followed_inside_the_order_and_inside_the_bundle() -> None:
    assert read(complete(medications=bundle(by_reference("#m1", contained=[LISINOPRIL])))).antihypertensive
    assert read(complete(medications=bundle(by_reference("Medication/m1"), LISINOPRIL))).antihypertensive


def test_a_medicine_nobody_can_read_is_not_a_no() -> None:
    found = refused(complete(medications=bundle(by_reference("Medication/elsewhere"))))
    assert found == {Input.ANTIHYPERTENSIVE: Why.UNUSABLE, Input.STATIN: Why.UNUSABLE}


# --- any shape


NONSENSE: list[Any] = [
    None,
    [],
    "text",
    7,
    True,
    {},
    {"resourceType": "Bundle", "entry": "x"},
    bundle(*[{"code": []}]),
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
@pytest.mark.parametrize("key", TEMPLATES)
def test_no_shape_of_a_prefetch_value_makes_it_fail(key: str, nonsense: Any) -> None:
    found = read_inputs(complete(**{key: nonsense}), PATIENT, NOW)
    assert isinstance(found, Scorable | tuple)


def test_printing_what_was_read_shows_no_patient_data() -> None:
    found = read_inputs(complete(), PATIENT, NOW)
    assert isinstance(found, Scorable)
    printed = repr(found) + repr(found.person) + repr(found.measurements) + repr(found.history)
    assert not any(character.isdigit() for character in printed.replace("98979-8", ""))
