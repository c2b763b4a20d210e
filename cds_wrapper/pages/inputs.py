"""What a score is calculated from that may be in doubt, for the page behind a card. Pure.

A group is named only where a card may name it; the source of what is known is named in any case.
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


def doubted_inputs(service: ServiceDefinition) -> tuple[DoubtedInput, ...]:
    """Every input that is known to be measured less accurately in some group, in the order of the card."""
    return tuple(_doubted(rule, service) for rule in service.book.contents.measured_less_well)


def _doubted(rule: MeasuredLessWell, service: ServiceDefinition) -> DoubtedInput:
    who = "; ".join(_labels(rule, service)) or "some patients, whom this page does not name"
    known = f"Measured less accurately in {who}."
    return DoubtedInput(rule.input, f"{known} {rule.recheck}" if rule.recheck else known, rule.source or "")


def _labels(rule: MeasuredLessWell, service: ServiceDefinition) -> Iterator[str]:
    """What the groups of a rule are called; nothing unless all of them may be named."""
    if service.scheme.display_of(tuple(rule.where)) is not Display.SHOW:
        return
    for attribute, levels in rule.where.items():
        labels = service.scheme.attributes[attribute].labels
        yield from (labels.get(level, level) for level in levels)
