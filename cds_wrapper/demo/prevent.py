"""PREVENT base equations, 10-year risk: a published model written as a pure function.

Khan SS et al., "Development and Validation of the American Heart Association's PREVENT Equations",
Circulation 2024;149:430-449, supplement table S12A. PREVENT is a trademark of the American Heart Association.
This is a demonstration: it is not a medical device and nobody has endorsed it.

The equations take no race. They were made for ages 30 to 79; `risk` does not check that (see `RANGES`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

MODEL_ID = "prevent-base"
MODEL_VERSION = "2023.1"

_CHOLESTEROL_MMOL_PER_MG = 0.02586


class Sex(enum.Enum):
    """The two sexes the equations were fitted for."""

    FEMALE = "female"
    MALE = "male"


class Outcome(enum.Enum):
    """The three outcomes, each within 10 years."""

    TOTAL_CVD = "total_cvd"
    ASCVD = "ascvd"
    HEART_FAILURE = "heart_failure"


@dataclass(frozen=True, slots=True)
class Range:
    """An allowed range, both ends included."""

    low: float
    high: float
    unit: str

    def holds(self, value: float) -> bool:
        """Say whether `value` lies within the range."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}"


RANGES: Mapping[str, Range] = {
    "age": Range(30, 79, "years"),
    "total_cholesterol": Range(130, 320, "mg/dL"),
    "hdl": Range(20, 100, "mg/dL"),
    "systolic_pressure": Range(90, 180, "mm[Hg]"),
    "egfr": Range(15, 140, "mL/min/1.73 m2"),
    "bmi": Range(18.5, 39.9, "kg/m2"),
}
"""What the publication allows for each input."""


@dataclass(frozen=True, slots=True, repr=False)
class PreventInputs:
    """One patient's inputs.

    Age in years, cholesterol in mg/dL, pressure in mm[Hg], eGFR in mL/min/1.73 m2, BMI in kg/m2.
    """

    sex: Sex
    age: float
    total_cholesterol: float
    hdl: float
    systolic_pressure: float
    egfr: float
    diabetes: bool
    smoker: bool
    antihypertensive: bool
    statin: bool
    bmi: float | None = None

    def __repr__(self) -> str:
        return "PreventInputs(...)"


@dataclass(frozen=True, slots=True, repr=False)
class PreventRisk:
    """Probabilities (0 to 1) within 10 years; `heart_failure` is None without a body mass index."""

    total_cvd: float
    ascvd: float
    heart_failure: float | None

    def __repr__(self) -> str:
        return "PreventRisk(...)"


# Columns of the table below, in the order in which the supplement prints them.
_COLUMNS = (
    (Outcome.TOTAL_CVD, Sex.FEMALE),
    (Outcome.TOTAL_CVD, Sex.MALE),
    (Outcome.ASCVD, Sex.FEMALE),
    (Outcome.ASCVD, Sex.MALE),
    (Outcome.HEART_FAILURE, Sex.FEMALE),
    (Outcome.HEART_FAILURE, Sex.MALE),
)

