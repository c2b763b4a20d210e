"""A year of a synthetic hospital: who is there, when they leave it, and what becomes of them. Pure, seeded.

The truth is known, since it is made here: for most patients the chance of coming back is exactly what the
model says; for two groups it is not (see `TRUTH`). Nobody in it is real or drawn from anyone real.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeVar

from cds_wrapper.demo.patient_resource import write_birth_date
from cds_wrapper.demo.population import Draw
from cds_wrapper.demo.profiles import Clinical, Ethnicity, Home, Profile, Race
from cds_wrapper.demo.readmission import ReadmissionModel, Stay

HORIZON: Final = timedelta(days=30)
LENGTH: Final = timedelta(days=365)
PATIENTS: Final = 5200
FIRST_NUMBER: Final = 1001
"""Record numbers far from those of the patients one meets at the clinic and on the ward."""

PLANTED_RATIO: Final = 1.85
"""How often planted patients come back against what the model says: the published size of such a gap, the
observed over predicted risk of PREVENT in Black adults of 30 to 39 (observed 1 / 0.54 of predicted)."""

DRIFT_RATIO: Final = 0.4
"""How often drifting patients are seen to come back in the end, against what the model says: as if a hospital
nearby had opened a clinic in their language, and most of them now went there. It is made up."""

DRIFT_BEGINS: Final = timedelta(days=60)
DRIFT_IS_WHOLE: Final = timedelta(days=90)
_SURE: Final = 0.95
"""Nobody is certain to come back."""


class Truth:
    """What is wrong with the model in this hospital, for those who check that it is found."""

    crossing: Final[Mapping[str, str]] = {"race": "black", "age_band": "60-79"}
    drifting: Final[Mapping[str, str]] = {"language": "es"}
    too_small: Final[Mapping[str, str]] = {"race": "nhpi"}


_Option = TypeVar("_Option")
_RACES: Final = (
    (Race.WHITE, 0.615),
    (Race.BLACK, 0.20),
    (Race.ASIAN, 0.05),
    (Race.OTHER, 0.035),
    (Race.NATIVE, 0.006),
    (Race.PACIFIC, 0.004),
    (Race.BLACK_AND_WHITE, 0.01),
    (Race.DECLINED, 0.03),
    (Race.ABSENT, 0.04),
    (Race.UNKNOWN, 0.01),
)
_ETHNICITIES: Final = (
    (Ethnicity.NOT_HISPANIC, 0.83),
    (Ethnicity.HISPANIC, 0.12),
    (Ethnicity.DECLINED, 0.02),
    (Ethnicity.ABSENT, 0.03),
)
_LANGUAGES: Final = (("en-US", 0.78), ("es", 0.16), ("zh", 0.02), ("vi", 0.01), ("fr", 0.01), (None, 0.02))
_AGES: Final = (((22, 39), 0.06), ((40, 59), 0.28), ((60, 79), 0.47), ((80, 94), 0.19))
_STAYS_BEFORE: Final = ((0, 0.66), (1, 0.19), (2, 0.08), (3, 0.04), (4, 0.02), (5, 0.01))
_VISITS_BEFORE: Final = ((0, 0.88), (1, 0.08), (2, 0.03), (3, 0.01))
_PLACES: Final = (("home", 0.70), ("snf", 0.15), ("rehab", 0.06), ("other-hcf", 0.05), (None, 0.04))
_GIVEN: Final = (
    "Avery",
    "Bailey",
    "Casey",
    "Devon",
    "Ellis",
    "Finley",
    "Harper",
    "Jordan",
    "Kendall",
    "Morgan",
)
_FAMILY: Final = ("Anvil", "Basin", "Cairn", "Dune", "Estuary", "Fjord", "Grove", "Heath", "Islet", "Knoll")
_NOTHING_MEASURED: Final = Clinical(None, None, None, None, None, None, diabetes=True)


@dataclass(frozen=True, slots=True)
class Discharge:
    """The end of one stay, which the hospital asks the model about.

    `stays` and `visits` are earlier ones by how many days ago they ended, in the year before. `destination`
    is a code, None where nobody wrote it down. `risk` is the model's, `truth` the chance that was drawn from.
    """

    patient: int
    number: int
    admitted: datetime
    discharged: datetime
    stays: tuple[int, ...]
    visits: tuple[int, ...]
    diagnoses: int
    destination: str | None
    risk: float
    truth: float

    @property
    def hours(self) -> int:
        """Length of the stay in whole hours."""
        return (self.discharged - self.admitted) // timedelta(hours=1)

    @property
    def days(self) -> int:
        """Length of the stay as the model counts it: rounded, one at least."""
        return max(1, math.floor(self.hours / 24 + 0.5))


@dataclass(frozen=True, slots=True)
class Admission:
    """A stay as the hospital's records have it in the end: what an outcomes feed is made from."""

    patient: int
    number: int
    admitted: datetime
    discharged: datetime
    planned: bool


