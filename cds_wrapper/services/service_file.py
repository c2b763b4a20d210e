"""`service.yaml`: what the integration team writes. Discovery entry, prefetch, vendor, time budget."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from cds_wrapper.caveats.plan import OnError
from cds_wrapper.services.cards_file import CardsFile
from cds_wrapper.services.features_file import FeatureFile
from cds_wrapper.services.fields import (
    AnswerPath,
    FileModel,
    Name,
    OneOrMore,
    Span,
    Words,
    at_most_words,
)
from cds_wrapper.services.outcome_file import EpisodesFile, FurtherOutcomeFile, OutcomeFile
from cds_wrapper.services.protocols_file import InferenceFile, MLflowFile, PythonFile, RestFile, StandIns
from cds_wrapper.services.score_card_file import BandFile, ScoreCardFile, TimeZoneName
from cds_wrapper.services.vendor_file import (
    AuthenticationFile,
    CircuitFile,
    OfferFile,
    TLSFile,
    UserReference,
    feedback_choice,
    is_address,
)

LONGEST_BUDGET = timedelta(seconds=10)


class ScoreFile(FileModel):
    """Where the score stands in the vendor's answer."""

    path: AnswerPath | None = Field(
        None,
        description="JMESPath to the number in the answer; names with dots are quoted. Needed for `cds-hooks`"
        " and `rest`; `open-inference` says by itself where it stands.",
    )
    kind: Literal["probability", "percent", "index", "rank"] = Field(
        description="`percent` is divided by 100 once, on arrival, and recorded as a probability."
    )
    range: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(
        description="Lowest and highest value the vendor may send, in its own unit; outside it is unreadable."
    )

    @field_validator("range")
    @classmethod
    def _from_low_to_high(cls, limits: list[float], info: ValidationInfo) -> list[float]:
        if limits[0] >= limits[1]:
            raise ValueError("must go from the lowest to the highest value.")
        bounds = {"probability": (0.0, 1.0), "percent": (0.0, 100.0)}.get(info.data.get("kind", ""))
        if bounds and not bounds[0] <= limits[0] < limits[1] <= bounds[1]:
            raise ValueError(f"must lie within {bounds[0]:g} to {bounds[1]:g} for this kind of score.")
        return limits

    @property
    def recorded_range(self) -> tuple[float, float]:
        """The range in the unit that is recorded: a per cent as a fraction of 1."""
        unit = 100 if self.kind == "percent" else 1
        return self.range[0] / unit, self.range[1] / unit


class ModelFile(FileModel):
    """Which model answers."""

    id: Name = Field(description="The model's id; must be that of `model_card.yaml`.")
    version: Words = Field(description="The version agreed on; used when the vendor's answer names none.")
    version_path: AnswerPath | None = Field(None, description="JMESPath to the version in the answer.")


class MissingInputsFile(FileModel):
    """How a refusal with status 412 is read."""

    path: AnswerPath = Field(description="JMESPath into the body of the 412 that gives a list of codes.")
    names: dict[str, Annotated[Words, at_most_words(5)]] = Field(
        description="The vendor's code -> its name on a card, at most 5 words. Others are not named."
    )


