"""Hospital stays of patients with diabetes, out of the public file that the readmission model is made from.

The file is `diabetic_data.csv` of the data set "Diabetes 130-US Hospitals for Years 1999-2008" (Strack et
al. 2014; UCI Machine Learning Repository, data set 296; licence CC BY 4.0). It is not shipped: whoever wants
to make the model again downloads it. Every row is one stay; a patient may have several.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cds_wrapper.demo.readmission import Stay

HOME: Final = frozenset({1, 6, 7, 8, 16, 17})
"""`discharge_disposition_id`: home, with or without help, also against advice or to an outpatient clinic."""
ELSEWHERE: Final = frozenset({2, 3, 4, 5, 10, 15, 22, 23, 24, 27, 28, 29, 30})
"""To another hospital, a nursing home, rehabilitation and the like.

The others are left out: died or to a hospice (11, 13, 14, 19, 20, 21), still in hospital (9, 12), and not
recorded (18, 25, 26).
"""
_YOUNGEST: Final = 20
"""Ages come in bands of ten years; the band from 10 to 19 is mostly children."""


class UnreadableFile(ValueError):
    """The file is not the one meant; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class PastStay:
    """One stay of the file: the model's inputs, who it was in the file's own words, and what came of it."""

    patient: str
    stay: Stay
    readmitted: bool
    age: int
    gender: str
    race: str


def read_stays(path: Path) -> Iterator[PastStay]:
    """Read the stays that the model is meant for; `UnreadableFile` when a column is missing."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    rows = csv.DictReader(io.StringIO(text.decode("utf-8")))
    missing = _COLUMNS - set(rows.fieldnames or ())
    if missing:
        raise UnreadableFile(f"{path.name} has no column {', '.join(sorted(missing))}")
    for row in rows:
        if is_meant(row):
            yield _stay(row)


_COLUMNS: Final = frozenset(
    {
        "patient_nbr",
        "race",
        "gender",
        "age",
        "discharge_disposition_id",
        "time_in_hospital",
        "number_emergency",
        "number_inpatient",
        "number_diagnoses",
        "readmitted",
    }
)


def is_meant(row: Mapping[str, str]) -> bool:
    """Whether the model is meant for a stay: an adult, discharged alive, and it is known to where."""
    return _age(row) >= _YOUNGEST and int(row["discharge_disposition_id"]) in HOME | ELSEWHERE


def _age(row: Mapping[str, str]) -> int:
    """The lower end of an age band such as `[70-80)`."""
    return int(row["age"].removeprefix("[").partition("-")[0])


def _stay(row: Mapping[str, str]) -> PastStay:
    return PastStay(
        patient=row["patient_nbr"],
        stay=Stay(
            inpatient_stays=int(row["number_inpatient"]),
            emergency_visits=int(row["number_emergency"]),
            days=int(row["time_in_hospital"]),
            diagnoses=int(row["number_diagnoses"]),
            elsewhere=int(row["discharge_disposition_id"]) in ELSEWHERE,
        ),
        readmitted=row["readmitted"] == "<30",
        age=_age(row),
        gender=row["gender"],
        race=row["race"],
    )


def split(stays: Iterable[PastStay]) -> tuple[list[PastStay], list[PastStay]]:
    """Those the model is made from, and those it is tested on; half of all people are in neither.

    By person, from a hash of the number in the file: the same people on every machine, in whatever order.
    Half is kept apart so that anyone can test the model on people whom no figure of its card has seen.
    """
    made_from: list[PastStay] = []
    tested_on: list[PastStay] = []
    for one in stays:
        if _half("cds-split-1", one.patient) == 0:
            (tested_on if _half("readmission-1", one.patient) else made_from).append(one)
    return made_from, tested_on


def _half(name: str, patient: str) -> int:
    return hashlib.sha256(f"{name}:{patient}".encode()).digest()[3] % 2
