"""The Encounter of the call: where the patient is, in what setting, whether an interpreter is needed.

Only names the site has given are kept of a place: a location may be somebody's home, and a display is free
text. What is kept of the class is a word of ours or of the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from cds_wrapper.patient.attributes import Attribute, Missing, unrepeated
from cds_wrapper.patient.beside import (
    BesideView,
    Found,
    NoResource,
    covers,
    found_in,
    id_of,
    no_attribute,
    value_of,
)
from cds_wrapper.patient.codes import INTERPRETER_CODES, US_CORE
from cds_wrapper.patient.reading import (
    Statement,
    known,
    lacking,
    most_telling,
    null_reasons,
    objects,
    raw_codes,
    statement_of,
    statement_of_concept,
)
from cds_wrapper.patient.rules import INTERPRETER_NEEDED, DemographicRules, InterpreterSource

INTERPRETER_EXTENSION = US_CORE + "us-core-interpreter-needed"

_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
# Systems of the class in STU3 and by object identifier; DSTU2 wrote bare words.
_CLASS_SYSTEMS = frozenset({_ACT_CODE, "http://hl7.org/fhir/v3/ActCode", "urn:oid:2.16.840.1.113883.5.4", ""})
CARE_SETTINGS: Mapping[str, str] = {
    "AMB": "ambulatory",
    "EMER": "emergency",
    "HH": "home",
    "IMP": "inpatient",
    "ACUTE": "inpatient",
    "NONAC": "inpatient",
    "OBSENC": "observation",
    "VR": "virtual",
    "ambulatory": "ambulatory",
    "outpatient": "ambulatory",
    "emergency": "emergency",
    "home": "home",
    "inpatient": "inpatient",
    "virtual": "virtual",
}
"""Class of an Encounter -> care setting; other classes need a line of the site's own."""

_NULL = msgspec.Raw(b"null")


class _Encounter(msgspec.Struct):
    kind: msgspec.Raw = msgspec.field(name="class", default=_NULL)
    location: msgspec.Raw = _NULL
    service_provider: msgspec.Raw = msgspec.field(name="serviceProvider", default=_NULL)
    extension: msgspec.Raw = _NULL


_encounter = msgspec.json.Decoder(_Encounter)


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The names a site has for its places, by reference (`Location/6w`) or by identifier (`system|value`).

    `classes` holds classes of its own (`system|code`) and their care setting. With `keep_unlisted` a place
    without a name is recorded as `Type/id`; otherwise it is not recorded.
    """

    sites: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    keep_unlisted: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call was made; None where the Encounter does not say so."""

    site: str | None = None
    unit: str | None = None
    care_setting: str | None = None


NOWHERE = Place()


def own_encounter(view: BesideView, encounter_id: str) -> BesideView:
    """The Encounter of this id among what came; one of another id, or of none, is not the call's."""
    found = found_in(view, "Encounter")
    if not isinstance(found, Found):
        return found
    own = (resource for resource in found.resources if id_of(resource) == encounter_id)
    return next(own, NoResource.OTHER_ENCOUNTER)


def place_of(encounter: BesideView | None, on: date, rules: PlaceRules) -> Place:
    """Site, unit and care setting of the call's Encounter on a day."""
    fields = _read(encounter)
    if fields is None:
        return NOWHERE
    provider = list(_names(value_of(fields.service_provider)))
    locations = [name for place in _current(value_of(fields.location), on) for name in _names(place)]
    return Place(
        site=_named([*provider, *locations], rules.sites) or _unlisted(provider, "Organization", rules),
        unit=_named(locations, rules.units) or _unlisted(locations, "Location", rules),
        care_setting=_care_setting(value_of(fields.kind), rules),
    )


def _read(encounter: BesideView | None) -> _Encounter | None:
    if not isinstance(encounter, bytes):
        return None
    try:
        return _encounter.decode(encounter)
    except (ValueError, RecursionError):
        return None


def _current(locations: object, on: date) -> list[object]:
    """The active locations; where none has a status, those not left yet, else those of the day."""
    places = objects(locations)
    unmarked = [place for place in places if place.get("status") is None]
    staying = [place for place in unmarked if not _has_ended(place.get("period"))]
    today = [place for place in unmarked if covers(place.get("period"), on)]
    active = [place for place in places if place.get("status") == "active"]
    return [place.get("location") for place in active or staying or today]


def _has_ended(period: object) -> bool:
    return isinstance(period, dict) and period.get("end") is not None


