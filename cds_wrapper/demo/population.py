"""The synthetic population: seeded, the same on every machine, of the right age on the day it is made for.

    python -m cds_wrapper.demo.population --write fixtures

writes the committed fixtures, which are made for a fixed day. Nobody in it is real or drawn from anyone real.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, TypeVar

from cds_wrapper.demo.cases import NAMED_CASES
from cds_wrapper.demo.clinical_resources import write_clinical
from cds_wrapper.demo.fixtures import fixture_files, write_files
from cds_wrapper.demo.inpatient_resources import write_stay
from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.patient_resource import SYNTHETIC, write_patient
from cds_wrapper.demo.profiles import (
    Clinical,
    Ethnicity,
    Home,
    Medicine,
    NamedCase,
    Precision,
    Profile,
    Race,
    Smoking,
)

FIXTURE_DAY: Final = date(2026, 6, 30)
SIZE: Final = 120
"""Patients of the clinic; those in hospital come on top."""
_SEED: Final = 20260630

_GIVEN: Final = ("Ariel", "Blake", "Cameron", "Dana", "Eden", "Frankie", "Gray", "Hollis", "Indigo", "Jules")
_FAMILY: Final = (
    "Amber",
    "Coral",
    "Ember",
    "Fern",
    "Harbor",
    "Iris",
    "Jasper",
    "Opal",
    "River",
    "Slate",
    "Vale",
)


@dataclass(frozen=True, slots=True, repr=False)
class Population:
    """Every resource, and the named cases among the patients: at the clinic, and in hospital."""

    resources: tuple[dict[str, Any], ...]
    cases: tuple[NamedCase, ...]
    inpatients: tuple[NamedCase, ...]

    def __repr__(self) -> str:
        return f"Population({len(self.resources)} resources)"


def populate(today: date, size: int = SIZE, now: datetime | None = None) -> Population:
    """Make the population as it stands on `today`; hospital stays as of `now` (noon in UTC without it)."""
    profiles = [case.profile for case in NAMED_CASES]
    draw = Draw(random.Random(_SEED))  # noqa: S311 - a reproducible population is the point
    profiles += [_profile(draw, number) for number in range(len(profiles) + 1, size + 1)]
    resources = [_CLINICIAN]
    for profile in profiles:
        resources += [write_patient(profile, today), *write_clinical(profile, today)]
    moment = now or datetime.combine(today, time(12), UTC)
    for case in INPATIENT_CASES:
        resources += [write_patient(case.profile, today), *write_clinical(case.profile, today)]
        resources += write_stay(case.profile, case.stay, moment) if case.stay else []
    return Population(tuple(resources), NAMED_CASES, INPATIENT_CASES)


_CLINICIAN: Final[dict[str, Any]] = {
    "resourceType": "Practitioner",
    "id": "demo-clinician",
    "meta": SYNTHETIC,
    "active": True,
    "name": [{"family": "Example-Clinician", "given": ["Dr."]}],
}


T = TypeVar("T")


class Draw:
    """Draws from `random()` alone: other methods of `random.Random` may change between Python versions."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def share(self) -> float:
        """Draw a number from 0 up to 1, without 1."""
        return self._source.random()

    def chance(self, probability: float) -> bool:
        return self._source.random() < probability

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return low + int(self._source.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._source.random() * len(options))]


_COMMON_RACES: Final = (Race.WHITE, Race.WHITE, Race.WHITE, Race.BLACK, Race.BLACK, Race.ASIAN)
_ALL_RACES: Final = tuple(Race)
_ETHNICITIES: Final = (
    *(Ethnicity.NOT_HISPANIC,) * 6,
    Ethnicity.HISPANIC,
    Ethnicity.HISPANIC,
    Ethnicity.UNKNOWN,
    Ethnicity.ABSENT,
)
_LANGUAGES: Final = ("en-US", "en-US", "en", "EN", "es", "es", "zh", "vi", "fr", "ar", "ht", None)
_BORN_AS: Final = (("female", "F"), ("male", "M"))
_SEX_CODES: Final = {"female": "248152002", "male": "248153007"}


