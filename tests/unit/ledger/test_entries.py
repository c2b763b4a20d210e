from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cds_wrapper.cds import CDSRequest, NotRead, Prefetch, PrefetchState, Reading
from cds_wrapper.ledger.columns import COLUMNS, DEMOGRAPHIC_COLUMNS, Kind
from cds_wrapper.ledger.entries import (
    KeptFile,
    demographic_columns,
    input_columns,
    keys_of,
    named_as_missing,
    prediction_columns,
)
from cds_wrapper.ledger.pseudonyms import KeyKind, Pseudonyms
from cds_wrapper.ledger.values import timestamp
from cds_wrapper.patient.demographics import Attribute, Demographics, Missing
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    Status,
    VendorCall,
    VersionSource,
)
from cds_wrapper.vendors.features import Features, IfMissing, Input, InputSource, Lack
from tests.unit.ledger.examples import NOON, entry

MRN, OTHER, NAMESPACE = "urn:oid:1.2.3.4", "urn:oid:9.9.9", "https://ehr.example/fhir"
PSEUDONYMS = Pseudonyms(1, "example", {kind: kind.value.encode() * 32 for kind in KeyKind})


def request(user_id: str | None = "Practitioner/9", encounter_id: str | None = "e9") -> CDSRequest:
    return CDSRequest("patient-view", "h", {}, "p9", encounter_id, user_id, {}, None, None, {}, NOON, 100)


def keys(patient: object = None, encounter: object = None, **of_request: Any) -> dict[str, object]:
    def resource(value: object) -> bytes | None:
        return value if isinstance(value, bytes) or value is None else json.dumps(value).encode()

    return keys_of(
        request(**of_request),
        PSEUDONYMS,
        NAMESPACE,
        {"patient": [MRN, OTHER], "encounter": [MRN]},
        resource(patient),
        resource(encounter),
    )


def identifier(system: object, value: object, **more: object) -> dict[str, object]:
    return {"system": system, "value": value, **more}


