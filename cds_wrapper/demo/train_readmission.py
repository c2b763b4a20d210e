"""Makes the readmission model from public data, and prints what its card says.

    python -m cds_wrapper.demo.train_readmission diabetic_data.csv

The file is not shipped. It is published as "Diabetes 130-US Hospitals for Years 1999-2008", data set 296 of
the UCI Machine Learning Repository (https://archive.ics.uci.edu/dataset/296), under CC BY 4.0. The
standard library is enough, no random number is drawn, and the digits are the same on every machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cds_wrapper.demo.logistic import Fit, NoFit, Observation, fit_logistic
from cds_wrapper.demo.readmission import MODEL_FILE, TERMS, ReadmissionModel, load_model
from cds_wrapper.demo.readmission_card import Entry, metric_rows, training_rows
from cds_wrapper.demo.stays import PastStay, UnreadableFile, read_stays, split

MODEL_ID: Final = "readmission-diabetes"
MODEL_VERSION: Final = "2026.1"
_DIGITS: Final = 4
_FAILED: Final = 1
_WORDS: Final = {
    "inpatient_stays": "hospital stays in the year before (at most 5)",
    "emergency_visits": "emergency visits in the year before (at most 4)",
    "days": "days in hospital (at most 14)",
    "diagnoses": "diagnoses of the stay (at most 9)",
    "elsewhere": "1 if discharged elsewhere than home",
}


@dataclass(frozen=True, slots=True)
class Made:
    """What the script makes: model, errors of its coefficients, rows for the card."""

    model: ReadmissionModel
    fit: Fit
    stays: tuple[int, int]
    training: list[Entry]
    metrics: list[Entry]


def make(stays: Iterator[PastStay]) -> Made:
    """Fit on one part of the people, measure on another; `NoFit` when the data do not allow it.

    The figures are those of the coefficients as they are published, rounded.
    """
    made_from, tested_on = split(stays)
    fit = fit_logistic([Observation(one.stay.row, one.readmitted, one.patient) for one in made_from])
    rounded = tuple(round(value, _DIGITS) for value in fit.coefficients)
    model = ReadmissionModel(MODEL_ID, MODEL_VERSION, rounded)
    counts = (len(made_from), len(tested_on))
    return Made(model, fit, counts, training_rows(made_from), metric_rows(tested_on, model))


def equation(model: ReadmissionModel) -> str:
    """The model in one sentence, as its card has it."""
    constant, *rest = model.coefficients
    terms = " ".join(
        f"{'-' if value < 0 else '+'} {abs(value):.{_DIGITS}f} x {_WORDS[term]}"
        for term, value in zip(TERMS[1:], rest, strict=True)
    )
    return f"Probability = 1 / (1 + exp(-x)) with x = {constant:.{_DIGITS}f} {terms}."


def model_file(model: ReadmissionModel) -> bytes:
    """The file the demonstration's vendor computes from."""
    coefficients = dict(zip(TERMS, model.coefficients, strict=True))
    written = {"id": model.id, "version": model.version, "coefficients": coefficients}
    return msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n"


def report(made: Made) -> Iterator[str]:
    """Everything the card holds of it, in YAML where the card has YAML."""
    yield f"# {made.stays[0]} stays to make it from, {made.stays[1]} of other people to test it on"
    yield "# coefficient, standard error (patients as the unit)"
    for term, value, error in zip(TERMS, made.fit.coefficients, made.fit.errors, strict=True):
        yield f"# {term:<18}{value:10.6f}{error:10.6f}"
    yield f"# {equation(made.model)}"
    yield "training:"
    yield "  demographics:"
    yield from (f"    - {_flow(row)}" for row in made.training)
    yield "evidence:"
    yield "  metrics:"
    yield from (f"    - {_flow(row)}" for row in made.metrics)


def _flow(value: Any) -> str:
    """YAML in one line; texts as JSON where they could be read as something else."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and value.replace("_", "").isalpha():
        return value
    return msgspec.json.encode(value).decode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the model; exit code 1 when the file is not the one meant or differs from what is shipped."""
    parser = argparse.ArgumentParser(
        prog="python -m cds_wrapper.demo.train_readmission",
        description="Make the demonstration's readmission model, and print its coefficients and figures.",
        epilog="example: python -m cds_wrapper.demo.train_readmission diabetic_data.csv > figures.yaml",
    )
    parser.add_argument("file", type=Path, help="diabetic_data.csv of UCI data set 296, also as .gz")
    parser.add_argument("--write", action="store_true", help="write the model file that is shipped")
    chosen = parser.parse_args(arguments)
    try:
        made = make(read_stays(chosen.file))
    except (OSError, UnreadableFile, NoFit) as error:
        sys.stderr.write(f"{error}. The file is data set 296 of the UCI Machine Learning Repository.\n")
        return _FAILED
    sys.stdout.write("\n".join(report(made)) + "\n")
    if chosen.write:
        Path(__file__).with_name(MODEL_FILE).write_bytes(model_file(made.model))
    elif made.model != load_model():
        sys.stderr.write("These coefficients are not those that are shipped.\n")
        return _FAILED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
