"""The source attributes of a model in the order of HTI-1 (45 CFR 170.315(b)(11)(iv)(B)). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cds_wrapper.caveats.evidence import ModelCard, State, Stated
from cds_wrapper.pages.names import readable

_STATES: Final[Mapping[State, str]] = {
    State.REPORTED: "",
    State.NOT_REPORTED: "not reported",
    State.NOT_AVAILABLE: "not available",
    State.NOT_APPLICABLE: "not applicable",
}


@dataclass(frozen=True, slots=True)
class SourceAttribute:
    """One attribute: what it is, what is said, where that is said; `said` is False when nothing is."""

    label: str
    value: str
    source: str
    said: bool


@dataclass(frozen=True, slots=True)
class AttributeGroup:
    """Attributes under one heading."""

    title: str
    attributes: tuple[SourceAttribute, ...]


_GROUPS: Final[Mapping[str, Mapping[str, str]]] = {
    "The model": {
        "stage": "Stage",
        "release_date": "Released",
        "developer.contact": "Developer’s contact",
        "developer.funding": "Funding",
    },
    "What it gives": {
        "output.description": "Output",
        "output.kind": "Kind",
        "output.unit": "Unit",
        "output.range": "Range",
        "output.direction": "Direction",
        "output.thresholds": "Thresholds",
    },
    "What it is for": {
        "purpose.intended_use": "Intended use",
        "purpose.population": "Intended patients",
        "purpose.users": "Intended users",
        "purpose.role": "Role in the decision",
        "out_of_scope.cautions": "Cautioned against",
        "out_of_scope.known_risks": "Known risks and limits",
    },
    "What it was made from": {
        "training.criteria": "Who was included and excluded",
        "training.period": "Period",
        "training.sites": "Places",
        "training.n": "People",
        "training.relevance": "Likeness to patients here",
    },
    "Fairness": {
        "fairness.approach": "Approach",
        "fairness.bias_management": "Looking for and reducing bias",
    },
    "Tests by others": {
        "external.setting": "Where",
        "external.party": "By whom",
        "external.demographics": "On whom",
        "external.process": "How",
    },
    "Upkeep": {
        "maintenance.validity_monitoring": "Watching its validity",
        "maintenance.fairness_monitoring": "Watching its fairness",
        "update.schedule": "Updates",
        "update.correction": "Corrections",
        "regulatory": "Regulatory status",
        "disclosure": "What patients are told",
    },
}
_NOTHING: Final = Stated(State.NOT_REPORTED)


def source_attributes(card: ModelCard, hidden: frozenset[str]) -> list[AttributeGroup]:
    """Every attribute, also those nobody states; a sentence with a hidden name is said to be elsewhere."""
    return [
        AttributeGroup(
            title,
            tuple(_attribute(label, card.facts.get(key, _NOTHING), hidden) for key, label in fields.items()),
        )
        for title, fields in _GROUPS.items()
    ]


def _attribute(label: str, stated: Stated, hidden: frozenset[str]) -> SourceAttribute:
    value = stated.value or _STATES[stated.state]
    source = readable(stated.source or "", hidden)
    return SourceAttribute(label, readable(value, hidden), source, stated.state is State.REPORTED)
