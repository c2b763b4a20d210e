"""Reads outcomes out of FHIR resources: bulk exports line by line, and what a search found."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from cds_wrapper.ledger.outcome_keys import JSON, Keys
from cds_wrapper.ledger.outcome_reading import OpenFile, day_of, moment_of, open_file, plain
from cds_wrapper.ledger.outcomes import Refused, Report, Reported, Row
from cds_wrapper.services.outcomes import Outcome, OutcomeKind, ResourceRule

_WRONG: Final = frozenset({"entered-in-error", "refuted"})
LONGEST_LINE: Final = 16 << 20
"""Bytes of one resource. A file without line ends would else be read into memory whole."""


def learn_patients(path: Path, keys: Keys, opens: OpenFile = open_file) -> int:
    """Remember the identifiers of a file's Patients, and give their number."""
    found = 0
    for _, line in _lines(path, opens):
        # Looking at the bytes first: most lines of an export are about something else, and are long.
        resource = _object(line) if line and b"Patient" in line and b"identifier" in line else None
        if resource is not None and resource.get("resourceType") == "Patient":
            keys.learn(resource)
            found += 1
    return found


def fhir_rows(
    path: Path, outcome: Outcome, keys: Keys, now: datetime, opens: OpenFile = open_file
) -> Iterator[tuple[int, Row]]:
    """A file of newline-delimited FHIR resources, whatever types it holds."""
    for number, line in _lines(path, opens):
        if line is None:
            yield number, Refused.TOO_LONG
            continue
        resource = _object(line)
        yield number, Refused.NOT_JSON if resource is None else resource_row(resource, outcome, keys, now)


def _lines(path: Path, opens: OpenFile) -> Iterator[tuple[int, bytes | None]]:
    """Line by line, the empty ones left out; None for one that is too long, which is passed over."""
    with plain(path, opens) as content:
        number = 0
        while line := content.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := content.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            elif line.strip():
                yield number, line


def _object(line: bytes) -> JSON | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def searches(outcome: Outcome, since: date) -> tuple[str, ...]:
    """Searches for everything that changed since a day and could be about this outcome, and for who died.

    The patients come with it: their identifiers are what the predictions are linked by. Only whole codes are
    searched for by the server (a search knows no beginnings); what else counts is judged here, for a stay
    that is no event any more has to be found too.
    """
    kinds = dict.fromkeys(rule.resource for rule in (*outcome.events, *outcome.tested_by))
    found = []
    for kind in kinds:
        rules = [rule for rule in (*outcome.events, *outcome.tested_by) if rule.resource == kind]
        asked = [rule.where.get("code") for rule in rules]
        codes = sorted({code for one in asked if one is not None for code in one.exact})
        filtered = all(one is not None and not one.beginnings for one in asked)
        only = f"&code={quote(','.join(codes), safe=_PLAIN)}" if filtered else ""
        found.append(f"{kind}?_lastUpdated=ge{since.isoformat()}{only}&_include={kind}:patient{_MANY}")
    if outcome.death or outcome.death_competes:
        found.append(f"Patient?_lastUpdated=ge{since.isoformat()}{_MANY}")
    return tuple(found)


_MANY: Final = "&_count=500"
_PLAIN: Final = ":/|,.-_"


def resource_row(resource: JSON, outcome: Outcome, keys: Keys, now: datetime) -> Row:
    """One resource: an event, a death, a test that found none, or nothing that this outcome is about."""
    kind, name = resource.get("resourceType"), resource.get("id")
    if kind == "Patient":
        return _death(resource, outcome, keys, now)
    events = [rule for rule in outcome.events if rule.resource == kind]
    tests = [rule for rule in outcome.tested_by if rule.resource == kind]
    if not events and not tests:
        return None
    patient = _subject(resource, keys)
    if not isinstance(name, str) or not name or patient is None:
        return Refused.NO_PATIENT
    told, known_on = keys.outcome_id(keys.namespace, str(kind), name), _known_on(resource)
    is_wrong = _is_wrong(resource)
    event = None if is_wrong else next((rule for rule in events if is_event(resource, rule)), None)
    test = None if is_wrong else next((rule for rule in tests if is_event(resource, rule)), None)
    rule = event or test
    if rule is None:
        # What was an event and is none any more is withdrawn; what never was one is not written at all.
        return Reported(told, Report.WITHDRAWN, *patient, known_on=known_on)
    at = first_moment(resource, rule.at)
    if at is None or isinstance(at, Refused):
        return at or Refused.NO_TIME
    if at > now:
        return Refused.IN_THE_FUTURE
    if event is None:
        return Reported(told, Report.NO_EVENT, *patient, happened_at=at, known_on=known_on)
    value = _value(resource, event, outcome.kind)
    if isinstance(value, Refused):
        return value
    return Reported(told, Report.EVENT, *patient, happened_at=at, value=value, known_on=known_on)


