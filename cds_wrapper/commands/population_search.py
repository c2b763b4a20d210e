"""The search behind a prefetch template, over one patient's resources in memory.

A parameter that is not known here makes the search fail, as it may at an EHR: an ignored filter would find
more than was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from cds_wrapper.commands.population_files import Population
from cds_wrapper.vendors.feature_choice import CODE_ELEMENTS, codes_of
from cds_wrapper.vendors.feature_dates import DATES, moment
from cds_wrapper.vendors.feature_rules import JSON

_CONTROLS: Final = frozenset(
    {"_count", "_sort", "_include", "_revinclude", "_summary", "_elements", "_maxresults"}
)
_PATIENT: Final = frozenset({"patient", "subject", "beneficiary"})
_COMPARE: Final[Mapping[str, Callable[[datetime, datetime], bool]]] = {
    "ge": lambda at, limit: at >= limit,
    "gt": lambda at, limit: at > limit,
    "le": lambda at, limit: at <= limit,
    "lt": lambda at, limit: at < limit,
}
_DATES: Final = frozenset({"date", "recorded-date", "onset-date", "authoredon", "period"})
_TOKENS: Final = {
    "category": "category",
    "clinical-status": "clinicalStatus",
    "verification-status": "verificationStatus",
    "class": "class",
    "type": "type",
}
_PLAIN: Final = frozenset({"status", "intent"})


def answer(query: str, patient_id: str, people: Population) -> JSON | None:
    """What a server would answer to a read or a search about one patient; None when it could not."""
    path, _, written = query.partition("?")
    kind, _, name = path.partition("/")
    if name:
        return _read(kind, unquote(name), patient_id, people)
    found = people.by_patient.get(patient_id, {}).get(kind, [])
    parameters = parse_qsl(written, keep_blank_values=True)
    if kind == "Patient":
        found = [people.patients[patient_id]]
    for parameter, value in parameters:
        kept = _kept(found, kind, parameter.partition(":")[0], value)
        if kept is None:
            return None
        found = kept
    return _searchset(found, kind, dict(parameters))


def _read(kind: str, name: str, patient_id: str, people: Population) -> JSON | None:
    if kind == "Patient":
        return people.patients.get(name)
    found = people.by_patient.get(patient_id, {}).get(kind, [])
    return next((one for one in found if one.get("id") == name), None)


def _kept(found: Sequence[JSON], kind: str, parameter: str, value: str) -> list[JSON] | None:
    """Those that fit one parameter; None for a parameter that is not known here."""
    if parameter in _PATIENT or parameter in _CONTROLS:
        return list(found)
    if parameter == "_id":
        return [one for one in found if one.get("id") in value.split(",")]
    if parameter == "code":
        names = CODE_ELEMENTS.get(kind, ("code",))
        return [one for one in found if _has_token(_elements(one, names), value)]
    if parameter in _TOKENS:
        return [one for one in found if _has_token(_elements(one, (_TOKENS[parameter],)), value)]
    if parameter in _PLAIN:
        return [one for one in found if one.get(parameter) in value.rpartition("|")[2].split(",")]
    if parameter == "encounter":
        return [one for one in found if _refers_to(one, value)]
    return [one for one in found if _is_in_time(one, kind, value)] if parameter in _DATES else None


def _elements(resource: JSON, names: Sequence[str]) -> Iterator[Any]:
    for name in names:
        value = resource.get(name)
        yield from value if isinstance(value, list) else [value]


def _has_token(elements: Iterator[Any], value: str) -> bool:
    """Whether a code is one of `system|code`, `code` or `system|` between commas."""
    wanted = value.split(",")
    codes = {code for element in elements for code in codes_of(element)}
    bare = {code.rpartition("|")[2] for code in codes} | {code.rpartition("|")[0] + "|" for code in codes}
    return any(one in codes or one in bare for one in wanted)


def _refers_to(resource: JSON, value: str) -> bool:
    encounter = resource.get("encounter")
    reference = encounter.get("reference") if isinstance(encounter, dict) else None
    return isinstance(reference, str) and reference.rsplit("/", 1)[-1] == value.rsplit("/", 1)[-1]


def _is_in_time(resource: JSON, kind: str, value: str) -> bool:
    compare, limit = _COMPARE.get(value[:2]), moment(value[2:])
    at = moment_of(resource, kind)
    return compare is not None and limit is not None and at is not None and compare(at, limit)


def moment_of(resource: JSON, kind: str) -> datetime | None:
    """The moment a resource is about, as searches by date mean it."""
    for name in DATES.get(kind, ()):
        value = resource.get(name)
        texts = [value.get("end"), value.get("start")] if isinstance(value, dict) else [value]
        for text in texts:
            at = moment(text) if isinstance(text, str) else None
            if at is not None:
                return at
    return None


def _searchset(found: Sequence[JSON], kind: str, parameters: Mapping[str, str]) -> JSON:
    """One page, newest first where that was asked for; it says so when there would be more."""
    ordered = list(found)
    if parameters.get("_sort", "").startswith("-"):
        undated = [one for one in ordered if moment_of(one, kind) is None]
        dated = [(at, one) for one in ordered if (at := moment_of(one, kind)) is not None]
        ordered = [one for _, one in sorted(dated, key=lambda pair: pair[0], reverse=True)] + undated
    most = parameters.get("_count", "")
    page = ordered[: int(most)] if most.isdigit() else ordered
    more = [{"relation": "next", "url": "more"}] if len(page) < len(ordered) else []
    entries = [{"resource": one, "search": {"mode": "match"}} for one in page]
    return {"resourceType": "Bundle", "type": "searchset", "link": more, "entry": entries}