@dataclass(frozen=True, slots=True)
class Year:
    """Everybody, every discharge in order of time, every stay, and who has died and when."""

    start: datetime
    end: datetime
    profiles: tuple[Profile, ...]
    discharges: tuple[Discharge, ...]
    admissions: tuple[Admission, ...]
    deaths: Mapping[int, datetime]


def live(model: ReadmissionModel, today: date, patients: int = PATIENTS, seed: int = 20260630) -> Year:
    """The year that ends this morning; the same seed gives the same lives on every machine."""
    end = datetime.combine(today, time(6), UTC)
    start = end - LENGTH
    draw = Draw(random.Random(seed))  # noqa: S311 - a reproducible year is the point
    profiles = tuple(_profile(draw, number) for number in range(patients))
    lives = [_Life(place, profile, start, end, model, draw) for place, profile in enumerate(profiles)]
    for one in lives:
        one.live()
    discharges = sorted((d for one in lives for d in one.discharges), key=lambda d: d.discharged)
    admissions = sorted((a for one in lives for a in one.admissions), key=lambda a: a.admitted)
    deaths = {one.place: one.died for one in lives if one.died is not None}
    return Year(start, end, profiles, tuple(discharges), tuple(admissions), deaths)


def true_ratio(profile: Profile, age: int, into_the_year: timedelta) -> float:
    """How often such a patient comes back, against what the model says, at that time of the year."""
    ratio = 1.0
    if profile.race is Race.BLACK and 60 <= age <= 79:
        ratio *= PLANTED_RATIO
    if profile.language == Truth.drifting["language"]:
        progress = (into_the_year - DRIFT_BEGINS) / (DRIFT_IS_WHOLE - DRIFT_BEGINS)
        ratio *= 1 + (DRIFT_RATIO - 1) * min(max(progress, 0.0), 1.0)
    return ratio