def _value(resource: JSON, rule: ResourceRule, kind: OutcomeKind) -> float | Refused | None:
    """What is added up of a count or a cost: each resource is one where no element says how many."""
    if kind is OutcomeKind.BINARY:
        return None
    if rule.value is None:
        return 1.0
    found = next(_numbers(resource, rule.value), None)
    return Refused.BAD_VALUE if found is None or found < 0 else found


def _death(patient: JSON, outcome: Outcome, keys: Keys, now: datetime) -> Row:
    name = patient.get("id")
    if not isinstance(name, str) or not name:
        return Refused.NO_PATIENT
    if not (outcome.death or outcome.death_competes):
        return None
    keyed, known_on = keys.of_fhir_patient(name), _known_on(patient)
    told = keys.outcome_id(keys.namespace, "death", name)
    written = patient.get("deceasedDateTime")
    at = moment_of(written) if isinstance(written, str) else None
    if at is None:
        if patient.get("deceasedBoolean") is True:
            return Refused.NO_TIME
        return Reported(told, Report.WITHDRAWN, *keyed, known_on=known_on)
    if isinstance(at, Refused):
        return at
    if at > now:
        return Refused.IN_THE_FUTURE
    if outcome.death:
        return Reported(told, Report.EVENT, *keyed, happened_at=at, known_on=known_on)
    reason = "competing_event"
    return Reported(told, Report.CENSORED, *keyed, reason=reason, happened_at=at, known_on=known_on)


def _known_on(resource: JSON) -> date | None:
    """The day of the server's last change: an older export does not replace what a newer one said."""
    meta = resource.get("meta")
    written = meta.get("lastUpdated") if isinstance(meta, Mapping) else None
    return day_of(written) if isinstance(written, str) else None


def is_event(resource: JSON, rule: ResourceRule) -> bool:
    """Whether a resource has a code of every element of `where`, none of `unless`, and a value above."""
    if not all(codes.have_any_of(codes_at(resource, path)) for path, codes in rule.where.items()):
        return False
    if any(codes.have_any_of(codes_at(resource, path)) for path, codes in rule.unless.items()):
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
        for coding in _codings(value):
            code, system = coding.get("code"), coding.get("system")
            if isinstance(code, str):
                found.add(code)
                found.add(f"{system}|{code}")
    return frozenset(found)


def _codings(value: Any) -> Iterator[Mapping[str, Any]]:
    """A coding itself, and those of a concept."""
    if isinstance(value, Mapping):
        listed = value.get("coding")
        yield value
        yield from (one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, Mapping))


def first_moment(resource: JSON, paths: Iterable[str]) -> datetime | Refused | None:
    """The moment at the first of these elements that is there."""
    for path in paths:
        for value in _values(resource, path):
            if isinstance(value, str):
                return moment_of(value)
    return None


_GREATEST: Final = sys.float_info.max
"""JSON knows no bounds of numbers: an integer of four hundred digits is no float."""


def _numbers(resource: JSON, path: str) -> Iterator[float]:
    for value in _values(resource, path):
        number = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= _GREATEST:
            yield float(number)


def _values(resource: JSON, path: str) -> Iterator[Any]:
    found: list[Any] = [resource]
    for name in path.split("."):
        found = [one.get(name) for one in found if isinstance(one, Mapping)]
        found = [one for item in found for one in (item if isinstance(item, list) else [item])]
    return (one for one in found if one is not None)


def _subject(resource: JSON, keys: Keys) -> tuple[str | None, str | None] | None:
    """The keys of the patient a resource is about, by its declared identifier and by its FHIR id."""
    for name in ("subject", "patient"):
        reference = resource.get(name)
        if not isinstance(reference, Mapping):
            continue
        written, declared = reference.get("reference"), keys.declared(reference.get("identifier"))
        patient = _patient_in(written) if isinstance(written, str) else None
        if patient is None:
            return None if declared is None else (declared, None)
        by_map, by_id = keys.of_fhir_patient(patient)
        return declared or by_map, by_id
    return None


def _patient_in(reference: str) -> str | None:
    """The id in `Patient/1`, also behind a server's address or before a version."""
    kind, _, name = reference.partition("/_history")[0].rpartition("/")
    return name if name and kind.rpartition("/")[2] == "Patient" else None


def _is_wrong(resource: JSON) -> bool:
    wrong = codes_at(resource, "status") | codes_at(resource, "verificationStatus")
    return not _WRONG.isdisjoint(wrong)
