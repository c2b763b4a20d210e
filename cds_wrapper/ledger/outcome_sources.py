"""Reads outcomes out of tables and bulk exports of FHIR, row by row, in little memory.

What identifies a patient is made into a pseudonym here, by the same keys as the predictions', and goes
nowhere else. Only the ids of the patients of an export are held in memory, under pseudonyms.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

import msgspec

from cds_wrapper.ledger.outcomes import Refused, Report, Reported, Row
from cds_wrapper.ledger.pseudonyms import Pseudonyms
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, ResourceRule, TableRule

JSON = Mapping[str, Any]
_WRONG: Final = frozenset({"entered-in-error", "refuted"})
_TRUE: Final = frozenset({"1", "1.0", "true", "yes"})
_FALSE: Final = frozenset({"0", "0.0", "false", "no"})
_TRUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Makes the pseudonyms of one service's outcomes; `patient_systems` are the declared ones, in order."""

    pseudonyms: Pseudonyms
    namespace: str
    patient_systems: tuple[str, ...]
    encounter_systems: tuple[str, ...]
    service_id: str
    outcome: str
    patients: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Keys({self.service_id!r})"

    def outcome_id(self, *told: str) -> str:
        """The id of an outcome, from what its source calls it; nobody can find out from it what that was."""
        return f"o{self.pseudonyms.patient(f'{self.service_id}/{self.outcome}', '|'.join(told))}"

    def of_fhir_patient(self, patient_id: str) -> tuple[str | None, str]:
        """The declared key where the export's Patient had one, and the key of its FHIR id."""
        by_id = self.pseudonyms.patient(self.namespace, patient_id)
        return self.patients.get(by_id), by_id

    def learn(self, patient: JSON) -> None:
        """Remember what identifier a Patient of the export has."""
        for system in self.patient_systems:
            for one in _items(patient.get("identifier")):
                if one.get("system") == system and isinstance(one.get("value"), str) and one["value"]:
                    by_id = self.pseudonyms.patient(self.namespace, str(patient.get("id", "")))
                    self.patients[by_id] = self.pseudonyms.patient(system, one["value"])
                    return


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_TRUNK):
            found.update(piece)
    return found.hexdigest()


# Tables -----------------------------------------------------------------------------------------------------


def csv_rows(path: Path, rule: TableRule, keys: Keys, now: datetime) -> Iterator[tuple[int, Row]]:
    """A CSV file with a heading, row by row; `KeyError` names a declared column that it lacks."""
    with _text(path) as file:
        reader = csv.DictReader(file)
        check_columns(rule, reader.fieldnames or ())
        for record in reader:
            yield reader.line_num, table_row(record, rule, keys, now)


def check_columns(rule: TableRule, there: Iterable[str]) -> None:
    """`KeyError` with the first declared column that is not there."""
    named = (rule.patient, rule.encounter, rule.prediction, rule.at, rule.label, rule.state, rule.value,
             rule.known_on, rule.id)  # fmt: skip
    missing = [one for one in named if one is not None and one not in set(there)]
    if missing:
        raise KeyError(missing[0])


