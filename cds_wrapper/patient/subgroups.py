"""Demographics -> subgroups. Missing is a subgroup like any other, and a patient is in several at once."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from types import MappingProxyType

from cds_wrapper.errors import WrapperError
from cds_wrapper.patient.demographics import Attribute, Demographics, Missing

MISSING = "missing"
"""As a level in a `where`: missing for whatever reason. A single reason is `missing:<reason>`."""

_CROSSED = "*"
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
class PatientSubgroups:
    """The subgroups one patient belongs to.

    `levels` is the exclusive view, one level per attribute (`multiple` for several races,
    `missing:<reason>` when there is no value). `members` is the same patient alone or in combination, empty
    when missing. `crossings` are the declared ones of which every part is known: a crossing
    with a missing part belongs to no cell, and its parts already say that it is missing.
    """

    levels: Mapping[str, str]
    members: Mapping[str, frozenset[str]]
    missing: Mapping[str, Missing]
    crossings: tuple[Subgroup, ...]

    def __repr__(self) -> str:
        return f"PatientSubgroups({', '.join(self.levels)})"

    def subgroups(self) -> tuple[Subgroup, ...]:
        """The exclusive subgroups, then the crossings; never empty."""
        return (*(Subgroup(name, level) for name, level in self.levels.items()), *self.crossings)

    def texts(self) -> list[str]:
        """`subgroups` as the record's column of that name writes them."""
        return [subgroup.text for subgroup in self.subgroups()]

    def speaks(self, where: Mapping[str, Sequence[str]], exclusive: bool = False) -> bool:
        """Whether an estimate with this `where` is about this patient: every key holds.

        A key holds when any of its levels is the patient's own, alone or in combination unless `exclusive`.
        An empty `where` is about everybody; an attribute that is not collected is about nobody.
        """
        return all(self._holds(name, levels, exclusive) for name, levels in where.items())

    def _holds(self, name: str, levels: Sequence[str], exclusive: bool) -> bool:
        own = self.levels.get(name)
        if own is None:
            return False
        wanted = (levels,) if isinstance(levels, str) else levels
        if own in wanted or (name in self.missing and MISSING in wanted):
            return True
        return not exclusive and not self.members[name].isdisjoint(wanted)


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
    """The attributes and crossings a site looks at, each with its policy."""

    attributes: Mapping[str, AttributePolicy]
    crossings: tuple[tuple[str, ...], ...] = ()

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
        )

    def display_of(self, attributes: Iterable[str]) -> Display:
        """What a card may say about a group of these attributes together: the strictest of them.

        An attribute nobody declared is `never` named.
        """
        policies = (self.attributes.get(name) for name in attributes)
        return Display.strictest(policy.display if policy else Display.NEVER for policy in policies)


def cross(attributes: Sequence[str], levels: Mapping[str, str]) -> Subgroup:
    """The cell of a crossing that these levels fall into."""
    return Subgroup(_CROSSED.join(attributes), _CROSSED.join(levels[name] for name in attributes))
