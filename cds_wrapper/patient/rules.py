"""What a site decided about reading demographics: which attributes, which bands, which sources win.

Made once from `subgroups.yaml`, checked as it is made, and trusted afterwards.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_wrapper.errors import WrapperError
from cds_wrapper.patient.attributes import AgeSpan
from cds_wrapper.remembered import Remembered


class UnusableRule(WrapperError):
    """A setting about demographics cannot be used; `key` is its place, `label` the entry that is wrong."""

    reason = "configuration"

    def __init__(self, key: str, label: str, problem: str) -> None:
        super().__init__(f"`{key}`: {label!r} {problem}")
        self.key = key
        self.label = label
        self.problem = problem


# Age bands --------------------------------------------------------------------------------------------------

_BAND = re.compile(r"<(?P<below>\d{1,3})|(?P<first>\d{1,3})-(?P<last>\d{1,3})|(?P<least>\d{1,3})\+", re.ASCII)
_NO_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class AgeBand:
    """A group of ages in completed years, from `first` up to but not including `end`."""

    label: str
    first: int
    end: int


def parse_band(label: str, key: str = "age_band.bands") -> AgeBand:
    """One band from its label: `<30`, `30-39` or `80+`; anything else is an `UnusableRule`."""
    match = _BAND.fullmatch(label)
    if match is None:
        raise UnusableRule(key, label, "is not an age band. Write `<30`, `30-39` or `80+`.")
    if match["below"]:
        band = AgeBand(label, 0, int(match["below"]))
    elif match["least"]:
        band = AgeBand(label, int(match["least"]), _NO_LIMIT)
    else:
        band = AgeBand(label, int(match["first"]), int(match["last"]) + 1)
    if band.first >= band.end:
        raise UnusableRule(key, label, "holds no age. The first age comes first.")
    return band


@dataclass(frozen=True, slots=True)
class AgeBands:
    """The site's bands, youngest first, without gap or overlap, from birth upwards."""

    bands: tuple[AgeBand, ...]

    @classmethod
    def parse(cls, labels: Iterable[str]) -> AgeBands:
        """Bands from labels in ascending order; `UnusableRule` names the first label that does not fit."""
        bands = tuple(parse_band(label) for label in labels)
        due = 0
        for band in bands:
            if band.first != due:
                problem = "overlaps the band before it" if band.first < due else "leaves a gap before it"
                raise UnusableRule("age_band.bands", band.label, f"{problem}: age {due} is due there.")
            due = band.end
        if due != _NO_LIMIT:
            last = bands[-1].label if bands else ""
            raise UnusableRule("age_band.bands", last, f"is the last band. End with an open one: `{due}+`.")
        return cls(bands)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(band.label for band in self.bands)

    def band_of(self, age: AgeSpan) -> str | None:
        """The band that holds the whole span; None when it reaches over two."""
        return next((b.label for b in self.bands if b.first <= age.youngest and age.oldest < b.end), None)


DEFAULT_BANDS = AgeBands.parse(("<1", "1-4", "5-11", "12-17", "18-44", "45-64", "65-74", "75-84", "85+"))


# The other attributes ---------------------------------------------------------------------------------------


class SexSource(enum.Enum):
    """Where a Patient says the patient's sex, in the order US Core's versions prefer."""

    INDIVIDUAL_SEX = "us-core-individual-sex"
    SEX = "us-core-sex"
    BIRTH_SEX = "us-core-birthsex"
    GENDER = "gender"


class RaceEthnicityScheme(enum.Enum):
    """How race and ethnicity become one attribute: OMB Statistical Policy Directive 15 of 1997 or 2024."""

    SPD15_1997 = "spd15-1997"
    SPD15_2024 = "spd15-2024"


class InterpreterSource(enum.Enum):
    """Who may say that an interpreter is needed (US Core has the extension on both)."""

    PATIENT = "patient"
    ENCOUNTER = "encounter"


class PayerElement(enum.Enum):
    """The elements of a Coverage whose codes or words a site may have spelt out in a table."""

    TYPE_CODING = "type.coding"
    TYPE_TEXT = "type.text"
    PAYOR_DISPLAY = "payor.display"


class RaceProfile(enum.Enum):
    """What this site's Patients are made to hold about race, ethnicity and tribe.

    Under `us-core` a Patient without the extension has race `absent`: registration could have asked. Under
    `none` (plain R4, UK Core, most of Europe) it is `not_captured_in_profile`. It decides only
    that reason: an extension that is there is read under both.
    """

    US_CORE = "us-core"
    NONE = "none"