def table_row(record: Mapping[str, Any], rule: TableRule, keys: Keys, now: datetime) -> Row:
    """One row of a table."""
    patient = _cell(record, rule.patient)
    encounter, prediction = _cell(record, rule.encounter), _cell(record, rule.prediction)
    if not (patient or encounter or prediction):
        return Refused.NO_PATIENT
    at = moment_of(_cell(record, rule.at))
    if isinstance(at, Refused):
        return at
    if at is not None and at > now:
        return Refused.IN_THE_FUTURE
    value = _number(_cell(record, rule.value))
    if isinstance(value, Refused):
        return value
    report = _report(record, rule, value)
    if report is None:
        return None
    if isinstance(report, Refused):
        return report
    if report is Report.EVENT and at is None and not (encounter or prediction):
        return Refused.NO_TIME
    patient_system = rule.patient_system or next(iter(keys.patient_systems), "")
    encounter_system = rule.encounter_system or next(iter(keys.encounter_systems), "")
    named = _cell(record, rule.id) or "|".join((patient, encounter, prediction, at.isoformat() if at else ""))
    known_on = moment_of(_cell(record, rule.known_on))
    return Reported(
        outcome_id=keys.outcome_id("row", named),
        report=report,
        patient_key=keys.pseudonyms.patient(patient_system, patient) if patient else None,
        encounter_key=keys.pseudonyms.encounter(encounter_system, encounter) if encounter else None,
        prediction_id=prediction or None,
        reason="not_tested" if report is Report.UNVERIFIED else "left" if report is Report.CENSORED else None,
        happened_at=at,
        value=value,
        known_on=known_on.date() if isinstance(known_on, datetime) else None,
    )


def _report(record: Mapping[str, Any], rule: TableRule, value: float | None) -> Report | Refused | None:
    """What a row says; None for a row per event that is none, or a case nobody knows anything of."""
    if rule.state is not None:
        state = _cell(record, rule.state).lower()
        return next((one for one in Report if one.value == state), Refused.BAD_STATE)
    if rule.label is not None:
        label = _cell(record, rule.label).lower()
        if label in _TRUE | _FALSE:
            return Report.EVENT if label in _TRUE else Report.NO_EVENT
        return Refused.BAD_STATE if label else Report.UNVERIFIED
    if rule.value is not None:
        return None if value is None else Report.EVENT if value > 0 else Report.NO_EVENT
    return Report.EVENT


def _cell(record: Mapping[str, Any], column: str | None) -> str:
    value = record.get(column) if column is not None else None
    return "" if value is None else str(value).strip()


def _number(text: str) -> float | Refused | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return Refused.BAD_VALUE
    return value if math.isfinite(value) and value >= 0 else Refused.BAD_VALUE


