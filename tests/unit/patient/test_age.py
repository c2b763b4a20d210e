"""From a birth date, whole or partial, to an age band at the hook's time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.patient.age import age_on
from cds_wrapper.patient.attributes import AgeSpan
from cds_wrapper.patient.demographics import AgeBands, DemographicRules, Missing
from tests.unit.patient.patients import NOON, described, patient, read, reason_absent

CVD = DemographicRules(
    collect=("age_band",),
    bands=AgeBands.parse(("<30", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")),
)


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        ("2000-06-15", "2026-06-14", 25),
        ("2000-06-15", "2026-06-15", 26),
        ("2000-02-29", "2025-02-28", 24),
        ("2000-02-29", "2025-03-01", 25),
        ("2000-02-29", "2024-02-28", 23),
        ("2000-02-29", "2024-02-29", 24),
        ("2026-06-15", "2026-06-15", 0),
        ("2025-06-16", "2026-06-15", 0),
        ("1901-06-15", "2026-06-15", 125),
    ],
)
def test_a_year_is_completed_on_the_birthday(born: str, on: str, years: int) -> None:
    day = date.fromisoformat(born)

    assert age_on(date.fromisoformat(on), day, day) == AgeSpan(years, years)


@pytest.mark.parametrize(
    ("birth_date", "band"),
    [
        ("1996-06-15", "30-39"),
        ("1996-06-16", "<30"),
        ("1986-06-16", "30-39"),
        ("1986-06-15", "40-49"),
        ("1946-06-15", "80+"),
        # Partial dates: youngest and oldest possible age fall in one band ...
        ("1990", "30-39"),
        ("1990-02", "30-39"),
        ("1996-05", "30-39"),
        # ... or in two.
        ("1996", "missing:imprecise"),
        ("1996-06", "missing:imprecise"),
        # No date at all, or one nobody can have.
        ("1990-13-01", "missing:invalid"),
        ("1990-02-30", "missing:invalid"),
        ("0000-01-01", "missing:invalid"),
        ("1800-01-01", "missing:invalid"),
        ("2026-06-17", "missing:invalid"),
        ("2027", "missing:invalid"),
        ("19900615", "missing:invalid"),
        ("15.06.1990", "missing:invalid"),
        ("", "missing:invalid"),
    ],
)
def test_a_birth_date_falls_in_one_band_or_says_why_not(birth_date: str, band: str) -> None:
    assert read("age_band", patient(birthDate=birth_date), CVD).level == band


def test_a_newborn_registered_a_time_zone_ahead_is_not_from_the_future() -> None:
    assert read("age_band", patient(birthDate="2026-06-16"), CVD).level == "<30"


def test_a_year_that_has_only_begun_reads_as_under_one() -> None:
    assert described(patient(birthDate="2026"), CVD).age == AgeSpan(0, 0)


def test_the_age_is_that_at_the_hooks_time_and_not_today() -> None:
    long_ago = datetime(1996, 1, 1, tzinfo=UTC)

    assert described(patient(birthDate="1960-03-01"), CVD, on=long_ago)["age_band"].level == "30-39"


def test_the_day_is_that_of_the_moment_as_it_was_given() -> None:
    born = patient(birthDate="1996-06-16")
    evening = datetime(2026, 6, 15, 20, 0, tzinfo=timezone(timedelta(hours=-5)))

    assert described(born, CVD, on=evening)["age_band"].level == "<30"
    assert described(born, CVD, on=evening.astimezone(UTC))["age_band"].level == "30-39"


@pytest.mark.parametrize(
    "birth_date", ["1990-06-15T00:00:00Z", "1990-06-15T23:59:59+02:00", "1990-06-15 08:00"]
)
def test_a_time_behind_the_date_is_flagged_and_left_out(birth_date: str) -> None:
    attribute = read("age_band", patient(birthDate=birth_date), CVD)

    assert (attribute.level, attribute.dq) == ("30-39", ("degraded",))


@pytest.mark.parametrize("birth_date", [1990, True, ["1990-06-15"], {"value": "1990-06-15"}, 1990.5])
def test_a_birth_date_of_another_shape_is_invalid_and_spoils_nothing_else(birth_date: object) -> None:
    raw = patient(birthDate=birth_date, gender="female")

    assert read("age_band", raw).missing is Missing.INVALID
    assert read("age_band", raw).dq == ("degraded",)
    assert read("sex", raw).value == "female"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("unknown", Missing.UNKNOWN),
        ("asked-unknown", Missing.ASKED_UNKNOWN),
        ("asked-declined", Missing.DECLINED),
        ("masked", Missing.WITHHELD),
        ("something-new", Missing.UNKNOWN),
    ],
)
def test_a_data_absent_reason_is_the_reason(code: str, reason: Missing) -> None:
    assert read("age_band", patient(_birthDate=reason_absent(code)), CVD).missing is reason


def test_no_birth_date_is_absent() -> None:
    attribute = read("age_band", patient(), CVD)

    assert (attribute.missing, attribute.source) == (Missing.ABSENT, None)


def test_a_date_counts_even_when_a_reason_stands_beside_it() -> None:
    raw = patient(birthDate="1990-01-01", _birthDate=reason_absent("unknown"))

    assert read("age_band", raw, CVD).value == "30-39"


def test_an_age_over_89_is_kept_as_90() -> None:
    assert described(patient(birthDate="1930-01-01"), CVD).age == AgeSpan(90, 90)


def test_no_age_is_kept_when_the_site_does_not_collect_it() -> None:
    assert described(patient(birthDate="1990-01-01"), DemographicRules(collect=("sex",))).age is None


@given(born=st.dates(date(1905, 1, 1), NOON.date()))
def test_a_partial_date_never_contradicts_the_whole_one(born: date) -> None:
    whole = read("age_band", patient(birthDate=born.isoformat()))
    for partial in (born.isoformat()[:7], born.isoformat()[:4]):
        attribute = read("age_band", patient(birthDate=partial))

        assert attribute.missing is Missing.IMPRECISE or attribute.value == whole.value
