"""A right call of each of the library's thirteen hooks, for one synthetic patient.

Written from CDS Hooks and its library, not from the wrapper's own table of hooks: what a context holds, what
of it must be there, and what earlier versions called it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.contract.odd_requests import ME
from tests.service.harness import request_of

Body = dict[str, Any]


def bundle(*resources: Body, **members: Any) -> Body:
    """The resources in one Bundle; `...` takes a member of it away."""
    entries = [{"resource": resource} for resource in resources]
    whole = {"resourceType": "Bundle", "type": "collection", "entry": entries, **members}
    return {name: value for name, value in whole.items() if value is not ...}


def draft(kind: str = "MedicationRequest", number: int = 1, **members: Any) -> Body:
    """An order that is not signed yet."""
    about = {"reference": f"Patient/{ME}"}
    return {"resourceType": kind, "id": f"draft-{number}", "status": "draft", "subject": about, **members}


USER = {"userId": "Practitioner/7"}
ROLE = {"userId": "PractitionerRole/7"}
INSIDE = {"encounterId": "e1"}
TASK = {"resourceType": "Task", "status": "draft", "intent": "order"}
APPOINTMENT = {
    "resourceType": "Appointment",
    "status": "proposed",
    "participant": [{"actor": {"reference": f"Patient/{ME}"}, "status": "needs-action"}],
}
CONDITION = {"resourceType": "Condition", "id": "c1", "subject": {"reference": f"Patient/{ME}"}}
ALLERGY = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": {"reference": f"Patient/{ME}"}}

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "patient-view": USER,
    "order-select": {
        **ROLE,
        "selections": ["MedicationRequest/draft-1"],
        "draftOrders": bundle(draft(), draft("ServiceRequest", 2)),
    },
    "order-sign": {**USER, "draftOrders": bundle(draft(intent="order"))},
    "order-dispatch": {"dispatchedOrders": ["ServiceRequest/1"], "performer": "Organization/2"},
    "appointment-book": {"userId": "RelatedPerson/3", "appointments": bundle(APPOINTMENT)},
    "encounter-start": {**USER, **INSIDE},
    "encounter-discharge": {**USER, **INSIDE},
    "allergyintolerance-create": {**USER, "allergyIntolerance": ALLERGY},
    "problem-list-item-create": {**USER, "conditions": bundle(CONDITION)},
    "medication-refill": {"medications": bundle(draft(intent="reflex-order"))},
    "medication-verify": {**USER, "medication": draft(status="active")},
    "medication-prescribe": {**USER, "medications": bundle(draft())},
    "order-review": {**USER, "orders": bundle(draft("ServiceRequest"))},
}
"""What each hook requires beside the patient."""

OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(REQUIRED, INSIDE),
    "order-dispatch": {"fulfillmentTasks": [TASK]},
    "medication-refill": {**USER, **INSIDE},
}


def call(hook: str, **context: Any) -> Body:
    """A right call, with members of its context replaced; `...` takes one away."""
    body = request_of(ME)
    members = {"patientId": ME, **REQUIRED[hook], **OPTIONAL[hook], **context}
    body["hook"] = hook
    body["context"] = {name: copy.deepcopy(value) for name, value in members.items() if value is not ...}
    return body


BEYOND_IDS = (
    "selections",
    "draftOrders",
    "dispatchedOrders",
    "fulfillmentTasks",
    "appointments",
    "allergyIntolerance",
    "conditions",
    "medications",
    "medication",
    "orders",
)


def listening(hooks: Any = tuple(REQUIRED), context: Any = ()) -> dict[str, str]:
    """What to replace in the shipped `service.yaml` so that its one id answers these hooks.

    `context` is what the vendor may see of it beside ids.
    """
    seen = f"  context: [{', '.join(context)}]\n" if context else ""
    return {
        "hook: patient-view": f"hook: [{', '.join(hooks)}]",
        "  protocol: cds-hooks": f"{seen}  protocol: cds-hooks",
    }
