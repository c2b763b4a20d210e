"""Hook calls as no specification wants them: what old clients, drafts, relays and careless hands send.

All of it is synthetic, made from two named cases: the patient of the call and another patient. Each row says
what must become of it, and what of it reaches the vendor although it should not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.service.harness import request_of

ME = "white-55"
OTHER = "black-35"

Body = dict[str, Any]
Change = Callable[[Body], object]


@dataclass(frozen=True, slots=True)
class Odd:
    """One odd call.

    `body` is what is sent. `member` is the member that a 400 must name; None means that the call is served.
    `known` says whether this patient's demographics are on record afterwards, `asked` whether the vendor is
    asked: it is not when no valid call could be made of this one.
    """

    name: str
    body: bytes
    member: str | None = None
    known: bool = True
    asked: bool = True


def served(name: str, change: Change, *, known: bool = True, asked: bool = True) -> Odd:
    """A call that is answered all the same."""
    return Odd(name, json.dumps(changed(change)).encode(), None, known, asked)


def refused(name: str, member: str, change: Change) -> Odd:
    """A call that gets a 400 which names the member."""
    return Odd(name, json.dumps(changed(change)).encode(), member)


def changed(change: Change) -> Body:
    """The named case with one change; the change may also give a whole new body."""
    body = request_of(ME)
    change(body)
    return body


def top(**members: Any) -> Change:
    """Set members of the envelope; `...` takes one away."""
    return lambda body: put(body, members)


def context(**members: Any) -> Change:
    """The same for the context."""
    return lambda body: put(body["context"], members)


def prefetch(**members: Any) -> Change:
    """The same for the prefetch."""
    return lambda body: put(body["prefetch"], members)


def patient(**members: Any) -> Change:
    """The same for the Patient that came as prefetch."""
    return lambda body: put(body["prefetch"]["patient"], members)


def put(members: Body, changes: Body) -> None:
    members.update({name: value for name, value in changes.items() if value is not ...})
    for name in [name for name, value in changes.items() if value is ...]:
        members.pop(name, None)


def mine() -> Body:
    """The patient's own Patient."""
    resource: Body = copy.deepcopy(request_of(ME)["prefetch"]["patient"])
    return resource


def other() -> Body:
    """Another patient's Patient."""
    resource: Body = copy.deepcopy(request_of(OTHER)["prefetch"]["patient"])
    return resource


def searchset(*resources: Any, **members: Any) -> Body:
    entries = [{"resource": resource} for resource in resources]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        **({"entry": entries} if entries else {}),
        **members,
    }


def wrapped(*resource: Any, **response: Any) -> Body:
    """A value as the first drafts had it: what the FHIR server answered, status and resource."""
    return {"response": response, **({"resource": resource[0]} if resource else {})}


def outcome(severity: str) -> Body:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing"}]}


TOKEN = {
    "access_token": "not-a-secret",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/Patient.read",
    "subject": "wrapper",
}
NOTHING_FOUND = {"total": 0, "entry": [{"search": {"mode": "outcome"}, "resource": outcome("warning")}]}
DRAFTS_OF_STU3 = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "ProcedureRequest"}}]}

ENVELOPES = [
    served("a user beside the context, as drafts had it", top(user="Practitioner/1")),
    served("members of drafts", top(oauth={"token": "x"}, redirect="https://x.example", operation="y")),
    served("members nobody knows", top(surprise={"a": [None, ""]}, extension={"com.example.x": None})),
    served("explicit nulls", top(fhirServer=None, fhirAuthorization=None, extension=None)),
    served("a null prefetch", top(prefetch=None), known=False),
    served("an empty prefetch", top(prefetch={}), known=False),
    served("no prefetch", top(prefetch=...), known=False),
    served("a token without a server", top(fhirAuthorization=TOKEN)),
    served("a server without a token", top(fhirServer="https://ehr.example/fhir")),
    served("a token of text", top(fhirServer="https://ehr.example/fhir", fhirAuthorization="x")),
    served(
        "a token with odd members",
        top(fhirAuthorization={**TOKEN, "token_type": "bearer", "expires_in": "300", "scope": ""}),
    ),
    served("a server that is a number", top(fhirServer=5)),
    served("a time-based id", top(hookInstance="a4c3f1e0-5d2b-11ef-9cd2-0242ac120002")),
    served("an id of zeros", top(hookInstance="00000000-0000-0000-0000-000000000000")),
    served("an id that is no UUID", top(hookInstance="order 17/§")),
    served("an id of blanks", top(hookInstance=" ")),
    served("an id of ten thousand characters", top(hookInstance="x" * 10_000)),
    refused("no id", "hookInstance", top(hookInstance=...)),
    refused("an empty id", "hookInstance", top(hookInstance="")),
    refused("a null id", "hookInstance", top(hookInstance=None)),
    refused("an id that is a number", "hookInstance", top(hookInstance=17)),
    refused("no hook", "hook", top(hook=...)),
    refused("a hook that is a list", "hook", top(hook=["patient-view"])),
    refused("another hook", "hook", top(hook="order-sign")),
    refused("a hook in capitals", "hook", top(hook="Patient-View")),
    refused("no context", "context", top(context=...)),
    refused("a null context", "context", top(context=None)),
    refused("a context that is a list", "context", top(context=[{"patientId": ME}])),
    refused("a prefetch that is a list", "prefetch", top(prefetch=[])),
    refused("a prefetch of text", "prefetch", top(prefetch="none")),
]

