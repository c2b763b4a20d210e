"""Hook calls made from the repository's synthetic patients, with what the demonstration's vendor answers."""

from __future__ import annotations

from datetime import UTC, datetime, time

import msgspec

from cds_wrapper.bench.calls import HookCall
from cds_wrapper.demo.fixtures import fixture_files
from cds_wrapper.demo.population import FIXTURE_DAY, populate
from cds_wrapper.demo.vendor import answer_hook


def scored_calls() -> tuple[HookCall, ...]:
    """Every named case that the vendor gives a score for, without the indentation of the files."""
    noon = datetime.combine(FIXTURE_DAY, time(12), UTC)
    population = populate(FIXTURE_DAY)
    files = fixture_files(population.resources, population.cases)
    requests = {path.stem: text for path, text in files.items() if path.parent.name == "requests"}
    answered = {case: answer_hook(text, noon) for case, text in sorted(requests.items())}
    return tuple(
        HookCall(case, _patient_of(requests[case]), _compact(requests[case]), msgspec.json.encode(body))
        for case, (status, body) in answered.items()
        if status == 200
    )


def _compact(text: bytes) -> bytes:
    return msgspec.json.format(text, indent=-1)


def _patient_of(text: bytes) -> str:
    return str(msgspec.json.decode(text)["context"]["patientId"])
