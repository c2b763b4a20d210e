"""What the EHR sent, sorted: which prefetch keys hold this patient's data, and what became of the others.

Whatever a value holds is searched for another patient, at any depth and in whatever shape: wrapped, nested,
misspelt or malformed. A key that speaks of another patient is withheld from everybody; all else goes on byte
for byte, since the vendor may know better what to make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never
from urllib.parse import unquote

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState
from cds_wrapper.ehr.glance import is_plainly_of
from cds_wrapper.ehr.pages import is_cut_short
from cds_wrapper.ehr.templates import most_entries
from cds_wrapper.patient.demographics import (
    NOTHING_BESIDE,
    Beside,
    BesideKeys,
    BesideView,
    NoPatient,
    NoResource,
    PatientView,
    own_encounter,
)

ABOUT = frozenset({"subject", "patient", "beneficiary", "for", "individual", "actor"})
"""The members in which FHIR resources name whom they are about (R4).

`link.other` and `performer` may rightly name somebody else and are not among them.
"""

_PATIENT = "patient"
_NESTED = (dict, list)


class _Coding(msgspec.Struct):
    code: str | None = None


class _Meta(msgspec.Struct):
    security: list[_Coding] | None = None


class _PatientLabels(msgspec.Struct):
    meta: _Meta | None = None


_labels = msgspec.json.Decoder(_PatientLabels)
# A number too large for a float is no reason not to read the rest.
_anything = msgspec.json.Decoder(float_hook=float)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def sort_prefetch(request: CDSRequest, templates: Mapping[str, str], patient_key: str) -> Prefetch:
    """Give every declared key its state and keep the values that may be forwarded.

    Absent: the EHR did not send the key. Empty: it looked and has nothing. Error: it failed to look, or what
    came cannot be read to its end. Other patient: somebody else's data; withheld from everybody. Unreadable:
    no FHIR resource of a known shape; forwarded all the same when it is a resource at all (CDS Hooks 2.0.1,
    "Prefetch Template"). Truncated: one page of several; forwarded as it came. The Patient is forwarded only
    under this patient's own id: one without an id is nobody's.
    """
    search = _Search(request.patient_id)
    given = request.prefetch
    states = {
        key: _state(given.get(key), search, template, is_the_patient=key == patient_key)
        for key, template in templates.items()
    }
    patient_state = states.get(patient_key, PrefetchState.ABSENT)
    odd = PrefetchState.UNREADABLE
    values = {
        key: given[key]
        for key, state in states.items()
        if state in _FORWARDED or (state is odd and key != patient_key and _is_resource(given[key]))
    }
    patient = values[patient_key] if patient_state is PrefetchState.PRESENT else None
    return Prefetch(values, states, patient, patient_state)


_FORWARDED = frozenset({PrefetchState.PRESENT, PrefetchState.EMPTY, PrefetchState.TRUNCATED})


def _is_resource(raw: bytes) -> bool:
    """Whether a value is a JSON object that names its resource's type, whatever else is wrong with it."""
    try:
        return _type_of(_anything.decode(raw)) is not None
    except _UNREADABLE:
        return False


def speaks_of_another(value: object, patient_id: str) -> bool:
    """Whether a decoded value names another patient at any depth; `RecursionError` for one without bottom."""
    return _Search(patient_id).finds_another(value)


def patient_view(prefetch: Prefetch) -> PatientView:
    """The patient's own Patient as it came, or why there is none."""
    return prefetch.patient if prefetch.patient is not None else _why_no_patient(prefetch.patient_state)


def _why_no_patient(state: PrefetchState) -> NoPatient:
    match state:
        case PrefetchState.ABSENT:
            return NoPatient.ABSENT
        case PrefetchState.EMPTY:
            return NoPatient.EMPTY
        case PrefetchState.ERROR | PrefetchState.UNSUPPORTED:
            return NoPatient.ERROR
        case PrefetchState.UNREADABLE | PrefetchState.TRUNCATED | PrefetchState.PRESENT:
            return NoPatient.UNREADABLE  # a page of a search is no Patient
        case PrefetchState.OTHER_PATIENT:
            return NoPatient.OTHER_PATIENT
        case _:
            assert_never(state)


def came_stripped(request: CDSRequest, prefetch: Prefetch) -> bool:
    """Whether the EHR left out everything that the service asked for, and a token to fetch it with.

    An EHR does that to a call whose address is not the one it has registered.
    """
    if not request.is_stripped or not prefetch.states:
        return False
    return all(state is PrefetchState.ABSENT for state in prefetch.states.values())


_WHY_NOTHING = {
    PrefetchState.ABSENT: NoResource.ABSENT,
    PrefetchState.EMPTY: NoResource.EMPTY,
    PrefetchState.UNREADABLE: NoResource.UNREADABLE,
    PrefetchState.OTHER_PATIENT: NoResource.OTHER_PATIENT,
}


def beside_of(prefetch: Prefetch, keys: BesideKeys, encounter_id: str | None) -> Beside:
    """What came beside the Patient under the keys of this site, of the Encounter only the call's own."""
    if keys == _NO_KEYS:
        return NOTHING_BESIDE
    encounter: BesideView | None = None
    if keys.encounter and encounter_id:
        encounter = own_encounter(_came(prefetch, keys.encounter), encounter_id)
    return Beside(_came(prefetch, keys.coverage), _came(prefetch, keys.disability), encounter)


_NO_KEYS = BesideKeys()


