"""What comes beside the Patient: taken apart whatever its shape, and nothing is ever raised."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.patient.beside import Found, found_in
from cds_wrapper.patient.demographics import (
    Beside,
    DemographicRules,
    InterpreterSource,
    NoPatient,
    NoResource,
    PayerElement,
    PayerTable,
    Place,
    PlaceRules,
    describe,
    own_encounter,
    place_of,
)
from tests.unit.patient.neighbours import NO, YES, answers, bundle, coverage, encounter, raw
from tests.unit.patient.patients import NOON, SHARED_DATA, lines_of, patient

COLLECTED = ("payer", "disability", "interpreter_needed")
RULES = DemographicRules(collect=COLLECTED, interpreter_sources=tuple(InterpreterSource))
PLACES = PlaceRules({"Organization/1": "one"}, {"Location/hospital": "HOSP"}, {}, keep_unlisted=True)

# What came --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "came",
    [
        raw(coverage("12")),
        raw([coverage("12")]),
        bundle(coverage("12")),
        bundle({"resourceType": "OperationOutcome", "issue": []}, coverage("12")),
        bundle(coverage("12"), {"resourceType": "Organization", "id": "payer"}),
        raw({**coverage("12"), "resourceType": " coverage "}),
    ],
)
def test_one_resource_is_found_however_it_is_wrapped(came: bytes) -> None:
    found = found_in(came, "Coverage")

    assert isinstance(found, Found) and (len(found.resources), found.degraded) == (1, False)


@pytest.mark.parametrize(
    ("came", "why"),
    [
        (b"null", NoResource.EMPTY),
        (b" null\n", NoResource.EMPTY),
        (bundle(), NoResource.EMPTY),
        (raw({"resourceType": "Bundle", "total": 0}), NoResource.EMPTY),
        (bundle({"resourceType": "OperationOutcome"}), NoResource.EMPTY),
        (raw([]), NoResource.EMPTY),
        (raw({"resourceType": "OperationOutcome"}), NoResource.ERROR),
        (raw({"resourceType": "Patient"}), NoResource.UNREADABLE),
        (raw({"resourceType": "Bundle", "entry": {}}), NoResource.UNREADABLE),
        (raw({"resourceType": ["Coverage"]}), NoResource.UNREADABLE),
        (bundle("x", 1, None), NoResource.UNREADABLE),
        (b'"Coverage"', NoResource.UNREADABLE),
        (b"{", NoResource.UNREADABLE),
        (b"", NoResource.UNREADABLE),
        (b"[" * 100_000, NoResource.UNREADABLE),
    ],
)
def test_what_holds_none_says_which_kind_of_none_it_is(came: bytes, why: NoResource) -> None:
    assert found_in(came, "Coverage") is why


def test_an_entry_that_cannot_be_read_spoils_no_other() -> None:
    came = (
        b'{"resourceType": "Bundle", "entry": [1, {"resource": {"resourceType": 1e999}}, {"resource": %b}]}'
    )
    found = describe(NoPatient.ABSENT, NOON, RULES, Beside(coverage=came % raw(coverage("12"))))["payer"]

    assert (found.value, found.dq) == ("medicare", ("degraded",))


@pytest.mark.parametrize("bad", [b"1e999", b'"\xff"', b"[[[[1]]]]", b"7", b"{}"])
@pytest.mark.parametrize("member", ["order", "period", "payor", "relationship"])
def test_a_member_that_cannot_be_read_spoils_no_other(member: str, bad: bytes) -> None:
    came = raw(coverage("12"))[:-1] + b', "' + member.encode() + b'": ' + bad + b"}"

    assert describe(NoPatient.ABSENT, NOON, RULES, Beside(coverage=came))["payer"].value == "medicare"


def test_an_unreadable_answer_may_have_been_a_yes() -> None:
    came = bundle(*answers(*[NO] * 6), "unreadable")
    found = describe(NoPatient.ABSENT, NOON, RULES, Beside(disability=came))["disability"]

    assert (found.level, found.dq) == ("missing:imprecise", ("degraded",))


def test_no_more_than_two_hundred_resources_are_read_and_that_is_said() -> None:
    found = found_in(bundle(*[coverage("12")] * 300), "Coverage")

    assert isinstance(found, Found) and (len(found.resources), found.truncated) == (200, True)


# The call's own encounter -----------------------------------------------------------------------------------


def test_only_the_encounter_of_the_call_is_read() -> None:
    other = {**encounter(), "id": "e2"}

    assert own_encounter(raw(encounter()), "e1") == raw(encounter())
    assert own_encounter(bundle(other, encounter()), "e1") == raw(encounter())
    assert own_encounter(raw(other), "e1") is NoResource.OTHER_ENCOUNTER
    assert own_encounter(raw({"resourceType": "Encounter"}), "e1") is NoResource.OTHER_ENCOUNTER
    assert own_encounter(NoResource.ABSENT, "e1") is NoResource.ABSENT


# What is kept -----------------------------------------------------------------------------------------------


def test_no_name_number_or_word_of_a_coverage_is_kept() -> None:
    came = coverage(
        "12",
        subscriberId="S-777",
        identifier=[{"system": "u", "value": "M-888"}],
        payor=[{"reference": "Patient/p-999", "display": "Zzyzxson"}],
        **{"class": [{"value": "G-555", "name": "Zzyzxson Group"}]},
    )
    table = PayerTable({(PayerElement.PAYOR_DISPLAY, "Zzyzxson"): "private"})
    for rules in (RULES, DemographicRules(collect=COLLECTED, payers=table)):
        found = describe(patient(), NOON, rules, Beside(coverage=raw(came)))
        told = json.dumps(found.to_record()) + repr(found) + repr(Beside(coverage=raw(came)))
        assert [word for word in ("777", "888", "999", "555", "Zzyzxson") if word in told] == []


# Whatever comes ---------------------------------------------------------------------------------------------

WORDS = """resourceType entry resource link relation status type coding system code text order period
    start end payor insurer display reference identifier value valueCodeableConcept
    valueBoolean valueCoding component effectiveDateTime dataAbsentReason class location
    serviceProvider extension url id"""
VALUES = """Coverage Observation Encounter Bundle OperationOutcome active next https://nahdo.org/sopt 12
    211 http://loinc.org 69856-3 LA33-6 2024 2026-06-15T10:00:00Z e1 Location/hospital
    Organization/1 completed http://terminology.hl7.org/CodeSystem/v3-ActCode IMP 373066001
    http://snomed.info/sct
    http://hl7.org/fhir/us/core/StructureDefinition/us-core-interpreter-needed 9999-99-99"""
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(WORDS.split())
nearly_fhir = st.recursive(
    st.sampled_from(VALUES.split()) | st.text(max_size=6) | plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=6)
    ),
    max_leaves=25,
)
kinds = st.sampled_from(["Coverage", "Observation", "Encounter"])
resources = st.builds(
    lambda kind, members: {"status": "active", "id": "e1", **members, "resourceType": kind},
    kinds,
    st.dictionaries(words, nearly_fhir, max_size=8),
)
came_as_json = st.one_of(
    nearly_fhir.map(raw), resources.map(raw), st.lists(resources, max_size=3).map(lambda some: bundle(*some))
)