IDENTIFIERS = [
    ("the declared system", [identifier(MRN, "12345")], MRN, "12345"),
    ("in declared order", [identifier(OTHER, "7"), identifier(MRN, "12345")], MRN, "12345"),
    ("the second declared system when the first is not there", [identifier(OTHER, "7")], OTHER, "7"),
    ("blanks around a value are no part of it", [identifier(f" {MRN}", " 12345 ")], MRN, "12345"),
    ("the first of two in one system", [identifier(MRN, "12345"), identifier(MRN, "9")], MRN, "12345"),
    ("an old one is passed over", [identifier(MRN, "1", use="old"), identifier(MRN, "12345")], MRN, "12345"),
    ("wrong shapes are passed over", ["x", identifier(MRN, 5), identifier(MRN, "12345")], MRN, "12345"),
    ("no declared system", [identifier("urn:oid:5", "12345")], None, None),
    ("an empty value", [identifier(MRN, " ")], None, None),
    ("no list", identifier(MRN, "12345"), None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("identifiers", "system", "value"), [row[1:] for row in IDENTIFIERS], ids=[r[0] for r in IDENTIFIERS]
)
def test_the_patient_key_comes_from_the_declared_identifier(
    identifiers: object, system: str | None, value: str | None
) -> None:
    made = keys({"resourceType": "Patient", "identifier": identifiers})

    assert made["patient_key_source"] == system
    assert made["patient_key"] == (PSEUDONYMS.patient(system, value) if system and value else None)


@pytest.mark.parametrize("patient", [None, b"", b"[]", b"{", b"\xff", {"id": "p9"}, {"identifier": None}])
def test_without_a_readable_patient_there_is_still_the_key_from_the_context(patient: object) -> None:
    made = keys(patient)

    assert (made["patient_key"], made["patient_key_source"]) == (None, None)
    assert made["patient_fhir_key"] == PSEUDONYMS.patient(NAMESPACE, "p9")


def test_the_encounter_has_a_key_from_the_context_and_one_from_its_identifier_when_it_came() -> None:
    without, with_it = keys(), keys(encounter={"identifier": [identifier(MRN, "v1")]})

    assert (without["encounter_key"], without["encounter_key_source"]) == (None, None)
    assert without["encounter_fhir_key"] == PSEUDONYMS.encounter(NAMESPACE, "e9")
    assert with_it["encounter_key"] == PSEUDONYMS.encounter(MRN, "v1")
    assert keys(encounter_id=None)["encounter_fhir_key"] is None


@pytest.mark.parametrize(
    ("user_id", "kind", "bare"),
    [
        ("Practitioner/9", "Practitioner", "9"),
        ("PractitionerRole/9", "PractitionerRole", "9"),
        ("https://ehr.example/fhir/Practitioner/9", "Practitioner", "9"),
        ("9", None, "9"),
        ("", None, None),
        (None, None, None),
        ("Practitioner/", "Practitioner", None),
    ],
)
def test_the_user_key_is_made_from_the_bare_id(
    user_id: str | None, kind: str | None, bare: str | None
) -> None:
    made = keys(user_id=user_id)

    assert made["user_kind"] == kind
    assert made["user_key"] == (PSEUDONYMS.user(NAMESPACE, bare) if bare else None)


def test_demographics_fill_the_flat_columns_and_what_the_site_does_not_collect_stays_null() -> None:
    demographics = Demographics(
        {
            "race": Attribute("black", None, ("black",)),
            "language": Attribute(None, Missing.DECLINED),
            "local_attribute": Attribute("x", None, ("x",)),
        }
    )
    scheme = SubgroupScheme(
        {name: AttributePolicy(name, True, True, Display.SHOW, {}) for name in ("race", "language", "payer")}
    )

    made = demographic_columns(demographics, scheme.assign(demographics))

    assert (made["race"], made["language"]) == ("black", "missing:declined")
    assert made["payer"] == "missing:not_fetched", "declared as a subgroup and not read"
    assert made["sex"] is None
    assert "local_attribute" not in made
    assert made["subgroups"] == ["race=black", "language=missing:declined", "payer=missing:not_fetched"]
    assert json.loads(str(made["demographics"])) == demographics.to_record()


MODEL = ModelVersion("prevent-base", "2023.1", VersionSource.RESPONSE)
CALL = VendorCall(milliseconds=41.5, http_status=200, attempts=1)


def test_a_prediction_is_recorded_with_its_score_and_the_first_threshold() -> None:
    made = prediction_columns(Prediction((), 0.12, ScoreKind.PROBABILITY, True, MODEL, CALL), "treat", 0.075)

    assert (made["score"], made["score_kind"], made["flagged"]) == (0.12, "probability", True)
    assert (made["threshold_id"], made["threshold"]) == ("treat", 0.075)
    assert (made["status"], made["model_id"], made["model_version_source"]) == (
        "no_cards",
        "prevent-base",
        "response",
    )
    assert (made["vendor_ms"], made["vendor_http_status"], made["vendor_attempts"]) == (41.5, 200, 1)


def test_without_a_score_neither_kind_nor_flag_is_recorded() -> None:
    silent = prediction_columns(Prediction((), None, ScoreKind.PROBABILITY, None, MODEL, CALL), None, None)
    failed = prediction_columns(NoPrediction(Status.TIMED_OUT, MODEL, VendorCall()), "treat", 0.075)

    for made in (silent, failed):
        assert (made["score"], made["score_kind"], made["flagged"]) == (None, None, None)
    assert (failed["status"], failed["vendor_http_status"]) == ("timed_out", None)


def test_inputs_are_the_prefetch_keys_with_their_states_and_beside_them_what_the_vendor_missed() -> None:
    prefetch = Prefetch(
        {}, {"patient": PrefetchState.PRESENT, "lipids": PrefetchState.EMPTY}, b"{}", PrefetchState.PRESENT
    )
    refused = NoPrediction(Status.MISSING_INPUT, MODEL, CALL, missing_inputs=("HDL cholesterol", "lipids"))

    sent = replace(request(), prefetch={"patient": b"{}", "lipids": b"null"})

    made = input_columns(sent, prefetch, refused)

    came = {"source": "prefetch", "read_at": timestamp(NOON)}
    assert json.loads(str(made["inputs"])) == {
        "patient": {"state": "present", **came},
        "lipids": {"state": "empty", **came},
    }
    assert (made["inputs_used"], made["inputs_missing"]) == (1, ["HDL cholesterol", "lipids"])


def test_each_input_says_where_it_came_from_when_and_why_it_did_not() -> None:
    states = {
        "patient": PrefetchState.PRESENT,
        "lipids": PrefetchState.PRESENT,
        "kidney": PrefetchState.ERROR,
        "bmi": PrefetchState.ABSENT,
    }
    later = NOON + timedelta(seconds=1)
    reading = Reading({"patient": later, "lipids": later}, {"kidney": "timed_out", "bmi": "template"})
    prefetch = Prefetch({}, states, b"{}", PrefetchState.PRESENT, reading)
    sent = replace(request(), prefetch={"lipids": b"{}"})

    made = input_columns(sent, prefetch, NoPrediction(Status.TIMED_OUT, MODEL, CALL))

    assert json.loads(str(made["inputs"])) == {
        "patient": {"state": "present", "source": "fhir", "read_at": timestamp(later)},
        "lipids": {"state": "present", "source": "both", "read_at": timestamp(later)},
        "kidney": {"state": "error", "source": "fhir", "why": "timed_out"},
        "bmi": {"state": "absent", "why": "template"},
    }
    assert made["inputs_used"] == 2


def test_a_server_that_was_refused_is_the_reason_of_every_missing_input() -> None:
    reading = Reading({}, {"patient": "host_refused"}, NotRead.HOST_REFUSED)
    absent = {"patient": PrefetchState.ABSENT}
    prefetch = Prefetch({}, absent, None, PrefetchState.ABSENT, reading)

    made = input_columns(request(), prefetch, NoPrediction(Status.TIMED_OUT, MODEL, CALL))

    assert json.loads(str(made["inputs"])) == {"patient": {"state": "absent", "why": "host_refused"}}


FEATURES = Features(
    (
        Input(
            "pulse", "heart rate", "Observation.value", IfMissing.OMITTED, InputSource.PREFETCH, value=73.25
        ),
        Input("lactate", "lactate", "Observation.value", IfMissing.OMITTED, lack=Lack.TOO_OLD),
        Input("ldl", "LDL", "Observation.value", IfMissing.REQUIRED, lack=Lack.NOT_SENT),
    )
)


def test_declared_inputs_stand_beside_the_prefetch_keys_with_what_is_missing_and_in_doubt() -> None:
    prefetch = Prefetch({}, {"vitals": PrefetchState.PRESENT}, b"{}", PrefetchState.PRESENT)
    refused = NoPrediction(Status.MISSING_INPUT, MODEL, CALL, missing_inputs=("LDL", "weight"))

    made = input_columns(request(), prefetch, refused, (), FEATURES, ["heart rate"])

    recorded = json.loads(str(made["inputs"]))
    assert recorded["vitals"]["state"] == "present"
    assert recorded["features"] == {
        "pulse": {"path": "Observation.value", "source": "prefetch"},
        "lactate": {"path": "Observation.value", "missing": "too_old"},
        "ldl": {"path": "Observation.value", "missing": "not_sent", "named": True},
    }
    assert (made["inputs_used"], made["inputs_missing"]) == (1, ["LDL", "weight", "lactate"])
    assert made["inputs_doubtful"] == ["heart rate"]


def test_what_the_vendor_named_is_told_from_what_was_only_not_found() -> None:
    prefetch = Prefetch({}, {}, b"{}", PrefetchState.PRESENT)
    for named in ((), ("LDL", "weight"), ("lactate",)):
        refused = NoPrediction(Status.MISSING_INPUT, MODEL, CALL, missing_inputs=named)
        made = input_columns(request(), prefetch, refused, (), FEATURES)
        row = {"inputs": json.loads(str(made["inputs"])), "inputs_missing": made["inputs_missing"]}
        assert named_as_missing(row, FEATURES) == named


def test_an_entry_knows_its_cards() -> None:
    assert entry(cards_returned=["a", "b"]).card_uuids == ("a", "b")
    assert entry(cards_returned=None).card_uuids == ()


def test_a_kept_file_does_not_print_its_content() -> None:
    assert "secret" not in repr(KeptFile("sha256:1", "plan", "plan.yaml", b"secret"))


# The table of columns ---------------------------------------------------------------------------------------

# Keys of the example line in the public description of the prediction stream, less what is made for the line
# alone (`ts`, `schema`, `changes`).
LINE = """
sequence writer recorded_at prediction_id service_id hook trigger hook_instance client environment
is_test tenant issuer occurred_at patient_key patient_key_source patient_fhir_key encounter_key
encounter_fhir_key user_key user_kind key_id site unit care_setting model_id model_version
model_version_source status reason score score_kind score_at threshold_id threshold flagged band
age_band sex race ethnicity race_ethnicity language interpreter_needed disability payer
deprivation_quintile rurality subgroups inputs_used inputs_missing inputs_doubtful caveat_level
caveat_reasons caveat_scope caveat_in_summary wording_ids wording_version evidence_edition
plan_version service_version card_version subgroups_version disposition displayed delivery
http_status cards_returned vendor_http_status vendor_attempts trust_ms fhir_ms vendor_ms ledger_ms
total_ms budget_ms wrapper_version hash
"""


@pytest.mark.parametrize("name", LINE.split())
def test_every_key_of_the_prediction_line_is_a_column_the_line_carries(name: str) -> None:
    assert [column.stream for column in COLUMNS if column.name == name] == [True]


def test_only_the_wide_columns_stay_out_of_the_line() -> None:
    assert {column.name for column in COLUMNS if not column.stream} == {
        "demographics",
        "inputs",
        "changes_made",
        "file_digests",
        "previous_hash",
        "vendor_cards",
    }


def test_column_names_are_unique_and_every_meaning_is_one_sentence() -> None:
    names = [column.name for column in COLUMNS]

    assert len(set(names)) == len(names)
    assert all(column.meaning.endswith(".") and "\n" not in column.meaning for column in COLUMNS)


def test_flat_demographic_columns_hold_text_and_may_be_null() -> None:
    assert all(column.kind is Kind.TEXT and not column.required for column in DEMOGRAPHIC_COLUMNS)
