"""What an edition leaves unsaid about one patient: groups nobody tested or reported, values not on file.

A value that is not on file is never guessed. Only values that it could have count: what would be so for each
of them is certain, what would be so for some of them only is a reason to say that something is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cds_wrapper.caveats.contents import BookContents
from cds_wrapper.caveats.model_card import Estimate, State, Where
from cds_wrapper.patient.subgroups import PatientSubgroups


@dataclass(frozen=True, slots=True)
class UnknownGroup:
    """An attribute without a value for this patient, although the value could change what is said.

    `finding` means that some group of it has a finding, a rule against it or was absent from training;
    `gap` that some group of it has no results while others have.
    """

    attribute: str
    finding: bool
    gap: bool


@dataclass(frozen=True, slots=True)
class _Coverage:
    """One reported figure as seen from one of its attributes: that key, and all the others."""

    own: Where
    others: Where
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """What one edition does not say; made once with it.

    `usable` are the figures that could make a finding, `denied` the rows that say of one exclusive group
    (several races) that nobody reports it, whatever is reported about people of each of them.
    """

    contents: BookContents
    by_attribute: Mapping[str, tuple[_Coverage, ...]]
    usable: tuple[Estimate, ...]
    denied: tuple[Estimate, ...]

    @classmethod
    def of(cls, contents: BookContents) -> Silence:
        """What these contents leave unsaid."""
        rows = contents.estimates
        return cls(
            contents,
            _covered(row for row in rows if contents.question.hears(row)),
            tuple(row for row in rows if row.id in contents.usable),
            tuple(row for row in rows if row.state is State.NOT_REPORTED and row.exclusive),
        )

    def absent(self, subgroups: PatientSubgroups) -> Iterator[Where]:
        """The patient's groups that training is known to lack and nobody tested since."""
        for group in self.contents.absent_from_training:
            if subgroups.speaks(group.where) and not self._tested_since(group.where, subgroups):
                yield group.where

    def _tested_since(self, where: Where, subgroups: PatientSubgroups) -> bool:
        tested = (row for row in self.usable if _is_within(row.where, where))
        return any(subgroups.speaks(row.where, row.exclusive) for row in tested)

    def unreported(self, subgroups: PatientSubgroups) -> Iterator[tuple[str, str]]:
        """Groups without results although siblings have some, for every group the patient could be in.

        A group the card itself puts out of scope is not asked for a second time.
        """
        advised_against = {
            name for rule in self.contents.out_of_scope if subgroups.speaks(rule.where) for name in rule.where
        }
        for attribute in self.by_attribute:
            if attribute not in subgroups.levels or attribute in advised_against:
                continue
            anything = attribute in subgroups.missing and attribute not in subgroups.could
            siblings = self._siblings(attribute, subgroups)
            if anything or not siblings:
                continue
            heard = any(subgroups.may_speak(row.own, row.exclusive) for row in siblings)
            if not heard or self._is_denied(attribute, siblings, subgroups):
                yield attribute, subgroups.levels[attribute]

    def _siblings(self, attribute: str, subgroups: PatientSubgroups) -> list[_Coverage]:
        """The figures by this attribute that could be about the patient's other groups."""
        rows = self.by_attribute.get(attribute, ())
        return [row for row in rows if subgroups.may_speak(row.others, row.exclusive)]

    def _is_denied(self, attribute: str, siblings: list[_Coverage], subgroups: PatientSubgroups) -> bool:
        """Whether the card says of the patient's exclusive group that nobody reports it, and nobody does."""
        level = subgroups.levels[attribute]
        denied = any(
            level in row.where.get(attribute, ()) and subgroups.may_speak(row.where, exclusive=True)
            for row in self.denied
        )
        return denied and not any(level in row.own[attribute] for row in siblings)

    def unknown(self, subgroups: PatientSubgroups) -> Iterator[UnknownGroup]:
        """The attributes missing or known in part whose value could change what is said."""
        for attribute in subgroups.unsettled:
            finding, gap = self._worse(attribute, subgroups), self._gap(attribute, subgroups)
            if finding or gap:
                yield UnknownGroup(attribute, finding, gap)

    def _worse(self, attribute: str, subgroups: PatientSubgroups) -> bool:
        """Whether some value, but not every one, would bring a finding, a rule or an absence with it."""
        contents = self.contents
        wheres = (
            *((finding.where, finding.exclusive) for finding in contents.findings),
            *((rule.where, False) for rule in contents.out_of_scope),
            *((group.where, False) for group in contents.absent_from_training),
        )
        return any(
            attribute in where
            and subgroups.may_speak(where, exclusive)
            and not subgroups.speaks({attribute: where[attribute]}, exclusive)
            for where, exclusive in wheres
        )

    def _gap(self, attribute: str, subgroups: PatientSubgroups) -> bool:
        """Whether some value that could be has no results while another has."""
        rows = self._siblings(attribute, subgroups)
        if attribute not in subgroups.could:
            heard = {level for row in rows for level in row.own[attribute]}
            return bool(rows) and not heard.issuperset(self.contents.known_levels.get(attribute, ()))
        if any(subgroups.speaks(row.own, row.exclusive) for row in rows):
            return False
        covered = {
            any(value.is_among(row.own[attribute], row.exclusive) for row in rows)
            for value in subgroups.could[attribute]
        }
        return len(covered) > 1


def _covered(rows: Iterable[Estimate]) -> dict[str, tuple[_Coverage, ...]]:
    found: dict[str, list[_Coverage]] = {}
    for row in rows:
        for name, levels in row.where.items():
            others = {other: named for other, named in row.where.items() if other != name}
            found.setdefault(name, []).append(_Coverage({name: levels}, others, row.exclusive))
    return {name: tuple(seen) for name, seen in found.items()}


def _is_within(narrow: Where, wide: Where) -> bool:
    """Whether a group has every key of another, each with a level in common."""
    return all(not set(levels).isdisjoint(narrow.get(name, ())) for name, levels in wide.items())