@given(came=came_as_json | st.binary(max_size=60))
@settings(max_examples=300)
def test_whatever_comes_every_attribute_has_a_value_or_a_reason(came: bytes) -> None:
    own = own_encounter(came, "e1")
    found = describe(NoPatient.EMPTY, NOON, RULES, Beside(came, came, own))

    assert tuple(found) == COLLECTED
    for name, attribute in found.items():
        assert attribute.value is None or attribute.value in RULES.levels(name), name
    assert isinstance(place_of(own, NOON.date(), PLACES), Place)
    assert isinstance(place_of(came, NOON.date(), PLACES), Place)


# Public samples ---------------------------------------------------------------------------------------------


def sample(name: str) -> bytes:
    path = SHARED_DATA / "us-core" / name
    if not path.exists():
        pytest.skip(f"the public sample {name} is not beside this checkout")
    return path.read_bytes()


def test_the_us_core_coverage_is_read_by_its_source_of_payment_code() -> None:
    found = describe(NoPatient.ABSENT, NOON, RULES, Beside(coverage=sample("coverage-example.json")))["payer"]

    assert (found.value, found.source, found.dq) == ("other_gov", "Coverage.type", ())
    assert found.raw_codes == (
        "https://nahdo.org/sopt|3712",
        "http://terminology.hl7.org/CodeSystem/v3-ActCode|PPO",
    )


def test_the_us_core_disability_example_holds_a_depression_score_and_no_answer() -> None:
    came = sample("Observation-simple-observation-disability-status.json")
    found = describe(NoPatient.ABSENT, NOON, RULES, Beside(disability=came))["disability"]

    assert (found.level, found.dq) == ("missing:absent", ("not_asked",))


@pytest.mark.parametrize(
    ("name", "encounter_id", "place", "interpreter"),
    [
        ("encounter-1036.json", "1036", Place(None, "HOSP", "inpatient"), "missing:absent"),
        ("encounter-example-1.json", "example-1", Place(None, "HOSP", "ambulatory"), "yes"),
    ],
)
def test_the_us_core_encounters_are_read(
    name: str, encounter_id: str, place: Place, interpreter: str
) -> None:
    own = own_encounter(sample(name), encounter_id)

    assert place_of(own, NOON.date(), PLACES) == place
    assert describe(patient(), NOON, RULES, Beside(encounter=own))["interpreter_needed"].level == interpreter


def test_the_synthea_coverages_need_the_sites_own_words() -> None:
    words = {"private": "private", "medicare": "medicare", "medicaid": "medicaid", "dual_eligible": "dual"}
    table = PayerTable({(PayerElement.TYPE_TEXT, word): payer for word, payer in words.items()})
    spelt_out = DemographicRules(collect=("payer",), payers=table)
    lines = list(lines_of("synthea/clinical/Coverage.ndjson"))

    without = Counter(describe(NoPatient.ABSENT, NOON, RULES, Beside(line))["payer"].level for line in lines)
    with_words = Counter(
        describe(NoPatient.ABSENT, NOON, spelt_out, Beside(line))["payer"].level for line in lines
    )

    assert without == {"missing:text_only": 140}
    assert with_words == {
        "private": 83, "medicare": 38, "medicaid": 17, "dual": 1, "missing:text_only": 1,
    }  # fmt: skip


def test_the_synthea_encounters_are_in_three_settings_each_at_a_provider() -> None:
    found: Counter[Any] = Counter()
    for line in lines_of("synthea/clinical/Encounter.ndjson"):
        place = place_of(own_encounter(line, json.loads(line)["id"]), NOON.date(), PLACES)
        found[place.care_setting] += 1
        assert place.site is not None and place.site.startswith("Organization/")
        assert place.unit is None

    assert found == {"ambulatory": 1822, "emergency": 158, "inpatient": 39}


def test_a_yes_is_a_yes_even_where_more_was_not_sent() -> None:
    came = bundle(*answers(YES), link=[{"relation": "next", "url": "u"}])

    assert describe(NoPatient.ABSENT, NOON, RULES, Beside(disability=came))["disability"].value == "any_yes"
