"""`outcome` and `outcomes` of `service.yaml`: what a score is held against, and where that is read."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from cds_wrapper.services.fields import FileModel, Horizon, Span, Words, at_most_words, written
from cds_wrapper.services.outcomes import (
    Codes,
    EpisodeKind,
    EpisodeRule,
    Index,
    Outcome,
    OutcomeKind,
    ResourceRule,
    Role,
    TableRule,
)

Element = Annotated[str, StringConstraints(pattern=r"[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*", strict=True)]
"""An element of a resource, as `class` or `hospitalization.dischargeDisposition`."""
CodeOrBeginning = Annotated[
    Words, written(r"[^*]*[^*|]\*?", "may have one `*`, behind the beginning of a code, as `I21*`.")
]
"""A code, `system|code` or bare; with `*` behind it every code that begins so."""


_CODED: Final = {
    "Condition": ("category", "clinicalStatus", "code", "severity", "verificationStatus"),
    "Encounter": (
        "class",
        "hospitalization.admitSource",
        "hospitalization.dischargeDisposition",
        "priority",
        "reasonCode",
        "serviceType",
        "status",
        "type",
    ),
    "Observation": ("category", "code", "interpretation", "status", "valueCodeableConcept"),
    "Procedure": ("category", "code", "outcome", "reasonCode", "status"),
}
_DATED: Final = {
    "Condition": ("abatementDateTime", "onsetDateTime", "onsetPeriod.start", "recordedDate"),
    "Encounter": ("period.end", "period.start"),
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod.start", "issued"),
    "Procedure": ("performedDateTime", "performedPeriod.end", "performedPeriod.start"),
}


class EventFile(FileModel):
    """Which FHIR resources are events."""

    resource: Literal["Condition", "Encounter", "Observation", "Procedure"] = Field(
        description="Type of the resources, one NDJSON file of a bulk export each."
    )
    where: dict[Element, list[CodeOrBeginning]] = Field(
        default_factory=dict,
        description="Element -> codes it may have, as `system|code` or the bare code; each must have one."
        " `I21*` is every code that begins with I21.",
    )
    unless: dict[Element, list[CodeOrBeginning]] = Field(
        default_factory=dict, description="Element -> codes with which it is no event: planned stays, say."
    )
    at: list[Element] = Field(
        min_length=1, description="Elements with its moment, as `period.start`; the first that is there."
    )
    value: Element | None = Field(
        None,
        description="Element with a number: what is added up of a count or a cost, or held against `above`.",
    )
    above: float | None = Field(None, description="It is an event when `value` is greater.")

    @model_validator(mode="after")
    def _known_elements(self) -> EventFile:
        for name in (*self.where, *self.unless):
            _known(name, _CODED[self.resource], f"a coded element of {self.resource}")
        for name in self.at:
            _known(name, _DATED[self.resource], f"a moment of {self.resource}")
        return self

    @model_validator(mode="after")
    def _above_what(self) -> EventFile:
        if self.above is not None and self.value is None:
            raise ValueError("`above` needs `value`: the element with the number.")
        return self

    def built(self) -> ResourceRule:
        """As the rest of the house sees it."""
        return ResourceRule(
            self.resource,
            {name: Codes.written(*codes) for name, codes in self.where.items()},
            {name: Codes.written(*codes) for name, codes in self.unless.items()},
            tuple(self.at),
            self.value,
            self.above,
        )


def _known(name: str, known: tuple[str, ...], what: str) -> None:
    """A misspelt element would make every patient one without an event."""
    if name not in known:
        raise ValueError(f"`{name}` is not {what} that is read here; those are {', '.join(known)}.")


class ColumnsFile(FileModel):
    """Which columns of a CSV or Parquet file say what."""

    patient: Words | None = Field(None, description="The patient's identifier.")
    patient_system: Words | None = Field(
        None, description="Its system; without it the first of `identifiers.patient`."
    )
    encounter: Words | None = Field(None, description="The encounter's identifier.")
    encounter_system: Words | None = Field(
        None, description="Its system; without it the first of `identifiers.encounter`."
    )
    prediction: Words | None = Field(None, description="The id of the prediction, from an export of ours.")
    at: Words | None = Field(None, description="When the event was, a date or a time in ISO 8601.")
    label: Words | None = Field(None, description="1 or 0: a row per case, which says what became of it.")
    state: Words | None = Field(
        None,
        description="`event`, `no_event`, `censored`, `unverified`, `withdrawn`: a row per case.",
    )
    reason: Words | None = Field(
        None, description="Why it is censored: `left` (where nothing stands), `competing_event`, `excluded`."
    )
    value: Words | None = Field(None, description="How many or how much, for a count or a cost.")
    known_on: Words | None = Field(None, description="Since when it has been known.")
    id: Words | None = Field(
        None, description="What the source calls the row: a later row of that id replaces an earlier one."
    )

    @model_validator(mode="after")
    def _whose_and_when(self) -> ColumnsFile:
        if not (self.patient or self.encounter or self.prediction):
            raise ValueError("name whose outcome a row is: `patient`, `encounter` or `prediction`.")
        if not (self.at or self.label or self.state or self.value):
            raise ValueError("name what a row says: `at` for events, `label` or `state` for cases.")
        if self.label and self.state:
            raise ValueError("name one of `label` and `state`.")
        if self.reason and not self.state:
            raise ValueError("`reason` is read beside `state`.")
        return self

    def built(self) -> TableRule:
        """As the rest of the house sees it."""
        return TableRule(**self.model_dump())


class SourcesFile(FileModel):
    """How an outcome is known, and where it is read."""

    lead_time: Span = Field(
        timedelta(0),
        description="An event sooner after the prediction does not count: it was under way. `PT6H`.",
    )
    known_bias: Words | None = Field(
        None, description="What this definition gets wrong, and for whom; the report says it."
    )
    verified_by: Words | None = Field(None, description="How a case is told from none.")
    events: list[EventFile] = Field(
        default_factory=list, description="FHIR resources that are events, for bulk exports and searches."
    )
    tested_by: list[EventFile] = Field(
        default_factory=list,
        description="FHIR resources that show that somebody looked. With them, a patient without an event and"
        " without a test within the horizon is not verified, whatever the follow-up.",
    )
    death: bool = Field(False, description="Whether death is the event, or one of them (`Patient.deceased`).")
    death_competes: bool = Field(
        True, description="Whether who dies without the event before the horizon is over is censored."
    )
    columns: ColumnsFile | None = Field(None, description="The columns of a CSV or Parquet file.")


class OutcomeFile(SourcesFile):
    """What the score predicts."""

    name: Annotated[Words, at_most_words(2)] = Field(
        description='A noun of at most two words that fits "had ..." and "... cases": `sepsis`.'
    )
    phrase: Words | None = Field(None, description="The outcome in full, for the page behind the card.")
    horizon: Horizon = Field(description="Time within which it counts, in ISO 8601: `P10Y`, `PT48H`.")

    def built(self) -> Outcome:
        """As the rest of the house sees it; without a phrase its name stands for it."""
        return _built(self, OutcomeKind.BINARY, Role.LABEL)


class FurtherOutcomeFile(OutcomeFile):
    """Another outcome that the score is held against at equal score."""

    role: Literal["label", "need"] = Field(
        description="`label`: what the model was trained on; `need`: what it is used for."
    )
    kind: Literal["binary", "count", "cost"] = Field(
        "binary", description="Whether it happened, how often, or how much it cost."
    )

    @model_validator(mode="after")
    def _each_row_once(self) -> FurtherOutcomeFile:
        columns = self.columns
        if self.kind != "binary" and columns and columns.at and not columns.id:
            raise ValueError("name `columns.id`: of two rows of one moment the later replaces the earlier.")
        return self

    def built(self) -> Outcome:
        """As the rest of the house sees it."""
        return _built(self, OutcomeKind(self.kind), Role(self.role))


class EpisodesFile(FileModel):
    """How predictions become episodes, fixed before anybody looks."""

    kind: Literal["encounter", "horizon"] = Field(
        "horizon",
        description="What belongs together: an encounter, or whatever falls into the horizon of the first.",
    )
    index: Literal["first", "first_flagged", "maximum"] = Field(
        "first",
        description="Which prediction stands for it. With `maximum` nothing is said of calibration.",
    )

    def built(self) -> EpisodeRule:
        """As the rest of the house sees it."""
        return EpisodeRule(EpisodeKind(self.kind), Index(self.index))


def _built(file: OutcomeFile, kind: OutcomeKind, role: Role) -> Outcome:
    return Outcome(
        name=file.name,
        phrase=file.phrase or file.name,
        horizon=file.horizon,
        kind=kind,
        role=role,
        lead_time=file.lead_time,
        known_bias=file.known_bias,
        verified_by=file.verified_by,
        events=tuple(one.built() for one in file.events),
        tested_by=tuple(one.built() for one in file.tested_by),
        death=file.death,
        death_competes=file.death_competes,
        table=file.columns.built() if file.columns else None,
    )