def age_on(day: date, born: date) -> int:
    """Completed years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _profile(draw: Draw, place: int) -> Profile:
    low, high = _weighted(draw, _AGES)
    race = _weighted(draw, _RACES)
    gender, birth_sex = draw.pick((("female", "F"), ("male", "M")))
    ethnicity = Ethnicity.ABSENT if race is Race.ABSENT else _weighted(draw, _ETHNICITIES)
    return Profile(
        id=f"year-{place:05d}",
        given=_GIVEN[place % len(_GIVEN)],
        family=f"Example-{draw.pick(_FAMILY)}",
        age=draw.whole(low, high),
        gender=gender,
        race=race,
        ethnicity=ethnicity,
        clinical=_NOTHING_MEASURED,
        number=FIRST_NUMBER + place,
        turned=draw.whole(1, 364),
        birth_sex=birth_sex,
        language=_weighted(draw, _LANGUAGES),
        interpreter=None,
        home=Home(draw.whole(1, 5)),
    )


def _weighted(draw: Draw, options: Sequence[tuple[_Option, float]]) -> _Option:
    """One of the options by its share; what is left over goes to the last."""
    left = draw.share()
    for option, share in options:
        left -= share
        if left < 0:
            return option
    return options[-1][0]


def _days_ago(ends: Sequence[datetime], now: datetime) -> tuple[int, ...]:
    """How many whole days ago each of them was, those of the last year alone and no two on one day."""
    ago = {(now - end) // timedelta(days=1) for end in ends if end <= now}
    return tuple(sorted(days for days in ago if 1 <= days <= 364))


class _Life:
    """One patient's year: stays follow each other, and each ends with the question that the model answers."""

    def __init__(
        self,
        place: int,
        profile: Profile,
        start: datetime,
        end: datetime,
        model: ReadmissionModel,
        draw: Draw,
    ) -> None:
        self.place, self._profile, self._start, self._end = place, profile, start, end
        self._model, self._draw = model, draw
        self._born = date.fromisoformat(write_birth_date(profile, end.date()))
        self.discharges: list[Discharge] = []
        self.admissions: list[Admission] = []
        self.died: datetime | None = None
        self._stays = [start - self._days(2, 360) for _ in range(_weighted(draw, _STAYS_BEFORE))]
        self._visits = [start - self._days(2, 360) for _ in range(_weighted(draw, _VISITS_BEFORE))]

    def live(self) -> None:
        """From a first stay somewhere in the year to the last that begins in it."""
        admitted: datetime | None = self._start + self._days(0, 364)
        planned = False
        while admitted is not None and admitted < self._end:
            admitted, planned = self._stay(admitted, planned=planned)

    def _stay(self, admitted: datetime, *, planned: bool) -> tuple[datetime | None, bool]:
        """One stay; when the next begins and whether it was planned ahead, None when there is none."""
        discharged = admitted + timedelta(days=self._draw.whole(1, 9), hours=self._draw.whole(0, 10))
        number = len(self.admissions)
        self.admissions.append(Admission(self.place, number, admitted, discharged, planned))
        if discharged >= self._end:
            return None, False
        asked = self._ask(number, admitted, discharged)
        self.discharges.append(asked)
        self._stays.append(discharged)
        return self._afterwards(asked)

    def _ask(self, number: int, admitted: datetime, discharged: datetime) -> Discharge:
        draw = self._draw
        destination = _weighted(draw, _PLACES)
        stays, visits = _days_ago(self._stays, discharged), _days_ago(self._visits, discharged)
        asked = Discharge(
            patient=self.place,
            number=number,
            admitted=admitted,
            discharged=discharged,
            stays=stays,
            visits=visits,
            diagnoses=draw.whole(2, 9),
            destination=destination,
            risk=0.0,
            truth=0.0,
        )
        stay = Stay(len(stays), len(visits), asked.days, asked.diagnoses, destination not in {"home", None})
        risk = self._model.probability(stay)
        ratio = true_ratio(self._profile, age_on(discharged.date(), self._born), discharged - self._start)
        return replace(asked, risk=risk, truth=min(ratio * risk, _SURE))

    def _afterwards(self, asked: Discharge) -> tuple[datetime | None, bool]:
        """Back unplanned within the horizon, dead, back as planned, or back some time later if at all."""
        draw, since = self._draw, asked.discharged
        if draw.chance(asked.truth):
            return since + self._days(1, 29), False
        if draw.chance(0.008):
            self.died = since + self._days(1, 29)
            return None, False
        if draw.chance(0.015):
            return since + self._days(5, 28), True
        later = -math.log(1 - draw.share()) * 320
        if draw.chance(0.3):
            self._visits.append(since + self._days(31, 60))
        return since + HORIZON + timedelta(days=1 + later), False

    def _days(self, low: int, high: int) -> timedelta:
        return timedelta(days=self._draw.whole(low, high), minutes=self._draw.whole(0, 1439) // 2)
