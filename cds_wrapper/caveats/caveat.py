"""What a caveat is: a level, its reasons, and what may happen to a card. Values; `policy` makes them.

These are the closed lists that records, plans and words share, each in its order.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import total_ordering
from typing import assert_never

from cds_wrapper.caveats.evidence import GENERAL, Direction, Figures


@total_ordering
class CaveatLevel(enum.Enum):
    """How far a score may be relied on for a patient, best to worst."""

    SUPPORTED = "supported"
    LIMITED = "limited"
    NOT_ASSESSED = "not_assessed"
    NOT_VALIDATED = "not_validated"
    REDUCED = "reduced"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, CaveatLevel):
            return NotImplemented
        return _RANK[self] < _RANK[other]

    @staticmethod
    def worst(levels: Iterable[CaveatLevel]) -> CaveatLevel:
        """The worst of several; `supported` when there is none."""
        return max(levels, key=_RANK.__getitem__, default=CaveatLevel.SUPPORTED)


_RANK = {level: rank for rank, level in enumerate(CaveatLevel)}


@total_ordering
class Disposition(enum.Enum):
    """What happens to a card, mildest to strongest: `plan` decides it, the words follow it."""

    SHOW = "show"
    ANNOTATE = "annotate"
    LOWER_URGENCY = "lower_urgency"
    WITHHOLD = "withhold"
    SHADOW = "shadow"
    STOP = "stop"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Disposition):
            return NotImplemented
        return _STRENGTH[self] < _STRENGTH[other]


_STRENGTH = {disposition: rank for rank, disposition in enumerate(Disposition)}


class Reason(enum.Enum):
    """Why a level is not the best one: a closed list, in the order a card gives them."""

    KNOWN_GAP = "known_gap"
    OUT_OF_SCOPE = "out_of_scope"
    NOT_REPRESENTED = "not_represented"
    DOUBTFUL_INPUT = "doubtful_input"
    MISSING_INPUT = "missing_input"
    LABEL_MISMATCH = "label_mismatch"
    UNDER_REVIEW = "under_review"
    NOT_REPORTED = "not_reported"
    THIN_EVIDENCE = "thin_evidence"
    GROUP_UNKNOWN = "group_unknown"


MISSING_AS_NORMAL = f"{Reason.MISSING_INPUT.value}:{Direction.SCORES_TOO_LOW.value}"
"""The reason that a missing input was counted as normal, as records and pages call it."""


class Scope(enum.Enum):
    """Whom a reason holds for: every patient of the service today, or patients like this one."""

    MODEL = "model"
    PATIENT = "patient"


class Side(enum.Enum):
    """On which side of the service's first threshold a score lies; `any` where it makes no difference."""

    LOW = "low"
    HIGH = "high"
    ANY = "any"


@dataclass(frozen=True, slots=True, repr=False)
class CaveatReason:
    """One reason, with what its words need.

    `attributes` are those whose display policy governs the words, `groups` (attribute, level) the groups the
    reason is about as far as each has one name. `figures` are raw, per 100. `external` says that it was seen
    elsewhere, not here. `inputs` (name, label) are the model's inputs it is about; the label is empty for one
    that describes the person. `recheck` is how to measure one again.
    """

    reason: Reason
    scope: Scope
    direction: Direction | None = None
    side: Side | None = None
    attributes: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    finding_id: str | None = None
    rule_say: str | None = None
    figures: Figures | None = None
    external: bool = False
    since: date | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    recheck: str | None = None

    def __repr__(self) -> str:
        return f"CaveatReason({self.text!r})"

    @property
    def level(self) -> CaveatLevel:
        """The level this reason alone would give."""
        match self.reason:
            case Reason.KNOWN_GAP | Reason.OUT_OF_SCOPE:
                return CaveatLevel.REDUCED
            case Reason.NOT_REPRESENTED:
                return CaveatLevel.NOT_VALIDATED
            case Reason.NOT_REPORTED:
                return CaveatLevel.NOT_VALIDATED if self.scope is Scope.PATIENT else CaveatLevel.LIMITED
            case Reason.GROUP_UNKNOWN:
                return CaveatLevel.NOT_ASSESSED
            case (
                Reason.UNDER_REVIEW
                | Reason.THIN_EVIDENCE
                | Reason.DOUBTFUL_INPUT
                | Reason.MISSING_INPUT
                | Reason.LABEL_MISMATCH
            ):
                return CaveatLevel.LIMITED
            case _:
                assert_never(self.reason)

    @property
    def matters(self) -> bool:
        """Whether its direction can matter here: missed cases concern low scores, false alarms high ones."""
        match self.direction:
            case Direction.MISSES_MORE:
                return self.side is not Side.HIGH
            case Direction.FALSE_ALARMS_MORE:
                return self.side is not Side.LOW
            case Direction.SCORES_TOO_LOW | Direction.SCORES_TOO_HIGH | None:
                return True
            case _:
                assert_never(self.direction)

    @property
    def text(self) -> str:
        """As the record writes it: `reason[:direction[:side]]`, the side where the words differ by it."""
        parts = [self.reason.value]
        if self.direction:
            parts.append(self.direction.value)
            if (
                self.reason is Reason.KNOWN_GAP
                and self.side
                and self.direction is not Direction.SCORES_TOO_LOW
            ):
                parts.append(self.side.value)
        return ":".join(parts)

    @property
    def key(self) -> str:
        """What the address of its page is made from, with the edition; never a group."""
        if self.finding_id is not None:
            return self.finding_id
        return MISSING_AS_NORMAL if self.text == MISSING_AS_NORMAL else self.reason.value

    @property
    def labels(self) -> tuple[str, ...]:
        """What a card calls the inputs it is about."""
        return tuple(label for _, label in self.inputs)


@dataclass(frozen=True, slots=True)
class Caveat:
    """How far a score may be relied on for one patient, and every reason, strongest first."""

    level: CaveatLevel
    reasons: tuple[CaveatReason, ...] = ()

    @property
    def scope(self) -> Scope | None:
        """`patient` when a reason is specific to this patient's groups; None without a reason."""
        if not self.reasons:
            return None
        return max((reason.scope for reason in self.reasons), key=lambda scope: scope is Scope.PATIENT)

    @property
    def texts(self) -> tuple[str, ...]:
        """The reasons as the record writes them, each once."""
        return tuple(dict.fromkeys(reason.text for reason in self.reasons))

    @property
    def key(self) -> str:
        """The key of the page behind the card: that of the first reason that gives the level."""
        return next((reason.key for reason in self.reasons if reason.level is self.level), GENERAL)
