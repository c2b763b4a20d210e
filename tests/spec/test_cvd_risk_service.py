"""The shipped service, patient by patient: what its files make a card say.

The patients are the demonstration's, the vendor's answers the demonstration vendor's own. No level is written
in the service's files: each follows from the published evidence and the policy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path

import pytest

from cds_wrapper.caveats.caveat import Caveat
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.caveats.wording import CaveatWords, choose_words
from cds_wrapper.cds import read_request
from cds_wrapper.demo.population import FIXTURE_DAY, populate
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.demo.requests import build_request
from cds_wrapper.demo.store import Store
from cds_wrapper.demo.vendor import answer_hook
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.outbound import Answer, Outbound
from cds_wrapper.patient.demographics import NoPatient, describe
from cds_wrapper.services import ServiceDefinition, definition_from_files, load_services
from cds_wrapper.vendors.base import ModelVersion, NoPrediction, Prediction, Status, VendorCall, VersionSource
from cds_wrapper.vendors.cds_hooks import CDSHooksVendor
from cds_wrapper.vendors.features import Features, IfMissing
from cds_wrapper.vendors.peer import VendorPeer

HOOKS = Path(__file__).parents[2] / "hooks"
NOON = datetime.combine(FIXTURE_DAY, time(12), UTC)


@dataclass(frozen=True, slots=True)
class Decided:
    prediction: Prediction | NoPrediction
    caveat: Caveat
    disposition: Disposition
    words: CaveatWords


@cache
def service() -> ServiceDefinition:
    (definition,) = load_services(HOOKS).of("cvd-risk")
    return definition


@cache
def store() -> Store:
    return Store(populate(FIXTURE_DAY).resources)


def ask_vendor(patient_id: str) -> Prediction | NoPrediction:
    """Send the declared prefetch of a patient to the demonstration vendor, and read what it answers."""
    body = build_request(store(), service().prefetch, patient_id, "an-instance", "http://localhost:8082")
    status, answer = answer_hook(json.dumps(body).encode(), NOON)
    config = service().vendor
    vendor = CDSHooksVendor(
        peer=VendorPeer(config.url, 100_000, Outbound()),
        forwarding=config.forwarding,
        score=config.score,
        model=config.model,
        missing=config.missing,
        threshold=service().threshold,
    )
    return vendor.read(Answer(status, json.dumps(answer).encode()), VendorCall())


def decide(patient: bytes | NoPatient, prediction: Prediction | NoPrediction) -> Decided:
    subgroups = service().scheme.assign(describe(patient, NOON, service().rules))
    evidence = service().book.about(subgroups, prediction)
    caveat = service().policy.weigh(evidence, prediction)
    disposition = service().plan.settle(caveat, prediction)
    words = choose_words(
        caveat, disposition, prediction, evidence, service().scheme, service().wording, service().words
    )
    return Decided(prediction, caveat, disposition, words)


def patient_of(patient_id: str) -> bytes:
    return json.dumps(store().read("Patient", patient_id)).encode()


# patient, level, texts on the card, in the summary
ONE_SIGN = "Use it as one sign among others."
HIGHER = "True risk may be higher than shown."
NOT_ON_FILE = "details not on file."
TABLE = [
    ("black-35", "reduced", ["G5"], "true risk may be higher for this patient"),
    ("white-35", "limited", ["T2"], None),
    ("white-55", "limited", ["T2"], None),
    ("native-50", "not_validated", ["N1"], "no results for similar patients"),
    ("declined-35", "not_assessed", ["K1"], None),
    ("age-81", "reduced", ["S1"], "outside the developer's intended use"),
    ("age-26", "reduced", ["S1"], "outside the developer's intended use"),
    ("unknown-race-55", "not_assessed", ["K1"], None),
    ("multi-race-45", "not_validated", ["N1"], "no results for similar patients"),
    ("asian-60", "limited", ["T2"], None),
    ("hispanic-45", "limited", ["T2"], None),
    ("partial-birth-date", "limited", ["T2"], None),
]


@pytest.mark.parametrize(("patient_id", "level", "texts", "short"), TABLE)
def test_what_the_card_of_each_patient_says(
    patient_id: str, level: str, texts: list[str], short: str | None
) -> None:
    decided = decide(patient_of(patient_id), ask_vendor(patient_id))
    assert decided.prediction.status is Status.ANSWERED
    assert decided.caveat.level.value == level
    assert list(decided.words.wording_ids) == texts
    assert decided.words.short == short
    assert decided.disposition is Disposition.ANNOTATE


@pytest.mark.parametrize(
    ("patient_id", "line", "evidence_line"),
    [
        (
            "black-35",
            f"Elsewhere, this score has been too low for similar patients. {HIGHER}",
            "Not yet checked here. Known since June 2026; the hospital's plan: see link.",
        ),
        (
            "white-35",
            f"This score has not yet been checked on enough patients here. {ONE_SIGN}",
            "Not yet checked here.",
        ),
        (
            "native-50",
            f"The developer gives no results for similar patients, and we have none yet. {ONE_SIGN}",
            "No local results yet.",
        ),
        (
            "declined-35",
            f"How well this score works for this patient could not be checked: {NOT_ON_FILE} {ONE_SIGN}",
            "Not yet checked here.",
        ),
        (
            "age-81",
            "The developer advises against this score for ages outside 30 to 79. Do not rely on it here.",
            "Not yet checked here. The hospital's plan: see link.",
        ),
    ],
)
def test_the_words_of_each_case(patient_id: str, line: str, evidence_line: str) -> None:
    words = decide(patient_of(patient_id), ask_vendor(patient_id)).words
    assert words.lines == (line,)
    assert words.evidence_line == evidence_line
    assert words.ai_line == (
        "Calculated by Demonstration model (PREVENT base equations) 2023.1 (demonstration vendor). "
        "Not reviewed by a person."
    )


def test_same_inputs_same_score_other_caveat() -> None:
    black, white, declined = (
        decide(patient_of(one), ask_vendor(one)) for one in ("black-35", "white-35", "declined-35")
    )
    scores = {
        one.prediction.score for one in (black, white, declined) if isinstance(one.prediction, Prediction)
    }
    assert scores == {0.030777}
    assert len({one.caveat.level for one in (black, white, declined)}) == 3


def test_without_a_patient_resource_the_card_says_that_nothing_could_be_checked() -> None:
    decided = decide(NoPatient.ABSENT, ask_vendor("white-55"))
    assert decided.caveat.level.value == "not_assessed"
    assert decided.words.wording_ids == ("K1",)
    assert decided.words.short is None


def test_a_missing_birth_date_hides_no_gap_of_a_race_nobody_reports() -> None:
    patient = json.loads(patient_of("native-50"))
    del patient["birthDate"]
    decided = decide(json.dumps(patient).encode(), ask_vendor("native-50"))
    assert decided.caveat.level.value == "not_validated"
    assert decided.words.wording_ids[0] == "N1"


def test_a_patient_without_hdl_gets_a_card_that_names_it() -> None:
    decided = decide(patient_of("no-hdl"), ask_vendor("no-hdl"))
    assert decided.prediction.status is Status.MISSING_INPUT
    assert decided.words.replacement is not None
    summary, detail = decided.words.replacement
    assert summary == (
        "10-year cardiovascular risk (demonstration): not calculated, HDL cholesterol missing. "
        "This does not mean low risk."
    )
    assert "without HDL cholesterol" in detail


def test_a_version_the_board_has_not_approved_runs_in_shadow() -> None:
    answered = ask_vendor("white-55")
    assert isinstance(answered, Prediction)
    other = Prediction(
        cards=answered.cards,
        score=answered.score,
        score_kind=answered.score_kind,
        flagged=answered.flagged,
        model=ModelVersion("prevent-base", "2024.1", VersionSource.RESPONSE),
        call=answered.call,
    )
    assert decide(patient_of("white-55"), other).disposition is Disposition.SHADOW


def test_the_one_finding_is_the_published_one_and_nothing_else() -> None:
    (finding,) = service().book.findings
    assert dict(finding.where) == {"race": ("black",), "age_band": ("30-39",)}
    assert finding.signed
    assert finding.since == date(2026, 6, 30)
    # The data ended seven years before: statistics by hand give 0.9192.
    assert finding.p_low is not None
    assert round(finding.p_low, 4) == 0.9192


def test_groups_that_must_not_be_named_are_named_nowhere() -> None:
    for patient_id in (case[0] for case in TABLE):
        words = decide(patient_of(patient_id), ask_vendor(patient_id)).words
        said = " ".join([*words.lines, words.short or "", words.evidence_line or ""]).lower()
        assert not [name for name in ("black", "white", "race", "indian", "hispanic") if name in said]


def test_the_prefetch_is_the_vendors_own_word_for_word() -> None:
    assert dict(service().prefetch) == dict(TEMPLATES)


def test_the_vendors_codes_for_missing_inputs_all_have_a_name() -> None:
    missing = service().vendor.missing
    assert missing is not None
    assert set(missing.names) == {
        "age", "sex", "total_cholesterol", "hdl", "systolic_pressure", "egfr", "diabetes", "smoking",
        "antihypertensive", "statin",
    }  # fmt: skip


def test_a_definition_made_again_from_the_kept_bytes_decides_alike() -> None:
    kept = {file.kind: file.content for file in service().files if file.kind != "edition"}
    again = definition_from_files(kept)
    assert again.book == service().book
    assert (again.versions, again.words, again.rules.bands, again.scheme) == (
        service().versions, service().words, service().rules.bands, service().scheme,
    )  # fmt: skip
    assert {file.kind: file.digest for file in again.files} == {
        file.kind: file.digest for file in service().files
    }


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (0.0, "low"),
        (0.0499, "low"),
        (0.05, "borderline"),
        (0.075, "intermediate"),
        (0.2, "high"),
        (1.0, "high"),
    ],
)
def test_bands_begin_at_their_lower_limit(score: float, band: str) -> None:
    assert service().band_of(score) == band


def test_no_score_has_no_band() -> None:
    assert service().band_of(None) is None


def inputs_of(patient_id: str) -> Features:
    """The model's inputs that the service looks for, in the declared prefetch of a patient."""
    body = build_request(store(), service().prefetch, patient_id, "an-instance", "http://localhost:8082")
    call = read_request(json.dumps(body).encode(), NOON)
    reader = service().features
    assert reader is not None
    return reader.read(call, sort_prefetch(call, service().prefetch, service().patient_key))


