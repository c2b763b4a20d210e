"""The whole room: every attribute always comes back, nothing is raised, nothing is kept that must not be."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.patient.demographics import (
    ATTRIBUTES,
    Attribute,
    Demographics,
    Missing,
    NoPatient,
    describe,
)
from cds_wrapper.patient.rules import BESIDE_PATIENT
from tests.unit.patient.patients import (
    AIAN,
    BLACK,
    CDCREC,
    DATA_ABSENT,
    EVERYTHING,
    HISPANIC,
    NOON,
    SHARED_DATA,
    UNK,
    US_CORE,
    described,
    ethnicity,
    lines_of,
    patient,
    race,
    speaks,
)

# Whatever bytes come ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "reason", "flag"),
    [
        (NoPatient.ABSENT, Missing.NOT_FETCHED, "patient_not_sent"),
        (NoPatient.EMPTY, Missing.ABSENT, "patient_empty"),
        (NoPatient.ERROR, Missing.FETCH_FAILED, "patient_error"),
        (NoPatient.UNREADABLE, Missing.FETCH_FAILED, "patient_unreadable"),
        (NoPatient.OTHER_PATIENT, Missing.FETCH_FAILED, "other_patient"),
        (NoPatient.NOT_A_PATIENT, Missing.INVALID, "not_a_patient"),
    ],
)
def test_without_a_patient_every_attribute_says_why(why: NoPatient, reason: Missing, flag: str) -> None:
    found = describe(why, NOON, EVERYTHING)

    of_the_patient = [attribute for name, attribute in found.items() if name not in BESIDE_PATIENT]
    assert tuple(found) == ATTRIBUTES
    assert {(attribute.missing, attribute.dq) for attribute in of_the_patient} == {(reason, (flag,))}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"null", NoPatient.EMPTY),
        (b"", NoPatient.UNREADABLE),
        (b"{", NoPatient.UNREADABLE),
        (b"[]", NoPatient.UNREADABLE),
        (b'"Patient"', NoPatient.UNREADABLE),
        (b"<Patient/>", NoPatient.UNREADABLE),
        (b'{"resourceType":"Patient"', NoPatient.UNREADABLE),
        (b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", NoPatient.UNREADABLE),
        (b'{"resourceType":"OperationOutcome"}', NoPatient.ERROR),
        (b'{"resourceType":"Bundle"}', NoPatient.NOT_A_PATIENT),
        (b'{"resourceType":["Patient"]}', NoPatient.NOT_A_PATIENT),
        (b"{}", NoPatient.NOT_A_PATIENT),
    ],
)
def test_bytes_that_are_no_patient_are_told_apart(raw: bytes, why: NoPatient) -> None:
    assert describe(raw, NOON, EVERYTHING) == describe(why, NOON, EVERYTHING)


@pytest.mark.parametrize(
    "bad", [b"1e999", b'"\xff"', b'"\\u0000"', b"[[[[[1]]]]]", b"12345678901234567890123"]
)
@pytest.mark.parametrize("field", ["gender", "birthDate", "communication", "address", "_birthDate", "photo"])
def test_one_field_that_cannot_be_read_spoils_no_other(field: str, bad: bytes) -> None:
    good = patient(
        race(BLACK), gender="female", birthDate="1990-01-01", communication=[speaks("es", True)], address=[]
    )
    raw = good[:-1] + b', "' + field.encode() + b'": ' + bad + b"}"
    touched = {"gender": "sex", "birthDate": "age_band", "communication": "language"}.get(field)

    found = describe(raw, NOON, EVERYTHING)

    expected = {"sex": "female", "age_band": "18-44", "language": "es", "race": "black"}
    assert {name: found[name].level for name in expected if name != touched} == {
        name: level for name, level in expected.items() if name != touched
    }
    assert touched is None or found[touched].missing is Missing.INVALID


def test_one_extension_that_cannot_be_read_spoils_no_other() -> None:
    good = json.dumps(race(BLACK)).encode()
    raw = (
        b'{"resourceType": "Patient", "extension": [{"url": "x", "valueString": "\xe9"}, 1e999, '
        + good
        + b"]}"
    )

    found = describe(raw, NOON, EVERYTHING)

    assert found["race"].value == "black"
    assert found["ethnicity"].missing is Missing.INVALID, "the unreadable one may have been the ethnicity"


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("gender", "_gender", "birthDate", "_birthDate", "extension", "communication", "address", "id")
WORDS = """url extension valueCoding valueCode valueCodeableConcept valueBoolean valueString system code
    coding text language preferred use period start end postalCode ombCategory detailed
    country tribalAffiliation"""
VALUES = f"""{US_CORE}us-core-race {US_CORE}us-core-ethnicity {US_CORE}us-core-birthsex ombCategory detailed
    {US_CORE}us-core-tribal-affiliation {CDCREC} {DATA_ABSENT} 2054-5 2135-2 UNK F urn:ietf:bcp:47 en home
    74048"""
fhir_words = st.sampled_from(WORDS.split())
fhir_values = st.sampled_from(VALUES.split())
nearly_fhir = st.recursive(
    fhir_values | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fhir_words, inner, max_size=5),
    max_leaves=20,
)
patients = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything | nearly_fhir))


@given(document=patients)
@settings(max_examples=400)
def test_whatever_a_field_holds_every_attribute_has_a_value_or_a_reason(document: dict[str, Any]) -> None:
    raw = json.dumps({"resourceType": "Patient", **document}).encode()

    found = describe(raw, NOON, EVERYTHING)

    assert tuple(found) == ATTRIBUTES
    for name, attribute in found.items():
        assert (attribute.value is None) != (attribute.missing is None), name
        assert bool(attribute.members) == (attribute.value is not None), name
        assert attribute.value is None or attribute.value in EVERYTHING.levels(name), name
    assert Demographics.from_record(json.loads(json.dumps(found.to_record()))) == found


@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_no_patient_and_no_accident(raw: bytes) -> None:
    assert tuple(describe(raw, NOON, EVERYTHING)) == ATTRIBUTES


@given(names=st.lists(st.sampled_from(ATTRIBUTES), unique=True))
def test_exactly_what_the_site_collects_comes_back_in_its_order(names: list[str]) -> None:
    rules = replace(EVERYTHING, collect=tuple(names))

    assert list(describe(patient(), NOON, rules)) == names
    assert list(describe(NoPatient.EMPTY, NOON, rules)) == names


# Other releases ---------------------------------------------------------------------------------------------

DSTU2 = {
    "resourceType": "Patient",
    "gender": "female",
    "birthDate": "1990-01-01",
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/us-core-race",
            "valueCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/v3/Race", "code": "2028-9"}]},
        },
        {
            "url": "http://hl7.org/fhir/StructureDefinition/us-core-ethnicity",
            "valueCodeableConcept": {
                "coding": [{"system": "http://hl7.org/fhir/v3/Ethnicity", "code": "2186-5"}]
            },
        },
    ],
    "communication": [
        {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "zh"}]}, "preferred": True}
    ],
    "careProvider": [{"reference": "Organization/1"}],
    "animal": {"species": {}},
}


def test_a_patient_of_an_older_release_is_read_as_far_as_it_goes() -> None:
    found = described(json.dumps(DSTU2).encode())

    assert {name: found[name].level for name in ("age_band", "sex", "race_ethnicity", "language")} == {
        "age_band": "18-44",
        "sex": "female",
        "race_ethnicity": "nh_asian",
        "language": "zh",
    }


# What is kept -----------------------------------------------------------------------------------------------

NAMES = ("Zzyzxson", "Shoshone", "Meander", "synthetic-1")
NUMBERS = (
    "1987-02-21",
    "74048",
    "74047",
    "187",
    "1586-7",
    "999-30-7608",
    "42.269478",
    "555-0199",
    "S99930817",
)


def canary() -> bytes:
    """A Patient in which every value that must not be kept is there to be found."""
    tribe = {
        "url": US_CORE + "us-core-tribal-affiliation",
        "extension": [
            {
                "url": "tribalAffiliation",
                "valueCodeableConcept": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS",
                            "code": "187",
                            "display": "Shoshone",
                        }
                    ],
                    "text": "Shoshone",
                },
            }
        ],
    }
    maiden = {
        "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
        "valueString": "Zzyzxson",
    }
    return patient(
        tribe,
        maiden,
        race(AIAN, UNK, detailed=("1586-7",), text="Shoshone"),
        ethnicity(HISPANIC, text="Zzyzxson"),
        birthDate="1987-02-21",
        gender="female",
        name=[{"family": "Zzyzxson"}],
        identifier=[{"value": "999-30-7608"}, {"value": "S99930817"}],
        telecom=[{"value": "555-0199"}],
        address=[
            {"use": "old", "postalCode": "74047", "line": ["1 Meander Way"]},
            {"postalCode": "74048", "line": ["1 Meander Way"], "extension": [{"valueDecimal": 42.269478}]},
        ],
    )


def test_birth_date_postal_code_tribe_and_names_are_never_kept() -> None:
    found = described(canary())
    told = json.dumps(found.to_record()) + repr(found) + str(found) + "".join(map(repr, found.values()))

    assert [value for value in NAMES + NUMBERS if value in told] == []
    assert {
        name: found[name].level for name in ("age_band", "tribal_affiliation", "deprivation_quintile")
    } == {
        "age_band": "18-44",
        "tribal_affiliation": "any",
        "deprivation_quintile": "4",
    }


def test_printing_demographics_shows_no_value() -> None:
    found = described(patient(race(BLACK), gender="female"))

    assert "black" not in repr(found) + repr(found["race"]) + str(dict(found))


def test_a_record_comes_back_as_it_went() -> None:
    found = described(canary())

    assert Demographics.from_record(json.loads(json.dumps(found.to_record()))) == found


def test_the_record_of_one_attribute_has_every_member() -> None:
    assert described(patient(race(BLACK)))["race"].to_record() == {
        "value": "black",
        "missing": None,
        "members": ["black"],
        "raw_codes": ["urn:oid:2.16.840.1.113883.6.238|2054-5"],
        "source": "Patient.extension[us-core-race]",
        "dq": [],
        "scheme": "spd15-1997/1",
    }


def test_ages_are_kept_in_whole_years_so_that_other_bands_can_be_computed() -> None:
    assert described(patient(birthDate="1990-02")).to_record()["age_band"]["age_years"] == [36, 36]
    assert described(patient(birthDate="1990")).to_record()["age_band"]["age_years"] == [35, 36]


@pytest.mark.parametrize(
    ("value", "missing", "members"),
    [
        (None, None, ()),
        ("black", Missing.UNKNOWN, ("black",)),
        ("black", None, ()),
        (None, Missing.UNKNOWN, ("x",)),
    ],
)
def test_an_attribute_is_a_value_or_a_reason_and_nothing_else(
    value: str | None, missing: Missing | None, members: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="An attribute"):
        Attribute(value, missing, members)


# Public samples ---------------------------------------------------------------------------------------------


def counted(lines: Iterable[bytes], on: datetime) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Levels per attribute, and flags on race, over a file of Patients."""
    levels: dict[str, Counter[str]] = {name: Counter() for name in ATTRIBUTES}
    flags: Counter[str] = Counter()
    for line in lines:
        found = describe(line, on, EVERYTHING)
        flags.update(found["race"].dq)
        for name, attribute in found.items():
            levels[name][attribute.level] += 1
    return levels, flags


