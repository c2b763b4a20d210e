"""The named cases in hospital: at the start of a stay, where NEWS2 is asked for, and at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cds_wrapper.demo.profiles import (
    Alertness,
    Clinical,
    Ethnicity,
    Home,
    Inpatient,
    NamedCase,
    Profile,
    Race,
    Smoking,
    Vitals,
)
from cds_wrapper.demo.queries import ENCOUNTER_DISCHARGE, ENCOUNTER_START

FIRST_NUMBER: Final = 201
"""Their record numbers are far from those of everybody else, whose number may grow."""

_CLINICAL: Final = Clinical(186, 47, 132, 74, 28.1, Smoking.FORMER, diabetes=True)
_WOMAN: Final = Profile(
    id="ward-low-67",
    given="Marion",
    family="Example-Acacia",
    age=67,
    gender="female",
    birth_sex="F",
    race=Race.WHITE,
    ethnicity=Ethnicity.NOT_HISPANIC,
    clinical=_CLINICAL,
    number=FIRST_NUMBER,
)
_MAN: Final = replace(_WOMAN, gender="male", birth_sex="M")

_WELL: Final = Vitals(16, 97, 0, 128, 78, Alertness.ALERT, 36.9)
_UNWELL: Final = Vitals(21, 94, 0, 118, 104, Alertness.ALERT, 38.4)
_VERY_ILL: Final = Vitals(26, 91, 4, 96, 124, Alertness.CONFUSED, 38.6)


def _admitted(profile: Profile, vitals: Vitals, title: str, why: str) -> NamedCase:
    return NamedCase(profile, title, why, ENCOUNTER_START, Inpatient(hours=1, vitals=vitals))


def _leaving(profile: Profile, stay: Inpatient, title: str, why: str) -> NamedCase:
    return NamedCase(profile, title, why, ENCOUNTER_DISCHARGE, stay)


ADMITTED: Final = (
    _admitted(
        _WOMAN,
        _WELL,
        "White woman, 67, all seven observations",
        "Nothing is missing, and every value is where it should be.",
    ),
    _admitted(
        replace(_WOMAN, id="ward-high-80", given="Dorothy", family="Example-Almond", age=80, number=202),
        _VERY_ILL,
        "White woman, 80, very ill",
        "Seven points and more: the highest of the bands.",
    ),
    _admitted(
        replace(_MAN, id="ward-oximetry-62", given="Isaiah", family="Example-Balsa", age=62,
                race=Race.BLACK, number=203),
        replace(_UNWELL, saturation=93),
        "Black man, 62, oxygen saturation by pulse oximeter",
        "The score is complete; one of its inputs is known to be measured less accurately.",
    ),
    _admitted(
        replace(_MAN, id="ward-same-62", given="Walter", family="Example-Beech", age=62, number=204),
        replace(_UNWELL, saturation=93),
        "White man, 62, the same observations",
        "The same numbers as those of the Black man of 62, and the same score.",
    ),
    _admitted(
        replace(_MAN, id="ward-no-alertness-71", given="Clyde", family="Example-Cherry", age=71, number=205),
        replace(_UNWELL, alertness=None),
        "White man, 71, level of consciousness not recorded",
        "Six of the seven observations are there; the seventh counts as normal.",
    ),
    _admitted(
        replace(_WOMAN, id="ward-no-oxygen-58", given="Mei", family="Example-Ebony", age=58,
                race=Race.ASIAN, number=206),
        replace(_WELL, oxygen=None, saturation=95),
        "Asian woman, 58, oxygen or air not recorded",
        "Not recorded is another thing than air.",
    ),
    _admitted(
        replace(_MAN, id="ward-other-units-54", given="Ivan", family="Example-Hawthorn", age=54, number=207),
        replace(_UNWELL, fahrenheit=True, kilopascal=True, temperature=39.3),
        "White man, 54, written down in other units",
        "Temperature in degrees Fahrenheit, blood pressure in kilopascal.",
    ),
    _admitted(
        replace(_WOMAN, id="ward-old-values-76", given="Pearl", family="Example-Hemlock", age=76, number=208),
        replace(_WELL, old=frozenset({"respirations", "systolic", "temperature"})),
        "White woman, 76, some observations are of yesterday",
        "What is older than twelve hours is not used.",
    ),
    _admitted(
        replace(_WOMAN, id="ward-one-three-45", given="Salma", family="Example-Hickory", age=45,
                race=Race.OTHER, number=209),
        replace(_WELL, respirations=8),
        "Woman, 45, one observation alone scores three",
        "Three points in all, but from one observation: that asks for a look of its own.",
    ),
    _admitted(
        replace(_MAN, id="ward-young-15", given="Theo", family="Example-Laurel", age=15, number=210,
                clinical=replace(_CLINICAL, diabetes=False)),
        replace(_UNWELL, pulse=118),
        "White boy, 15",
        "The score was made for people of 16 and over; the vendor scores him all the same.",
    ),
    _admitted(
        replace(_MAN, id="ward-nothing-66", given="Otis", family="Example-Magnolia", age=66,
                race=Race.DECLINED, ethnicity=Ethnicity.DECLINED, number=211),
        Vitals(None, None, None, None, None, None, None),
        "Man, 66, nothing recorded yet",
        "He has only just come in.",
    ),
)  # fmt: skip

DISCHARGED: Final = (
    _leaving(
        replace(_WOMAN, id="home-first-59", given="Ruth", family="Example-Mulberry", age=59, number=221),
        Inpatient(hours=52, diagnoses=4, destination="home"),
        "White woman, 59, goes home after two days",
        "Her first stay in more than a year.",
    ),
    _leaving(
        replace(_MAN, id="back-again-66", given="Leroy", family="Example-Myrtle", age=66,
                race=Race.BLACK, home=Home(5), number=222),
        Inpatient(hours=190, stays=(41, 160, 301, 500), visits=(20, 88, 700), diagnoses=9, destination="snf"),
        "Black man, 66, fourth stay in a year, to a nursing home",
        "Stays and visits of more than a year ago are on file too, and do not count.",
    ),
    _leaving(
        replace(_MAN, id="no-destination-72", given="Frank", family="Example-Pecan", age=72, number=223),
        Inpatient(hours=120, stays=(75,), diagnoses=7),
        "White man, 72, nobody wrote down where he goes",
        "The model was made from stays whose end was known.",
    ),
    _leaving(
        replace(_WOMAN, id="native-discharge-59", given="Winona", family="Example-Redwood", age=59,
                race=Race.NATIVE, number=224),
        Inpatient(hours=100, stays=(200,), visits=(15,), diagnoses=6, destination="home"),
        "American Indian or Alaska Native woman, 59, goes home",
        "The public data have no category of its own for her group.",
    ),
    _leaving(
        replace(_MAN, id="no-race-discharge-63", given="Noel", family="Example-Sequoia", age=63,
                race=Race.ABSENT, ethnicity=Ethnicity.ABSENT, number=225),
        Inpatient(hours=74, visits=(130,), diagnoses=5, destination="home"),
        "Man, 63, race and ethnicity were never entered",
        "Absent: registration's job, another thing than declined.",
    ),
)  # fmt: skip

INPATIENT_CASES: Final = (*ADMITTED, *DISCHARGED)