@pytest.mark.parametrize(
    ("patient_id", "code", "texts"),
    [
        ("old-egfr-60", "http://loinc.org|48643-1", ["D2"]),
        ("white-55", "http://loinc.org|98979-8", []),
    ],
)
def test_a_kidney_result_by_a_formula_that_takes_race_is_in_doubt(
    patient_id: str, code: str, texts: list[str]
) -> None:
    features = inputs_of(patient_id)
    assert [one.code for one in features.inputs] == [code]
    prediction = ask_vendor(patient_id)
    subgroups = service().scheme.assign(describe(patient_of(patient_id), NOON, service().rules))
    evidence = service().book.about(subgroups, prediction)
    caveat = service().policy.weigh(evidence, prediction, features)
    words = choose_words(
        caveat,
        service().plan.settle(caveat, prediction),
        prediction,
        evidence,
        service().scheme,
        service().wording,
        service().words,
    )
    assert [text for text in words.wording_ids if text.startswith("D")] == texts


def test_an_input_that_the_vendor_has_from_elsewhere_is_no_missing_one() -> None:
    """The vendor computes the rate from creatinine where there is none, and names what it lacks itself."""
    assert inputs_of("no-hdl").missing == ()
    assert all(one.if_missing is IfMissing.NOT_JUDGED for one in inputs_of("no-hdl").inputs)
