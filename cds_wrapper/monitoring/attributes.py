"""Which groups are looked at: levels of attributes, declared crossings, races alone or in combination.

Everything is a `Partition`: it puts each episode into one cell. A group is one cell, its rest are the other
cells whose value is on record, so a figure of the rest is a sum over cells like any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cds_wrapper.monitoring.values import EVERYBODY, Group
from cds_wrapper.patient.demographics import Missing
from cds_wrapper.patient.rules import RACE
from cds_wrapper.patient.subgroups import is_missing
from cds_wrapper.services.definitions import ServiceDefinition

NOT_READ: Final = f"missing:{Missing.NOT_FETCHED.value}"
"""The level of an attribute whose column is empty: it was not read when the prediction was made."""

_MEMBER: Final = "member"
_IN, _OUT, _UNRECORDED = "in", "out", "missing"


@dataclass(frozen=True, slots=True)
class MonitoredAttributes:
    """What a site looks at.

    `crossings` are pairs or more of `attributes`, declared ahead. `in_combination` are members of the race
    column that hold alone or in combination. `levels` are those listed per attribute: each is a group even
    when nobody is in it. Every level that is found is a group too.
    """

    attributes: tuple[str, ...]
    crossings: tuple[tuple[str, ...], ...] = ()
    in_combination: tuple[str, ...] = ()
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def monitored(definition: ServiceDefinition) -> MonitoredAttributes:
    """Those of a service that its equity lead wants monitored; crossings of these alone."""
    policies = definition.scheme.attributes
    names = tuple(name for name, policy in policies.items() if policy.monitor)
    crossings = tuple(one for one in definition.scheme.crossings if set(one) <= set(names))
    levels = {name: definition.rules.levels(name) for name in names}
    races = tuple(one for one in levels.get(RACE, ()) if one != "multiple")
    return MonitoredAttributes(names, crossings, races, levels)


@dataclass(frozen=True, slots=True)
class Base:
    """One coded column: its name, the levels in order of their codes, and which of them are missing."""

    name: str
    levels: tuple[str, ...]
    missing: frozenset[int]

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.levels)


@dataclass(frozen=True, slots=True)
class Partition:
    """Cells that hold each episode once: the product of some coded columns, in that order.

    `groups` gives the cell of each group. `recorded` are the cells that can be somebody's rest.
    """

    bases: tuple[Base, ...]
    groups: tuple[tuple[Group, int], ...]
    recorded: frozenset[int]

    @property
    def size(self) -> int:
        """How many cells there are."""
        size = 1
        for base in self.bases:
            size *= base.size
        return size

    def rest(self, cell: int) -> tuple[int, ...]:
        """The cells of everybody else with a recorded value."""
        return tuple(sorted(self.recorded - {cell}))


def base_of(name: str, found: Sequence[str | None], listed: Sequence[str]) -> Base:
    """The levels found and listed: listed ones first in their order, then others, missing ones last."""
    texts = {NOT_READ if level is None else level for level in found}
    others = sorted(texts - set(listed), key=lambda level: (is_missing(level), level))
    levels = (*dict.fromkeys(listed), *others)
    return Base(name, levels, frozenset(i for i, level in enumerate(levels) if is_missing(level)))


def member_base(race: str) -> Base:
    """Whether a race is on record, alone or in combination."""
    return Base(f"{_MEMBER}:{race}", (_OUT, _IN, _UNRECORDED), frozenset({2}))


def member_of(base: Base) -> str | None:
    """The race a base is about, if it is one of `member_base`."""
    kind, _, race = base.name.partition(":")
    return race if kind == _MEMBER and race else None


def partitions(asked: MonitoredAttributes, bases: Mapping[str, Base]) -> Iterator[Partition]:
    """Everybody, then each attribute, each crossing, each race alone or in combination."""
    yield Partition((), ((EVERYBODY, 0),), frozenset())
    for name in asked.attributes:
        yield _of((bases[name],))
    for crossing in asked.crossings:
        yield _of(tuple(bases[name] for name in crossing))
    for race in asked.in_combination:
        base = member_base(race)
        yield Partition((base,), ((Group(((RACE, race),), exclusive=False), 1),), frozenset({0, 1}))


def _of(bases: tuple[Base, ...]) -> Partition:
    """An attribute has a group per level, missing ones too; a crossing only where every part is known."""
    groups, recorded = [], set()
    for cell, codes in enumerate(itertools.product(*(range(base.size) for base in bases))):
        pairs = list(zip(bases, codes, strict=True))
        is_known = all(code not in base.missing for base, code in pairs)
        if is_known:
            recorded.add(cell)
        if is_known or len(bases) == 1:
            groups.append((Group(tuple((base.name, base.levels[code]) for base, code in pairs)), cell))
    return Partition(bases, tuple(groups), frozenset(recorded))