class VendorFile(FileModel):
    """Whom to ask, and how to read the answer."""

    protocol: Words = Field(
        description="How to speak to it: `cds-hooks`, `open-inference`, `mlflow`, `rest`, `python`, or the"
        " name of an adapter that another package brings."
    )
    url: Annotated[Words, AfterValidator(is_address)] | None = Field(
        None,
        description="http(s) address of the vendor's service (`cds-hooks`, `rest`) or of its server"
        " (`open-inference`, `mlflow`). For `rest` it may hold `{patient}` or `{encounter}` of `look_up`.",
    )
    hook: Words | None = Field(
        None, description="The hook the vendor knows this by; without it, the EHR's own word."
    )
    authentication: AuthenticationFile | None = Field(
        None, description="How our calls are signed; without it, they are not."
    )
    tls: TLSFile | None = Field(None, description="Mutual TLS, and a CA for this vendor alone.")
    most_in_flight: int = Field(
        64,
        ge=1,
        le=1000,
        description="Calls to it at one time; one more is not sent, and a card says so at once.",
    )
    circuit: CircuitFile = Field(CircuitFile(), description="When it is given a rest, and for how long.")
    discovery: OfferFile | None = Field(
        None, description="Where the vendor says which services it has; without it, nobody looks."
    )
    developer_label: Words | None = Field(
        None, description="The developer's name on a card; without it, that of the model card."
    )
    prefetch: list[str] | None = Field(
        None, description="The prefetch keys the vendor asked for and is sent; without it, all of them."
    )
    context: list[Words] = Field(
        default_factory=list,
        description="Fields of the hook's context that the vendor may see beyond ids and references, such as"
        " `draftOrders`. They are searched for other patients first.",
    )
    extensions: list[Words] = Field(
        default_factory=list,
        description="Members of the EHR's `extension` that the vendor may see; some name staff.",
    )
    unknown_user: UserReference | None = Field(
        None,
        description="What the vendor is told where the EHR names no user and the hook requires one, as"
        " agreed with it: `Practitioner/unknown`. Without it such a call is not sent, and a card says so.",
    )
    hook_instance: Literal["fresh", "same"] = Field(
        "fresh", description="Whether each call has an id of its own, or the EHR's where it is a UUID."
    )
    feedback: Annotated[Words, AfterValidator(feedback_choice)] = Field(
        "off",
        description="Whether the vendor hears what became of its cards: `off`, `on` (the address of its"
        " service with `/feedback` behind it) or another address. Comments are never sent.",
    )
    inference: InferenceFile | None = Field(
        None, description="For `open-inference`: the model on its server."
    )
    mlflow: MLflowFile | None = Field(None, description="For `mlflow`: the columns of the model.")
    rest: RestFile | None = Field(None, description="For `rest`: what is sent.")
    python: PythonFile | None = Field(None, description="For `python`: the callable.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="For an adapter that another package brings: whatever it wants."
    )
    send_when_missing: StandIns = Field(
        default_factory=dict,
        description="Feature -> what the model is sent when it has no value, as its developer says."
        " Without it the feature is left out.",
    )
    score: ScoreFile | None = Field(
        None, description="How the score is read; without it (`cds-hooks` alone), none is recorded."
    )
    model: ModelFile = Field(description="Which model answers.")
    missing_inputs: MissingInputsFile | None = Field(None, description="How a 412 is read.")
    flags: dict[Name, AnswerPath] = Field(
        default_factory=dict,
        description="What is looked for beside the score, by id: a JMESPath to `true` or `false` (or 1 or 0)"
        " in the answer. An answer without it is unreadable. For `score_card.flags`.",
    )

    @property
    def feedback_address(self) -> str | None:
        """Where feedback goes; None when it goes nowhere."""
        if self.feedback == "off":
            return None
        return f"{(self.url or '').rstrip('/')}/feedback" if self.feedback == "on" else self.feedback


class ThresholdFile(FileModel):
    """A score from which something happens."""

    id: Name = Field(description="Its name in the record.")
    at: float = Field(description="The score from which a patient is flagged, in the recorded unit.")


class IdentifiersFile(FileModel):
    """The identifier systems the warehouse keys by, in order of preference."""

    patient: list[Words] = Field(default_factory=list, description="Systems of `Patient.identifier`.")
    encounter: list[Words] = Field(
        default_factory=list, description="Systems of `Encounter.identifier`; with one the Encounter is read."
    )


