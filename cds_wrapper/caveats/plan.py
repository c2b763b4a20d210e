"""What was decided ahead: a caveat -> what happens to the card.

A plan is signed by the hospital's board before anything goes wrong; the program only carries it out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.evidence import DEFAULT_LIMITS, Limits
from cds_wrapper.caveats.orders import Order, Standing
from cds_wrapper.vendors.base import NoPrediction, Prediction

__all__ = ["Disposition", "MonitoringPlan", "OnError", "ResponsePlan", "WithoutLedger"]

PAUSED_CARD_FOR = timedelta(days=14)
"""How long a card says that a service is stopped or paused: after that nobody is surprised any more."""

NEVER = date.max
"""The day on which a service was first shown that has not been shown yet."""

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
class MonitoringPlan:
    """What was decided ahead about looking: how often, which margins, and who answers for it.

    `look_every` is the time between two runs of `review`, `review_every` that between two dated ones.
    `family_error` is the chance that any group of a model equally good for all is ever found to be off, for
    the whole life of a version; `model_error` that of the model as a whole. `sensitivity_margin` and
    `auroc_margin` are how much lower a group's may be, as differences. An AUROC surely above `too_good` is
    looked into. A known share of outcomes that fell by `known_share_fall`, or a missing share that rose by
    `missing_share_rise`, is a finding. `owner` is the role that findings go to, `act_within` its time.
    """

    look_every: timedelta = timedelta(days=1)
    review_every: timedelta = timedelta(days=91)
    outcomes_within: timedelta = timedelta(days=35)
    act_within: timedelta = timedelta(days=14)
    owner: str | None = None
    family_error: float = 0.05
    model_error: float = 0.05
    sensitivity_margin: float = 0.05
    auroc_margin: float = 0.05
    too_good: float = 0.95
    known_share_fall: float = 0.05
    missing_share_rise: float = 0.05


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The board's decisions for one service.

    `version` counts the plan's changes, `digest` is that of its file. A model version that is not among
    `approved_versions` runs in shadow: vendors change models silently. `approved_cards` are the digests of
    the model cards that were read and signed; `approved_on` and `approved_by` (a role) say when and by whom.
    `respond` says what each level does to a card; a level that is not there is annotated, and `supported` is
    shown as it is. `live_since` is the day on which clinicians first saw the service (UTC): before it the
    service runs in shadow, without a card. `paused_card_for` is how long a card tells of an order.
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
    live_since: date = date.min
    paused_card_for: timedelta = PAUSED_CARD_FOR
    monitoring: MonitoringPlan = field(default_factory=MonitoringPlan)

    def approves(self, version: str) -> bool:
        """Whether the board has approved this version of the model."""
        return version in self.approved_versions

    def standing(self, order: Order | None, at: datetime) -> Standing | None:
        """What holds for a call of that moment whatever its prediction says; None where nothing does.

        A card tells of an order for as long as the plan says, counted in days (UTC), and only where
        clinicians had seen the service before.
        """
        imposed = order.decision.disposition if order else None
        if order is None or imposed is None:
            is_live = at.date() >= self.live_since
            return None if is_live else Standing(Disposition.SHADOW, card_is_due=False)
        since = order.since.date()
        is_recent = at.date() < (order.since + self.paused_card_for).date()
        return Standing(imposed, is_recent and since >= self.live_since, order.decision_id, since)

    def settle(
        self, caveat: Caveat, prediction: Prediction | NoPrediction, standing: Standing | None = None
    ) -> Disposition:
        """What happens to the card: the strongest of what stands and what version and caveat ask for.

        A failure is never hidden: its own card is shown, unless something stands.
        """
        asked_for = self._response(caveat, prediction)
        return max(asked_for, standing.disposition) if standing else asked_for

    def _response(self, caveat: Caveat, prediction: Prediction | NoPrediction) -> Disposition:
        if isinstance(prediction, NoPrediction):
            return Disposition.ANNOTATE
        if not self.approves(prediction.model.version):
            return Disposition.SHADOW
        if caveat.level is CaveatLevel.SUPPORTED:
            return Disposition.SHOW
        return self.respond.get(caveat.level, _ANNOTATED[caveat.level])
