"""Race and ethnicity in every shape seen, and the rules that collapse them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.patient import codes
from cds_wrapper.patient.codes import (
    cdcrec_number,
    ethnicity_of_code,
    is_middle_eastern_or_north_african,
    race_of_code,
)
from cds_wrapper.patient.demographics import (
    Attribute,
    DemographicRules,
    Missing,
    RaceEthnicityScheme,
    RaceProfile,
)
from tests.unit.patient.patients import (
    AIAN,
    ASIAN,
    ASKU,
    BLACK,
    CDCREC,
    DATA_ABSENT,
    DECLINED,
    EVERYTHING,
    HISPANIC,
    NHPI,
    NOT_HISPANIC,
    NULL_FLAVOR,
    OTHER,
    UNK,
    US_CORE,
    WHITE,
    Json,
    coding,
    described,
    ethnicity,
    patient,
    race,
    read,
)

SPD15_2024 = replace(EVERYTHING, race_ethnicity_scheme=RaceEthnicityScheme.SPD15_2024)
LEBANESE, GERMAN, NAVAJO_OF_LATER_VERSIONS, SHOSHONE, JAPANESE = (
    "2123-8",
    "2112-1",
    "3321-7",
    "1586-7",
    "2039-6",
)


def race_read(*extensions: Json) -> Attribute:
    return read("race", patient(*extensions))


# The tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (AIAN, "aian"), (SHOSHONE, "aian"), ("1004-1", "aian"), ("1735-0", "aian"), ("2026-3", "aian"),
        (ASIAN, "asian"), (JAPANESE, "asian"), ("2052-9", "asian"),
        (BLACK, "black"), ("2058-6", "black"), ("2075-0", "black"),
        (NHPI, "nhpi"), ("2080-0", "nhpi"), ("2104-8", "nhpi"), ("2500-7", "nhpi"),
        (WHITE, "white"), (GERMAN, "white"), ("2129-5", "white"), (LEBANESE, "white"),
        (OTHER, "other"),
    ],
)  # fmt: skip
def test_a_detailed_race_rolls_up_to_its_category(code: str, category: str) -> None:
    assert race_of_code(code) == category


@pytest.mark.parametrize(
    "code", ["2039-7", "2039", "20396", "", "2131-2", HISPANIC, "3321-7", "9999-9", "ASIAN"]
)
def test_a_code_outside_the_table_is_no_race(code: str) -> None:
    assert race_of_code(code) is None


@pytest.mark.parametrize(("code", "answer"), [("2148-5", "hispanic"), ("2184-0", "hispanic"), (WHITE, None)])
def test_a_detailed_ethnicity_rolls_up(code: str, answer: str | None) -> None:
    assert ethnicity_of_code(code) == answer


@pytest.mark.parametrize(
    ("code", "is_mena"), [("2118-8", True), ("2127-9", True), ("2129-5", False), (WHITE, False)]
)
def test_middle_eastern_or_north_african_is_one_branch_of_the_code_system(code: str, is_mena: bool) -> None:
    assert is_middle_eastern_or_north_african(code) is is_mena


def test_the_check_digit_is_verified() -> None:
    assert cdcrec_number("2028-9") == 2028
    assert [cdcrec_number(f"2028-{digit}") for digit in range(9)] == [None] * 9


def test_only_what_has_the_form_of_a_code_is_kept_for_the_next_patient() -> None:
    codes.cdcrec_number("2028-9")
    kept = codes._number.cache_info().currsize
    assert [cdcrec_number(text) for text in ("Jane Quetzal", "2028-9" * 100_000, "0028-9")] == [None] * 3
    assert codes._number.cache_info().currsize == kept


# Shapes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extension",
    [
        race(BLACK, text="Black or African American"),
        race(BLACK),
        race(detailed=("2058-6",)),
        race(BLACK, url="http://hl7.org/fhir/StructureDefinition/us-core-race"),
        race(BLACK, url="http://fhir.org/guides/argonaut/StructureDefinition/argo-race"),
        race(BLACK, url=US_CORE + "us-core-race "),
        race(("http://hl7.org/fhir/us/core/ValueSet/omb-race-category", BLACK)),
        race(("http://hl7.org/fhir/v3/Race", BLACK)),
        {
            "url": "http://hl7.org/fhir/StructureDefinition/us-core-race",
            "valueCodeableConcept": {"coding": [{"system": "urn:oid:1.2.3", "code": "B"}, coding(BLACK)]},
        },
        {
            "url": US_CORE + "us-core-race",
            "extension": [{"url": "ombCategory", "valueCodeableConcept": {"coding": [coding(BLACK)]}}],
        },
        {
            "url": US_CORE + "us-core-race",
            "extension": {"url": "ombCategory", "valueCoding": coding(BLACK)},
        },
    ],
)
def test_one_race_is_read_from_every_shape_it_comes_in(extension: Json) -> None:
    attribute = race_read(extension)

    assert (attribute.value, attribute.members) == ("black", ("black",))
    assert attribute.source == "Patient.extension[us-core-race]"


@pytest.mark.parametrize(
    "part",
    [
        {"url": US_CORE + "us-core-race", "extension": {"url": "ombCategory", "valueCoding": coding(BLACK)}},
        {"url": US_CORE + "us-core-race", "valueCodeableConcept": {"coding": coding(BLACK)}},
        {"url": US_CORE + "us-core-race", "valueCodeableConcept": {"coding": [coding(BLACK), "2106-3"]}},
    ],
)
def test_an_object_where_a_list_is_due_is_read_and_flagged(part: Json) -> None:
    attribute = race_read(part)

    assert (attribute.value, attribute.dq) == ("black", ("degraded",))


def test_another_extension_on_a_coding_is_no_reason_for_a_missing_value() -> None:
    extension = race(BLACK)
    extension["extension"][0]["valueCoding"]["extension"] = [{"url": "urn:x", "valueCode": "unknown"}]

    assert race_read(extension).dq == ()


def test_several_codings_are_all_looked_at_and_all_kept() -> None:
    attribute = race_read(race(("urn:oid:1.2.3", "B"), BLACK))

    assert attribute.value == "black"
    assert attribute.raw_codes == ("urn:oid:1.2.3|B", f"{CDCREC}|2054-5")
    assert attribute.dq == ("unknown_code_system",)


def test_the_display_is_neither_believed_nor_kept() -> None:
    extension = race(BLACK)
    extension["extension"][0]["valueCoding"]["display"] = "Whi\u200bte"

    attribute = race_read(extension)

    assert attribute.value == "black"
    assert "White" not in str(attribute.to_record()).replace("\u200b", "")


def test_a_display_in_the_place_of_the_code_is_not_kept() -> None:
    attribute = race_read(race("Black or African American"))

    assert attribute.missing is Missing.INVALID
    assert attribute.raw_codes == (f"{CDCREC}|(illegible)",)


def test_three_races_are_multiple_and_each_of_them() -> None:
    attribute = race_read(race(WHITE, AIAN, ASIAN, detailed=(SHOSHONE, "2036-2"), text="Mixed"))

    assert (attribute.value, attribute.members) == ("multiple", ("aian", "asian", "white"))


def test_a_category_and_its_own_detail_are_one_race() -> None:
    assert race_read(race(ASIAN, detailed=(JAPANESE,))).value == "asian"


def test_a_bad_part_does_not_spoil_a_good_one() -> None:
    extension = race(BLACK)
    extension["extension"] += [
        "text",
        {"url": "ombCategory", "valueCoding": "2106-3"},
        {"valueString": "no url"},
    ]

    attribute = race_read(extension)

    assert (attribute.value, attribute.dq) == ("black", ("degraded",))


# Missing, each for its own reason ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "reason", "dq"),
    [
        (race(UNK), Missing.UNKNOWN, ()),
        (race(ASKU), Missing.ASKED_UNKNOWN, ()),
        (race(DECLINED), Missing.DECLINED, ()),
        (race(UNK, DECLINED), Missing.DECLINED, ()),
        (race(("http://hl7.org/fhir/us/core/ValueSet/omb-race-category", "UNK")), Missing.UNKNOWN, ()),
        (race((CDCREC, "UNK")), Missing.UNKNOWN, ()),
        (race(UNK, text="Unknown"), Missing.UNKNOWN, ()),
        (race(ASKU, text="asked but unknown"), Missing.ASKED_UNKNOWN, ()),
        (race(UNK, text="Other"), Missing.UNKNOWN, ("null_with_text",)),
        (race(text="Cape Verdean"), Missing.TEXT_ONLY, ()),
        (race(text="Unknown"), Missing.ABSENT, ()),
        (race(), Missing.ABSENT, ()),
        (race("0000-0"), Missing.INVALID, ("unknown_code",)),
        (race(("urn:oid:1.2.3", BLACK)), Missing.INVALID, ("unknown_code_system",)),
        (race((NULL_FLAVOR, "OTH")), Missing.INVALID, ("unknown_code_system",)),
        (race(detailed=("9990-3",)), Missing.INVALID, ("detailed_code_unmapped",)),
        (race(HISPANIC), Missing.INVALID, ("ethnicity_code_in_race_slot",)),
        (race(detailed=("2148-5",)), Missing.INVALID, ("ethnicity_code_in_race_slot",)),
        (
            {"url": US_CORE + "us-core-race", "extension": [{"url": DATA_ABSENT, "valueCode": "masked"}]},
            Missing.WITHHELD,
            (),
        ),
        ({"url": US_CORE + "us-core-race", "extension": "black"}, Missing.INVALID, ("degraded",)),
        ({"url": US_CORE + "us-core-race", "valueInteger": 3}, Missing.INVALID, ("degraded",)),
    ],
)
def test_a_race_slot_without_a_race_says_why(extension: Json, reason: Missing, dq: tuple[str, ...]) -> None:
    attribute = race_read(extension)

    assert (attribute.missing, attribute.dq) == (reason, dq)


WHY = {"extension": [{"url": DATA_ABSENT, "valueCode": "asked-declined"}]}


@pytest.mark.parametrize(
    "part",
    [
        {"valueCoding": WHY},
        {"valueCoding": {"_code": WHY}},
        {"valueCodeableConcept": WHY},
        {"_valueCode": WHY},
        WHY,
    ],
)
def test_a_reason_is_found_wherever_it_is_attached(part: Json) -> None:
    attribute = race_read({"url": US_CORE + "us-core-race", "extension": [{"url": "ombCategory", **part}]})

    assert (attribute.missing, attribute.dq) == (Missing.DECLINED, ())


@pytest.mark.parametrize("part", [{"code": 21063}, {"system": 7, "code": "2106-3"}, {"system": ["x"]}])
def test_a_coding_of_another_shape_is_invalid(part: Json) -> None:
    parts = [{"url": "ombCategory", "valueCoding": part}]

    attribute = race_read({"url": US_CORE + "us-core-race", "extension": parts})

    assert (attribute.missing, attribute.dq) == (Missing.INVALID, ("degraded",))


@pytest.mark.parametrize(
    ("profile", "reason"),
    [(RaceProfile.US_CORE, Missing.ABSENT), (RaceProfile.NONE, Missing.NOT_CAPTURED_IN_PROFILE)],
)
def test_a_patient_without_the_extension_is_the_sites_matter(profile: RaceProfile, reason: Missing) -> None:
    found = described(patient(), replace(EVERYTHING, race_profile=profile))

    for name in ("race", "ethnicity", "race_ethnicity", "tribal_affiliation"):
        assert found[name].missing is reason, name


def test_an_extension_is_read_even_where_none_is_expected() -> None:
    rules = replace(EVERYTHING, race_profile=RaceProfile.NONE)

    assert read("race", patient(race(BLACK)), rules).value == "black"


@pytest.mark.parametrize("extension", ["race", 7, [["race"]], [{"valueCode": "F"}]])
def test_extensions_that_cannot_be_read_are_invalid_and_not_absent(extension: object) -> None:
    found = described(patient(extension=extension, gender="male", birthDate="1990-01-01"))

    assert found["race"].missing is Missing.INVALID
    assert found["ethnicity"].dq == ("degraded",)
    assert found["interpreter_needed"].missing is Missing.INVALID
    assert found["sex"].value == "male"
    assert found["age_band"].value == "18-44"


# Rule by rule -----------------------------------------------------------------------------------------------


def test_a_null_code_beside_a_real_category_gives_way() -> None:
    attribute = race_read(race(UNK, BLACK))

    assert (attribute.value, attribute.dq) == ("black", ("null_with_value",))


def test_an_ethnicity_code_in_the_race_slot_is_dropped_and_not_copied() -> None:
    found = described(patient(race(HISPANIC)))

    assert found["race"].missing is Missing.INVALID
    assert found["ethnicity"].missing is Missing.ABSENT
    assert found["race_ethnicity"].missing is Missing.INVALID


def test_an_ethnicity_code_in_the_race_slot_against_the_ethnicity_is_a_conflict() -> None:
    found = described(patient(race(HISPANIC), ethnicity(NOT_HISPANIC)))

    assert found["race"].dq == ("ethnicity_code_in_race_slot", "ethnicity_conflict")
    assert (found["ethnicity"].value, found["ethnicity"].dq) == ("not_hispanic", ("ethnicity_conflict",))


def test_an_ethnicity_code_in_the_race_slot_that_agrees_is_no_conflict() -> None:
    found = described(patient(race(HISPANIC, WHITE), ethnicity(HISPANIC)))

    assert (found["race"].value, found["race"].dq) == ("white", ("ethnicity_code_in_race_slot",))
    assert found["ethnicity"].dq == ()


@pytest.mark.parametrize(
    ("extension", "level", "dq"),
    [
        (ethnicity(HISPANIC), "hispanic", ()),
        (ethnicity(NOT_HISPANIC), "not_hispanic", ()),
        (ethnicity(detailed=("2148-5",)), "hispanic", ()),
        (ethnicity(NOT_HISPANIC, detailed=("2148-5",)), "not_hispanic", ("ethnicity_conflict",)),
        (ethnicity(HISPANIC, NOT_HISPANIC), "missing:invalid", ("ethnicity_conflict",)),
        (ethnicity(UNK), "missing:unknown", ()),
        (ethnicity(DECLINED), "missing:declined", ()),
        (ethnicity(UNK, HISPANIC), "hispanic", ("null_with_value",)),
        (ethnicity(WHITE), "missing:invalid", ("race_code_in_ethnicity_slot",)),
        (ethnicity(text="Hispanic"), "missing:text_only", ()),
        (ethnicity(("urn:oid:1.2.3", HISPANIC)), "missing:invalid", ("unknown_code_system",)),
        (ethnicity(detailed=("9990-3",)), "missing:invalid", ("detailed_code_unmapped",)),
        (ethnicity("9990-3"), "missing:invalid", ("unknown_code",)),
    ],
)
def test_an_ethnicity_is_one_of_two_or_missing(extension: Json, level: str, dq: tuple[str, ...]) -> None:
    attribute = read("ethnicity", patient(extension))

    assert (attribute.level, attribute.dq) == (level, dq)


@pytest.mark.parametrize(
    ("extensions", "level", "members"),
    [
        ((race(BLACK), ethnicity(HISPANIC)), "hispanic", ("hispanic",)),
        ((race(BLACK), ethnicity(NOT_HISPANIC)), "nh_black", ("nh_black",)),
        ((race(BLACK),), "black_ethnicity_unknown", ("black_ethnicity_unknown",)),
        ((race(BLACK), ethnicity(UNK)), "black_ethnicity_unknown", ("black_ethnicity_unknown",)),
        ((race(BLACK, WHITE), ethnicity(NOT_HISPANIC)), "nh_multiple", ("nh_black", "nh_white")),
        (
            (race(BLACK, WHITE),),
            "multiple_ethnicity_unknown",
            ("black_ethnicity_unknown", "white_ethnicity_unknown"),
        ),
        ((race(OTHER), ethnicity(NOT_HISPANIC)), "nh_other", ("nh_other",)),
        ((race(UNK), ethnicity(HISPANIC)), "hispanic", ("hispanic",)),
        ((race(DECLINED), ethnicity(NOT_HISPANIC)), "missing:declined", ()),
        ((), "missing:absent", ()),
    ],
)
def test_race_and_ethnicity_in_the_scheme_of_1997(
    extensions: tuple[Json, ...], level: str, members: tuple[str, ...]
) -> None:
    attribute = read("race_ethnicity", patient(*extensions))

    assert (attribute.level, attribute.members, attribute.scheme) == (level, members, "spd15-1997/1")


@pytest.mark.parametrize(
    ("extensions", "level", "members", "flag"),
    [
        ((race(BLACK), ethnicity(NOT_HISPANIC)), "black", ("black",), "mena_not_knowable"),
        ((race(BLACK), ethnicity(HISPANIC)), "multiple", ("black", "hispanic"), "mena_not_knowable"),
        ((race(UNK), ethnicity(HISPANIC)), "hispanic", ("hispanic",), "mena_not_knowable"),
        ((race(BLACK),), "black", ("black",), "ethnicity_unknown"),
        ((race(detailed=(LEBANESE,)), ethnicity(NOT_HISPANIC)), "mena", ("mena",), None),
        (
            (race(WHITE, detailed=(LEBANESE,)), ethnicity(NOT_HISPANIC)),
            "multiple",
            ("mena", "white"),
            "mena_beside_white",
        ),
        (
            (race(detailed=(LEBANESE, GERMAN)), ethnicity(NOT_HISPANIC)),
            "multiple",
            ("mena", "white"),
            "mena_beside_white",
        ),
        ((race(OTHER), ethnicity(NOT_HISPANIC)), "other", ("other",), "mena_not_knowable"),
        ((race(UNK), ethnicity(NOT_HISPANIC)), "missing:unknown", (), None),
    ],
)
def test_race_and_ethnicity_in_the_scheme_of_2024(
    extensions: tuple[Json, ...], level: str, members: tuple[str, ...], flag: str | None
) -> None:
    attribute = read("race_ethnicity", patient(*extensions), SPD15_2024)

    assert (attribute.level, attribute.members, attribute.scheme) == (level, members, "spd15-2024/1")
    assert flag is None or flag in attribute.dq
    assert flag is not None or attribute.dq == ()


def test_in_1997_middle_eastern_counts_as_white() -> None:
    found = described(patient(race(detailed=(LEBANESE,)), ethnicity(NOT_HISPANIC)))

    assert (found["race"].value, found["race_ethnicity"].value) == ("white", "nh_white")


def test_the_combined_attribute_keeps_the_codes_of_both() -> None:
    attribute = read("race_ethnicity", patient(race(BLACK), ethnicity(NOT_HISPANIC)))

    assert attribute.raw_codes == (f"{CDCREC}|2054-5", f"{CDCREC}|2186-5")


@pytest.mark.parametrize(
    ("tribe", "kept"), [(SHOSHONE, "1002-5"), (NAVAJO_OF_LATER_VERSIONS, "(detail not kept)")]
)
def test_a_tribe_in_the_detail_is_not_kept(tribe: str, kept: str) -> None:
    record = str(described(patient(race(AIAN, detailed=(tribe,)))).to_record())

    assert tribe not in record
    assert f"{CDCREC}|{kept}" in record


def test_the_combined_attribute_can_be_collected_alone() -> None:
    found = described(
        patient(race(BLACK), ethnicity(NOT_HISPANIC)), DemographicRules(collect=("race_ethnicity",))
    )

    assert dict(found).keys() == {"race_ethnicity"}
    assert found["race_ethnicity"].value == "nh_black"


def test_at_most_sixteen_raw_codes_are_kept() -> None:
    assert len(race_read(race(BLACK, *[("urn:oid:1.2.3", f"x{n}") for n in range(40)])).raw_codes) == 16