def moment_of(text: str) -> datetime | Refused | None:
    """A moment in UTC from an ISO 8601 date or time; a time without a zone is taken as UTC."""
    if not text:
        return None
    try:
        if len(text) == len("2026-07-01"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        return Refused.BAD_TIME
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


# FHIR -------------------------------------------------------------------------------------------------------


def learn_patients(path: Path, keys: Keys) -> None:
    """Remember the identifiers of a file of Patients."""
    for _, resource in ndjson(path):
        if isinstance(resource, Mapping) and resource.get("resourceType") == "Patient":
            keys.learn(resource)


def fhir_rows(path: Path, outcome: Outcome, keys: Keys, now: datetime) -> Iterator[tuple[int, Row]]:
    """A file of newline-delimited FHIR resources, whatever types it holds."""
    for line, resource in ndjson(path):
        yield line, Refused.NOT_JSON if resource is None else resource_row(resource, outcome, keys, now)


def ndjson(path: Path) -> Iterator[tuple[int, JSON | None]]:
    """Line by line; None for one that is no JSON object."""
    with _bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _object(line)


def _object(line: bytes) -> JSON | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def resource_row(resource: JSON, outcome: Outcome, keys: Keys, now: datetime) -> Row:
    """One resource: an event, a death, or nothing that this outcome is about."""
    kind = resource.get("resourceType")
    if kind == "Patient":
        return _death(resource, outcome, keys, now)
    rules = [rule for rule in outcome.events if rule.resource == kind]
    if not rules:
        return None
    name = resource.get("id")
    patient = _subject(resource)
    if not isinstance(name, str) or not name or patient is None:
        return Refused.NO_PATIENT
    declared, by_id = keys.of_fhir_patient(patient)
    told = keys.outcome_id(str(kind), name)
    found = next((rule for rule in rules if is_event(resource, rule)), None)
    if found is None or _is_wrong(resource):
        # What was an event and is none any more is withdrawn; what never was one is not written at all.
        return Reported(told, Report.WITHDRAWN, declared, by_id)
    at = first_moment(resource, found.at)
    if at is None or isinstance(at, Refused):
        return at or Refused.NO_TIME
    if at > now:
        return Refused.IN_THE_FUTURE
    value = 1.0 if outcome.kind is OutcomeKind.COUNT else None
    if found.value is not None and outcome.kind is not OutcomeKind.BINARY:
        value = next(_numbers(resource, found.value), None)
    return Reported(told, Report.EVENT, declared, by_id, happened_at=at, value=value)


def _death(patient: JSON, outcome: Outcome, keys: Keys, now: datetime) -> Row:
    name = patient.get("id")
    if not isinstance(name, str) or not name:
        return Refused.NO_PATIENT
    if not (outcome.death or outcome.death_competes):
        return None
    declared, by_id = keys.of_fhir_patient(name)
    told = keys.outcome_id("death", name)
    written = patient.get("deceasedDateTime")
    at = moment_of(written) if isinstance(written, str) else None
    if at is None:
        return (
            Refused.NO_TIME
            if patient.get("deceasedBoolean") is True
            else Reported(told, Report.WITHDRAWN, declared, by_id)
        )
    if isinstance(at, Refused):
        return at
    if at > now:
        return Refused.IN_THE_FUTURE
    if outcome.death:
        return Reported(told, Report.EVENT, declared, by_id, happened_at=at)
    return Reported(told, Report.CENSORED, declared, by_id, reason="competing_event", happened_at=at)


def is_event(resource: JSON, rule: ResourceRule) -> bool:
    """Whether a resource has a code of every element of `where`, none of `unless`, and a value above."""
    if any(codes.isdisjoint(codes_at(resource, path)) for path, codes in rule.where.items()):
        return False
    if any(not codes.isdisjoint(codes_at(resource, path)) for path, codes in rule.unless.items()):
        return False
    if rule.above is None or rule.value is None:
        return True
    return any(number > rule.above for number in _numbers(resource, rule.value))


def codes_at(resource: JSON, path: str) -> frozenset[str]:
    """Every code at an element: bare, and as `system|code` where it has a system."""
    found: set[str] = set()
    for value in _values(resource, path):
        if isinstance(value, str):
            found.add(value)
        for coding in [value, *_items(value.get("coding"))] if isinstance(value, Mapping) else []:
            code, system = coding.get("code"), coding.get("system")
            if isinstance(code, str):
                found.add(code)
                found.add(f"{system}|{code}")
    return frozenset(found)


def first_moment(resource: JSON, paths: Iterable[str]) -> datetime | Refused | None:
    """The moment at the first of these elements that is there."""
    for path in paths:
        for value in _values(resource, path):
            if isinstance(value, str):
                return moment_of(value)
    return None


def _numbers(resource: JSON, path: str) -> Iterator[float]:
    for value in _values(resource, path):
        number = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
            yield float(number)


def _values(resource: JSON, path: str) -> Iterator[Any]:
    found: list[Any] = [resource]
    for name in path.split("."):
        found = [one.get(name) for one in found if isinstance(one, Mapping)]
        found = [one for item in found for one in (item if isinstance(item, list) else [item])]
    return (one for one in found if one is not None)


def _subject(resource: JSON) -> str | None:
    for name in ("subject", "patient"):
        reference = resource.get(name)
        written = reference.get("reference") if isinstance(reference, Mapping) else None
        if isinstance(written, str):
            kind, _, patient = written.rpartition("/")
            return patient if patient and kind.rpartition("/")[2] == "Patient" else None
    return None


def _is_wrong(resource: JSON) -> bool:
    wrong = codes_at(resource, "status") | codes_at(resource, "verificationStatus")
    return not _WRONG.isdisjoint(wrong)


def _items(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _bytes(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _text(path: Path) -> Any:
    return io.TextIOWrapper(_bytes(path), encoding="utf-8-sig", newline="")