def _profile(draw: Draw, number: int) -> Profile:
    """Draw one patient; the race shapes take turns, so that each of them is there."""
    gender, birth_sex = draw.pick(_BORN_AS)
    newer_us_core = draw.chance(0.2)
    language = draw.pick(_LANGUAGES)
    race = _ALL_RACES[number // 2 % len(_ALL_RACES)] if number % 2 else draw.pick(_COMMON_RACES)
    age = draw.whole(19, 93)
    return Profile(
        id=f"demo-{number:03d}",
        given=_GIVEN[number % len(_GIVEN)],
        family=f"Example-{draw.pick(_FAMILY)}",
        age=age,
        gender=gender if draw.chance(0.95) else draw.pick(("other", "unknown")),
        race=race,
        ethnicity=draw.pick(_ETHNICITIES),
        clinical=_clinical(draw, age),
        number=number,
        turned=draw.whole(100, 265),
        precision=draw.pick((*(Precision.DAY,) * 12, Precision.MONTH, Precision.YEAR)),
        birth_sex=birth_sex if draw.chance(0.8) and not newer_us_core else None,
        individual_sex=_SEX_CODES[gender] if newer_us_core else None,
        language=language,
        language_preferred=draw.chance(0.6),
        interpreter=_interpreter(draw, language),
        tribe=race in {Race.NATIVE, Race.NATIVE_AND_WHITE} and draw.chance(0.6),
        home=_home(draw),
    )


def _interpreter(draw: Draw, language: str | None) -> bool | None:
    if language is None or not draw.chance(0.5):
        return None
    return not language.lower().startswith("en") and draw.chance(0.6)


def _home(draw: Draw) -> Home:
    quintile = draw.pick((1, 2, 3, 4, 5, None))
    return Home(quintile, draw.whole(1, 5) if draw.chance(0.15) else None)


def _clinical(draw: Draw, age: int) -> Clinical:
    """Draw a record: plausible values, some of them missing and a few outside what the model allows."""
    egfr = min(max(118 - 0.8 * (age - 20) + draw.whole(-18, 18), 14), 132)
    medicines = tuple(one for one in Medicine if draw.chance(0.05 + age / 700))
    has_lipids = draw.chance(0.88)
    by_creatinine = draw.chance(0.12)
    return Clinical(
        total_cholesterol=draw.whole(128, 290) if has_lipids else None,
        hdl=draw.whole(24, 92) if has_lipids and draw.chance(0.95) else None,
        systolic=draw.whole(96, 184) if draw.chance(0.96) else None,
        egfr=None if by_creatinine else round(egfr, 1),
        egfr_code=draw.pick((*("98979-8",) * 5, "33914-3", "62238-1", "48643-1")),
        creatinine=draw.whole(6, 14) / 10 if by_creatinine else None,
        bmi=draw.whole(185, 420) / 10 if draw.chance(0.9) else None,
        smoking=draw.pick((*(Smoking.NEVER,) * 5, *Smoking, None)),
        diabetes=draw.chance(0.06 + age / 700),
        medicines=medicines,
        in_moles=draw.chance(0.1),
        pressure_panel="55284-4" if draw.chance(0.15) else "85354-9",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the fixtures, or count the population."""
    parser = argparse.ArgumentParser(
        prog="python -m cds_wrapper.demo.population",
        description="The demonstration's synthetic population.",
        epilog="example: python -m cds_wrapper.demo.population --write fixtures",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write the fixtures for the fixed day here"
    )
    chosen = parser.parse_args(arguments)
    population = populate(FIXTURE_DAY)
    files = fixture_files(population.resources, (*population.cases, *population.inpatients))
    if chosen.write is not None:
        write_files(files, chosen.write)
    size = sum(map(len, files.values()))
    sys.stdout.write(f"{len(population.resources)} resources, {len(files)} files, {size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
