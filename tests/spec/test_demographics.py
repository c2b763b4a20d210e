"""What is written down about a patient, case by case: a table a clinician can read.

Left: what the hospital's Patient record says. Right: the group the record of the prediction gets. "Missing"
always comes with a reason, because each reason has another remedy. All patients are made up; "today" is
15 June 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cds_wrapper.patient.demographics import (
    ATTRIBUTES,
    DemographicRules,
    NoPatient,
    RaceEthnicityScheme,
    RaceProfile,
    describe,
)
from cds_wrapper.patient.subgroups import AttributePolicy, Display, SubgroupScheme
from tests.unit.patient.patients import (
    AIAN,
    ASIAN,
    ASKU,
    BLACK,
    DECLINED,
    DEPRIVATION,
    HISPANIC,
    NOON,
    NOT_HISPANIC,
    RURALITY,
    UNK,
    WHITE,
    birth_sex,
    ethnicity,
    individual_sex,
    patient,
    race,
    reason_absent,
    speaks,
)

US = DemographicRules(collect=ATTRIBUTES, languages=("es",), deprivation=DEPRIVATION, rurality=RURALITY)
NO_RACE_PROFILE = replace(US, race_profile=RaceProfile.NONE)
ONE_QUESTION = replace(US, race_ethnicity_scheme=RaceEthnicityScheme.SPD15_2024)


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One case: what the record says, the attribute it is about, the group, and flags about the data."""

    record_says: str
    record: bytes | NoPatient
    attribute: str
    group: str
    flags: str = ""
    also_counted_as: str = ""
    rules: DemographicRules = US


AGE, SEX, RACE, ETHNICITY = "age_band", "sex", "race", "ethnicity"
RACE_ETHNICITY, LANGUAGE, PLACE = "race_ethnicity", "language", "deprivation_quintile"
FEMALE = individual_sex("248152002")
UNKNOWN = "missing:unknown"
UNMARKED = "language_not_marked_preferred"
SPANISH, POLISH, ENGLISH = speaks("es-MX", True), speaks("pl", True), speaks("en-US")
NOT_GIVEN = reason_absent("asked-declined")