CONTEXTS = [
    served("a patient with its type", context(patientId=f"Patient/{ME}")),
    served("a patient with its type twice", context(patientId=f"Patient/Patient/{ME}")),
    served("a patient by its address", context(patientId=f"https://ehr.example/fhir/Patient/{ME}")),
    served("one version of a patient", context(patientId=f"https://ehr.example/Patient/{ME}/_history/3")),
    served("a patient with blanks around it", context(patientId=f" Patient/{ME}\n")),
    served("a very long patient id", context(patientId="x" * 5000), known=False),
    served("a patient id in another script", context(patientId="患者-1"), known=False),
    refused("no patient", "context.patientId", context(patientId=...)),
    refused("a null patient", "context.patientId", context(patientId=None)),
    refused("an empty patient", "context.patientId", context(patientId="")),
    refused("a patient of blanks", "context.patientId", context(patientId=" ")),
    refused("a type without a patient", "context.patientId", context(patientId="Patient/")),
    refused("a user in the patient's place", "context.patientId", context(patientId=f"Practitioner/{ME}")),
    refused(
        "a search for a patient",
        "context.patientId",
        context(patientId=f"https://ehr.example/fhir/Patient?_id={ME}"),
    ),
    refused("a patient that is a number", "context.patientId", context(patientId=55)),
    refused(
        "a patient that is a reference",
        "context.patientId",
        context(patientId={"reference": f"Patient/{ME}"}),
    ),
    refused("a misspelt patient", "context.patientId", context(patientId=..., patientID=ME)),
    served("a null encounter", context(encounterId=None)),
    served("an encounter", context(encounterId="e1")),
    served("an empty encounter", context(encounterId="")),
    served("an encounter with its type", context(encounterId="Encounter/e1")),
    served("an encounter that is an object", context(encounterId={"id": "e1"})),
    served("a patient in the encounter's place", context(encounterId=f"Patient/{OTHER}")),
    served("a user's role", context(userId="PractitionerRole/1")),
    served("a user by its address", context(userId="https://ehr.example/fhir/Practitioner/1/_history/2")),
    served("nobody", context(userId=...), asked=False),
    served("a null user", context(userId=None), asked=False),
    served("an empty user", context(userId=""), asked=False),
    served("a user without a type", context(userId="demo"), asked=False),
    served("a user that is a number", context(userId=5), asked=False),
    served("drafts of STU3", context(draftOrders=DRAFTS_OF_STU3, selections=[])),
    served(
        "orders of the first release", context(medications={"resourceType": "MedicationOrder"}, orders=None)
    ),
]

