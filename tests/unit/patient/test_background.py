"""Sex, language, interpreter, tribe and deprivation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.patient.demographics import DemographicRules, Missing, SexSource
from tests.unit.patient.patients import (
    EVERYTHING,
    SCT,
    US_CORE,
    Json,
    birth_sex,
    individual_sex,
    patient,
    read,
    reason_absent,
    speaks,
)

FEMALE, MALE = "248152002", "248153007"
INDIVIDUAL = "Patient.extension[us-core-individual-sex]"
BIRTH = "Patient.extension[us-core-birthsex]"
ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def older_sex(code: str) -> Json:
    return {"url": US_CORE + "us-core-sex", "valueCode": code}


# Sex --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "level", "source", "dq"),
    [
        (patient(individual_sex(FEMALE)), "female", INDIVIDUAL, ()),
        (patient(older_sex(MALE)), "male", "Patient.extension[us-core-sex]", ()),
        (patient(birth_sex("F")), "female", BIRTH, ()),
        (patient(birth_sex("OTH")), "other", BIRTH, ()),
        (patient(gender="male"), "male", "Patient.gender", ()),
        (patient(gender="other"), "other", "Patient.gender", ()),
        (patient(individual_sex(FEMALE), gender="male"), "female", INDIVIDUAL, ("sex_sources_differ",)),
        (patient(birth_sex("F"), gender="female"), "female", BIRTH, ()),
        (patient(birth_sex("UNK"), gender="female"), "female", "Patient.gender", ()),
        (patient(birth_sex("UNK")), "missing:unknown", BIRTH, ()),
        (patient(birth_sex("ASKU")), "missing:asked_unknown", BIRTH, ()),
        (patient(older_sex("asked-declined")), "missing:declined", "Patient.extension[us-core-sex]", ()),
        (patient(individual_sex("asked-declined", ABSENT_REASON)), "missing:declined", INDIVIDUAL, ()),
        (patient(individual_sex("184115007")), "missing:unknown", INDIVIDUAL, ()),
        (patient(gender="unknown"), "missing:unknown", "Patient.gender", ()),
        (patient(gender="Female"), "missing:invalid", "Patient.gender", ()),
        (patient(birth_sex("F"), gender="Female"), "female", BIRTH, ("source_invalid",)),
        (patient(birth_sex("UNK"), gender="Female"), "missing:unknown", BIRTH, ()),
        (patient(individual_sex(FEMALE, "urn:oid:1.2.3")), "missing:invalid", INDIVIDUAL, ()),
        (patient(gender=1), "missing:invalid", "Patient.gender", ("degraded",)),
        (patient(birth_sex("M"), gender=["male"]), "male", BIRTH, ("degraded", "source_invalid")),
        (patient(_gender=reason_absent("masked")), "missing:withheld", "Patient.gender", ()),
        (patient(), "missing:absent", None, ()),
    ],
)
def test_sex_comes_from_the_preferred_source_and_says_which(
    raw: bytes, level: str, source: str | None, dq: tuple[str, ...]
) -> None:
    attribute = read("sex", raw)

    assert (attribute.level, attribute.source, attribute.dq) == (level, source, dq)


def test_the_order_of_the_sources_is_the_sites() -> None:
    rules = replace(EVERYTHING, sex_sources=(SexSource.GENDER, SexSource.BIRTH_SEX))
    attribute = read("sex", patient(birth_sex("F"), gender="male"), rules)

    assert (attribute.value, attribute.dq) == ("male", ("sex_sources_differ",))


def test_a_source_the_site_does_not_use_is_compared_and_gives_no_value() -> None:
    rules = replace(EVERYTHING, sex_sources=(SexSource.GENDER,))

    assert read("sex", patient(birth_sex("F")), rules).missing is Missing.ABSENT
    assert read("sex", patient(birth_sex("F"), gender="male"), rules).dq == ("sex_sources_differ",)


def test_every_sources_code_is_kept() -> None:
    assert read("sex", patient(birth_sex("F"), gender="male")).raw_codes == (
        f"{BIRTH}|F",
        "http://hl7.org/fhir/administrative-gender|male",
    )


# Interpreter ------------------------------------------------------------------------------------------------

NEEDED = US_CORE + "us-core-interpreter-needed"
REQUIRED = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"


def needs(code: str) -> Json:
    return {"url": NEEDED, "valueCoding": {"system": SCT, "code": code}}


@pytest.mark.parametrize(
    ("extensions", "level", "dq"),
    [
        ((needs("373066001"),), "yes", ()),
        ((needs("373067005"),), "no", ()),
        ((needs("261665006"),), "missing:unknown", ()),
        ((needs("12345"),), "missing:invalid", ()),
        (({"url": REQUIRED, "valueBoolean": True},), "yes", ()),
        (({"url": REQUIRED, "valueBoolean": False},), "no", ()),
        (
            (needs("373066001"), {"url": REQUIRED, "valueBoolean": False}),
            "yes",
            ("interpreter_sources_differ",),
        ),
        (({"url": REQUIRED, "valueBoolean": "true"},), "missing:invalid", ("degraded",)),
        ((), "missing:absent", ()),
    ],
)
def test_an_interpreter_is_needed_or_not_or_not_said(
    extensions: tuple[Json, ...], level: str, dq: tuple[str, ...]
) -> None:
    attribute = read("interpreter_needed", patient(*extensions))

    assert (attribute.level, attribute.dq) == (level, dq)


# Tribe ------------------------------------------------------------------------------------------------------

TRIBES = "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS"


def tribe(concept: Json) -> Json:
    parts = [
        {"url": "tribalAffiliation", "valueCodeableConcept": concept},
        {"url": "isEnrolled", "valueBoolean": False},
    ]
    return {"url": US_CORE + "us-core-tribal-affiliation", "extension": parts}


@pytest.mark.parametrize(
    ("concept", "level"),
    [
        ({"coding": [{"system": TRIBES, "code": "187"}], "text": "Shoshone"}, "any"),
        ({"text": "Shoshone"}, "missing:text_only"),
        ({"coding": [{"system": "urn:oid:1.2.3", "code": "187"}]}, "missing:invalid"),
        ({"coding": [{"system": ABSENT_REASON, "code": "asked-declined"}]}, "missing:declined"),
    ],
)
def test_a_tribe_is_any_or_missing_and_never_named(concept: Json, level: str) -> None:
    attribute = read("tribal_affiliation", patient(tribe(concept)))

    assert attribute.level == level
    assert attribute.raw_codes == ()
    assert "187" not in str(attribute.to_record())
    assert "Shoshone" not in str(attribute.to_record())


# Language ---------------------------------------------------------------------------------------------------

UNMARKED = ("language_not_marked_preferred",)


@pytest.mark.parametrize(
    ("entries", "level", "dq"),
    [
        ([speaks("en", True)], "en", ()),
        ([speaks("en-US")], "en", UNMARKED),
        ([speaks("EN", True)], "en", ()),
        ([speaks("en_us", True)], "en", ()),
        ([speaks("es-MX", True), speaks("en")], "es", ()),
        ([speaks("en", False), speaks("zh-Hant", True)], "zh", ()),
        ([speaks("fr", True)], "other", ()),
        ([speaks("haw", True)], "other", ()),
        ([speaks("spa", True, "urn:oid:2.16.840.1.113883.6.121")], "es", ()),
        ([speaks("hi", None, "http://id.loc.gov/vocabulary/iso639-1")], "other", UNMARKED),
        ([speaks("en"), speaks("es")], "missing:imprecise", UNMARKED),
        ([speaks("en"), speaks("en-US")], "en", UNMARKED),
        ([speaks("fr"), speaks("ru")], "missing:imprecise", UNMARKED),
        ([speaks("en", True), speaks("es", True)], "missing:imprecise", ("several_languages_preferred",)),
        ([speaks("und", True)], "missing:unknown", ()),
        ([speaks("zxx", True)], "missing:invalid", ()),
        ([speaks("English", True)], "missing:invalid", ()),
        ([speaks("en", True, "urn:oid:1.2.3")], "missing:invalid", ()),
        ([{"language": {"text": "Spanish"}, "preferred": True}], "missing:text_only", ()),
        ([{"preferred": True}], "missing:absent", ()),
        ([{"language": "en", "preferred": True}], "missing:invalid", ("degraded",)),
        ([], "missing:absent", ()),
        ("en", "missing:invalid", ("degraded",)),
        (speaks("en", True), "en", ("degraded",)),
        (["x", speaks("es", True)], "es", ("degraded",)),
    ],
)
def test_the_language_is_the_preferred_one_or_the_only_one(
    entries: object, level: str, dq: tuple[str, ...]
) -> None:
    attribute = read("language", patient(communication=entries))

    assert (attribute.level, attribute.dq) == (level, dq)


def test_the_language_of_the_resource_is_not_the_patients() -> None:
    assert read("language", patient(language="es")).missing is Missing.ABSENT


def test_english_stands_for_itself_even_if_the_site_lists_no_language() -> None:
    assert read("language", patient(communication=[speaks("en", True)]), DemographicRules()).value == "en"


# Deprivation ------------------------------------------------------------------------------------------------

OLD = {"use": "old", "postalCode": "02139"}
MOVED_OUT = {"postalCode": "02139", "period": {"start": "2016-12-06", "end": "2020-07-22"}}
CURRENT = {"postalCode": "74048", "period": {"start": "2020-07-22"}}


@pytest.mark.parametrize(
    ("addresses", "level", "dq"),
    [
        ([{"postalCode": "74048"}], "4", ()),
        ([{"postalCode": "74048-1234"}], "4", ()),
        ([{"postalCode": "740481234", "country": "USA"}], "4", ()),
        ([OLD, CURRENT], "4", ()),
        ([MOVED_OUT, CURRENT], "4", ()),
        ([{"postalCode": "02139"}, {"use": "home", "postalCode": "74048"}], "4", ()),
        ([{"use": "temp", "postalCode": "02139"}, {"postalCode": "74048"}], "4", ()),
        ([{"postalCode": "02139", "period": {"end": "2026-06"}}], "1", ()),
        ([{"postalCode": "02139", "period": {"end": "2026-06-15T23:00:00Z"}}], "1", ()),
        (
            [{"postalCode": "02139", "period": {"end": "2025"}}],
            "missing:absent",
            ("no_current_home_address",),
        ),
        (
            [{"postalCode": "02139", "period": {"start": "2027"}}],
            "missing:absent",
            ("no_current_home_address",),
        ),
        ([{"use": "work", "postalCode": "74048"}], "missing:absent", ("no_current_home_address",)),
        ([OLD], "missing:absent", ("no_current_home_address",)),
        ([{"postalCode": "74048"}, {"postalCode": "02139"}], "4", ("several_current_homes",)),
        ([{"postalCode": "99999"}], "missing:unknown", ("postal_code_not_in_table",)),
        ([{"postalCode": "SW1A 1AA"}], "missing:invalid", ()),
        ([{"postalCode": 74048}], "missing:invalid", ("degraded",)),
        ([{"postalCode": "74048", "country": "DE"}], "missing:unknown", ("address_outside_table",)),
        ([{"city": "Mounds"}], "missing:absent", ()),
        ([], "missing:absent", ()),
        ("74048", "missing:invalid", ("degraded",)),
        ({"postalCode": "74048"}, "4", ("degraded",)),
    ],
)
def test_deprivation_is_that_of_the_current_home(addresses: object, level: str, dq: tuple[str, ...]) -> None:
    attribute = read("deprivation_quintile", patient(address=addresses))

    assert (attribute.level, attribute.dq) == (level, dq)


def test_the_index_its_year_and_geography_are_named_and_the_postal_code_is_not() -> None:
    record = read("deprivation_quintile", patient(address=[{"postalCode": "74048"}])).to_record()

    assert record["scheme"] == "ADI 2022 ZIP5"
    assert "74048" not in str(record)