# Supplement table S12A: one row a term, one column an outcome and sex. Terms are named in `_terms`.
_TABLE: Mapping[str, tuple[float, float, float, float, float, float]] = {
    "age": (0.7939329, 0.7688528, 0.719883, 0.7099847, 0.8998235, 0.8972642),
    "non_hdl": (0.0305239, 0.0736174, 0.1176967, 0.1658663, 0, 0),
    "hdl": (-0.1606857, -0.0954431, -0.151185, -0.1144285, 0, 0),
    "sbp_below_110": (-0.2394003, -0.4347345, -0.0835358, -0.2837212, -0.4559771, -0.6811466),
    "sbp_above_110": (0.3600781, 0.3362658, 0.3592852, 0.3239977, 0.3576505, 0.3634461),
    "diabetes": (0.8667604, 0.7692857, 0.8348585, 0.7189597, 1.038346, 0.923776),
    "smoker": (0.5360739, 0.4386871, 0.4831078, 0.3956973, 0.583916, 0.5023736),
    "bmi_below_30": (0, 0, 0, 0, -0.0072294, -0.0485841),
    "bmi_above_30": (0, 0, 0, 0, 0.2997706, 0.3726929),
    "egfr_below_60": (0.6045917, 0.5378979, 0.4864619, 0.3690075, 0.7451638, 0.6926917),
    "egfr_above_60": (0.0433769, 0.0164827, 0.0397779, 0.0203619, 0.0557087, 0.0251827),
    "treated": (0.3151672, 0.288879, 0.2265309, 0.2036522, 0.3534442, 0.2980922),
    "statin": (-0.1477655, -0.1337349, -0.0592374, -0.0865581, 0, 0),
    "treated*sbp_above_110": (-0.0663612, -0.0475924, -0.0395762, -0.0322916, -0.0981511, -0.0497731),
    "statin*non_hdl": (0.1197879, 0.150273, 0.0844423, 0.114563, 0, 0),
    "age*non_hdl": (-0.0819715, -0.0517874, -0.0567839, -0.0300005, 0, 0),
    "age*hdl": (0.0306769, 0.0191169, 0.0325692, 0.0232747, 0, 0),
    "age*sbp_above_110": (-0.0946348, -0.1049477, -0.1035985, -0.0927024, -0.0946663, -0.1289201),
    "age*diabetes": (-0.27057, -0.2251948, -0.2417542, -0.2018525, -0.3581041, -0.3040924),
    "age*smoker": (-0.078715, -0.0895067, -0.0791142, -0.0970527, -0.1159453, -0.1401688),
    "age*bmi_above_30": (0, 0, 0, 0, -0.003878, 0.0068126),
    "age*egfr_below_60": (-0.1637806, -0.1543702, -0.1671492, -0.1217081, -0.1884289, -0.1797778),
    "constant": (-3.307728, -3.031168, -3.819975, -3.500655, -4.310409, -3.946391),
}


def risk(inputs: PreventInputs) -> PreventRisk:
    """Compute the 10-year risks of one patient (no range is checked here)."""
    terms = _terms(inputs)
    return PreventRisk(
        total_cvd=_probability(Outcome.TOTAL_CVD, inputs.sex, terms),
        ascvd=_probability(Outcome.ASCVD, inputs.sex, terms),
        heart_failure=None if inputs.bmi is None else _probability(Outcome.HEART_FAILURE, inputs.sex, terms),
    )


def _probability(outcome: Outcome, sex: Sex, terms: Mapping[str, float]) -> float:
    column = _COLUMNS.index((outcome, sex))
    linear = math.fsum(_TABLE[name][column] * value for name, value in terms.items())
    return 1 / (1 + math.exp(-linear))


def _terms(i: PreventInputs) -> dict[str, float]:
    """Centre and scale the inputs as the publication does, and form the interactions."""
    main = _main_terms(i)
    age = main["age"]
    with_age = ("non_hdl", "hdl", "sbp_above_110", "diabetes", "smoker", "bmi_above_30", "egfr_below_60")
    return (
        main
        | {f"age*{name}": age * main[name] for name in with_age}
        | {
            "treated*sbp_above_110": main["treated"] * main["sbp_above_110"],
            "statin*non_hdl": main["statin"] * main["non_hdl"],
            "constant": 1.0,
        }
    )


def _main_terms(i: PreventInputs) -> dict[str, float]:
    # Without a body mass index the value does not matter: its terms have no weight except for heart failure,
    # which is then not computed.
    bmi = 25.0 if i.bmi is None else i.bmi
    return {
        "age": (i.age - 55) / 10,
        "non_hdl": (i.total_cholesterol - i.hdl) * _CHOLESTEROL_MMOL_PER_MG - 3.5,
        "hdl": (i.hdl * _CHOLESTEROL_MMOL_PER_MG - 1.3) / 0.3,
        "sbp_below_110": (min(i.systolic_pressure, 110) - 110) / 20,
        "sbp_above_110": (max(i.systolic_pressure, 110) - 130) / 20,
        "diabetes": float(i.diabetes),
        "smoker": float(i.smoker),
        "bmi_below_30": (min(bmi, 30) - 25) / 5,
        "bmi_above_30": (max(bmi, 30) - 30) / 5,
        "egfr_below_60": (min(i.egfr, 60) - 60) / -15,
        "egfr_above_60": (max(i.egfr, 60) - 90) / -15,
        "treated": float(i.antihypertensive),
        "statin": float(i.statin),
    }