def test_the_clinical_synthea_sample_is_counted_as_its_notes_say() -> None:
    levels, flags = counted(lines_of("synthea/clinical/Patient.ndjson"), datetime(2021, 3, 31, tzinfo=UTC))

    assert levels["race"] == {
        "white": 63,
        "black": 28,
        "missing:invalid": 25,
        "asian": 20,
        "aian": 3,
        "other": 1,
    }
    assert flags == {"ethnicity_code_in_race_slot": 25, "ethnicity_conflict": 25}
    assert levels["ethnicity"] == {"not_hispanic": 140}
    assert levels["sex"] == {"male": 76, "female": 64}
    assert levels["language"]["es"] == 26
    assert levels["deprivation_quintile"]["missing:absent"] == 4


def test_the_population_synthea_sample_is_counted_as_its_notes_say() -> None:
    levels, flags = counted(lines_of("synthea/population/Patient.ndjson"), NOON)

    assert levels["race"] == {
        "white": 580, "black": 34, "asian": 13, "nhpi": 8, "missing:unknown": 8, "aian": 7,
    }  # fmt: skip
    assert flags == {"null_with_text": 8}
    assert levels["ethnicity"] == {"not_hispanic": 597, "hispanic": 53}
    assert levels["race_ethnicity"]["hispanic"] == 53
    assert math.fsum(levels["age_band"].values()) == 650
    assert not [level for level in levels["age_band"] if level.startswith("missing")]


