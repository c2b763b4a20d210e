"""From demographics to subgroups: both views, missing as a group, crossings, and what a card may name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.patient.demographics import AgeBands, DemographicRules, Missing, NoPatient, describe
from cds_wrapper.patient.subgroups import (
    AttributePolicy,
    Display,
    PatientSubgroups,
    Subgroup,
    SubgroupScheme,
    UnusableScheme,
    possible_groups,
)
from tests.unit.patient.patients import BLACK, DECLINED, EVERYTHING, NOON, WHITE, described, patient, race

RULES = DemographicRules(collect=("age_band", "sex", "race"), bands=AgeBands.parse(("<30", "30-39", "40+")))


def policy(name: str, display: Display = Display.SHOW, **labels: str) -> AttributePolicy:
    return AttributePolicy(name, core=True, monitor=True, display=display, labels=labels)


SCHEME = SubgroupScheme(
    attributes={
        "age_band": policy("age_band", Display.SHOW),
        "sex": policy("sex", Display.SHOW),
        "race": policy("race", Display.GENERIC),
    },
    crossings=(("race", "age_band"), ("race", "sex", "age_band")),
)


def assigned(
    *extensions: dict[str, Any], scheme: SubgroupScheme = SCHEME, **fields: object
) -> PatientSubgroups:
    return scheme.assign(described(patient(*extensions, **fields), RULES))


BOTH = assigned(race(BLACK, WHITE), birthDate="1990-01-01", gender="female")
REFUSED = assigned(race(DECLINED), birthDate="1990-01-01", gender="female")


def test_a_patient_is_in_one_group_per_attribute_and_in_every_declared_crossing() -> None:
    assert BOTH.texts() == [
        "age_band=30-39",
        "sex=female",
        "race=multiple",
        "race*age_band=multiple*30-39",
        "race*sex*age_band=multiple*female*30-39",
    ]


def test_alone_or_in_combination_a_patient_is_in_each_of_their_races() -> None:
    assert BOTH.levels["race"] == "multiple"
    assert BOTH.members["race"] == {"black", "white"}


def test_missing_is_a_group_with_its_reason() -> None:
    assert REFUSED.levels["race"] == "missing:declined"
    assert REFUSED.members["race"] == frozenset()
    assert REFUSED.missing == {"race": Missing.DECLINED}
    assert "race=missing:declined" in REFUSED.texts()


def test_a_crossing_with_a_missing_part_is_no_cell() -> None:
    assert REFUSED.crossings == ()


def test_nobody_is_in_no_group() -> None:
    nobody = SCHEME.assign(describe(NoPatient.ABSENT, NOON, RULES))

    assert nobody.texts() == [f"{name}=missing:not_fetched" for name in ("age_band", "sex", "race")]


def test_an_attribute_that_was_declared_and_not_read_is_our_fault() -> None:
    scheme = SubgroupScheme({"language": policy("language")})

    assert assigned(scheme=scheme).levels == {"language": "missing:not_fetched"}


def test_an_attribute_that_was_read_and_not_declared_is_left_out() -> None:
    assert set(assigned(scheme=SubgroupScheme({"sex": policy("sex")})).levels) == {"sex"}


# Which estimates speak to a patient -------------------------------------------------------------------------

YOUNG = {"age_band": ("<30", "30-39")}


@pytest.mark.parametrize(
    ("groups", "where", "exclusive", "speaks"),
    [
        (BOTH, {}, False, True),
        (BOTH, {"sex": ["female"]}, False, True),
        (BOTH, {"sex": ["male"]}, False, False),
        (BOTH, {"race": ["black"]}, False, True),
        (BOTH, {"race": ["black"]}, True, False),
        (BOTH, {"race": ["multiple"]}, True, True),
        (BOTH, {"race": ["multiple"]}, False, True),
        (BOTH, {"race": ["asian"]}, False, False),
        (BOTH, {"race": ["asian", "white"]}, False, True),
        (BOTH, {"race": ["white"], **YOUNG}, False, True),
        (BOTH, {"race": ["asian"], **YOUNG}, False, False),
        (BOTH, {"language": ["en"]}, False, False),
        (BOTH, {"race": []}, False, False),
        (REFUSED, {"race": ["black"]}, False, False),
        (REFUSED, {"race": ["missing:declined"]}, False, True),
        (REFUSED, {"race": ["missing:declined"]}, True, True),
        (REFUSED, {"race": ["missing"]}, False, True),
        (REFUSED, {"race": ["missing:unknown"]}, False, False),
        (BOTH, {"race": ["missing"]}, False, False),
    ],
)
def test_an_estimate_speaks_when_every_key_holds(
    groups: PatientSubgroups, where: Mapping[str, Sequence[str]], exclusive: bool, speaks: bool
) -> None:
    assert groups.speaks(where, exclusive) is speaks


def test_a_single_level_may_stand_without_a_list() -> None:
    assert BOTH.speaks({"race": "black"})
    assert not BOTH.speaks({"race": "bla"})


@given(st.lists(st.sampled_from(["1002-5", BLACK, WHITE, "2028-9"]), unique=True))
def test_what_speaks_exclusively_speaks_in_combination_too(codes: list[str]) -> None:
    groups = assigned(race(*codes), birthDate="1990-01-01")
    for level in (*RULES.levels("race"), "missing"):
        assert groups.speaks({"race": [level]}) or not groups.speaks({"race": [level]}, exclusive=True)


# Values known in part ---------------------------------------------------------------------------------------

BANDED = replace(SCHEME, bands=RULES.bands)
COMBINED = DemographicRules(collect=("race_ethnicity",))


def born(year: str) -> PatientSubgroups:
    return BANDED.assign(described(patient(race(BLACK), birthDate=year), RULES))


def without_ethnicity(*codes: str) -> PatientSubgroups:
    scheme = SubgroupScheme({"race_ethnicity": policy("race_ethnicity")})
    return scheme.assign(described(patient(race(*codes)), COMBINED))


def could(groups: PatientSubgroups) -> dict[str, list[str]]:
    return {name: [one.level for one in values] for name, values in groups.could.items()}


@pytest.mark.parametrize(
    ("groups", "left"),
    [
        (born("1986"), {"age_band": ["30-39", "40+"]}),  # 39 or 40
        (born("1990"), {}),  # 35 or 36: one band
        (BANDED.assign(describe(NoPatient.ABSENT, NOON, RULES)), {}),
        (without_ethnicity(BLACK), {"race_ethnicity": ["hispanic", "nh_black"]}),
        (without_ethnicity(BLACK, WHITE), {"race_ethnicity": ["hispanic", "nh_multiple"]}),
        (without_ethnicity(), {}),
    ],
)
def test_what_is_known_in_part_says_what_it_could_be(
    groups: PatientSubgroups, left: dict[str, list[str]]
) -> None:
    assert could(groups) == left
    assert set(groups.unsettled) == {*left, *groups.missing}


@pytest.mark.parametrize(
    ("groups", "where", "exclusive", "may", "does"),
    [
        (born("1986"), {"age_band": ["30-39"]}, False, True, False),
        (born("1986"), {"age_band": ["<30"]}, False, False, False),
        (born("1986"), {"age_band": ["30-39", "40+"]}, False, True, True),
        (born("1986"), {"age_band": ["30-39"], "race": ["white"]}, False, False, False),
        (without_ethnicity(BLACK), {"race_ethnicity": ["nh_black"]}, False, True, False),
        (without_ethnicity(BLACK), {"race_ethnicity": ["nh_white"]}, False, False, False),
        (without_ethnicity(BLACK), {"race_ethnicity": ["nh_black", "hispanic"]}, False, True, True),
        (without_ethnicity(BLACK, WHITE), {"race_ethnicity": ["nh_black"]}, False, True, False),
        (without_ethnicity(BLACK, WHITE), {"race_ethnicity": ["nh_black"]}, True, False, False),
        (REFUSED, {"race": ["black"]}, False, True, False),
        (REFUSED, {"race": "black"}, False, True, False),
        (REFUSED, {"race": ["missing:unknown"]}, False, False, False),
        (BOTH, {"race": ["asian"]}, False, False, False),
    ],
)
def test_an_estimate_may_speak_when_what_is_not_on_file_could_make_every_key_hold(
    groups: PatientSubgroups, where: Mapping[str, Sequence[str]], exclusive: bool, may: bool, does: bool
) -> None:
    assert groups.may_speak(where, exclusive) is may
    assert groups.speaks(where, exclusive) is does


def test_an_age_kept_as_ninety_could_be_any_that_is_older() -> None:
    rules = replace(RULES, bands=AgeBands.parse(("<90", "90-94", "95+")))
    found = described(patient(birthDate="1931"), rules)  # 94 or 95

    assert could(replace(SCHEME, bands=rules.bands).assign(found)) == {"age_band": ["90-94", "95+"]}


def test_what_could_be_is_printed_nowhere() -> None:
    assert "black" not in repr(without_ethnicity(BLACK).could)


# Display ----------------------------------------------------------------------------------------------------


def test_display_is_ordered_from_open_to_strict() -> None:
    assert Display.SHOW < Display.GENERIC < Display.NEVER
    assert not Display.SHOW < Display.SHOW
    assert max(Display) is Display.NEVER


@pytest.mark.parametrize(("first", "second"), list(itertools.product(Display, repeat=2)))
def test_the_strictest_wins(first: Display, second: Display) -> None:
    attributes = {"a": policy("a", first), "b": policy("b", second)}

    assert SubgroupScheme(attributes).display_of(("a", "b")) is max(first, second)


def test_an_attribute_nobody_declared_is_never_named() -> None:
    assert SCHEME.display_of(("age_band", "payer")) is Display.NEVER


def test_a_statement_about_no_group_may_be_shown() -> None:
    assert SCHEME.display_of(()) is Display.SHOW


def test_a_level_without_a_label_is_named_as_it_is() -> None:
    labelled = replace(policy("age_band"), labels={"30-39": "people aged 30 to 39"})

    assert (labelled.label("30-39"), labelled.label("40+")) == ("people aged 30 to 39", "40+")


# Declarations that do not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "crossings", "says"),
    [
        ((), (), "empty"),
        (("sex",), (("sex",),), "two or more"),
        (("sex",), (("sex", "sex"),), "two or more"),
        (("sex",), (("sex", "race"),), "`race`"),
    ],
)
def test_a_scheme_that_does_not_fit_is_refused(
    attributes: tuple[str, ...], crossings: tuple[tuple[str, ...], ...], says: str
) -> None:
    with pytest.raises(UnusableScheme, match=says):
        SubgroupScheme({name: policy(name) for name in attributes}, crossings)


def test_printing_subgroups_shows_no_level() -> None:
    assert repr(BOTH) == "PatientSubgroups(age_band, sex, race)"


def test_a_subgroup_writes_itself_as_the_record_does() -> None:
    assert (
        Subgroup("age_band*race_ethnicity", "75-84*nh_black").text == "age_band*race_ethnicity=75-84*nh_black"
    )


def test_a_value_that_is_not_on_file_could_be_each_group_but_not_several_of_them() -> None:
    assert possible_groups(EVERYTHING, "race") == ("aian", "asian", "black", "nhpi", "white", "other")
    assert possible_groups(EVERYTHING, "race_ethnicity") == (
        "hispanic", "nh_aian", "nh_asian", "nh_black", "nh_nhpi", "nh_white", "nh_other",
    )  # fmt: skip
    assert possible_groups(EVERYTHING, "sex") == ("female", "male", "other")