def _came(prefetch: Prefetch, key: str | None) -> BesideView:
    if key is None:
        return NoResource.ABSENT
    state = prefetch.states.get(key, PrefetchState.ABSENT)
    if key in prefetch.values and state not in _WHY_NOTHING:
        return prefetch.values[key]
    return _WHY_NOTHING.get(state, NoResource.ERROR)


def carries_test_label(patient: bytes | None) -> bool:
    """Whether the Patient is labelled as test data (`HTEST`); names are never examined."""
    if patient is None:
        return False
    try:
        labels = _labels.decode(patient).meta
    except _UNREADABLE:
        return False
    return any(coding.code == "HTEST" for coding in (labels.security or [] if labels else []))


def names_another_patient(value: object, patient_id: str) -> bool:
    """Whether anything in a decoded value is about somebody else."""
    return _Search(patient_id).finds_another(value)


def _state(raw: bytes | None, search: _Search, template: str, *, is_the_patient: bool) -> PrefetchState:
    if raw is None:
        return PrefetchState.ABSENT
    if is_plainly_of(search.patient_id, raw):
        return PrefetchState.PRESENT
    try:
        value = _anything.decode(raw)
        if search.finds_another(value):
            return PrefetchState.OTHER_PATIENT
    except _UNREADABLE:
        return PrefetchState.ERROR  # what cannot be read to its end cannot be shown to be this patient's
    if value is None:
        return PrefetchState.EMPTY
    match _type_of(value):
        case None:
            return PrefetchState.UNREADABLE
        case "operationoutcome":
            return _outcome_state([value])
        case "bundle":
            return _bundle_state(value, template)
        case kind if is_the_patient and kind == _PATIENT and value.get("id") != search.patient_id:
            return PrefetchState.UNREADABLE  # it does not say whose it is
        case _:
            return PrefetchState.PRESENT


def _type_of(value: object) -> str | None:
    """The resource's type, whatever its case; None when it names none."""
    kind = value.get("resourceType") if isinstance(value, dict) else None
    return kind.strip().casefold() or None if isinstance(kind, str) else None


def _bundle_state(bundle: Mapping[str, Any], template: str) -> PrefetchState:
    entries = bundle.get("entry")
    if entries is not None and not isinstance(entries, list):
        return PrefetchState.UNREADABLE
    found = [entry.get("resource") for entry in entries or [] if isinstance(entry, dict)]
    resources = [resource for resource in found if isinstance(resource, dict)]
    outcomes = [resource for resource in resources if _type_of(resource) == "operationoutcome"]
    state = PrefetchState.PRESENT if len(resources) > len(outcomes) else _outcome_state(outcomes)
    if state is not PrefetchState.ERROR and "link" in bundle and is_cut_short(bundle, most_entries(template)):
        return PrefetchState.TRUNCATED
    return state


def _outcome_state(outcomes: list[Any]) -> PrefetchState:
    """An error stops the key; a warning such as "no results" means that there is nothing."""
    issues = [issue for outcome in outcomes for issue in _items(outcome.get("issue"))]
    failed = any(isinstance(issue, dict) and issue.get("severity") in ("error", "fatal") for issue in issues)
    return PrefetchState.ERROR if failed else PrefetchState.EMPTY


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(slots=True)
class _Search:
    """The search for another patient in one request's values; they mostly repeat one reference."""

    patient_id: str
    _judged: dict[str, bool] = field(default_factory=dict)

    def finds_another(self, value: object, is_contained: bool = False) -> bool:
        """Whether another patient is named anywhere inside; a contained Patient's id is its container's own.

        Most values are texts and numbers: a call for each of them would cost more than all the rest.
        """
        if isinstance(value, list):
            for item in value:
                if isinstance(item, _NESTED) and self.finds_another(item, is_contained):
                    return True
        elif isinstance(value, dict):
            if "resourceType" in value and not is_contained and self._is_another_patient(value):
                return True
            for name, member in value.items():
                if name in ABOUT and any(map(self._is_other, _references(member))):
                    return True
                if isinstance(member, _NESTED) and self.finds_another(member, name == "contained"):
                    return True
        return False

    def _is_another_patient(self, resource: Mapping[str, Any]) -> bool:
        return _type_of(resource) == _PATIENT and resource.get("id") not in (None, self.patient_id)

    def _is_other(self, reference: str) -> bool:
        judged = self._judged.get(reference)
        if judged is None:
            judged = self._judged[reference] = _is_other(reference, self.patient_id)
        return judged


def _references(member: object) -> list[str]:
    """Every text that could be the reference of a member, whatever shape it was given."""
    if isinstance(member, dict):
        return _references(member.get("reference"))
    if isinstance(member, list):
        return [text for item in member for text in _references(item)]
    return [member] if isinstance(member, str) else []


def _is_other(reference: str, patient_id: str) -> bool:
    """Whether a reference names another patient: relative, absolute, versioned, encoded or misspelt.

    Compared by type and id alone, since EHRs send relative and absolute references alike. A reference that
    names no patient (a group, `urn:uuid:`, `#contained`) says nothing.
    """
    path = unquote(reference).strip().split("#")[0].split("?")[0].split("|")[0]
    is_absolute = "://" in path
    parts = [
        part.strip() for part in path.partition("://")[2 if is_absolute else 0].split("/") if part.strip()
    ]
    if is_absolute:
        # A server's address may hold any word; whom it is about stands at the end.
        end = parts.index("_history") if "_history" in parts else len(parts)
        parts = parts[max(1, end - 2) : end]
    places = [place for place, part in enumerate(parts[:-1]) if part.casefold() == _PATIENT]
    return any(parts[place + 1] != patient_id for place in places) or ".." in parts