def _names(reference: object) -> Iterator[str]:
    """What a site may know a place by: `Type/id`, whatever stands around it, and `system|value`."""
    for one in objects(reference):
        target = one.get("reference")
        if isinstance(target, str) and "#" not in target and "?" not in target:
            parts = target.strip().split("/_history/")[0].rstrip("/").split("/")
            yield from ["/".join(parts[-2:])] if len(parts) > 1 else []
        for identifier in objects(one.get("identifier")):
            system, value = identifier.get("system"), identifier.get("value")
            if isinstance(system, str) and isinstance(value, str):
                yield f"{system.strip()}|{value.strip()}"


def _named(names: Iterable[str], known_names: Mapping[str, str]) -> str | None:
    return next((known_names[name] for name in names if name in known_names), None)


def _unlisted(names: Iterable[str], kind: str, rules: PlaceRules) -> str | None:
    if not rules.keep_unlisted:
        return None
    return next((name for name in names if name.startswith(f"{kind}/") and len(name) <= _LONGEST), None)


_LONGEST = 80


def _care_setting(kind: object, rules: PlaceRules) -> str | None:
    """R4 and STU3 have a Coding there, R5 a list of CodeableConcepts, DSTU2 a word."""
    codings = [("", kind)] if isinstance(kind, str) else []
    for one in objects(kind):
        said = statement_of_concept(one if "coding" in one else {"coding": [one]})
        codings += [(code.system, code.code) for code in said.codes]
    listed = (rules.classes.get(f"{system}|{code}") for system, code in codings)
    ours = (CARE_SETTINGS.get(code) for system, code in codings if system in _CLASS_SYSTEMS)
    return next((one for one in (*listed, *ours) if one is not None), None)


# Interpreter ------------------------------------------------------------------------------------------------


def interpreter_of_either(
    patient: Attribute, encounter: BesideView | None, rules: DemographicRules
) -> Attribute:
    """Whether an interpreter is needed, by the sources the site wants, the best first.

    A call without an encounter asks the Patient alone. Two answers that differ are flagged.
    """
    scheme = rules.scheme(INTERPRETER_NEEDED)
    said = {InterpreterSource.PATIENT: patient}
    if encounter is not None:
        said[InterpreterSource.ENCOUNTER] = _interpreter_at(encounter, scheme)
    ordered = [said[source] for source in rules.interpreter_sources if source in said]
    if not ordered:
        return lacking(Missing.ABSENT, scheme, dq=("no_encounter",))
    raw = unrepeated(code for one in ordered for code in one.raw_codes)
    dq = [flag for one in ordered for flag in one.dq]
    answered = [one for one in ordered if one.value is not None]
    if len({one.value for one in answered}) > 1:
        dq.append("interpreter_sources_differ")
    for one in answered:
        return known(str(one.value), raw, one.source or "", dq, scheme)
    best = min(ordered, key=lambda one: _PLAINNESS.get(one.missing or Missing.ABSENT, 0))
    return lacking(best.missing or Missing.ABSENT, scheme, raw=raw, source=best.source, dq=dq)


# A reason the patient gave comes first, then a fault of ours; nothing on file says least.
_PLAINNESS = {Missing.NOT_FETCHED: 1, Missing.FETCH_FAILED: 1, Missing.INVALID: 2, Missing.ABSENT: 3}
_SOURCE = "Encounter.extension[us-core-interpreter-needed]"


def _interpreter_at(encounter: BesideView, scheme: str) -> Attribute:
    if isinstance(encounter, NoResource):
        return no_attribute(encounter, "encounter", scheme)
    fields = _read(encounter)
    if fields is None:
        return no_attribute(NoResource.UNREADABLE, "encounter", scheme)
    extensions = [one for one in objects(value_of(fields.extension)) if _is_interpreter(one)]
    said = statement_of(extensions)
    if said is None:
        return lacking(Missing.ABSENT, scheme)
    raw = raw_codes(said.codes)
    answers = (INTERPRETER_CODES.get((code.system, code.code)) for code in said.codes)
    answer = next((one for one in answers if one is not None), None)
    dq = ("degraded",) if said.degraded else ()
    if answer is not None:
        return known(answer, raw, _SOURCE, dq, scheme)
    return lacking(_why_missing(said), scheme, raw=raw, source=_SOURCE, dq=dq)


def _is_interpreter(extension: Mapping[str, Any]) -> bool:
    url = extension.get("url")
    return isinstance(url, str) and url.strip() == INTERPRETER_EXTENSION


def _why_missing(said: Statement) -> Missing:
    reason = most_telling(null_reasons(said))
    if reason is not None:
        return reason
    if said.codes or said.degraded or said.booleans:
        return Missing.INVALID
    return Missing.TEXT_ONLY if said.texts else Missing.ABSENT
