"""Who is measured in `bench monitoring`: how many episodes, in which groups, and how they are asked about."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

SERVICE: Final = "readmission"
MODEL: Final = "bench-model"
OUTCOME: Final = "readmission"
THRESHOLD: Final = 0.2
HORIZON: Final = 30
FIRST_DAY: Final = dt.date(2025, 1, 1)
DAYS: Final = 365
AS_OF: Final = FIRST_DAY + dt.timedelta(days=DAYS)
ATTRIBUTES: Final = ("age_band", "sex", "race", "ethnicity", "language", "payer", "rurality", "disability")
LEVELS: Final = 5


@dataclass(frozen=True, slots=True)
class Population:
    """How many episodes, of how many patients each on average, in how many groups; the seed orders all."""

    rows: int
    groups: int = 30
    rows_per_patient: float = 2.0
    seed: int = 1

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that hold `groups` levels, five each."""
        return ATTRIBUTES[: max(1, round(self.groups / LEVELS))]
