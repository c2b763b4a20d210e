"""The committed fixtures: the population, the named cases and one hook request for each of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from cds_wrapper.demo.inpatient_resources import stay_id
from cds_wrapper.demo.profiles import NamedCase
from cds_wrapper.demo.queries import QUERIES, SERVICES
from cds_wrapper.demo.requests import build_call, encounter_context, patient_view_context
from cds_wrapper.demo.store import Store

_BASE_URL: Final = "http://127.0.0.1:8082"
_NAMESPACE: Final = uuid.UUID("5b1f2b0a-6f0e-4c39-9d0e-5a1c2f6f7d10")

README: Final = """\
# Fixtures: synthetic patients and requests

Nobody here is real, and nothing was drawn from anyone real. Every resource carries the tag
`urn:cds-wrapper:demo|synthetic`; family names begin with `Example-`, postal codes with `000`, social security
numbers with `999` (a block that is given to nobody), telephone numbers with `555`.

| file | holds |
|---|---|
| `population.ndjson` | the demonstration's FHIR resources, one a line, as they stand on 2026-06-30 |
| `cases.json` | the named cases: patient id, hook, service, title, why it is interesting |
| `requests/<case>.json` | a whole hook call (CDS Hooks 2.0) for each named case |

The ages are right on 2026-06-30, and the bedside values of those in hospital are of noon (UTC) of that day:
`cds-wrapper try` has `--at 2026-06-30T12:00:00Z` for them. A running demonstration makes the same population
for the hour it is asked in.

Made again by `python -m cds_wrapper.demo.population --write fixtures`; a test compares
the two. Do not edit by hand.
"""


def fixture_files(
    resources: Iterable[Mapping[str, Any]], cases: Iterable[NamedCase]
) -> dict[PurePosixPath, bytes]:
    """Make every file below `fixtures/`: path -> content."""
    resources, cases = list(resources), list(cases)
    store = Store(resources)
    index = {case.profile.id: _entry(case) for case in cases}
    files = {
        PurePosixPath("README.md"): README.encode(),
        PurePosixPath("population.ndjson"): b"".join(msgspec.json.encode(one) + b"\n" for one in resources),
        PurePosixPath("cases.json"): _pretty(index),
    }
    return files | {
        PurePosixPath("requests", f"{case.profile.id}.json"): _pretty(_request(store, case)) for case in cases
    }


def _entry(case: NamedCase) -> dict[str, str]:
    """What the index says of a case."""
    return {"hook": case.hook, "service": SERVICES[case.hook], "title": case.title, "why": case.why}


def _request(store: Store, case: NamedCase) -> dict[str, Any]:
    """The hook call that a case's story is about."""
    patient_id = case.profile.id
    context = patient_view_context(patient_id)
    if case.stay is not None:
        context = encounter_context(patient_id, stay_id(case.profile))
    hook_instance = str(uuid.uuid5(_NAMESPACE, patient_id))
    return build_call(store, QUERIES[case.hook], case.hook, context, hook_instance, _BASE_URL)


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_files(files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
    """Write the files, and take away request files of cases that are no more."""
    requests = folder / "requests"
    requests.mkdir(parents=True, exist_ok=True)
    for stale in requests.glob("*.json"):
        stale.unlink()
    for path, content in files.items():
        (folder / path).write_bytes(content)