TABLE = (
    # Age, at the time of the call
    Row("born 1 March 1960", patient(birthDate="1960-03-01"), AGE, "65-74"),
    Row("born 16 June 1961, so 64 until tomorrow", patient(birthDate="1961-06-16"), AGE, "45-64"),
    Row("born in 1970, no more is known", patient(birthDate="1970"), AGE, "45-64"),
    Row("born in 1961: 64 or 65", patient(birthDate="1961"), AGE, "missing:imprecise"),
    Row("born next year", patient(birthDate="2027-01-01"), AGE, "missing:invalid"),
    Row("declined to give a birth date", patient(_birthDate=NOT_GIVEN), AGE, "missing:declined"),
    Row("no birth date", patient(), AGE, "missing:absent"),
    # Sex
    Row("sex female", patient(FEMALE), SEX, "female"),
    Row("sex female, gender male", patient(FEMALE, gender="male"), SEX, "female", "sex_sources_differ"),
    Row("sex at birth not known, gender female", patient(birth_sex("UNK"), gender="female"), SEX, "female"),
    Row("gender written `Female`, which is no code", patient(gender="Female"), SEX, "missing:invalid"),
    # Race
    Row("Black", patient(race(BLACK)), RACE, "black"),
    Row("Black and White", patient(race(BLACK, WHITE)), RACE, "multiple", also_counted_as="black, white"),
    Row("Japanese", patient(race(detailed=("2039-6",))), RACE, "asian"),
    Row("Shoshone (the tribe is not kept)", patient(race(detailed=("1586-7",))), RACE, "aian"),
    Row("Black, and beside it `unknown`", patient(race(BLACK, UNK)), RACE, "black", "null_with_value"),
    Row("unknown", patient(race(UNK)), RACE, UNKNOWN),
    Row("unknown, in words `Other`", patient(race(UNK, text="Other")), RACE, UNKNOWN, "null_with_text"),
    Row("asked, the patient did not know", patient(race(ASKU)), RACE, "missing:asked_unknown"),
    Row("asked, the patient declined", patient(race(DECLINED)), RACE, "missing:declined"),
    Row("only the words `Cape Verdean`", patient(race(text="Cape Verdean")), RACE, "missing:text_only"),
    Row("nothing about race", patient(), RACE, "missing:absent"),
    Row(
        "nothing about race, in a country that records none",
        patient(), RACE, "missing:not_captured_in_profile", rules=NO_RACE_PROFILE,
    ),
    Row(
        "`Hispanic` in the place of the race, and not Hispanic in its own",
        patient(race(HISPANIC), ethnicity(NOT_HISPANIC)),
        RACE, "missing:invalid", "ethnicity_code_in_race_slot, ethnicity_conflict",
    ),
    # Ethnicity is never taken from anywhere else
    Row("prefers Spanish", patient(communication=[SPANISH]), ETHNICITY, "missing:absent"),
    Row("`Hispanic` in the place of the race only", patient(race(HISPANIC)), ETHNICITY, "missing:absent"),
    Row("Mexican", patient(ethnicity(detailed=("2148-5",))), ETHNICITY, "hispanic"),
    # Race and ethnicity together
    Row("Black, not Hispanic", patient(race(BLACK), ethnicity(NOT_HISPANIC)), RACE_ETHNICITY, "nh_black"),
    Row("Black, Hispanic", patient(race(BLACK), ethnicity(HISPANIC)), RACE_ETHNICITY, "hispanic"),
    Row("Black, ethnicity not recorded", patient(race(BLACK)), RACE_ETHNICITY, "black_ethnicity_unknown"),
    Row(
        "American Indian and Asian, not Hispanic",
        patient(race(AIAN, ASIAN), ethnicity(NOT_HISPANIC)),
        RACE_ETHNICITY, "nh_multiple", also_counted_as="nh_aian, nh_asian",
    ),
    Row(
        "Black, Hispanic, asked as one question",
        patient(race(BLACK), ethnicity(HISPANIC)),
        RACE_ETHNICITY, "multiple", "mena_not_knowable", "black, hispanic", ONE_QUESTION,
    ),
    Row(
        "Lebanese, not Hispanic, asked as one question",
        patient(race(detailed=("2123-8",)), ethnicity(NOT_HISPANIC)),
        RACE_ETHNICITY, "mena", rules=ONE_QUESTION,
    ),
    # Language
    Row("prefers Spanish as spoken in Mexico", patient(communication=[SPANISH]), LANGUAGE, "es"),
    Row("prefers Polish, which the site does not list", patient(communication=[POLISH]), LANGUAGE, "other"),
    Row("English, the only one", patient(communication=[ENGLISH]), LANGUAGE, "en", UNMARKED),
    Row(
        "English and Spanish, neither preferred", patient(communication=[ENGLISH, speaks("es")]),
        LANGUAGE, "missing:imprecise", UNMARKED,
    ),
    # Where a patient lives
    Row(
        "moved; the old address is still there",
        patient(address=[{"use": "old", "postalCode": "02139"}, {"postalCode": "74048"}]), PLACE, "4",
    ),
    Row("a place the site's table does not list", patient(address=[{"postalCode": "99999"}]),
        PLACE, "missing:unknown", "postal_code_not_in_table"),
    # No Patient at all
    Row("the EHR sent no Patient", NoPatient.ABSENT, RACE, "missing:not_fetched", "patient_not_sent"),
    Row("the EHR looked and has none", NoPatient.EMPTY, RACE, "missing:absent", "patient_empty"),
    Row("the EHR could not read it", NoPatient.ERROR, RACE, "missing:fetch_failed", "patient_error"),
    Row("the EHR sent another's", NoPatient.OTHER_PATIENT, RACE, "missing:fetch_failed", "other_patient"),
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.attribute}: {row.record_says}")
def test_what_the_record_says_becomes_this_group(row: Row) -> None:
    attribute = describe(row.record, NOON, row.rules)[row.attribute]

    own = (attribute.value,) if attribute.value else ()
    members = tuple(row.also_counted_as.split(", ")) if row.also_counted_as else own
    assert attribute.level == row.group
    assert ", ".join(attribute.dq) == row.flags
    assert attribute.members == members


# Which published figures are about a patient ----------------------------------------------------------------

FIGURES = {
    "everybody": ({}, False),
    "Black": ({"race": ("black",)}, False),
    "Black and no other race": ({"race": ("black",)}, True),
    "Black, 30 to 44": ({"race": ("black",), "age_band": ("18-44",)}, False),
    "race declined": ({"race": ("missing:declined",)}, False),
    "race missing, for whatever reason": ({"race": ("missing",)}, False),
}

SPEAKS_TO = (
    ("Black, 35", patient(race(BLACK), birthDate="1990-09-01"),
     ("everybody", "Black", "Black and no other race", "Black, 30 to 44")),
    ("Black and White, 35", patient(race(BLACK, WHITE), birthDate="1990-09-01"),
     ("everybody", "Black", "Black, 30 to 44")),
    ("Black, age not known", patient(race(BLACK)), ("everybody", "Black", "Black and no other race")),
    ("White, 35", patient(race(WHITE), birthDate="1990-09-01"), ("everybody",)),
    ("race declined, 35", patient(race(DECLINED), birthDate="1990-09-01"),
     ("everybody", "race declined", "race missing, for whatever reason")),
    ("no Patient came", NoPatient.ABSENT, ("everybody", "race missing, for whatever reason")),
)  # fmt: skip


@pytest.mark.parametrize(("who", "record", "figures"), SPEAKS_TO, ids=[row[0] for row in SPEAKS_TO])
def test_these_figures_are_about_this_patient(
    who: str, record: bytes | NoPatient, figures: tuple[str, ...]
) -> None:
    names = ("race", "age_band")
    scheme = SubgroupScheme({name: AttributePolicy(name, True, True, Display.SHOW, {}) for name in names})

    groups = scheme.assign(describe(record, NOON, US))

    assert tuple(name for name, (where, only) in FIGURES.items() if groups.speaks(where, only)) == figures, (
        who
    )
