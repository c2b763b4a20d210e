"""`plan.yaml`: what the governance board decided ahead. Signed by whoever commits it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field

from cds_wrapper.caveats.plan import PAUSED_CARD_FOR, OnError, WithoutLedger
from cds_wrapper.services.fields import DayOrNever, Days, FileModel, Words

Share = Annotated[float, Field(gt=0, lt=1)]
ResponseName = Literal["annotate", "withhold", "shadow"]


class ApprovedFile(FileModel):
    """What the board has seen and approved."""

    versions: list[Words] = Field(
        min_length=1, description="Versions of the model; a version not listed runs in shadow."
    )
    model_card: str = Field(
        description="Digest of the bytes of `model_card.yaml`; a changed comment changes it too.",
    )
    on: date | None = Field(None, description="Day of the approval, for the page behind a card.")
    by: Words | None = Field(None, description="Role that approved it; a role, not a person.")


class RespondFile(FileModel):
    """Caveat level -> what happens to the card."""

    limited: ResponseName = Field("annotate", description="Evidence is thin, old or not from here.")
    not_assessed: ResponseName = Field("annotate", description="A detail that decides is missing.")
    not_validated: ResponseName = Field("annotate", description="No evidence for patients like this one.")
    reduced: ResponseName = Field("annotate", description="The score is known to work less well for them.")


class ReplacementFile(FileModel):
    """Words of the board's own in place of the shipped ones."""

    show: Words | None = Field(None, description="Full text where figures may be shown.")
    never: Words | None = Field(None, description="Full text where they may not.")
    short: Words | None = Field(None, description="Short form for the card's summary.")


class MonitoringFile(FileModel):
    """How the model is looked at after go-live. Errors and margins are conventions that a board owns."""

    look_every: Days = Field(
        timedelta(days=1), description="Time between two runs of `review`; it is overdue after twice that."
    )
    review_every: Days = Field(
        timedelta(days=91), description="Time between two dated reviews, as `P91D`; `review` runs daily."
    )
    outcomes_within: Days = Field(
        timedelta(days=35), description="Time within which outcomes have to arrive once they are due."
    )
    act_within: Days = Field(timedelta(days=14), description="Time the owner has to act on a finding.")
    owner: Words | None = Field(None, description="Role that findings go to; a role, not a person.")
    family_error: Share = Field(
        0.05, description="Chance that any group is ever found to be off wrongly, in the life of a version."
    )
    model_error: Share = Field(0.05, description="The same for the model as a whole.")
    sensitivity_margin: Share = Field(0.05, description="How much lower a group's sensitivity may be.")
    auroc_margin: Share = Field(0.05, description="How much lower a group's AUROC may be.")
    too_good: Share = Field(0.95, description="An AUROC that is surely above this is looked into.")
    known_share_fall: Share = Field(
        0.05, description="A fall of the known share of outcomes from quarter to quarter that is a finding."
    )
    missing_share_rise: Share = Field(
        0.05, description="A rise of the share without a value, by attribute, that is a finding."
    )


class PlanFile(FileModel):
    """What is done about a caveat, an error and a record that cannot be written."""

    version: int = Field(ge=1, description="Number of this plan; raised with every change.")
    approved: ApprovedFile = Field(description="What the board has seen and approved.")
    respond: RespondFile = Field(default_factory=RespondFile, description="Caveat level -> what is done.")
    live_since: DayOrNever | None = Field(
        None,
        description="Day on which clinicians first saw the score (UTC). `never`, or a day to come: it runs"
        " in shadow without a card. Left out: it was always seen, and they are told when it is not.",
    )
    paused_card_for: Days = Field(
        PAUSED_CARD_FOR,
        description="How long a card tells that the service was stopped or put in shadow, as `P14D`; at most"
        " `P366D`, and with `P0D` not at all.",
    )
    on_error: OnError = Field(
        OnError.CARD, description="When we fail ourselves: a truthful card, no card, or an HTTP error."
    )
    without_ledger: WithoutLedger = Field(
        WithoutLedger.WITHHOLD,
        description="When no record can be written, the score is not shown; a card says so.",
    )
    monitoring: MonitoringFile = Field(
        default_factory=MonitoringFile, description="How the model is looked at after go-live."
    )
    limits: dict[str, float] = Field(
        default_factory=dict, description="Cut-offs that differ from the shipped ones, by name."
    )
    wording: dict[str, ReplacementFile] = Field(
        default_factory=dict, description="Id of a text -> words in its place."
    )
