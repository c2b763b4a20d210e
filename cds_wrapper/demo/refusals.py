"""The model's inputs by name, and the words in which one of them is refused."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cds_wrapper.demo.prevent import Range


class Input(enum.StrEnum):
    """The inputs by the names the vendor uses in a refusal."""

    AGE = "age"
    SEX = "sex"
    TOTAL_CHOLESTEROL = "total_cholesterol"
    HDL = "hdl"
    SYSTOLIC_PRESSURE = "systolic_pressure"
    EGFR = "egfr"
    BMI = "bmi"
    DIABETES = "diabetes"
    SMOKING = "smoking"
    ANTIHYPERTENSIVE = "antihypertensive"
    STATIN = "statin"


LABELS: Final[Mapping[Input, str]] = {
    Input.AGE: "age",
    Input.SEX: "sex",
    Input.TOTAL_CHOLESTEROL: "total cholesterol",
    Input.HDL: "HDL cholesterol",
    Input.SYSTOLIC_PRESSURE: "systolic blood pressure",
    Input.EGFR: "estimated glomerular filtration rate",
    Input.BMI: "body mass index",
    Input.DIABETES: "diabetes",
    Input.SMOKING: "smoking status",
    Input.ANTIHYPERTENSIVE: "blood pressure medicine",
    Input.STATIN: "statin",
}


class Why(enum.Enum):
    """Why an input cannot be used."""

    MISSING = "missing"
    UNUSABLE = "unusable"
    OUTSIDE = "outside the allowed range"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One input that cannot be used; `text` names the input and the limits, never the patient's value."""

    input: Input
    why: Why
    text: str


Refusals = tuple[Refusal, ...]


def missing(name: Input) -> Refusal:
    return Refusal(name, Why.MISSING, f"{LABELS[name]}: not recorded, or not sent")


def unusable(name: Input) -> Refusal:
    return Refusal(name, Why.UNUSABLE, f"{LABELS[name]}: recorded, but in no form that can be used")


def outside(name: Input, allowed: Range) -> Refusal:
    return Refusal(name, Why.OUTSIDE, f"{LABELS[name]}: outside {allowed}")


def refusals_in(*parts: object) -> Refusals:
    """Pick the refusals out of values and refusals."""
    return tuple(part for part in parts if isinstance(part, Refusal))
