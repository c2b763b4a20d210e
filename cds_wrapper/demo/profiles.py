"""Who a synthetic patient is, before FHIR: plain values from which the resources are written."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Race(enum.Enum):
    """How race stands in a record, right or wrong; the shapes are those seen in real data."""

    WHITE = "white"
    BLACK = "black"
    ASIAN = "asian"
    NATIVE = "native"
    PACIFIC = "pacific"
    OTHER = "other"
    BLACK_AND_WHITE = "black_and_white"
    ASIAN_AND_PACIFIC = "asian_and_pacific"
    NATIVE_AND_WHITE = "native_and_white"
    ASIAN_DETAILED = "asian_detailed"
    UNKNOWN = "unknown"
    ASKED_UNKNOWN = "asked_unknown"
    DECLINED = "declined"
    ETHNICITY_IN_RACE_SLOT = "ethnicity_in_race_slot"
    TEXT_ONLY = "text_only"
    ABSENT = "absent"


class Ethnicity(enum.Enum):
    """How ethnicity stands in a record."""

    HISPANIC = "hispanic"
    NOT_HISPANIC = "not_hispanic"
    UNKNOWN = "unknown"
    DECLINED = "declined"
    ABSENT = "absent"


class Precision(enum.Enum):
    """How precisely a birth date was written."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


class Smoking(enum.Enum):
    """Smoking status as recorded; None in a profile means that nothing was recorded."""

    NEVER = "266919005"
    FORMER = "8517006"
    DAILY = "449868002"
    SOME_DAYS = "428041000124106"
    UNKNOWN = "266927001"


class Medicine(enum.Enum):
    """Medicines by RxNorm ingredient; one is neither for pressure nor a statin."""

    AMLODIPINE = "17767"
    LISINOPRIL = "29046"
    HYDROCHLOROTHIAZIDE = "5487"
    ATORVASTATIN = "83367"
    ROSUVASTATIN = "301542"
    LEVOTHYROXINE = "10582"


@dataclass(frozen=True, slots=True)
class Home:
    """An address: quintile 1 to 5 chooses a postal code of that deprivation, None one that no table lists."""

    quintile: int | None
    previous_quintile: int | None = None


@dataclass(frozen=True, slots=True)
class Clinical:
    """What was measured and diagnosed; None means not recorded. Units as in the PREVENT equations."""

    total_cholesterol: float | None
    hdl: float | None
    systolic: float | None
    egfr: float | None
    bmi: float | None
    smoking: Smoking | None
    diabetes: bool = False
    medicines: tuple[Medicine, ...] = ()
    egfr_code: str = "98979-8"
    creatinine: float | None = None
    in_moles: bool = False
    pressure_panel: str = "85354-9"


@dataclass(frozen=True, slots=True)
class Profile:
    """One synthetic patient; `turned` is the number of days since the last birthday."""

    id: str
    given: str
    family: str
    age: int
    gender: str
    race: Race
    ethnicity: Ethnicity
    clinical: Clinical
    number: int
    turned: int = 183
    precision: Precision = Precision.DAY
    birth_sex: str | None = None
    individual_sex: str | None = None
    language: str | None = "en-US"
    language_preferred: bool = True
    interpreter: bool | None = None
    tribe: bool = False
    home: Home = field(default_factory=lambda: Home(3))


class Alertness(enum.Enum):
    """Level of responsiveness (ACVPU), by the answer codes of LOINC 67775-7."""

    ALERT = "LA9340-6"
    CONFUSED = "LA6560-2"
    VOICE = "LA17108-4"
    PAIN = "LA17107-6"
    UNRESPONSIVE = "LA9343-0"


@dataclass(frozen=True, slots=True)
class Vitals:
    """Observations at the bedside; None is not recorded, 0 litres of oxygen a minute is air.

    Per minute, per cent, mm Hg and degrees Celsius. `fahrenheit` and `kilopascal` say in which unit they are
    written down. `old` names those that were taken 30 hours ago.
    """

    respirations: float | None
    saturation: float | None
    oxygen: float | None
    systolic: float | None
    pulse: float | None
    alertness: Alertness | None
    temperature: float | None
    fahrenheit: bool = False
    kilopascal: bool = False
    old: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Inpatient:
    """A stay in hospital that is going on: since how many hours, what was seen, what lies behind.

    `stays` and `visits` are earlier stays and emergency visits, by how many days ago they ended.
    `destination` is a code of FHIR's discharge dispositions; None is not decided.
    """

    hours: int
    vitals: Vitals | None = None
    stays: tuple[int, ...] = ()
    visits: tuple[int, ...] = ()
    diagnoses: int = 2
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class NamedCase:
    """A patient with a story, told when an EHR fires `hook`. Title and reason are never in the record."""

    profile: Profile
    title: str
    why: str
    hook: str = "patient-view"
    stay: Inpatient | None = None
