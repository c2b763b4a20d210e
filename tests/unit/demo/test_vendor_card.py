"""The vendor's card and its refusal, as values."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from cds_wrapper.demo.prevent import PreventRisk, risk
from cds_wrapper.demo.prevent_inputs import Scorable, read_inputs
from cds_wrapper.demo.refusals import Input
from cds_wrapper.demo.vendor_card import compose_card, percent, refuse
from tests.unit.demo.records import PATIENT, bundle, complete, observation, patient, without

NOW = datetime(2026, 6, 30, tzinfo=UTC)
UUID = uuid.UUID("00000000-0000-4000-8000-000000000001")


def scorable(**changes: Any) -> Scorable:
    found = read_inputs({k: v for k, v in complete(**changes).items() if v is not None}, PATIENT, NOW)
    assert isinstance(found, Scorable)
    return found


def card(found: Scorable | None = None) -> dict[str, Any]:
    found = found or scorable()
    return compose_card(found, risk(found.inputs), UUID)


def test_the_card_has_the_score_at_the_declared_path() -> None:
    assert card()["extension"]["org.example.prevent"] == {
        "probability": 0.146839,
        "ascvd": 0.091951,
        "heart_failure": 0.080561,
        "model": "prevent-base",
        "version": "2023.1",
        "egfr_code": "98979-8",
        "egfr_formula": "reported",
        "birth_date_precision": "day",
    }


def test_without_a_body_mass_index_heart_failure_is_left_out_and_said() -> None:
    without_bmi = card(scorable(bmi=None))
    assert "heart_failure" not in without_bmi["extension"]["org.example.prevent"]
    assert "- Heart failure: not calculated" in without_bmi["detail"]


def test_the_summary_is_one_short_sentence() -> None:
    assert card()["summary"] == "10-year cardiovascular risk 14.7 %"
    assert len(card()["summary"]) < 140


def test_the_detail_shows_the_three_risks_and_every_input() -> None:
    detail = card()["detail"]
    for words in (
        "Cardiovascular disease: 14.7 %",
        "Atherosclerotic cardiovascular disease: 9.2 %",
        "Heart failure: 8.1 %",
        "Age 50, female",
        "Total cholesterol 200 mg/dL (2026-05-01)",
        "HDL cholesterol 45 mg/dL",
        "Systolic blood pressure 160 mm Hg",
        "eGFR 90 mL/min/1.73 m²",
        "Body mass index 35 kg/m²",
        "Diabetes: yes",
        "Current smoking: no",
        "Blood pressure medicine: yes",
        "Statin: no",
        "not a medical device",
    ):
        assert words in detail
    assert "|" not in detail  # no table: some EHRs show cards in a narrow panel


def test_a_partial_birth_date_and_a_computed_filtration_rate_are_said() -> None:
    kidney = bundle(observation("2160-0", 0.9, "mg/dL"))
    doubtful = card(scorable(patient=patient(birthDate="1976"), kidney=kidney))
    assert "birth date known to the year" in doubtful["detail"]
    assert ", from creatinine" in doubtful["detail"]
    assert doubtful["extension"]["org.example.prevent"]["egfr_formula"] == "ckd-epi-2021"
    assert doubtful["extension"]["org.example.prevent"]["birth_date_precision"] == "year"


@pytest.mark.parametrize(
    ("probability", "indicator"),
    [(0.0001, "info"), (0.075, "info"), (0.1999, "info"), (0.2, "warning"), (0.9, "warning")],
)
def test_the_indicator_follows_the_band_and_is_never_critical(probability: float, indicator: str) -> None:
    assert compose_card(scorable(), PreventRisk(probability, 0.1, None), UUID)["indicator"] == indicator


@pytest.mark.parametrize(
    ("probability", "words"), [(0.0308, "3.1 %"), (0.0004, "below 0.1 %"), (0.001, "0.1 %"), (0.5, "50.0 %")]
)
def test_probabilities_are_printed_in_per_cent(probability: float, words: str) -> None:
    assert percent(probability) == words


def test_the_source_is_the_demonstration_and_its_topic_is_stable() -> None:
    source = card()["source"]
    assert source["label"] == "Demonstration model (PREVENT base equations)"
    assert source["topic"]["code"] == "prevent10yearcvd"
    assert source["topic"]["code"].isalnum()


def test_no_member_is_empty() -> None:
    def walk(value: Any) -> None:
        assert value not in (None, "", [], {})
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(part)

    walk(card())
    walk(card(scorable(bmi=None)))


def test_a_refusal_names_every_missing_input_once_and_is_valid_fhir() -> None:
    found = read_inputs(without("lipids", "smoking"), PATIENT, NOW)
    assert isinstance(found, tuple)
    body = refuse(found)
    OperationOutcome.model_validate(body)
    coded = [issue["details"]["coding"][0] for issue in body["issue"]]
    assert {one["system"] for one in coded} == {"urn:cds-wrapper:demo-input"}
    assert [one["code"] for one in coded] == [Input.TOTAL_CHOLESTEROL, Input.HDL, Input.SMOKING]
    assert {issue["code"] for issue in body["issue"]} == {"required"}
    assert all(issue["details"]["text"] for issue in body["issue"])
