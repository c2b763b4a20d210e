"""How many patients of a folder of FHIR files the model could score, and why not the others.

    python -m cds_wrapper.demo.survey FOLDER

FOLDER holds `Patient.ndjson`, `Observation.ndjson` and so on, one resource a line. "Now" is the latest day in
the data, not the clock's. Every patient is asked about as an EHR would: by the vendor's own prefetch queries.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from cds_wrapper.demo.fhir_search import TYPES, Problem
from cds_wrapper.demo.fhir_values import JSON, taken_at
from cds_wrapper.demo.prevent import risk
from cds_wrapper.demo.prevent_inputs import TEMPLATES, Scorable, read_inputs
from cds_wrapper.demo.refusals import LABELS
from cds_wrapper.demo.requests import fill_templates, patient_view_context
from cds_wrapper.demo.store import Store

_DEAD: Final = "died before"
"""A patient who has died is asked about by nobody; shown so that the counts add up."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts of patients; one patient may stand under several reasons."""

    now: datetime
    patients: int
    scored: int
    reasons: Counter[str]
    egfr_codes: Counter[str]
    mean_risk: float | None

    def table(self) -> str:
        """Write the counts for a reader."""
        lines = [
            f"{self.patients} patients as of {self.now.date()}",
            f"{self.scored:>5}  scored"
            + (f", mean 10-year risk {self.mean_risk:.1%}" if self.mean_risk else ""),
            f"{self.patients - self.scored:>5}  not scored, because of (a patient may have several reasons)",
            *(f"{count:>11}  {reason}" for reason, count in self.reasons.most_common()),
            "       kidney input of those scored, by LOINC code",
            *(f"{count:>11}  {code}" for code, count in self.egfr_codes.most_common()),
        ]
        return "\n".join(lines)


def survey(resources: Sequence[JSON]) -> Survey:
    """Ask the model about every patient among the resources."""
    store = Store(one for one in resources if one.get("resourceType") in TYPES)
    now = max(taken_at(one) for one in resources if one.get("resourceType") == "Observation")
    patients = [one for one in resources if one.get("resourceType") == "Patient"]
    risks: list[float] = []
    reasons: Counter[str] = Counter()
    egfr_codes: Counter[str] = Counter()
    for patient in patients:
        found = (
            None if _has_died(patient) else read_inputs(_prefetch(store, patient["id"]), patient["id"], now)
        )
        if found is None:
            reasons[_DEAD] += 1
        elif isinstance(found, Scorable):
            risks.append(risk(found.inputs).total_cvd)
            egfr_codes[found.egfr_code] += 1
        else:
            reasons.update(f"{LABELS[refusal.input]} {refusal.why.value}" for refusal in found)
    mean = sum(risks) / len(risks) if risks else None
    return Survey(now, len(patients), len(risks), reasons, egfr_codes, mean)


def _has_died(patient: JSON) -> bool:
    return "deceasedDateTime" in patient or patient.get("deceasedBoolean") is True


def _prefetch(store: Store, patient_id: str) -> dict[str, Any]:
    queries = fill_templates(TEMPLATES, patient_view_context(patient_id))
    answers = {key: store.answer(query, "") for key, query in queries.items()}
    return {key: answer for key, answer in answers.items() if not isinstance(answer, Problem)}


def load_folder(folder: Path) -> list[JSON]:
    """Read the resources the demonstration knows from `*.ndjson` files."""
    return [one for kind in TYPES for one in _lines(folder / f"{kind}.ndjson")]


def _lines(path: Path) -> Iterable[JSON]:
    if path.exists():
        yield from (msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table for a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m cds_wrapper.demo.survey",
        description="How many patients of FHIR ndjson files PREVENT could score, and why not the others.",
        epilog="example: python -m cds_wrapper.demo.survey my-export/",
    )
    parser.add_argument("folder", type=Path)
    resources = load_folder(parser.parse_args(arguments).folder)
    if not any(one.get("resourceType") == "Observation" for one in resources):
        parser.exit(2, "no Observation.ndjson with resources in this folder: nothing can be scored\n")
    sys.stdout.write(survey(resources).table() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
