"""What a site may write about demographics, and what it is told when it cannot be used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.errors import WrapperError
from cds_wrapper.patient.attributes import AgeSpan
from cds_wrapper.patient.demographics import (
    ATTRIBUTES,
    DEFAULT_BANDS,
    AgeBands,
    DemographicRules,
    DeprivationTable,
    RaceEthnicityScheme,
    SexSource,
    UnusableRule,
)
from tests.unit.patient.patients import EVERYTHING


def test_the_shipped_bands_are_those_of_the_reference_table() -> None:
    assert DEFAULT_BANDS.labels == ("<1", "1-4", "5-11", "12-17", "18-44", "45-64", "65-74", "75-84", "85+")


@given(st.integers(0, 124))
def test_every_age_has_exactly_one_band(years: int) -> None:
    holding = [band for band in DEFAULT_BANDS.bands if band.first <= years < band.end]

    assert [band.label for band in holding] == [DEFAULT_BANDS.band_of(AgeSpan(years, years))]


@pytest.mark.parametrize(
    ("labels", "wrong", "says"),
    [
        (("<30", "30-40", "40-49", "50+"), "40-49", "overlaps"),
        (("<30", "31-39", "40+"), "31-39", "gap"),
        (("18-39", "40+"), "18-39", "gap"),
        (("<30", "30-39"), "30-39", "`40+`"),
        (("80+", "<80"), "80+", "gap"),
        (("<30", "39-30", "40+"), "39-30", "holds no age"),
        (("<0", "0+"), "<0", "holds no age"),
        (("<30", "thirties", "40+"), "thirties", "is not an age band"),
        (("<30", "30–39", "40+"), "30–39", "is not an age band"),
        (("< 30", "30+"), "< 30", "is not an age band"),
        ((), "", "open one"),
    ],
)
def test_bands_that_leave_an_age_out_or_count_it_twice_are_refused_by_label(
    labels: tuple[str, ...], wrong: str, says: str
) -> None:
    with pytest.raises(UnusableRule) as refused:
        AgeBands.parse(labels)

    assert (refused.value.key, refused.value.label) == ("age_band.bands", wrong)
    assert says in refused.value.problem
    assert isinstance(refused.value, WrapperError)


@pytest.mark.parametrize(
    ("make", "key", "label"),
    [
        (lambda: DemographicRules(collect=("sex", "sexx")), "attributes", "sexx"),
        (lambda: DemographicRules(collect=("sex", "sex")), "attributes", "sex"),
        (lambda: DemographicRules(sex_sources=()), "sex.sources", ""),
        (lambda: DemographicRules(sex_sources=(SexSource.GENDER,) * 2), "sex.sources", "gender"),
        (lambda: DemographicRules(languages=("es-MX",)), "language.list", "es-MX"),
        (lambda: DemographicRules(collect=("deprivation_quintile",)), "deprivation_quintile", "table"),
        (lambda: DeprivationTable("ADI", 2022, "ZIP5", {"7404": 1}), "deprivation_quintile.table", "7404"),
        (lambda: DeprivationTable("ADI", 2022, "ZIP5", {"74048": 6}), "deprivation_quintile.table", "74048"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_its_place(
    make: Callable[[], object], key: str, label: str
) -> None:
    with pytest.raises(UnusableRule) as refused:
        make()

    assert (refused.value.key, refused.value.label) == (key, label)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_attribute_has_its_levels_and_a_scheme(attribute: str) -> None:
    assert EVERYTHING.levels(attribute)
    assert EVERYTHING.scheme(attribute)


def test_the_levels_of_the_two_editions_of_directive_15_differ() -> None:
    newer = DemographicRules(race_ethnicity_scheme=RaceEthnicityScheme.SPD15_2024)

    assert "mena" in newer.levels("race_ethnicity")
    assert "nh_black" in EVERYTHING.levels("race_ethnicity")
    assert "mena" not in EVERYTHING.levels("race_ethnicity")


def test_an_attribute_nobody_knows_has_no_levels() -> None:
    assert EVERYTHING.levels("shoe_size") == ()
