"""`try --population`: for how many patients of a file a score could be made, and why not for the others.

Looks only: no vendor is asked, nothing is recorded, and nothing of any one patient is printed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from cds_wrapper.cds import CDSRequest, Prefetch, read_request
from cds_wrapper.commands.population_files import Population, read_population
from cds_wrapper.commands.population_search import answer, moment_of
from cds_wrapper.ehr.fhir import sort_prefetch
from cds_wrapper.ehr.templates import fill
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.vendors.feature_dates import moment
from cds_wrapper.vendors.features import FeatureReader, Features, IfMissing

_MOMENT_AFTER = timedelta(minutes=1)


@dataclass(slots=True)
class Tally:
    """What was found for how many patients; by input, and by input and reason."""

    patients: int = 0
    scored: int = 0
    complete: int = 0
    empty: int = 0
    there: Counter[str] = field(default_factory=Counter)
    lacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    prevented: Counter[tuple[str, str]] = field(default_factory=Counter)
    doubtful: Counter[str] = field(default_factory=Counter)

    def add(self, features: Features) -> None:
        """Count one patient."""
        self.patients += 1
        self.scored += not features.required_but_missing
        self.complete += all(one.lack is None for one in features.inputs)
        self.empty += all(one.lack is not None for one in features.inputs)
        for one in features.inputs:
            if one.lack is None:
                self.there[one.name] += 1
            else:
                self.lacks[one.name, one.lack.value] += 1
                if one.if_missing is IfMissing.REQUIRED:
                    self.prevented[one.name, one.lack.value] += 1
        self.doubtful.update(one.name for one in features.doubtful)


def look(place: Path, service: ServiceDefinition, at: datetime | None) -> tuple[Tally, Population]:
    """Read the inputs of every patient, as of a moment or of the last record that the service asks for."""
    reader = service.features
    tally, people = Tally(), read_population(place)
    for patient_id in sorted(people.patients):
        if reader is not None:
            tally.add(_read(patient_id, people, service, reader, at))
    return tally, people


def _read(
    patient_id: str,
    people: Population,
    service: ServiceDefinition,
    reader: FeatureReader,
    at: datetime | None,
) -> Features:
    call = _call(patient_id, people, service, at or _last(patient_id, people, service))
    return reader.read(*call)


def _call(
    patient_id: str, people: Population, service: ServiceDefinition, at: datetime
) -> tuple[CDSRequest, Prefetch]:
    """The hook call that an EHR with these resources would make."""
    context = {"userId": "Practitioner/nobody", "patientId": patient_id}
    stay = _last_stay(patient_id, people, at)
    body: dict[str, Any] = {"hook": service.hook, "hookInstance": "population"}
    body["context"] = context | ({"encounterId": stay} if stay else {})
    asked = read_request(json.dumps(body).encode(), at)
    queries = {key: fill(template, asked) for key, template in service.prefetch.items()}
    found = {key: answer(query.text, patient_id, people) for key, query in queries.items() if query}
    body["prefetch"] = {key: value for key, value in found.items() if value is not None}
    request = read_request(json.dumps(body).encode(), at)
    return request, sort_prefetch(request, service.prefetch, service.patient_key)


def _last_stay(patient_id: str, people: Population, at: datetime) -> str | None:
    stays = people.by_patient.get(patient_id, {}).get("Encounter", [])
    begun = [(moment((one.get("period") or {}).get("start") or ""), one.get("id")) for one in stays]
    known = [
        (start, name) for start, name in begun if start is not None and start <= at and isinstance(name, str)
    ]
    return max(known, default=(None, None))[1]


def _last(patient_id: str, people: Population, service: ServiceDefinition) -> datetime:
    """Just after the last record among those that the service asks for; now for whoever has none."""
    far = datetime(9000, 1, 1, tzinfo=UTC)
    request, _ = _call(patient_id, people, service, far)
    moments = [at for value in request.prefetch.values() for at in _moments(json.loads(value))]
    return max(moments, default=datetime.now(UTC)) + _MOMENT_AFTER


def _moments(value: Mapping[str, Any]) -> Iterable[datetime]:
    for entry in value.get("entry", ()):
        at = moment_of(entry["resource"], entry["resource"]["resourceType"])
        if at is not None:
            yield at


# What is said -----------------------------------------------------------------------------------------------


def show(tally: Tally, people: Population, service: ServiceDefinition, place: Path, *, as_json: bool) -> None:
    """Print the counts."""
    labels = {one.name: one.label for one in service.features.declared} if service.features else {}
    if as_json:
        typer.echo(json.dumps(_as_json(tally, people, service), indent=2))
        return
    typer.echo(f"{tally.patients} patients in {place}; service {service.id} on {service.hook}.")
    if people.unread:
        typer.echo(f"{people.unread} files or lines are no JSON and were passed over.")
    inputs = f"Every input was there for {tally.complete}, none at all for {tally.empty}."
    typer.echo(f"{_scored(tally, service)} {inputs}")
    for (name, lack), count in tally.prevented.most_common():
        typer.echo(f"  not without {labels[name]}: {lack} for {count}")
    typer.echo("\nInput by input:")
    for name, label in labels.items():
        reasons = sorted((lack, count) for (one, lack), count in tally.lacks.items() if one == name)
        why = ", ".join(f"{lack} {count}" for lack, count in reasons)
        doubt = f"; in doubt {tally.doubtful[name]}" if tally.doubtful[name] else ""
        typer.echo(f"  {label:<32} there {tally.there[name]}{'; ' + why if why else ''}{doubt}")


def _is_judged_here(service: ServiceDefinition) -> bool:
    """Whether a score depends on the inputs that are declared: not where the vendor reads FHIR itself."""
    declared = service.features.declared if service.features else ()
    return any(one.if_missing is not IfMissing.NOT_JUDGED for one in declared)


def _scored(tally: Tally, service: ServiceDefinition) -> str:
    if not _is_judged_here(service):
        return "The vendor reads FHIR itself, and says itself for whom there is no score."
    return f"{tally.scored} could be scored, {tally.patients - tally.scored} could not."


def _as_json(tally: Tally, people: Population, service: ServiceDefinition) -> dict[str, Any]:
    return {
        "service": service.id,
        "patients": tally.patients,
        "scored": tally.scored if _is_judged_here(service) else None,
        "complete": tally.complete,
        "empty": tally.empty,
        "unread": people.unread,
        "not_scored_for": [
            {"input": name, "missing": lack, "patients": count}
            for (name, lack), count in tally.prevented.most_common()
        ],
        "inputs": {
            one.name: {
                "there": tally.there[one.name],
                "doubtful": tally.doubtful[one.name],
                "missing": {lack: n for (name, lack), n in sorted(tally.lacks.items()) if name == one.name},
            }
            for one in (service.features.declared if service.features else ())
        },
    }
