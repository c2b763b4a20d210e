"""National Early Warning Score 2: seven observations in, 0 to 20 points out.

Royal College of Physicians. National Early Warning Score (NEWS) 2: Standardising the assessment of
acute-illness severity in the NHS. Updated report of a working party. London: RCP, 2017. Copyright Royal
College of Physicians 2017, whose report asks for this acknowledgement and sets no other condition.

A missing observation adds no points, as the score has it on paper: it is counted as normal, so the true
score may be higher. Demonstration only: not a medical device, not endorsed by the College.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

MODEL_ID: Final = "news2"
MODEL_VERSION: Final = "2017"
MOST_POINTS: Final = 20

Steps = tuple[tuple[float, int], ...]
"""Highest value of each band, low to high, and its points; a value is in the first that reaches up to it."""

_END: Final = math.inf
RESPIRATIONS: Final[Steps] = ((8, 3), (11, 1), (20, 0), (24, 2), (_END, 3))
SATURATION: Final[Steps] = ((91, 3), (93, 2), (95, 1), (_END, 0))
SATURATION_2_ON_AIR: Final[Steps] = ((83, 3), (85, 2), (87, 1), (_END, 0))
SATURATION_2_ON_OXYGEN: Final[Steps] = ((83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2), (_END, 3))
SYSTOLIC: Final[Steps] = ((90, 3), (100, 2), (110, 1), (219, 0), (_END, 3))
PULSE: Final[Steps] = ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (_END, 3))
TEMPERATURE: Final[Steps] = ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (_END, 2))
ON_OXYGEN: Final = 2
NOT_ALERT: Final = 3

_WHOLE: Final = Decimal(1)
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, repr=False)
class Observed:
    """What was observed; None is missing. Per minute, per cent, mm Hg and degrees Celsius.

    `alert` is False for new confusion and for whoever responds to voice, to pain or not at all. `scale_2` is
    for patients whom a competent clinician has put on the second saturation scale (hypercapnic respiratory
    failure, target 88 to 92 %).
    """

    respirations: float | None = None
    saturation: float | None = None
    on_oxygen: bool | None = None
    systolic: float | None = None
    pulse: float | None = None
    alert: bool | None = None
    temperature: float | None = None
    scale_2: bool = False

    def __repr__(self) -> str:
        return "Observed(...)"


@dataclass(frozen=True, slots=True, repr=False)
class News2:
    """Points of every observation that was there."""

    points: Mapping[str, int]

    @property
    def total(self) -> int:
        """The aggregate score, 0 to 20."""
        return sum(self.points.values())

    @property
    def any_three(self) -> bool:
        """Whether a single parameter scored 3, which asks for an urgent look whatever the total is."""
        return 3 in self.points.values()

    def __repr__(self) -> str:
        return "News2(...)"


def score(observed: Observed) -> News2:
    """Add up the points."""
    found = {
        "respirations": _points(RESPIRATIONS, observed.respirations, _WHOLE),
        "saturation": _points(_saturation_steps(observed), observed.saturation, _WHOLE),
        "on_oxygen": None if observed.on_oxygen is None else ON_OXYGEN * observed.on_oxygen,
        "systolic": _points(SYSTOLIC, observed.systolic, _WHOLE),
        "pulse": _points(PULSE, observed.pulse, _WHOLE),
        "alert": None if observed.alert is None else NOT_ALERT * (not observed.alert),
        "temperature": _points(TEMPERATURE, observed.temperature, _TENTH),
    }
    return News2({name: points for name, points in found.items() if points is not None})


def _saturation_steps(observed: Observed) -> Steps:
    """Scale 2 counts a high saturation only on oxygen; not known to be on oxygen counts as on air."""
    if not observed.scale_2:
        return SATURATION
    return SATURATION_2_ON_OXYGEN if observed.on_oxygen else SATURATION_2_ON_AIR


def _points(steps: Steps, value: float | None, unit: Decimal) -> int | None:
    """Round to the chart's own precision, halves up, then look up: the chart has no gap between bands."""
    if value is None:
        return None
    # Nine digits first: 96.8 degrees Fahrenheit come as 35.99999999999999.
    rounded = Decimal(repr(round(value, 9))).quantize(unit, rounding=ROUND_HALF_UP)
    return steps[bisect_left([float(highest) for highest, _ in steps], float(rounded))][1]