class ServiceFile(FileModel):
    """One CDS service as the EHR sees it."""

    id: Name = Field(description="The service's id: the last part of its address and the name of its folder.")
    hook: OneOrMore = Field(
        description="The CDS Hooks hook it answers, or a list of them; a local one has a reverse domain."
    )
    title: Words = Field(description="Its name for people; stands on cards of our own.")
    description: Words = Field(description="What it does, for the discovery document.")
    usage_requirements: Words | None = Field(
        None, description="What it needs to work well, for the discovery document."
    )
    cds_hooks_3: bool = Field(
        False,
        description="Whether its EHRs read CDS Hooks 3.0 (ballot): discovery then names `version` and"
        " `hookVersion`, and a query may hold a date such as `{{today() - 90 days}}`.",
    )
    contact: Words = Field(description="Whom a clinician asks; stands on cards of our own.")
    outcome: OutcomeFile = Field(description="What the score predicts.")
    outcomes: list[FurtherOutcomeFile] = Field(
        default_factory=list, description="Further outcomes, which the score is held against at equal score."
    )
    episodes: EpisodesFile = Field(
        EpisodesFile(), description="How predictions become episodes, fixed before anybody looks."
    )
    prefetch: dict[str, Words] = Field(description="Prefetch key -> FHIR query with CDS Hooks tokens.")
    patient: str = Field(description="The prefetch key that holds the Patient.")
    time_budget: Span = Field(description="Time for one answer, all included: `PT0.5S`; at most `PT10S`.")
    ledger_reserve: Span = Field(
        timedelta(seconds=0.1), description="Part of the budget kept for the record; the vendor has the rest."
    )
    vendor: VendorFile = Field(description="Whom to ask, and how to read the answer.")
    features: dict[Name, FeatureFile] = Field(
        default_factory=dict, description="The model's inputs: its name for each -> where it is found."
    )
    thresholds: list[ThresholdFile] = Field(
        default_factory=list, description="Scores from which something happens; the first one flags."
    )
    bands: list[BandFile] = Field(default_factory=list, description="Names for ranges of scores, in order.")
    score_card: ScoreCardFile | None = Field(
        None,
        description="The card of a vendor that gives a score and no cards; needs `thresholds` and `bands`.",
    )
    time_zone: TimeZoneName | None = Field(
        None,
        description="The time zone of the clock on the ward's wall, as `America/New_York`; without it a card"
        " says a time in UTC.",
    )
    identifiers: IdentifiersFile = Field(
        default_factory=IdentifiersFile, description="The identifier systems the warehouse keys by."
    )
    on_vendor_failure: OnError = Field(
        OnError.CARD, description="When the vendor gives nothing: a truthful card, no card, or an HTTP error."
    )
    cards: CardsFile = Field(
        default_factory=CardsFile, description="What of the vendor's cards may pass, beyond words."
    )
    displayed: Literal["shown", "silent", "unknown"] = Field(
        "unknown", description="Whether the EHR shows this service's cards; some run a service silently."
    )

    @field_validator("time_budget")
    @classmethod
    def _a_budget(cls, budget: timedelta) -> timedelta:
        if not timedelta(0) < budget <= LONGEST_BUDGET:
            raise ValueError("must be more than nothing and at most `PT10S`.")
        return budget

    @field_validator("ledger_reserve")
    @classmethod
    def _a_part(cls, reserve: timedelta, info: ValidationInfo) -> timedelta:
        if not timedelta(0) < reserve < info.data.get("time_budget", LONGEST_BUDGET):
            raise ValueError("must be more than nothing and less than `time_budget`.")
        return reserve

    @field_validator("thresholds", "bands")
    @classmethod
    def _each_once(cls, named: list[ThresholdFile | BandFile]) -> list[ThresholdFile | BandFile]:
        ids = [item.id for item in named]
        if len(set(ids)) < len(ids):
            raise ValueError("uses an `id` twice.")
        return named

    @field_validator("bands")
    @classmethod
    def _upwards(cls, bands: list[BandFile]) -> list[BandFile]:
        limits = [band.below for band in bands[:-1] if band.below is not None]
        if bands and (len(limits) < len(bands) - 1 or bands[-1].below is not None):
            raise ValueError("need `below` on every band but the last.")
        if limits != sorted(set(limits)):
            raise ValueError("must be listed from low to high.")
        return bands
