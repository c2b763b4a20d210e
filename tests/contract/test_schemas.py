"""The schemas themselves: what fits them, and that each rule of them refuses something."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract import wire
from tests.service.harness import request_of

UUID = "0d9f2c9e-6a4b-4f6e-9c93-0d7f1f0d3f11"
CODING = {"code": "a", "system": "https://example.org/reasons", "display": "No longer needed"}
CREATE = {"type": "create", "description": "Order a test", "resource": {"resourceType": "ServiceRequest"}}
UPDATE = {"type": "update", "description": "Change it", "resource": {"resourceType": "Task", "id": "1"}}
DELETE = {"type": "delete", "description": "Take it away", "resourceId": "ServiceRequest/1"}
SMART = {
    "label": "App",
    "url": "https://app.example",
    "type": "smart",
    "appContext": "x",
    "autolaunchable": False,
}
CARD = {
    "uuid": UUID,
    "summary": "Risk 8 %",
    "indicator": "info",
    "detail": "Calculated.",
    "source": {
        "label": "Example",
        "url": "https://example.org",
        "icon": "https://example.org/i.png",
        "topic": {"code": "risk", "system": "urn:x", "userSelected": False},
    },
    "suggestions": [
        {"label": "Order it", "uuid": "s1", "isRecommended": True, "actions": [CREATE, UPDATE]},
        {"label": "Stop it", "actions": [DELETE]},
    ],
    "selectionBehavior": "at-most-one",
    "overrideReasons": [CODING],
    "links": [SMART, {"label": "Page", "url": "https://example.org/page", "type": "absolute"}],
    "extension": {"org.example.x": {"a": [1, False, "b"]}},
}
RESPONSE = {"cards": [CARD], "systemActions": [UPDATE]}
AUTHORIZATION = {
    "access_token": "x",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "patient/*.read",
    "subject": "s",
    "patient": "p1",
}
REQUEST = {
    "hook": "patient-view",
    "hookInstance": UUID,
    "fhirServer": "https://ehr.example/fhir",
    "fhirAuthorization": AUTHORIZATION,
    "context": {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1"},
    "prefetch": {"patient": {"resourceType": "Patient", "name": []}, "lipids": None},
    "extension": {"org.example.x": 1},
}
DISCOVERY = {
    "services": [
        {
            "hook": "patient-view",
            "title": "Risk",
            "description": "What it does.",
            "id": "risk",
            "prefetch": {"patient": "Patient/{{context.patientId}}", "user": "{{ userPractitionerId }}"},
            "usageRequirements": "None.",
        }
    ]
}
FEEDBACK = {
    "feedback": [
        {
            "card": UUID,
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "s1"}],
            "outcomeTimestamp": "2026-06-30T12:00:00Z",
        },
        {
            "card": UUID,
            "outcome": "overridden",
            "overrideReason": {"reason": CODING, "userComment": "x"},
            "outcomeTimestamp": "2026-06-30T12:00:00.5Z",
        },
    ]
}
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found", "diagnostics": "No such service."}],
}
RIGHT: dict[str, Any] = {
    "request": REQUEST,
    "response": RESPONSE,
    "discovery": DISCOVERY,
    "feedback": FEEDBACK,
    "outcome": OUTCOME,
}

# Where a right body is spoiled, and by what; `...` takes the member away.
WRONG: dict[str, list[tuple[str, Any]]] = {
    "request": [
        ("hook", ...),
        ("hook", ""),
        ("hookInstance", "order-17"),
        ("fhirServer", "ehr.example"),
        ("fhirServer", ...),
        ("fhirServer", None),
        ("fhirAuthorization", None),
        ("fhirAuthorization.token_type", "bearer"),
        ("fhirAuthorization.expires_in", "300"),
        ("fhirAuthorization.scope", ...),
        ("context", ...),
        ("context.patientId", "Patient/p1"),
        ("context.patientId", "p1 "),
        ("context.patientId", ...),
        ("context.userId", "1"),
        ("context.userId", ...),
        ("context.encounterId", ""),
        ("context.encounterId", None),
        ("prefetch", {}),
        ("prefetch.lipids", "none"),
        ("prefetch.lipids", {}),
        ("prefetch.lipids", [{"resourceType": "Patient"}]),
        ("extension", {}),
        ("extension", []),
        ("user", "Practitioner/1"),
    ],
    "response": [
        ("cards", ...),
        ("cards", {}),
        ("systemActions", []),
        ("cards.0.uuid", ...),
        ("cards.0.uuid", "1"),
        ("cards.0.summary", ...),
        ("cards.0.summary", "x" * 140),
        ("cards.0.summary", "\U0001f600" * 70),
        ("cards.0.summary", "a\nb"),
        ("cards.0.summary", " "),
        ("cards.0.detail", ""),
        ("cards.0.indicator", ...),
        ("cards.0.indicator", "hard-stop"),
        ("cards.0.source", ...),
        ("cards.0.source.label", ...),
        ("cards.0.source.label", " "),
        ("cards.0.source.url", "/about"),
        ("cards.0.source.icon", "data:image/png;base64,x"),
        ("cards.0.source.icon", "https://example.org/a b.png"),
        ("cards.0.source.topic.code", ...),
        ("cards.0.source.topic.system", ...),
        ("cards.0.source.topic.display", 5),
        ("cards.0.suggestions", []),
        ("cards.0.suggestions.0.label", ...),
        ("cards.0.suggestions.0.label", ""),
        ("cards.0.suggestions.0.isRecommended", "yes"),
        ("cards.0.suggestions.1.isRecommended", True),
        ("cards.0.suggestions.0.actions", []),
        ("cards.0.suggestions.0.actions.0.type", "replace"),
        ("cards.0.suggestions.0.actions.0.description", ...),
        ("cards.0.suggestions.0.actions.0.resource", ...),
        ("cards.0.suggestions.0.actions.0.resource.resourceType", ...),
        ("cards.0.suggestions.0.actions.1.resource.id", ...),
        ("cards.0.suggestions.1.actions.0.resourceId", ...),
        ("cards.0.suggestions.1.actions.0.resource", "ServiceRequest/1"),
        ("cards.0.selectionBehavior", ...),
        ("cards.0.selectionBehavior", "exactly-one"),
        ("cards.0.overrideReasons.0.code", ...),
        ("cards.0.overrideReasons.0.system", ...),
        ("cards.0.overrideReasons.0.display", ...),
        ("cards.0.links.0.label", ...),
        ("cards.0.links.0.url", "javascript:alert(1)"),
        ("cards.0.links.0.type", ...),
        ("cards.0.links.0.type", "relative"),
        ("cards.0.links.1.appContext", "x"),
        ("cards.0.links.0.autolaunchable", "false"),
        ("cards.0.extension.org.example.x", None),
        ("cards.0.extension", {"org.example.x": {"a": [{"b": ""}]}}),
        ("cards.0.surprise", 1),
        ("surprise", 1),
    ],
    "discovery": [
        ("services", ...),
        ("services", {}),
        ("services.0.hook", ...),
        ("services.0.id", ...),
        ("services.0.id", "a/b"),
        ("services.0.description", ""),
        ("services.0.title", ...),
        ("services.0.prefetch", {}),
        ("services.0.prefetch.patient", None),
        ("services.0.prefetch.patient", "Patient/{{context.patient.id}}"),
        ("services.0.prefetch.patient", "Patient/{{patientId}}"),
        ("services.0.prefetch.patient", "Patient/{context.patientId}"),
        ("services.0.usageRequirements", ""),
        ("services.0.version", "2.0.1"),
        ("services.0.hookVersion", "1.0"),
        ("services.0.prefetch.patient", "Observation?date=ge{{today() - 90 days}}"),
    ],
    "feedback": [
        ("feedback", ...),
        ("feedback", []),
        ("feedback.0.card", ...),
        ("feedback.0.outcome", ...),
        ("feedback.0.outcome", "ignored"),
        ("feedback.0.outcomeTimestamp", ...),
        ("feedback.0.outcomeTimestamp", "2026-06-30T12:00:00"),
        ("feedback.0.outcomeTimestamp", "2026-06-30T12:00:00+02:00"),
        ("feedback.0.acceptedSuggestions", ...),
        ("feedback.0.acceptedSuggestions", ["s1"]),
        ("feedback.1.overrideReason", {}),
        ("feedback.1.overrideReason.reason.display", ...),
        ("feedback.1.overrideReasons", {"userComment": "x"}),
    ],
    "outcome": [
        ("resourceType", ...),
        ("issue", []),
        ("issue.0.diagnostics", ""),
        ("issue.0.severity", "fatal"),
        ("issue.0.details", {"text": "x"}),
    ],
}
MUTATIONS = [(kind, path, value) for kind, rows in WRONG.items() for path, value in rows]


def spoiled(kind: str, path: str, value: Any) -> Any:
    """A right body with one member changed."""
    body: Any = copy.deepcopy(RIGHT[kind])
    place = body
    names = path.split(".") if "extension.org" not in path else [*path.split(".")[:3], "org.example.x"]
    for name in names[:-1]:
        place = place[int(name) if isinstance(place, list) else name]
    if value is ...:
        del place[names[-1]]
    else:
        place[names[-1]] = value
    return body


@pytest.mark.parametrize("kind", wire.BODIES)
def test_a_schema_is_one(kind: str) -> None:
    Draft202012Validator.check_schema(wire.BODIES[kind].schema)
    assert wire.BODIES[kind].schema["$id"] == f"urn:cds-wrapper:schema:{kind}"


@pytest.mark.parametrize("kind", wire.BODIES)
def test_a_right_body_with_everything_in_it_fits(kind: str) -> None:
    assert wire.misfits(kind, RIGHT[kind]) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    MUTATIONS,
    ids=[f"{kind} {path} {value!r:.30}" for kind, path, value in MUTATIONS],
)
def test_one_wrong_member_does_not_fit(kind: str, path: str, value: Any) -> None:
    assert wire.misfits(kind, spoiled(kind, path, value))


def test_an_answer_without_cards_and_a_site_without_services_fit() -> None:
    assert wire.misfits("response", {"cards": []}) == wire.misfits("discovery", {"services": []}) == []


@pytest.mark.parametrize(
    "hook", ["order-select", "order-sign", "order-dispatch", "appointment-book", "encounter-start"]
)
def test_each_hook_wants_the_context_of_its_own(hook: str) -> None:
    body = {**REQUEST, "hook": hook, "context": {"userId": "Practitioner/1", "patientId": "p1"}}
    assert wire.misfits("request", body) == ["$.context: required"]


def test_the_named_cases_are_what_a_correct_ehr_sends() -> None:
    assert wire.misfits("request", request_of("black-35")) == []


@pytest.mark.parametrize(
    ("status", "path", "content", "kind"),
    [
        (200, "/cds-services/x", b'{"cards": []}', "text/html"),
        (200, "/cds-services/x", b"{}", "application/json"),
        (200, "/cds-services", b"{}", "application/json"),
        (404, "/cds-services/x", b'{"cards": []}', "application/json"),
        (200, "/cds-services/x/feedback", b"{}", "application/json"),
    ],
)
def test_an_answer_that_is_none_is_noticed(status: int, path: str, content: bytes, kind: str) -> None:
    request = httpx.Request("POST", f"http://cds.example{path}")
    answer = httpx.Response(status, headers={"content-type": kind}, content=content, request=request)
    assert wire.wrong_with(answer)


@pytest.mark.parametrize("body", [b'{"cards": [], "cards": []}', b'{"cards": [NaN]}'])
def test_what_is_json_to_some_readers_only_is_noticed(body: bytes) -> None:
    with pytest.raises(AssertionError):
        wire.strict(body)