@dataclass(frozen=True, slots=True, repr=False)
class DeprivationTable:
    """The site's own table from five-digit postal code to quintile, 1 to 5.

    A code that the publisher suppressed is left out; it then reads as missing.
    """

    index: str
    year: int
    geography: str
    quintiles: Mapping[str, int]

    def __post_init__(self) -> None:
        for code, quintile in self.quintiles.items():
            if quintile not in (1, 2, 3, 4, 5) or not re.fullmatch(r"\d{5}", code, re.ASCII):
                problem = "is no entry: give five digits and a quintile from 1 to 5."
                raise UnusableRule("deprivation_quintile.table", code, problem)

    def __repr__(self) -> str:
        return f"DeprivationTable({self.scheme!r}, {len(self.quintiles)} codes)"

    @property
    def scheme(self) -> str:
        return f"{self.index} {self.year} {self.geography}"


@dataclass(frozen=True, slots=True, repr=False)
class RuralityTable:
    """The site's own table from five-digit postal code to `metro`, `micro` or `rural`."""

    index: str
    year: int
    geography: str
    kinds: Mapping[str, str]

    def __post_init__(self) -> None:
        for code, kind in self.kinds.items():
            if kind not in _LEVELS[RURALITY] or not re.fullmatch(r"\d{5}", code, re.ASCII):
                problem = "is no entry: give five digits and metro, micro or rural."
                raise UnusableRule("rurality.table", code, problem)

    def __repr__(self) -> str:
        return f"RuralityTable({self.scheme!r}, {len(self.kinds)} codes)"

    @property
    def scheme(self) -> str:
        return f"{self.index} {self.year} {self.geography}"


@dataclass(frozen=True, slots=True, repr=False)
class PayerTable:
    """What the site makes of its own codes and words for payers, spelt exactly as its Coverages have them."""

    payers: Mapping[tuple[PayerElement, str], str]

    def __post_init__(self) -> None:
        for (element, _), payer in self.payers.items():
            if payer not in _LEVELS[PAYER]:
                raise UnusableRule("payer.table", element.value, f"becomes `{payer}`, which is no payer.")

    def __repr__(self) -> str:
        return f"PayerTable({len(self.payers)} spellings)"


AGE_BAND = "age_band"
SEX = "sex"
RACE = "race"
ETHNICITY = "ethnicity"
RACE_ETHNICITY = "race_ethnicity"
LANGUAGE = "language"
INTERPRETER_NEEDED = "interpreter_needed"
TRIBAL_AFFILIATION = "tribal_affiliation"
DISABILITY = "disability"
PAYER = "payer"
DEPRIVATION_QUINTILE = "deprivation_quintile"
RURALITY = "rurality"

ATTRIBUTES = (
    AGE_BAND,
    SEX,
    RACE,
    ETHNICITY,
    RACE_ETHNICITY,
    LANGUAGE,
    INTERPRETER_NEEDED,
    TRIBAL_AFFILIATION,
    DISABILITY,
    PAYER,
    DEPRIVATION_QUINTILE,
    RURALITY,
)
BESIDE_PATIENT = frozenset({DISABILITY, PAYER})
"""The attributes that no Patient holds."""


_SCHEMES: Mapping[str, str] = {
    AGE_BAND: "age-bands/1",
    SEX: "sex/1",
    RACE: "spd15-1997/1",
    ETHNICITY: "spd15-1997/1",
    LANGUAGE: "bcp47-primary/1",
    INTERPRETER_NEEDED: "yes-no/1",
    TRIBAL_AFFILIATION: "any/1",
    DISABILITY: "acs-six-questions/1",
    PAYER: "payer/1",
}
_RACES = ("aian", "asian", "black", "nhpi", "white", "other", "multiple")
_LEVELS: Mapping[str, tuple[str, ...]] = {
    SEX: ("female", "male", "other"),
    RACE: _RACES,
    ETHNICITY: ("hispanic", "not_hispanic"),
    INTERPRETER_NEEDED: ("yes", "no"),
    TRIBAL_AFFILIATION: ("any",),
    DISABILITY: ("any_yes", "all_no"),
    PAYER: ("medicare", "medicaid", "dual", "other_gov", "private", "self_pay", "other"),
    DEPRIVATION_QUINTILE: ("1", "2", "3", "4", "5"),
    RURALITY: ("metro", "micro", "rural"),
}


