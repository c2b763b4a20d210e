"""What a score is calculated from that may be in doubt: behind a card, and on the model's own page. Pure.

Behind a card a group is named only where a card may name it. Nor is the source named there: its title may
name the group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds_wrapper.caveats.evidence import MeasuredLessWell
from cds_wrapper.patient.subgroups import Display
from cds_wrapper.services import ServiceDefinition


@dataclass(frozen=True, slots=True)
class DoubtedInput:
    """One input: what it is called, what is known of it, and from where."""

    input: str
    known: str
    source: str


def doubted_inputs(service: ServiceDefinition, *, all_groups: bool) -> tuple[DoubtedInput, ...]:
    """Every input that is known to be measured less accurately in some group, in the order of the card."""
    return tuple(_doubted(rule, service, all_groups) for rule in service.book.contents.measured_less_well)


def _doubted(rule: MeasuredLessWell, service: ServiceDefinition, all_groups: bool) -> DoubtedInput:
    is_named = all_groups or service.scheme.display_of(tuple(rule.where)) is Display.SHOW
    who = "; ".join(_labels(rule, service)) if is_named else "some patients, whom this page does not name"
    known = f"Measured less accurately in {who}."
    said = f"{known} {rule.recheck}" if rule.recheck else known
    return DoubtedInput(rule.input, said, (rule.source or "") if is_named else "")


def _labels(rule: MeasuredLessWell, service: ServiceDefinition) -> Iterator[str]:
    """What the groups of a rule are called here."""
    for attribute, levels in rule.where.items():
        labels = service.scheme.attributes[attribute].labels
        yield from (labels.get(level, f"{attribute} {level}") for level in levels)
