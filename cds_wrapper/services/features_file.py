"""`features` of `service.yaml`: the inputs of the model, and how each is found in what the EHR has."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from cds_wrapper.services.fields import FileModel, OneOrMore, SystemCode, Words, at_most_words
from cds_wrapper.vendors.feature_dates import ELAPSED_UNITS
from cds_wrapper.vendors.features import IfMissing

_FARTHEST: Final = timedelta(days=54_750)
_BACK: Final = re.compile(r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?)?", re.ASCII)


def _look_back(value: object) -> object:
    match = _BACK.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(part and int(part) for part in match.groups()):
        raise ValueError("is no length of time to look back: write `PT24H`, `P7D` or `P365D`.")
    weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
    minutes += 60 * (hours + 24 * (days + 7 * weeks))
    if minutes > _FARTHEST // timedelta(minutes=1):
        raise ValueError(f"looks back further than anybody's life: at most {_FARTHEST.days} days.")
    return timedelta(minutes=minutes)


LookBack = Annotated[
    timedelta, BeforeValidator(_look_back), WithJsonSchema({"type": "string", "format": "duration"})
]
"""How far back a value may lie, in weeks, days, hours and minutes: `PT24H`, `P365D`."""


def _ascending(limits: list[float]) -> list[float]:
    if limits[0] >= limits[1]:
        raise ValueError("must go from the lowest to the highest value.")
    return limits


class FeatureFile(FileModel):
    """One input of the model."""

    label: Annotated[Words, at_most_words(5)] = Field(description="Its name on a card, at most 5 words.")
    prefetch: OneOrMore | None = Field(
        None, description="The prefetch key it is looked for in, or several of them."
    )
    context: Words | None = Field(
        None, description="The field of the hook's context it is looked for in, instead of a prefetch key."
    )
    type: Words = Field("Observation", description="Type of the resources looked at; others are passed over.")
    codes: list[SystemCode] = Field(
        default_factory=list,
        description="Codes that count, as `system|code`: of the resource, or of an Observation's component.",
    )
    prefer: Literal["newest", "first_code"] = Field(
        "newest", description="Which of several counts: the newest, or the code that is listed first."
    )
    path: Words | None = Field(
        None,
        description="FHIRPath from the resource (or the matching component) to the value; without it, an"
        " Observation's own value. Of `presence` and `count` it is the condition on what counts.",
    )
    kind: Literal["number", "boolean", "code", "text", "presence", "count", "elapsed"] = Field(
        "number",
        description="What the model is given. `presence`: whether there is a match; `count`: how many;"
        " `elapsed`: the time from a date to the call, in `unit` (`a` for an age in completed years).",
    )
    unit: Words | None = Field(None, description="UCUM unit the model is given the number in: `mm[Hg]`.")
    other_units: dict[str, Words] = Field(
        default_factory=dict, description="What a system here writes for a unit -> the UCUM unit it means."
    )
    molar_mass: float | None = Field(
        None,
        gt=0,
        description="Of the substance, in g/mol: lets mass and amount be converted (mg/dL, mmol/L).",
    )
    range: Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_ascending)] | None = (
        Field(
            None, description="Lowest and highest value that can be true, in `unit`; outside it is missing."
        )
    )
    within: LookBack | None = Field(None, description="How far back it may lie: `PT24H`, `P365D`.")
    status: list[Words] | None = Field(
        None, description="Statuses that count; without it, those in force for the type (of `final` kind)."
    )
    answers: dict[str, str | float] | None = Field(
        None,
        description="What an answer means: `system|code`, or its text in small letters -> what the model is"
        " given (of a boolean `yes` or `no`). `unknown` says that nobody knows, which is missing.",
    )
    not_listed: Literal["no", "unknown"] = Field(
        "unknown", description="What it means that a search came back whole and without a match."
    )
    bounds: Literal["refuse", "use"] = Field(
        "refuse", description="Whether a value such as `<5` or `>90` may stand for 5 or 90."
    )
    if_missing: IfMissing = Field(
        description="Without it: `required` no score; `omitted` the model copes; `counted_as_normal` a points"
        " score counts nothing for it, so the true score may be higher; `not_judged` the vendor may have it"
        " from elsewhere and says itself when it lacks it."
    )
    keep_value: bool = Field(
        False, description="Whether the record keeps its value, beside where it came from."
    )

    @model_validator(mode="after")
    def _from_one_place(self) -> FeatureFile:
        if (self.prefetch is None) == (self.context is None):
            raise ValueError("needs either `prefetch` or `context`: where it is looked for.")
        return self

    @model_validator(mode="after")
    def _a_number_has_a_unit(self) -> FeatureFile:
        if self.kind == "elapsed" and (self.unit not in ELAPSED_UNITS or self.path is None):
            raise ValueError(f"needs a `path` to a date, and a `unit` of time: {', '.join(ELAPSED_UNITS)}.")
        if self.kind not in ("number", "elapsed") and self.unit is not None:
            raise ValueError(f"has a `unit`, which a `{self.kind}` has not.")
        if self.range is not None and self.kind not in ("number", "count", "elapsed"):
            raise ValueError(f"has a `range`, which a `{self.kind}` has not.")
        return self

    @model_validator(mode="after")
    def _answers_where_they_count(self) -> FeatureFile:
        if self.answers is not None and self.kind not in ("boolean", "code"):
            raise ValueError(f"has `answers`, which a `{self.kind}` has not.")
        if self.kind == "boolean" and not set((self.answers or {}).values()) <= {"yes", "no", "unknown"}:
            raise ValueError("is a boolean, so `answers` mean `yes`, `no` or `unknown`.")
        return self

    @model_validator(mode="after")
    def _no_only_where_it_can_be(self) -> FeatureFile:
        if self.not_listed == "no" and self.kind not in ("presence", "boolean"):
            raise ValueError("says `not_listed: no`, which only a `presence` or a `boolean` can be.")
        return self