@dataclass(frozen=True, slots=True)
class DemographicRules:
    """The attributes the site collects, in its order, and how each is read.

    `languages` are the primary subtags that stand for themselves besides `en`; every other one is `other`.
    `sex_sources` are those that may give the value, best first; all four are compared in any case.
    `interpreter_sources` are those that are asked, best first.
    """

    collect: tuple[str, ...] = (AGE_BAND, SEX, RACE, ETHNICITY, RACE_ETHNICITY, LANGUAGE, INTERPRETER_NEEDED)
    bands: AgeBands = DEFAULT_BANDS
    sex_sources: tuple[SexSource, ...] = tuple(SexSource)
    race_profile: RaceProfile = RaceProfile.US_CORE
    race_ethnicity_scheme: RaceEthnicityScheme = RaceEthnicityScheme.SPD15_1997
    languages: tuple[str, ...] = ()
    deprivation: DeprivationTable | None = None
    rurality: RuralityTable | None = None
    payers: PayerTable | None = None
    interpreter_sources: tuple[InterpreterSource, ...] = (InterpreterSource.PATIENT,)
    remembered: Remembered[Any] = field(default_factory=Remembered, init=False, repr=False, compare=False)
    """What was read by these rules of what is said of many patients in the same words."""

    def __post_init__(self) -> None:
        _refuse_repeats("attributes", self.collect)
        _refuse_repeats("sex.sources", tuple(source.value for source in self.sex_sources))
        _refuse_repeats(
            "interpreter_needed.sources", tuple(source.value for source in self.interpreter_sources)
        )
        for name in self.collect:
            if name not in ATTRIBUTES:
                raise UnusableRule("attributes", name, f"is not one we read. Known: {', '.join(ATTRIBUTES)}.")
        if not self.sex_sources:
            raise UnusableRule("sex.sources", "", "is empty. Name at least one source.")
        for language in self.languages:
            if not re.fullmatch(r"[a-z]{2,3}", language):
                raise UnusableRule("language.list", language, "is not a primary subtag such as `es`.")
        if DEPRIVATION_QUINTILE in self.collect and self.deprivation is None:
            raise UnusableRule(DEPRIVATION_QUINTILE, "table", "is needed. Name the site's table.")
        if RURALITY in self.collect and self.rurality is None:
            raise UnusableRule(RURALITY, "table", "is needed. Name the site's table.")
        if not self.interpreter_sources:
            raise UnusableRule("interpreter_needed.sources", "", "is empty. Name at least one source.")

    def scheme(self, attribute: str) -> str:
        """Name and version of the table that collapses this attribute."""
        if attribute == RACE_ETHNICITY:
            return f"{self.race_ethnicity_scheme.value}/1"
        if attribute == DEPRIVATION_QUINTILE:
            return self.deprivation.scheme if self.deprivation else ""
        if attribute == RURALITY:
            return self.rurality.scheme if self.rurality else ""
        if attribute == PAYER and self.payers is not None:
            return f"{_SCHEMES[PAYER]}+site"
        return _SCHEMES[attribute]

    @property
    def interpreter_at_encounter(self) -> bool:
        """Whether the Encounter of the call is asked as well."""
        return INTERPRETER_NEEDED in self.collect and InterpreterSource.ENCOUNTER in self.interpreter_sources

    @property
    def beside_patient(self) -> bool:
        """Whether anything is collected that stands beside the Patient."""
        return self.interpreter_at_encounter or not BESIDE_PATIENT.isdisjoint(self.collect)

    def levels(self, attribute: str) -> tuple[str, ...]:
        """Every value this attribute can take here, missing left out: what spellings are checked against."""
        own = {
            AGE_BAND: self.bands.labels,
            LANGUAGE: tuple(dict.fromkeys(("en", *self.languages, "other"))),
            RACE_ETHNICITY: _race_ethnicity_levels(self.race_ethnicity_scheme),
        }
        return own.get(attribute) or _LEVELS.get(attribute, ())


def _race_ethnicity_levels(scheme: RaceEthnicityScheme) -> tuple[str, ...]:
    if scheme is RaceEthnicityScheme.SPD15_2024:
        return ("hispanic", "mena", *_RACES)
    known = tuple(f"nh_{race}" for race in _RACES)
    return ("hispanic", *known, *(f"{race}_ethnicity_unknown" for race in _RACES))


def _refuse_repeats(key: str, names: tuple[str, ...]) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            raise UnusableRule(key, name, "is listed twice.")