PATIENTS = [
    *(
        served(f"wrapped, with the status {status!r}", prefetch(patient=wrapped(mine(), status=status)))
        for status in ("200", "200 OK", 200, "201")
    ),
    *(
        served(f"wrapped, {name}", prefetch(patient=value), known=False)
        for name, value in {
            "not found": wrapped(status="404 Not Found"),
            "null and not found": wrapped(None, status=404),
            "not allowed": wrapped(mine(), status="403"),
            "without a status": wrapped(mine()),
            "with more in it": {**wrapped(mine(), status="200"), "x": 1},
            "twice": wrapped(wrapped(mine(), status="200"), status="200"),
            "somebody else, found": wrapped(other(), status="200"),
            "somebody else, failed": wrapped(other(), status="500"),
        }.items()
    ),
    served("in a searchset", prefetch(patient=searchset(mine())), known=False),
    served("in a list", prefetch(patient=[mine()]), known=False),
    served(
        "DSTU2", patient(careProvider=[{"reference": "Organization/1"}], animal={"species": {"text": "x"}})
    ),
    served(
        "STU3",
        patient(animal={}, generalPractitioner={"reference": "Practitioner/1"}, link=[{"type": "refer"}]),
    ),
    served("with explicit nulls", patient(name=None, telecom=None, photo=None, deceasedBoolean=None)),
    served("an object where a list is due", patient(name={"family": "X"}, identifier={"value": "1"})),
    served("a birth date with a time", patient(birthDate="1971-01-15T00:00:00Z")),
    served("a birth date that is a number", patient(birthDate=19710115)),
    served("a capitalised gender", patient(gender="Female")),
    served("an extension without a url", patient(text=5, maritalStatus=[None])),
    served("a capital id", patient(id=ME.upper()), known=False),
    served("no id", patient(id=...), known=False),
    served("an id that is a number", patient(id=55), known=False),
    served("not found", prefetch(patient=None), known=False),
    served("not found, and said so", prefetch(patient=searchset(**NOTHING_FOUND)), known=False),
    served("not fetched", prefetch(patient=outcome("error")), known=False),
    served("not sent", prefetch(patient=...), known=False),
    served("text", prefetch(patient="none"), known=False),
    served("a number", prefetch(patient=0), known=False),
    served("an empty object", prefetch(patient={}), known=False),
    served("somebody else", prefetch(patient=other()), known=False),
    served("somebody else, wrapped", prefetch(patient={"resource": other()}), known=False),
    served("somebody else in a searchset", prefetch(patient=searchset(other())), known=False),
    served("both in a searchset", prefetch(patient=searchset(mine(), other())), known=False),
    served("somebody else in a list", prefetch(patient=[other()]), known=False),
    served("somebody else, contained", patient(contained=[searchset(other())]), known=False),
    served(
        "somebody else with a type in capitals",
        prefetch(patient={**other(), "resourceType": "PATIENT"}),
        known=False,
    ),
    served(
        "linked to somebody else's whole record",
        prefetch(patient={**mine(), "link": [{"other": other()}]}),
        known=False,
    ),
]

NO_RESOURCES: tuple[Any, ...] = ("none", "", 0, False, [], {}, [{"resourceType": "Observation"}])
SEARCHES = [
    served("nothing found", prefetch(lipids=searchset(total=0))),
    served("nothing found, and said so", prefetch(lipids=searchset(**NOTHING_FOUND))),
    served("no entries", prefetch(lipids=searchset())),
    served("null entries", prefetch(lipids={**searchset(), "entry": None})),
    served("an entry of null", prefetch(lipids={**searchset(), "entry": [None, {"resource": None}]})),
    served("the search failed", prefetch(lipids=outcome("fatal"))),
    served(
        "a page of many", prefetch(lipids=searchset(link=[{"relation": "next", "url": "https://x.example"}]))
    ),
    served("somebody else's results", prefetch(lipids=searchset(other()))),
    served("somebody else in capitals", prefetch(lipids=searchset({**other(), "resourceType": "PATIENT"}))),
    served("somebody else, wrapped", prefetch(lipids={"response": {}, "resource": other()})),
    served("somebody else in a list", prefetch(lipids=[[other()]])),
    served("keys nobody asked for", prefetch(surprise=other(), **{"": other(), "-user": {"a": None}})),
    served(
        "wrapped, as drafts had it",
        prefetch(lipids=wrapped(searchset(), status="200 OK")),
    ),
    *(served(f"{value!r} for a resource", prefetch(lipids=value)) for value in NO_RESOURCES),
]

WHOLE = json.dumps(request_of(ME)).encode()
BYTES = [
    Odd("nothing at all", b"", "body"),
    Odd("a list", b"[%b]" % WHOLE, "body"),
    Odd("text", json.dumps(WHOLE.decode()).encode(), "body"),
    Odd("two bodies", WHOLE + WHOLE, "body"),
    Odd("a trailing comma", WHOLE[:-1] + b",}", "body"),
    Odd("a comment", b"/* x */" + WHOLE, "body"),
    Odd("a byte order mark", b"\xef\xbb\xbf" + WHOLE, "body"),
    Odd("UTF-16", WHOLE.decode().encode("utf-16"), "body"),
    Odd("Latin 1", WHOLE.replace(b"Morgan", b"J\xfcrgen"), "body"),
    Odd("a number JSON does not have", WHOLE.replace(b'"active": true', b'"active": NaN'), "body"),
    Odd("a hundred thousand brackets", b'{"hook":' + b"[" * 100_000, "body"),
    Odd("half a character", WHOLE.replace(b"Morgan", b"\\ud83d"), "body"),
    Odd(
        "a Patient twice", WHOLE.replace(b'"patient":', b'"patient": {"resourceType": "Patient"}, "patient":')
    ),
]

ROOMS = {
    "envelope": ENVELOPES,
    "context": CONTEXTS,
    "Patient": PATIENTS,
    "search": SEARCHES,
    "bytes": BYTES,
}
ODD: dict[str, Odd] = {f"{room}: {row.name}": row for room, rows in ROOMS.items() for row in rows}
