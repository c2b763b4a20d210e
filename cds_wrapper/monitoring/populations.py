"""Whom a model card says the model met: its training data, and each study of others elsewhere.

A share is the card's own, or people of the group over people of everybody. Nothing is made up: a group the
card says nothing about has no share, which is another thing than a share of nought.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cds_wrapper.caveats.evidence import Estimate, EvidenceSource, ModelCard, State, TrainingGroup

Levels = tuple[str, ...]


class Kind(enum.Enum):
    """What a population was used for."""

    TRAINING = "training"
    EXTERNAL = "external"
    LAST_QUARTER = "last_quarter"


@dataclass(frozen=True, slots=True)
class Population:
    """Shares of groups in one population, by attribute and then by levels (several: any of them).

    A share of None says that the group is named and that its number is not given.
    """

    kind: Kind
    name: str
    shares: Mapping[str, Mapping[Levels, float | None]]


def training_population(card: ModelCard) -> Population:
    """The people the model was trained on."""
    total = next((group.n for group in card.training if not group.where), None)
    found: dict[str, dict[Levels, float | None]] = {}
    for group in card.training:
        if len(group.where) == 1:
            ((attribute, levels),) = group.where.items()
            found.setdefault(attribute, {})[tuple(levels)] = _share(group, total)
    return Population(Kind.TRAINING, "the training data", found)


def external_populations(card: ModelCard) -> tuple[Population, ...]:
    """The people of every study by others that gives numbers for everybody and for groups."""
    by_study: dict[str, list[Estimate]] = {}
    for row in card.estimates:
        if row.source is EvidenceSource.EXTERNAL and row.n is not None:
            by_study.setdefault(row.cite or "a source that is not named", []).append(row)
    populations = (_external(cite, rows) for cite, rows in by_study.items())
    return tuple(one for one in populations if one.shares)


def _external(cite: str, rows: Iterable[Estimate]) -> Population:
    rows = list(rows)
    total = max((row.n or 0 for row in rows if not row.where), default=0)
    found: dict[str, dict[Levels, float | None]] = {}
    for row in rows:
        if len(row.where) == 1 and total and row.n is not None and row.n <= total:
            ((attribute, levels),) = row.where.items()
            found.setdefault(attribute, {}).setdefault(tuple(levels), row.n / total)
    return Population(Kind.EXTERNAL, cite, found)


def _share(group: TrainingGroup, total: int | None) -> float | None:
    if group.state is not State.REPORTED:
        return None
    if group.share is not None:
        return group.share
    return None if group.n is None or not total else group.n / total


def last_quarter(counts: Mapping[str, Mapping[str, int]]) -> Population:
    """Our own patients of the quarter before, as a population like the others."""
    shares: dict[str, Mapping[Levels, float | None]] = {}
    for attribute, levels in counts.items():
        total = sum(levels.values())
        if total:
            shares[attribute] = {(level,): n / total for level, n in levels.items()}
    return Population(Kind.LAST_QUARTER, "the quarter before", shares)
