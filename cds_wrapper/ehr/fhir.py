"""What the EHR sent, sorted: which prefetch keys hold this patient's data, and what became of the others.

Reads no more of a resource than its type, its id and whom it is about: everything else is opaque and
goes on byte for byte. A key that speaks of another patient is withheld from everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState
from cds_wrapper.patient.demographics import NoPatient, PatientView


class _Coding(msgspec.Struct):
    code: str | None = None


class _Meta(msgspec.Struct):
    security: list[_Coding] | None = None


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None


class _Participant(msgspec.Struct):
    actor: _Reference | None = None


class _Head(msgspec.Struct, rename={"for_": "for"}):
    """What every resource says about itself and, in whatever member its type has for it, about whom it is."""

    resourceType: str | None = None
    id: str | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None
    beneficiary: _Reference | None = None
    for_: _Reference | None = None
    individual: _Reference | None = None
    participant: list[_Participant] | None = None
    issue: list[_Issue] | None = None
    entry: list[_Entry] | None = None


class _Entry(msgspec.Struct):
    resource: _Head | None = None


class _PatientLabels(msgspec.Struct):
    meta: _Meta | None = None


_head = msgspec.json.Decoder(_Head)
_labels = msgspec.json.Decoder(_PatientLabels)


def sort_prefetch(request: CDSRequest, templates: Mapping[str, str], patient_key: str) -> Prefetch:
    """Give every declared key its state and keep the values that may be forwarded.

    Absent: the EHR did not send the key. Empty: it looked and has nothing. Error: it failed to look.
    Other patient: somebody else's data; withheld from everybody. Unreadable: no FHIR resource of a known
    shape; forwarded all the same, the vendor may know better (CDS Hooks 2.0.1, "Prefetch Template").
    """
    states = {key: _state(request, key) for key in templates}
    values = {
        key: request.prefetch[key]
        for key, state in states.items()
        if state in {PrefetchState.PRESENT, PrefetchState.EMPTY, PrefetchState.UNREADABLE}
    }
    state = states.get(patient_key, PrefetchState.ABSENT)
    readable = state in {PrefetchState.PRESENT, PrefetchState.UNREADABLE}
    return Prefetch(values, states, values[patient_key] if readable else None, state)


_WHY_NO_PATIENT = {
    PrefetchState.ABSENT: NoPatient.ABSENT,
    PrefetchState.EMPTY: NoPatient.EMPTY,
    PrefetchState.ERROR: NoPatient.ERROR,
    PrefetchState.OTHER_PATIENT: NoPatient.OTHER_PATIENT,
}


def patient_view(prefetch: Prefetch) -> PatientView:
    """The patient's own Patient as it came, or why there is none."""
    if prefetch.patient is not None:
        return prefetch.patient
    return _WHY_NO_PATIENT[prefetch.patient_state]


def carries_test_label(patient: bytes | None) -> bool:
    """Whether the Patient is labelled as test data (`HTEST`); names are never examined."""
    if patient is None:
        return False
    try:
        labels = _labels.decode(patient).meta
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(coding.code == "HTEST" for coding in (labels.security or [] if labels else []))


def _state(request: CDSRequest, key: str) -> PrefetchState:
    raw = request.prefetch.get(key)
    if raw is None:
        return PrefetchState.ABSENT
    if raw == b"null":
        return PrefetchState.EMPTY
    try:
        head = _head.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _unreadable_state(raw, request.patient_id)
    match head.resourceType:
        case "OperationOutcome":
            return _outcome_state([head])
        case "Bundle":
            return _bundle_state(head, request.patient_id)
        case None:
            return _unreadable_state(raw, request.patient_id)
        case _:
            return (
                PrefetchState.OTHER_PATIENT if _is_other(head, request.patient_id) else PrefetchState.PRESENT
            )


def _bundle_state(bundle: _Head, patient_id: str) -> PrefetchState:
    resources = list(_resources_of(bundle))
    outcomes = [resource for resource in resources if resource.resourceType == "OperationOutcome"]
    content = [resource for resource in resources if resource.resourceType != "OperationOutcome"]
    if any(_is_other(resource, patient_id) for resource in content):
        return PrefetchState.OTHER_PATIENT
    return PrefetchState.PRESENT if content else _outcome_state(outcomes)


def _resources_of(bundle: _Head) -> Iterator[_Head]:
    """The resources of a Bundle, those of a Bundle inside it included."""
    for entry in bundle.entry or []:
        if entry.resource is None:
            continue
        if entry.resource.resourceType == "Bundle":
            yield from _resources_of(entry.resource)
        else:
            yield entry.resource


def _outcome_state(outcomes: Iterable[_Head]) -> PrefetchState:
    """An error stops the key; a warning such as "no results" means that there is nothing."""
    severities = {issue.severity for outcome in outcomes for issue in outcome.issue or []}
    return PrefetchState.ERROR if severities & {"error", "fatal"} else PrefetchState.EMPTY


def _unreadable_state(raw: bytes, patient_id: str) -> PrefetchState:
    """What is not plain FHIR is forwarded too, unless another patient's data are found anywhere inside."""
    try:
        found = _names_other_inside(msgspec.json.decode(raw), patient_id)
    except (msgspec.DecodeError, RecursionError):
        return PrefetchState.ERROR  # what cannot be read to its end cannot be shown to be this patient's
    return PrefetchState.OTHER_PATIENT if found else PrefetchState.UNREADABLE


def _names_other_inside(value: object, patient_id: str) -> bool:
    if isinstance(value, list):
        return any(_names_other_inside(item, patient_id) for item in value)
    if not isinstance(value, dict):
        return False
    if value.get("resourceType") == "Patient" and value.get("id") not in (None, patient_id):
        return True
    reference = value.get("reference")
    if isinstance(reference, str) and _names_another_patient(reference, patient_id):
        return True
    return any(_names_other_inside(item, patient_id) for item in value.values())


def _is_other(resource: _Head, patient_id: str) -> bool:
    if resource.resourceType == "Patient":
        return resource.id is not None and resource.id != patient_id
    about = (resource.subject, resource.patient, resource.beneficiary, resource.for_, resource.individual)
    actors = (participant.actor for participant in resource.participant or [])
    return any(
        reference is not None and _names_another_patient(reference.reference, patient_id)
        for reference in (*about, *actors)
    )


def _names_another_patient(reference: str | None, patient_id: str) -> bool:
    """Compare by the last two parts of the path: EHRs send relative and absolute references alike."""
    if reference is None:
        return False
    parts = reference.split("/_history/")[0].rsplit("/", 2)[-2:]
    return len(parts) == 2 and parts[0] == "Patient" and parts[1] != patient_id
