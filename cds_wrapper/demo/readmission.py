"""The demonstration's readmission model: the probability of coming back within 30 days of a hospital stay.

A logistic regression on five numbers of a stay. Its coefficients are in `readmission_model.json`, which
`python -m cds_wrapper.demo.train_readmission` writes from public data. Demonstration only: not a medical
device. Age, sex and race are no inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from cds_wrapper.demo.logistic import Row, expit, linear

MODEL_FILE: Final = "readmission_model.json"
MOST_STAYS: Final = 5
MOST_VISITS: Final = 4
MOST_DAYS: Final = 14
MOST_DIAGNOSES: Final = 9
"""Larger numbers count as these: few had more, and 14 days and 9 diagnoses are where the data end."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay at its end: stays and emergency visits in the year before, days, diagnoses, where to."""

    inpatient_stays: int
    emergency_visits: int
    days: int
    diagnoses: int
    elsewhere: bool

    @property
    def row(self) -> Row:
        """The model's inputs, the constant in front."""
        return (
            1.0,
            float(min(self.inpatient_stays, MOST_STAYS)),
            float(min(self.emergency_visits, MOST_VISITS)),
            float(min(self.days, MOST_DAYS)),
            float(min(self.diagnoses, MOST_DIAGNOSES)),
            float(self.elsewhere),
        )


TERMS: Final = ("constant", "inpatient_stays", "emergency_visits", "days", "diagnoses", "elsewhere")
"""Names of the coefficients, in the order of `Stay.row`; but for the first, the inputs' names on the wire."""


@dataclass(frozen=True, slots=True)
class ReadmissionModel:
    """Id, version and coefficients."""

    id: str
    version: str
    coefficients: Row

    def probability(self, stay: Stay) -> float:
        """Probability of an unplanned or planned return to hospital within 30 days."""
        return expit(linear(self.coefficients, stay.row))


@cache
def load_model() -> ReadmissionModel:
    """The model as it is shipped."""
    written = msgspec.json.decode(files("cds_wrapper.demo").joinpath(MODEL_FILE).read_bytes())
    return model_from(written)


def model_from(written: Mapping[str, Any]) -> ReadmissionModel:
    """Read the model file; `KeyError` when a coefficient is missing."""
    named = written["coefficients"]
    return ReadmissionModel(written["id"], written["version"], tuple(float(named[term]) for term in TERMS))
