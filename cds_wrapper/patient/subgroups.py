"""Demographics -> subgroups. Missing is a subgroup like any other, and a patient is in several at once."""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import total_ordering
from types import MappingProxyType

from cds_wrapper.errors import WrapperError
from cds_wrapper.patient.demographics import (
    AGE_BAND,
    OLDEST_AGE_KEPT,
    RACE_ETHNICITY,
    AgeBands,
    AgeSpan,
    Attribute,
    DemographicRules,
    Demographics,
    Missing,
)

MISSING = "missing"
"""As a level in a `where`: missing for whatever reason. A single reason is `missing:<reason>`."""

_CROSSED = "*"
_SEVERAL = "multiple"
# How race and ethnicity together are called (SPD 15 of 1997): Hispanic of any race, then by race.
_HISPANIC, _NOT_HISPANIC, _ETHNICITY_UNKNOWN = "hispanic", "nh_", "_ethnicity_unknown"
_NOT_READ = Attribute(None, Missing.NOT_FETCHED)


class UnusableScheme(WrapperError):
    """The subgroups a site declares do not fit together; the message names the attribute or crossing."""

    reason = "configuration"


@total_ordering
class Display(enum.Enum):
    """Whether a card may name a group, ordered from the most open to the strictest."""

    SHOW = "show"
    GENERIC = "generic"
    NEVER = "never"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Display):
            return NotImplemented
        return _OPENNESS[self] < _OPENNESS[other]

    @staticmethod
    def strictest(displays: Iterable[Display]) -> Display:
        """The strictest of several; `show` when there is none."""
        return max(displays, default=Display.SHOW)


_OPENNESS = {display: rank for rank, display in enumerate(Display)}


@dataclass(frozen=True, slots=True, order=True)
class Subgroup:
    """One level of one attribute, or of a declared crossing, whose parts are joined by `*` in both."""

    attribute: str
    level: str

    @property
    def text(self) -> str:
        """As the record writes it: `race=black`, `race*age_band=black*30-39`, `sex=missing:absent`."""
        return f"{self.attribute}={self.level}"


@dataclass(frozen=True, slots=True, repr=False)
class Possibility:
    """One value an attribute known in part could have: its level, and the same alone or in combination."""

    level: str
    members: frozenset[str]

    def __repr__(self) -> str:
        return "Possibility(...)"

    def is_among(self, levels: Collection[str], exclusive: bool = False) -> bool:
        """Whether a figure about these levels would be about somebody with this value."""
        return self.level in levels or (not exclusive and not self.members.isdisjoint(levels))


