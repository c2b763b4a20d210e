"""`model_card.yaml`: what is known about the model, by whom it was said, and what nobody has said.

The fields follow the Coalition for Health AI's Applied Model Card and the source attributes of HTI-1
(45 CFR 170.315(b)(11)(iv)(B)); the rows under `evidence.metrics` and `training.demographics` are our own,
because neither holds figures by patient group.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cds_wrapper.caveats.model_card import IntervalKind, Metric, State
from cds_wrapper.services.fields import FileModel, Horizon, Name, SystemCode, Where, Words, at_most_words

STATES = frozenset(state.value for state in State)
FRACTIONS = frozenset({Metric.AUROC, Metric.AUPRC, Metric.BRIER}) | {
    metric for metric in Metric if metric.needs_threshold
}


class StatedFile(FileModel):
    """One descriptive field: what is said, or that nothing is.

    Plain text is short for `{state: reported, value: ...}`, and the bare name of a state (`not_reported`)
    for `{state: ...}`.
    """

    state: State = Field(State.REPORTED, description="Whether the developer says it.")
    value: Words | None = Field(None, description="What is said; needed when it is reported.")
    source: Words | None = Field(None, description="Where it is said: a document and its date.")

    @model_validator(mode="before")
    @classmethod
    def _from_plain_text(cls, written: object) -> object:
        if isinstance(written, str):
            return {"state": written} if written in STATES else {"value": written}
        return written

    @model_validator(mode="after")
    def _said_or_not(self) -> StatedFile:
        if (self.state is State.REPORTED) != (self.value is not None):
            raise ValueError("needs a `value` exactly when its `state` is `reported`.")
        return self


NOT_REPORTED = StatedFile(state=State.NOT_REPORTED)


def _stated(description: str) -> StatedFile:
    """A field that reads as "not reported" when the card does not have it."""
    field: StatedFile = Field(default=NOT_REPORTED, description=description)
    return field


class DeveloperFile(FileModel):
    """Who made the model (HTI-1 attributes 1 and 2)."""

    name: Words = Field(description="The developer's name; stands on every card.")
    contact: StatedFile = _stated("How to reach the developer.")
    funding: StatedFile = _stated("Who paid for the development.")


class OutputFile(FileModel):
    """What the model gives (HTI-1 attributes 3 and 4)."""

    description: StatedFile = _stated("The value produced.")
    kind: StatedFile = _stated("Prediction, classification, recommendation, evaluation, analysis or other.")
    unit: StatedFile = _stated("Its unit.")
    range: StatedFile = _stated("Lowest and highest value.")
    direction: StatedFile = _stated("Whether a higher value means more risk.")
    thresholds: StatedFile = _stated("Values at which something is meant to be done.")


class PurposeFile(FileModel):
    """What the model is for (HTI-1 attributes 5 to 8)."""

    intended_use: StatedFile = _stated("What it is meant to be used for.")
    population: StatedFile = _stated("Which patients it is meant for.")
    users: StatedFile = _stated("Who is meant to use it.")
    role: StatedFile = _stated("Whether it informs, augments or replaces a decision.")


class OutOfScopeRule(FileModel):
    """Patients whom the developer advises against scoring."""

    where: Where = Field(description="The groups, by attribute of `subgroups.yaml`.")
    say: Annotated[Words, at_most_words(6)] = Field(
        description='Whom it concerns, at most 6 words after "advises against this score for".'
    )
    source: Words | None = Field(None, description="Where the developer says so.")


class OutOfScopeFile(FileModel):
    """What the model is not for (HTI-1 attributes 9 and 10)."""

    cautions: StatedFile = _stated("Tasks, situations and populations cautioned against.")
    known_risks: StatedFile = _stated("Known risks and limitations.")
    rules: list[OutOfScopeRule] = Field(default_factory=list, description="Cautions a record can show.")


class TrainingGroup(FileModel):
    """How many of one group the model was trained on."""

    where: Where = Field(description="The group; `{}` is everybody.")
    state: State = Field(State.REPORTED, description="Whether the developer says it.")
    n: int | None = Field(None, ge=0, description="People of this group in the training data.")
    share: float | None = Field(None, ge=0, le=1, description="Their share of the training data, 0 to 1.")
    as_reported: Words | None = Field(None, description="The group in the source's own words.")
    cite: Words | None = Field(None, description="Where it is said.")

    @model_validator(mode="after")
    def _said_or_not(self) -> TrainingGroup:
        if (self.state is State.REPORTED) != (self.n is not None or self.share is not None):
            raise ValueError("needs `n` or `share` exactly when its `state` is `reported`.")
        return self


class TrainingFile(FileModel):
    """What the model was made from (HTI-1 attributes 11, 13 and 14)."""

    criteria: StatedFile = _stated("Who was included and excluded.")
    period: StatedFile = _stated("From when to when.")
    sites: StatedFile = _stated("Where.")
    n: StatedFile = _stated("How many people.")
    relevance: StatedFile = _stated("How like they are to patients here.")
    demographics: list[TrainingGroup] = Field(default_factory=list, description="How many of each group.")


class MeasuredLessWellFile(FileModel):
    """A group in which an input is measured less accurately than in others."""

    where: Where = Field(description="The group, by attribute of `subgroups.yaml`.")
    direction: Literal["scores_too_low", "scores_too_high"] | None = Field(
        None, description="Which way the score errs by it; without it, either way."
    )
    recheck: Annotated[Words, at_most_words(12)] | None = Field(
        None,
        description="How to make sure, with the direction (`Readings may be too high: confirm with a gas.`):"
        " one or two sentences, at most 12 words in all.",
    )
    source: Words = Field(description="Where this was found.")

    @field_validator("where")
    @classmethod
    def _a_group(cls, where: dict[str, list[str]]) -> dict[str, list[str]]:
        if not where:
            raise ValueError("names nobody: what holds for everybody is no difference between groups.")
        return where


class InputFile(FileModel):
    """One input of the model (HTI-1 attribute 12)."""

    name: Words = Field(description="The input.")
    fhir_path: Words | None = Field(None, description="Where it stands in FHIR.")
    is_demographic: bool = Field(description="Whether it describes the person, as age or sex do.")
    doubted_codes: list[SystemCode] = Field(
        default_factory=list,
        description="Codes, as `system|code`, under which it is not what the model was made for. A card says"
        " so where an input of `service.yaml` came under one.",
    )
    measured_less_well: list[MeasuredLessWellFile] = Field(
        default_factory=list,
        description="Groups in which it is measured less accurately. A card says so where `name` is the name"
        " or the label of one of the service's inputs, and it was used.",
    )


class FairnessFile(FileModel):
    """What the developer did about fairness (HTI-1 attributes 15 and 16)."""

    approach: StatedFile = _stated("How the developer tried to make the output fair.")
    bias_management: StatedFile = _stated("How bias was looked for and reduced.")


class ExternalFile(FileModel):
    """Who tested the model outside its development (HTI-1 attributes 17 to 20)."""

    setting: StatedFile = _stated("Where it was tested.")
    party: StatedFile = _stated("By whom.")
    demographics: StatedFile = _stated("On whom.")
    process: StatedFile = _stated("How.")


class MetricRow(FileModel):
    """One figure for one group from one source, or the statement that there is none.

    A row with `state: not_reported` has no figure: it says that the group was looked for and not found.
    """

    id: Name = Field(description="Its name in records; unique in this card.")
    state: State = Field(State.REPORTED, description="Whether there is a figure.")
    metric: Metric = Field(description="What was measured; observed over expected is written `oe_ratio`.")
    source: Literal["development", "external"] = Field(
        description="`development`: the developer's own data; `external`: somebody else's."
    )
    outcome: Words = Field(description="What counted as an event; compared with the service's outcome.")
    horizon: Horizon = Field(description="Within which time, as an ISO 8601 duration.")
    where: Where = Field(description="The groups, by attribute of `subgroups.yaml`; `{}` is everybody.")
    view: Literal["exclusive", "alone_or_in_combination"] = Field(
        "alone_or_in_combination", description="Whether people of several races count in each of them."
    )
    as_reported: Words | None = Field(None, description='The group in the source\'s own words: "Asian/PI".')
    who: Words | None = Field(None, description='The people studied, fitting "in ...": `US veterans`.')
    threshold: float | None = Field(None, description="The score it was measured at, in the recorded unit.")
    n: int | None = Field(None, ge=0, description="People in the group.")
    positives: int | None = Field(None, ge=0, description="Of them, those with the event.")
    estimate: float | None = Field(None, description="The figure; fractions of 1, never per cent.")
    ci: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Its lower and upper limit."
    )
    interval_kind: IntervalKind = Field(
        IntervalKind.CONFIDENCE,
        description="What the limits are: confidence, quartiles, or one error.",
    )
    level: float = Field(0.95, gt=0, lt=1, description="Confidence of the interval, 0 to 1.")
    method: Words | None = Field(None, description="How it was computed.")
    period: Words | None = Field(None, description="When the data were gathered, in the source's words.")
    data_ended: int | None = Field(None, ge=1950, le=2100, description="Year in which the data end.")
    reference: Literal["rest"] | None = Field(
        None, description="`rest`: the figure holds against the others of the same study."
    )
    earlier_version: bool = Field(False, description="Whether it is about a former version of the model.")
    other_setting: bool = Field(False, description="Whether it is from another country or kind of care.")
    note: Words | None = Field(None, description="What a reader must know beside the figure.")
    cite: Words = Field(description="The source.")

    @field_validator("positives")
    @classmethod
    def _part_of_n(cls, positives: int | None, info: ValidationInfo) -> int | None:
        n = info.data.get("n")
        if positives is not None and n is not None and positives > n:
            raise ValueError("are more than `n`.")
        return positives

    @field_validator("estimate")
    @classmethod
    def _possible(cls, estimate: float | None, info: ValidationInfo) -> float | None:
        metric = info.data.get("metric")
        if estimate is not None and metric in FRACTIONS and not 0 <= estimate <= 1:
            raise ValueError(f"of `{metric.value}` is a fraction of 1, not a per cent.")
        if estimate is not None and metric is Metric.OE_RATIO and estimate <= 0:
            raise ValueError("of `oe_ratio` is above 0.")
        return estimate

    @field_validator("ci")
    @classmethod
    def _holds_the_estimate(cls, limits: list[float] | None, info: ValidationInfo) -> list[float] | None:
        estimate = info.data.get("estimate")
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError("must go from the lower to the upper limit.")
        if limits is not None and estimate is not None and not limits[0] <= estimate <= limits[1]:
            raise ValueError("does not hold the estimate.")
        return limits

    @model_validator(mode="after")
    def _said_or_not(self) -> MetricRow:
        if self.state is not State.REPORTED and (self.estimate is not None or self.ci is not None):
            raise ValueError(f"has a figure although its state is `{self.state.value}`.")
        if self.state is State.REPORTED and self.metric.needs_threshold and self.threshold is None:
            raise ValueError(f"needs a `threshold`: `{self.metric.value}` is measured at one.")
        return self


class EvidenceFile(FileModel):
    """What has been measured, by whom and in whom (HTI-1 attributes 21 to 25)."""

    as_of: date = Field(description="The day this evidence was gathered; its age is counted to it.")
    metrics: list[MetricRow] = Field(description="The figures, one row each.")
    outcome_studies: list[Words] = Field(default_factory=list, description="Studies of effects on patients.")


class MaintenanceFile(FileModel):
    """How the model is watched (HTI-1 attributes 26 and 28)."""

    validity_monitoring: StatedFile = _stated("How and how often its validity is watched.")
    fairness_monitoring: StatedFile = _stated("How and how often its fairness is watched.")


class UpdateFile(FileModel):
    """How the model is changed (HTI-1 attributes 30 and 31)."""

    schedule: StatedFile = _stated("How and how often it is updated.")
    correction: StatedFile = _stated("How often its performance is corrected when risks are found.")


class CardFile(FileModel):
    """What is known about one version of one model."""

    id: Name = Field(description="The model's id.")
    version: Words = Field(description="The version this card is about.")
    name: Words = Field(description="The model's name; stands on every card.")
    stage: StatedFile = _stated("Released, research, demonstration.")
    release_date: StatedFile = _stated("When this version was released.")
    developer: DeveloperFile = Field(description="Who made it.")
    output: OutputFile = Field(default_factory=OutputFile, description="What it gives.")
    purpose: PurposeFile = Field(default_factory=PurposeFile, description="What it is for.")
    out_of_scope: OutOfScopeFile = Field(default_factory=OutOfScopeFile, description="What it is not for.")
    inputs: list[InputFile] = Field(default_factory=list, description="What it is calculated from.")
    training: TrainingFile = Field(default_factory=TrainingFile, description="What it was made from.")
    fairness: FairnessFile = Field(default_factory=FairnessFile, description="What was done about fairness.")
    external: ExternalFile = Field(default_factory=ExternalFile, description="Who else tested it.")
    evidence: EvidenceFile = Field(description="What has been measured.")
    maintenance: MaintenanceFile = Field(default_factory=MaintenanceFile, description="How it is watched.")
    update: UpdateFile = Field(default_factory=UpdateFile, description="How it is changed.")
    regulatory: StatedFile = _stated("Status with regulators.")
    disclosure: StatedFile = _stated("What patients are told.")
    documents: list[Words] = Field(default_factory=list, description="Where its documents are.")
