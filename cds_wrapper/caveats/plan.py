"""What was decided ahead: a caveat -> what happens to the card.

A plan is signed by the hospital's board before anything goes wrong; the program only carries it out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.evidence import DEFAULT_LIMITS, Limits
from cds_wrapper.vendors.base import NoPrediction, Prediction

__all__ = ["Disposition", "OnError", "ResponsePlan", "WithoutLedger"]

_ANNOTATED = {level: Disposition.ANNOTATE for level in CaveatLevel if level is not CaveatLevel.SUPPORTED}


class OnError(enum.Enum):
    """What is returned when we fail ourselves: a truthful card, no card, or an HTTP error."""

    CARD = "card"
    EMPTY = "empty"
    ERROR = "error"


class WithoutLedger(enum.Enum):
    """What is done when no record can be written: the score is not shown, and a card says so."""

    WITHHOLD = "withhold"


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The board's decisions for one service.

    `version` counts the plan's changes, `digest` is that of its file. A model version that is not among
    `approved_versions` runs in shadow: vendors change models silently. `approved_cards` are the digests of
    the model cards that were read and signed; `approved_on` and `approved_by` (a role) say when and by whom.
    `respond` says what each level does to a card; a level that is not there is annotated, and `supported` is
    shown as it is.
    """

    version: str
    digest: str
    approved_versions: frozenset[str]
    approved_cards: frozenset[str] = frozenset()
    approved_on: date | None = None
    approved_by: str | None = None
    respond: Mapping[CaveatLevel, Disposition] = field(default_factory=dict)
    on_error: OnError = OnError.CARD
    without_ledger: WithoutLedger = WithoutLedger.WITHHOLD
    wording_overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS

    def approves(self, version: str) -> bool:
        """Whether the board has approved this version of the model."""
        return version in self.approved_versions

    def settle(self, caveat: Caveat, prediction: Prediction | NoPrediction) -> Disposition:
        """What happens to the card. A failure is never hidden: its own card is always shown."""
        if isinstance(prediction, NoPrediction):
            return Disposition.ANNOTATE
        if not self.approves(prediction.model.version):
            return Disposition.SHADOW
        if caveat.level is CaveatLevel.SUPPORTED:
            return Disposition.SHOW
        return self.respond.get(caveat.level, _ANNOTATED[caveat.level])