def test_the_real_hospital_sample_keeps_unknown_apart_from_absent() -> None:
    path = SHARED_DATA / "real" / "mimic_iv_demo_fhir_dev.ndjson.gz"
    if not path.exists():
        pytest.skip("the real, de-identified sample is not beside this checkout")
    with gzip.open(path) as file:
        lines = [line for line in file if b'"resourceType":"Patient"' in line]

    levels, flags = counted(lines, datetime(2150, 1, 1, tzinfo=UTC))

    assert levels["race"] == {"white": 32, "missing:unknown": 9, "black": 4, "missing:asked_unknown": 1}
    assert levels["ethnicity"] == {"not_hispanic": 31, "missing:absent": 10, "hispanic": 5}
    assert levels["language"] == {"en": 41, "missing:absent": 5}
    assert flags == Counter()


def test_the_us_core_example_is_read_whole() -> None:
    raw = b"\n".join(lines_of("us-core/patient-example.json"))
    found = described(raw)

    assert {name: attribute.level for name, attribute in found.items()} == {
        "age_band": "18-44",
        "sex": "female",
        "race": "multiple",
        "ethnicity": "hispanic",
        "race_ethnicity": "hispanic",
        "language": "es",
        "interpreter_needed": "yes",
        "tribal_affiliation": "any",
        "disability": "missing:not_fetched",
        "payer": "missing:not_fetched",
        "deprivation_quintile": "4",
        "rurality": "rural",
    }
    assert found["race"].members == ("aian", "asian", "white")
    flags = {name: attribute.dq for name, attribute in found.items() if attribute.dq}
    assert flags == {"disability": ("disability_not_sent",), "payer": ("coverage_not_sent",)}


def test_no_example_beside_the_checkout_is_an_accident() -> None:
    folder = SHARED_DATA / "us-core"
    if not folder.exists():
        pytest.skip("the US Core examples are not beside this checkout")
    for path in sorted(folder.glob("*.json")):
        found = describe(path.read_bytes(), NOON, EVERYTHING)

        is_patient = path.name.startswith("patient")
        assert (found["sex"].value is not None) == is_patient, path.name
        assert is_patient or found["race"].missing is Missing.INVALID, path.name
