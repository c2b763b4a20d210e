"""Calls in the shapes that public clients, test suites and drafts of CDS Hooks have, over all its hooks.

The shapes are theirs, the data is made up: the patient of the call, and another one who must stay unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.contract.hook_calls import ALLERGY, APPOINTMENT, CONDITION, TASK, Body, bundle, call, draft
from tests.contract.odd_requests import ME, TOKEN, mine, other, outcome, searchset, wrapped

LONG_ID = "eAbc-" + "x.Y-3" * 40
"""The ids that one large EHR gives to drafts are three times as long as FHIR allows."""


@dataclass(frozen=True, slots=True)
class OddCall:
    """One odd call: what it leads to, and what the operator is told of its context.

    `member` is what a 400 must name; None means that it is answered. `known` says whether the patient's own
    details are on record.
    """

    body: Body
    member: str | None = None
    known: bool = True
    missing: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()


def with_prefetch(body: Body, **values: Any) -> Body:
    """The call with other prefetch values; `...` takes one away."""
    body["prefetch"] = {
        key: value for key, value in {**body["prefetch"], **values}.items() if value is not ...
    }
    return body


def envelope(body: Body, **members: Any) -> Body:
    """The call with other members beside its context."""
    return {key: value for key, value in {**body, **members}.items() if value is not ...}


def drafted(hook: str, orders: list[Any], **members: Any) -> Body:
    """A call as the first drafts had it: patient and user beside a context that is a list of orders."""
    wrapped_up = {"patient": wrapped(mine(), status="200 OK")}
    return envelope(
        call(hook),
        **{"context": orders, "patient": ME, "user": "Practitioner/7", "prefetch": wrapped_up, **members},
    )


DSTU2_ORDER = {
    "resourceType": "MedicationOrder",
    "id": "m1",
    "dateWritten": "2017-05-05",
    "status": "draft",
    "patient": {"reference": f"Patient/{ME}"},
    "dosageInstruction": [{"timing": {"repeat": {"frequency": 3, "periodUnits": "d"}}}],
}
DSTU2_DIAGNOSTIC = {"resourceType": "DiagnosticOrder", "subject": {"reference": f"Patient/{ME}"}}
STU3_ORDER = {
    "resourceType": "MedicationRequest",
    "id": "m1",
    "status": "draft",
    "intent": "proposal",
    "subject": {"reference": f"Patient/{ME}"},
    "requester": {"agent": {"reference": "Practitioner/7"}, "onBehalfOf": {"reference": "Organization/1"}},
}
STU3_REFERRAL = {
    "resourceType": "ReferralRequest",
    "intent": "plan",
    "subject": {"reference": f"Patient/{ME}"},
}
DSTU2_PATIENT = {
    **mine(),
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/us-core-race",
            "valueCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/v3/Race", "code": "2106-3"}]},
        }
    ],
    "careProvider": [{"reference": "Practitioner/7"}],
    "name": [{"use": "official", "family": ["Example"], "given": ["A"]}],
    "communication": [{"language": {"coding": [{"code": "en"}]}, "preferred": True}],
}
MEDICATION = {"resourceType": "Medication", "id": "med-1", "code": {"text": "a tablet"}}
EPIC_DRAFTS = bundle(
    draft(id=LONG_ID, medicationReference={"reference": "Medication/med-1"}, requester={"extension": []}),
    MEDICATION,
    draft("ServiceRequest", 2, contained=[MEDICATION]),
)
EPIC_EXTENSION = {
    "com.epic.cdshooks.request.bpa-trigger-action": "18",
    "com.epic.cdshooks.request.cds-hooks-specification-version": "1.1",
    "com.epic.cdshooks.request.fhir-version": "R4",
    "com.epic.cdshooks.request.epic-version": "10.9",
    "internal.epic.cdshooks.request.epic-emp-id": "14977",
}
CRD_EXTENSION = {"davinci-crd.configuration": {"coverage-info": True, "max-cards": 3}}
COVERAGE = searchset(
    {"resourceType": "Coverage", "status": "active", "beneficiary": {"reference": f"Patient/{ME}"}}
)
NOT_YET = {"dispatchedOrders": ..., "fulfillmentTasks": ...}
OF_ANOTHER = {"resourceType": "Observation", "subject": {"reference": f"Patient/{other()['id']}"}}

OLD: dict[str, OddCall] = {
    "version 1.0, the user beside the context": OddCall(
        envelope(call("patient-view", userId=...), user="Practitioner/7")
    ),
    "a user on both sides": OddCall(envelope(call("patient-view"), user="Patient/x")),
    "a null user in the context and one beside it": OddCall(
        envelope(call("patient-view", userId=None), user="Practitioner/7")
    ),
    "a user beside the context that is an object": OddCall(
        envelope(call("patient-view", userId=...), user={"reference": "Practitioner/7"}), invalid=("userId",)
    ),
    "medication-prescribe, DSTU2": OddCall(call("medication-prescribe", medications=bundle(DSTU2_ORDER))),
    "medication-prescribe, STU3": OddCall(
        call("medication-prescribe", medications=bundle(STU3_ORDER, type=...))
    ),
    "medication-prescribe with a list": OddCall(
        call("medication-prescribe", medications=[DSTU2_ORDER, STU3_ORDER]), invalid=("medications",)
    ),
    "medication-prescribe with one order": OddCall(
        call("medication-prescribe", medications=DSTU2_ORDER), invalid=("medications",)
    ),
    "order-review, DSTU2": OddCall(call("order-review", orders=bundle(DSTU2_DIAGNOSTIC, DSTU2_ORDER))),
    "order-review, STU3": OddCall(call("order-review", orders=bundle(STU3_REFERRAL, STU3_ORDER))),
    "order-review with an empty Bundle": OddCall(
        call("order-review", orders={"resourceType": "Bundle", "entry": None})
    ),
    "order-review without a user or a type": OddCall(
        call("order-review", userId=..., orders={"entry": []}), missing=("userId",), invalid=("orders",)
    ),
    "order-sign with medications": OddCall(
        envelope(
            call("order-sign", userId=..., draftOrders=..., medications=[STU3_ORDER]), user="Practitioner/7"
        ),
        missing=("draftOrders",),
    ),
    "order-dispatch 1.0": OddCall(
        call(
            "order-dispatch", dispatchedOrders=..., fulfillmentTasks=..., order="ServiceRequest/1", task=TASK
        )
    ),
    "order-dispatch 1.0 without a task": OddCall(call("order-dispatch", **NOT_YET, order="ServiceRequest/1")),
    "order-dispatch with the order itself": OddCall(
        call("order-dispatch", dispatchedOrders=..., order=draft("ServiceRequest")),
        invalid=("dispatchedOrders",),
    ),
    "order-dispatch with a task for tasks": OddCall(
        call("order-dispatch", fulfillmentTasks=TASK), invalid=("fulfillmentTasks",)
    ),
    "order-dispatch with null for both names": OddCall(
        call("order-dispatch", dispatchedOrders=None, order=None), missing=("dispatchedOrders",)
    ),
}

DRAFTS: dict[str, OddCall] = {
    "a context that is a list of orders": OddCall(
        drafted("medication-prescribe", [DSTU2_ORDER]), missing=("medications",)
    ),
    "a context that is an empty list": OddCall(drafted("medication-prescribe", []), missing=("medications",)),
    "a context that is a list, and the patient by type": OddCall(
        drafted("order-review", [STU3_REFERRAL], patient=f"Patient/{ME}"), missing=("orders",)
    ),
    "a context that is a list, and an encounter": OddCall(drafted("encounter-start", [], encounter="e1")),
    "a context that is a list, and a null encounter": OddCall(
        drafted("encounter-start", [], encounter=None), missing=("encounterId",)
    ),
    "a context that is a list, and no prefetch": OddCall(
        drafted("patient-view", [], prefetch=...), known=False
    ),
    "a context that is a list of whatever": OddCall(drafted("patient-view", [None, 5, "x", [[]]])),
    "a context that is a list, and nobody": OddCall(
        drafted("patient-view", [DSTU2_ORDER], patient=...), "context.patientId"
    ),
    "a context that is a list, and the patient a number": OddCall(
        drafted("patient-view", [], patient=55), "context.patientId"
    ),
    "a patient beside a context that has none": OddCall(
        envelope(call("patient-view", patientId=...), patient=f"Patient/{ME}")
    ),
    "another patient beside the context": OddCall(envelope(call("patient-view"), patient=other()["id"])),
    "a context that is text": OddCall(envelope(call("patient-view"), context="Patient/1"), "context"),
}

PUBLIC: dict[str, OddCall] = {
    "drafts with the medicines among them": OddCall(
        envelope(
            call("order-select", draftOrders=EPIC_DRAFTS, selections=[f"MedicationRequest/{LONG_ID}"]),
            extension=EPIC_EXTENSION,
            hookInstance="3f1dde72-162b-11ec-99e8-0050568b7be6",
        )
    ),
    "a trigger of its own sent as patient-view": OddCall(
        envelope(call("patient-view", encounterId=...), extension=EPIC_EXTENSION)
    ),
    "signing outside an encounter": OddCall(
        envelope(call("order-sign", encounterId=..., draftOrders=EPIC_DRAFTS), extension=EPIC_EXTENSION)
    ),
    "signing without the drafts we may not see": OddCall(
        call("order-sign", draftOrders=...), missing=("draftOrders",)
    ),
    "an instance of zeros and a scope of names": OddCall(
        envelope(
            call("patient-view"),
            hookInstance="00000000-0000-0000-0000-000000000000",
            fhirServer="https://ehr.example/api/FHIR/R4",
            fhirAuthorization={**TOKEN, "scope": "PATIENT.READ (R4) OBSERVATION.SEARCH (LABS) (R4) " * 60},
        )
    ),
    "stripped of prefetch and token": OddCall(
        envelope(call("patient-view"), prefetch=..., fhirServer="https://ehr.example/fhir"), known=False
    ),
    "a prefetch key with a minus": OddCall(
        with_prefetch(call("patient-view"), **{"-user": {"resourceType": "Practitioner", "id": "7"}})
    ),
    "a payer's call with its own extension": OddCall(
        envelope(
            with_prefetch(call("order-sign", draftOrders=bundle(draft("DeviceRequest"))), coverage=COVERAGE),
            extension=CRD_EXTENSION,
        )
    ),
    "a payer's appointment": OddCall(
        with_prefetch(call("appointment-book", appointments=bundle(APPOINTMENT)), coverage=COVERAGE)
    ),
    "the type before the patient, the encounter and the user": OddCall(
        call("patient-view", patientId=f"Patient/{ME}", encounterId="Encounter/1", userId="Practitioner/7")
    ),
    "addresses for ids": OddCall(
        call(
            "encounter-start",
            patientId=f"https://ehr.example/fhir/Patient/{ME}",
            encounterId="https://ehr.example/fhir/Encounter/e1",
            userId="https://ehr.example/fhir/PractitionerRole/7",
        )
    ),
    "a user without a type": OddCall(call("patient-view", userId="test-user-456"), invalid=("userId",)),
    "an instance that is a word": OddCall(envelope(call("patient-view"), hookInstance="12345")),
    "selections without their types": OddCall(
        call("order-select", selections=["draft-1"]), invalid=("selections",)
    ),
    "no selections": OddCall(call("order-select", selections=[]), invalid=("selections",)),
    "one selection": OddCall(
        call("order-select", selections="MedicationRequest/draft-1"), invalid=("selections",)
    ),
    "drafts in a list": OddCall(call("order-sign", draftOrders=[draft()]), invalid=("draftOrders",)),
    "a searchset of drafts": OddCall(call("order-sign", draftOrders=searchset(draft()))),
    "a draft as text": OddCall(call("order-sign", draftOrders="{}"), invalid=("draftOrders",)),
    "problems in a list": OddCall(
        call("problem-list-item-create", conditions=[CONDITION]), invalid=("conditions",)
    ),
    "an allergy in a Bundle": OddCall(
        call("allergyintolerance-create", allergyIntolerance=bundle(ALLERGY)), invalid=()
    ),
    "an allergy without its type": OddCall(
        call("allergyintolerance-create", allergyIntolerance={"id": "a1"}), invalid=("allergyIntolerance",)
    ),
    "members of the site's own": OddCall(call("patient-view", encounterTime="2026-06-30", reasonCodes=["x"])),
    "a patient in other letters": OddCall(
        call("patient-view", patientId=..., patientid=ME), "context.patientId"
    ),
    "patients": OddCall(call("patient-view", patientId=[ME]), "context.patientId"),
    "another hook's id and no hook": OddCall(envelope(call("order-sign"), hook=...), "hook"),
    "a hook nobody has": OddCall(envelope(call("order-sign"), hook="copd-careplan-select"), "hook"),
    "no instance": OddCall(envelope(call("order-sign"), hookInstance=...), "hookInstance"),
    "no context": OddCall(envelope(call("order-sign"), context=...), "context"),
}

VALUES: dict[str, OddCall] = {
    "a Patient of DSTU2": OddCall(with_prefetch(call("patient-view"), patient=DSTU2_PATIENT)),
    "a Patient of DSTU2, wrapped": OddCall(
        with_prefetch(call("order-review"), patient=wrapped(DSTU2_PATIENT, status="200 OK"))
    ),
    "a wrapped search": OddCall(
        with_prefetch(call("patient-view"), lipids=wrapped(searchset(total=0), status="200"))
    ),
    "a wrapped failure": OddCall(
        with_prefetch(call("patient-view"), lipids=wrapped(outcome("error"), status="500"))
    ),
    "a wrapper with its members turned round": OddCall(
        with_prefetch(call("patient-view"), patient={"resource": mine(), "response": {"status": "200"}})
    ),
    "a wrapper of text": OddCall(
        with_prefetch(call("patient-view"), patient=wrapped("none", status="200")), known=False
    ),
    "a wrapper of somebody else": OddCall(
        with_prefetch(call("patient-view"), patient=wrapped(other(), status="200 OK")), known=False
    ),
    "a wrapped search about somebody else": OddCall(
        with_prefetch(call("patient-view"), lipids=wrapped(searchset(OF_ANOTHER), status="200"))
    ),
    "a failed wrapper around somebody else": OddCall(
        with_prefetch(call("patient-view"), lipids=wrapped(searchset(OF_ANOTHER), status="503"))
    ),
    "an entry of a batch": OddCall(
        with_prefetch(
            call("patient-view"),
            patient={"fullUrl": "x", "response": {"status": "200"}, "resource": other()},
        ),
        known=False,
    ),
    "a Bundle of everything": OddCall(
        with_prefetch(call("patient-view"), patientData=searchset(mine(), OF_ANOTHER))
    ),
    "a Patient without an id": OddCall(
        with_prefetch(
            call("patient-view"), patient={"resourceType": "Patient", "address": [{"district": "B"}]}
        ),
        known=False,
    ),
    "null for every key": OddCall(
        with_prefetch(call("patient-view"), **dict.fromkeys(call("patient-view")["prefetch"])), known=False
    ),
}

ROOMS = {"old": OLD, "drafts": DRAFTS, "public": PUBLIC, "values": VALUES}
ODD_CALLS: dict[str, OddCall] = {
    f"{room}: {name}": one for room, calls in ROOMS.items() for name, one in calls.items()
}