@dataclass(frozen=True, slots=True, repr=False)
class PatientSubgroups:
    """The subgroups one patient belongs to.

    `levels` is the exclusive view, one level per attribute (`multiple` for several races,
    `missing:<reason>` when there is no value). `members` is the same patient alone or in combination, empty
    when missing. `crossings` are the declared ones of which every part is known: a crossing
    with a missing part belongs to no cell, and its parts already say that it is missing. `could` are the
    values left for an attribute that is known in part: the bands an imprecise birth date touches, race and
    ethnicity without the ethnicity. A missing attribute that is not in it could be anything.
    """

    levels: Mapping[str, str]
    members: Mapping[str, frozenset[str]]
    missing: Mapping[str, Missing]
    crossings: tuple[Subgroup, ...]
    could: Mapping[str, tuple[Possibility, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"PatientSubgroups({', '.join(self.levels)})"

    @property
    def groups(self) -> Hashable:
        """All that evidence can ask of a patient: two patients with equal `groups` get the same answers."""
        known = (tuple(self.levels.items()), tuple(self.members.values()), self.crossings)
        return known, tuple(self.missing.items()), tuple(self.could.items())

    def subgroups(self) -> tuple[Subgroup, ...]:
        """The exclusive subgroups, then the crossings; never empty."""
        return (*(Subgroup(name, level) for name, level in self.levels.items()), *self.crossings)

    def texts(self) -> list[str]:
        """`subgroups` as the record's column of that name writes them."""
        single = [f"{name}={level}" for name, level in self.levels.items()]
        return [*single, *(crossing.text for crossing in self.crossings)]

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The attributes that are missing or known only in part."""
        return tuple(name for name in self.levels if name in self.missing or name in self.could)

    def speaks(self, where: Mapping[str, Sequence[str]], exclusive: bool = False) -> bool:
        """Whether an estimate with this `where` is about this patient: every key holds.

        A key holds when any of its levels is the patient's own, alone or in combination unless `exclusive`;
        one known in part, when every value it could have is among them. An empty
        `where` is about everybody; an attribute that is not collected is about nobody.
        """
        return all(self._holds(name, levels, exclusive) for name, levels in where.items())

    def may_speak(self, where: Mapping[str, Sequence[str]], exclusive: bool = False) -> bool:
        """Whether it could be about this patient, if what is not on file were known: every key may hold."""
        return all(self._may_hold(name, levels, exclusive) for name, levels in where.items())

    def _may_hold(self, name: str, levels: Sequence[str], exclusive: bool) -> bool:
        if self._holds(name, levels, exclusive):
            return True
        wanted = _listed(levels)
        if name in self.could:
            return any(one.is_among(wanted, exclusive) for one in self.could[name])
        return name in self.missing and not all(map(is_missing, wanted))

    def _holds(self, name: str, levels: Sequence[str], exclusive: bool) -> bool:
        own = self.levels.get(name)
        if own is None:
            return False
        wanted = _listed(levels)
        if own in wanted or (name in self.missing and MISSING in wanted):
            return True
        if not exclusive and not self.members[name].isdisjoint(wanted):
            return True
        return name in self.could and all(one.is_among(wanted, exclusive) for one in self.could[name])


@dataclass(frozen=True, slots=True)
class AttributePolicy:
    """What a site decided about one attribute: is it core, is it monitored, may a card name its groups.

    `labels` are plain words for levels ("people aged 30 to 39"); a level without one is named as it is.
    """

    name: str
    core: bool
    monitor: bool
    display: Display
    labels: Mapping[str, str]

    def label(self, level: str) -> str:
        """Plain words for a level."""
        return self.labels.get(level, level)


@dataclass(frozen=True, slots=True)
class SubgroupScheme:
    """The attributes and crossings a site looks at, each with its policy.

    `bands` are the site's age bands, to tell which of them an imprecise birth date leaves open.
    """

    attributes: Mapping[str, AttributePolicy]
    crossings: tuple[tuple[str, ...], ...] = ()
    bands: AgeBands | None = None

    def __post_init__(self) -> None:
        if not self.attributes:
            raise UnusableScheme("`attributes` is empty: declare one, so that every patient is in a group.")
        for crossing in self.crossings:
            self._check(crossing)

    def _check(self, crossing: tuple[str, ...]) -> None:
        name = _CROSSED.join(crossing)
        if len(crossing) < 2 or len(set(crossing)) < len(crossing):
            raise UnusableScheme(f"`crossings`: `{name}` needs two or more different attributes.")
        for part in crossing:
            if part not in self.attributes:
                raise UnusableScheme(f"`crossings`: `{name}` has `{part}`, which `attributes` lacks.")

    def assign(self, demographics: Demographics) -> PatientSubgroups:
        """The subgroups of one patient; never empty.

        An attribute that is declared and yet not among the demographics was not read: `not_fetched`.
        """
        found = {name: demographics.get(name, _NOT_READ) for name in self.attributes}
        levels = {name: attribute.level for name, attribute in found.items()}
        members = {name: frozenset(attribute.members) for name, attribute in found.items()}
        missing = {name: reason for name, attribute in found.items() if (reason := attribute.missing)}
        whole = [crossing for crossing in self.crossings if missing.keys().isdisjoint(crossing)]
        return PatientSubgroups(
            MappingProxyType(levels),
            MappingProxyType(members),
            MappingProxyType(missing),
            tuple(cross(crossing, levels) for crossing in whole),
            MappingProxyType(dict(self._known_in_part(demographics, found))),
        )

    def _known_in_part(
        self, demographics: Demographics, found: Mapping[str, Attribute]
    ) -> Iterator[tuple[str, tuple[Possibility, ...]]]:
        age = found.get(AGE_BAND)
        if age and age.missing and demographics.age and self.bands:
            touched = _touched(self.bands, demographics.age)
            yield AGE_BAND, tuple(Possibility(band, frozenset({band})) for band in touched)
        combined = found.get(RACE_ETHNICITY)
        if combined and combined.value and combined.value.endswith(_ETHNICITY_UNKNOWN):
            yield RACE_ETHNICITY, _with_an_ethnicity(combined.value, combined.members)

    def display_of(self, attributes: Iterable[str]) -> Display:
        """What a card may say about a group of these attributes together: the strictest of them.

        An attribute nobody declared is `never` named.
        """
        policies = (self.attributes.get(name) for name in attributes)
        return Display.strictest(policy.display if policy else Display.NEVER for policy in policies)


def _listed(levels: Sequence[str]) -> Sequence[str]:
    return (levels,) if isinstance(levels, str) else levels


def is_missing(level: str) -> bool:
    """Whether a level says that there is no value: `missing` or `missing:<reason>`."""
    return level.partition(":")[0] == MISSING


def possible_groups(rules: DemographicRules, attribute: str) -> tuple[str, ...]:
    """The levels that are one group of people: what a value that is not on file could be."""
    several = (_SEVERAL, _NOT_HISPANIC + _SEVERAL)
    levels = rules.levels(attribute)
    return tuple(one for one in levels if one not in several and not one.endswith(_ETHNICITY_UNKNOWN))


def _touched(bands: AgeBands, age: AgeSpan) -> tuple[str, ...]:
    """Every band a kept span reaches into; the oldest age that is kept stands for all that are older."""
    open_ended = age.oldest >= OLDEST_AGE_KEPT
    reached = (band for band in bands.bands if open_ended or band.first <= age.oldest)
    return tuple(band.label for band in reached if age.youngest < band.end)


def _with_an_ethnicity(level: str, members: Iterable[str]) -> tuple[Possibility, ...]:
    """A race without an ethnicity is Hispanic of any race, or that race and not Hispanic (SPD 15 of 1997)."""
    others = frozenset(_not_hispanic(member) for member in members)
    return Possibility(_HISPANIC, frozenset({_HISPANIC})), Possibility(_not_hispanic(level), others)


def _not_hispanic(level: str) -> str:
    return _NOT_HISPANIC + level.removesuffix(_ETHNICITY_UNKNOWN)


def cross(attributes: Sequence[str], levels: Mapping[str, str]) -> Subgroup:
    """The cell of a crossing that these levels fall into."""
    return Subgroup(_CROSSED.join(attributes), _CROSSED.join(levels[name] for name in attributes))
