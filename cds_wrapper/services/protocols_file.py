"""The parts of `vendor` in `service.yaml` that belong to one protocol: how a bare score is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from cds_wrapper.services.fields import (
    HEADER_NAME,
    TAKEN_HEADERS,
    AnswerPath,
    FileModel,
    Span,
    Words,
    written,
)
from cds_wrapper.vendors.score_only import SentValue

Datatype = Literal[
    "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL",
    "BYTES",
]  # fmt: skip

Segment = Annotated[
    str, written(r"\w[\w.-]{0,127}", "may hold letters, digits, `-`, `_` and `.` only: it is in an address.")
]
"""A name that stands in an address as it is."""


def _whole(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("is not the whole path of a folder.")
    return path


def _column_names(value: object) -> object:
    """`[age, sex]` is short for `{age: age, sex: sex}`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


Columns = Annotated[dict[str, Words], BeforeValidator(_column_names), Field(min_length=1)]
"""The model's own name of each column -> the feature in it, in order; a list where they are the same."""


class TensorFile(FileModel):
    """One input of the model."""

    name: Words = Field(description="Its name there, such as `input-0`.")
    datatype: Datatype = Field("FP64", description="Its datatype in the protocol's words.")
    features: Annotated[list[Words], Field(min_length=1)] | None = Field(
        None, description="The features in it, in the model's order; without it, the one of its own name."
    )

    @property
    def of(self) -> tuple[str, ...]:
        """The features in it."""
        return tuple(self.features or (self.name,))


class InferenceFile(FileModel):
    """For `open-inference`: which model of the server, what it is sent and which number is the score."""

    model: Segment = Field(description="The model's name on the server.")
    version: Segment | None = Field(
        None,
        description="The server's own name of the version `vendor.model.version`; stands in the address."
        " Without it the server's default answers, and is recorded under the name it gives.",
    )
    inputs: Annotated[list[TensorFile], Field(min_length=1)] = Field(
        description="The tensors: one with all features, one for each feature, or any mixture."
    )
    output: Words = Field(
        description="The output that is asked for by name: `predict_proba` for scikit-learn in MLServer."
    )
    column: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Which number of the output's row is the score, from 0: a classifier's `1` is the second"
        " class. Without it the output must be a single number.",
    )
    also: list[Words] = Field(
        default_factory=list, description="Further outputs to ask for, where `vendor.flags` are looked for."
    )
    batched: bool = Field(
        True, description="Whether shapes begin with the number of rows, `[1, n]`; `false` for `[n]`."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of each request, such as `content_type: pd` for a data frame in MLServer.",
    )

    @field_validator("parameters")
    @classmethod
    def _plain(cls, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if not all(isinstance(value, str | int | float | bool) for value in parameters.values()):
            raise ValueError("holds texts, numbers, `true` and `false` only.")
        return parameters

    @field_validator("inputs")
    @classmethod
    def _each_once(cls, tensors: list[TensorFile]) -> list[TensorFile]:
        if len({one.name for one in tensors}) < len(tensors):
            raise ValueError("uses a `name` twice.")
        return tensors


class MLflowFile(FileModel):
    """For `mlflow`: the columns of the one row that is sent, and which number of the answer is the score."""

    form: Literal["dataframe_split", "dataframe_records", "inputs"] = Field(
        "dataframe_split", description="What MLflow's scoring server calls the form of the request."
    )
    inputs: Columns = Field(
        description="The model's column -> the feature in it, in order; a list where the names are the same."
    )
    column: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Which number of the row in `predictions` is the score, from 0: a classifier's `1` is the"
        " second class. Without it the row must be a single number; `score.path` says it otherwise.",
    )


class LookUpFile(FileModel):
    """For a vendor that scores on its own schedule and is asked for the latest score it has."""

    patient: Words | None = Field(
        None,
        description="System of the `Patient.identifier` it knows the patient by, or `fhir-id` for the EHR's"
        " own id; `{patient}` stands for the value.",
    )
    encounter: Words | None = Field(
        None, description="The same of `Encounter.identifier`; `{encounter}` stands for the value."
    )
    time: AnswerPath = Field(description="JMESPath to the score's own time, ISO 8601 with an offset or `Z`.")
    oldest: Span = Field(description="From which age on a score is not shown, such as `PT6H`.")
    echo: AnswerPath | None = Field(
        None,
        description="JMESPath to where the answer repeats the identifier; a score under another is not used.",
    )

    @field_validator("oldest")
    @classmethod
    def _a_time(cls, oldest: timedelta) -> timedelta:
        if oldest <= timedelta(0):
            raise ValueError("must be more than nothing.")
        return oldest

    @model_validator(mode="after")
    def _by_something(self) -> LookUpFile:
        if self.patient is None and self.encounter is None:
            raise ValueError("needs `patient` or `encounter`: by what is a score looked up?")
        return self


class RestFile(FileModel):
    """For `rest`: what is sent. Where the score stands in the answer is said by `vendor.score.path`."""

    method: Literal["POST", "GET"] = Field("POST", description="`GET` only with `look_up`; it has no body.")
    body: Any = Field(
        None,
        description='The JSON body as YAML, with `"{name}"` in quotes where a feature goes. Without it, all'
        " features in one object under their own names.",
    )
    headers: dict[str, Words] = Field(
        default_factory=dict,
        description="Further headers; `{patient}` and `{encounter}` of `look_up` may be there.",
    )
    look_up: LookUpFile | None = Field(
        None,
        description="For a vendor that has scored already: by what it is asked, and how old a score may be.",
    )

    @field_validator("headers")
    @classmethod
    def _free(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in headers.items():
            if not HEADER_NAME.fullmatch(name.lower()) or name.lower() in {"authorization", *TAKEN_HEADERS}:
                raise ValueError(f"`{name}` is no header that can be set here.")
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"`{name}` holds what a header cannot.")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("names a header twice; capitals make no difference.")
        return headers


class PythonFile(FileModel):
    """For `python`: a callable of the site's own, run in a process of its own."""

    call: Annotated[
        str,
        written(
            r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
            "is not `package.module:function`, as `our_models.news2:score`.",
        ),
    ] = Field(description="`package.module:function`. It is given the features by name and returns a number.")
    folder: Annotated[Words, AfterValidator(_whole)] | None = Field(
        None, description="The folder the package is in, a whole path; without it, it must be installed."
    )
    environment: list[Words] = Field(
        default_factory=list,
        description="Names of environment variables it may see beside `PATH` and the locale.",
    )


def _sendable(values: Mapping[str, Any]) -> Mapping[str, SentValue]:
    if not all(value is None or isinstance(value, str | int | float | bool) for value in values.values()):
        raise ValueError("holds texts, numbers, `true`, `false` and `null` only.")
    return values


StandIns = Annotated[dict[str, Any], AfterValidator(_sendable)]
"""Feature -> what the model is sent when it has no value."""
