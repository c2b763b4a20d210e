"""The OpenAPI 3.1 document of every door: what each takes, what it answers, and what each status means.

Made once at the start from the table below, the errors' own statuses and the structs that are sent. It knows
nothing of the site: no service, no address, no setting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from cds_wrapper import errors
from cds_wrapper.errors import WrapperError
from cds_wrapper.pages import openapi_examples as examples
from cds_wrapper.pages.openapi_schemas import Schema, schemas
from cds_wrapper.pages.page import STYLE

VERSION: Final = "1"
"""Of the doors as described, not of the program: a stranger learns nothing about what is installed."""

JSON: Final = "application/json"
_HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status means at one door; `schema` names a shape, None says that the body holds no JSON."""

    status: int
    meaning: str
    schema: str | None = None
    kind: str | None = JSON
    example: Any = None


@dataclass(frozen=True, slots=True)
class Door:
    """One path and method. `refusals` are the errors that can be met there, each with its own status."""

    path: str
    method: str
    id: str
    title: str
    words: str
    tag: str
    answers: tuple[Answer, ...]
    refusals: tuple[type[WrapperError], ...] = (errors.MethodNotAllowed, WrapperError)
    secured: bool = False
    body: str | None = None
    example: Any = None
    names: tuple[str, ...] = field(default=())


_HOOKS, _HEALTH, _PAGES = "CDS Hooks", "Health", "Pages"
_OF_CALLERS: Final = (errors.NotAuthenticated, errors.MethodNotAllowed, WrapperError)
_OF_BODIES: Final = (
    errors.MalformedRequest,
    errors.NotAuthenticated,
    errors.NotEntitled,
    errors.UnknownService,
    errors.MethodNotAllowed,
    errors.RequestTimedOut,
    errors.RequestTooLarge,
    errors.NotJSON,
    errors.TooManyCalls,
    errors.Overwhelmed,
    WrapperError,
)
_ON_ERROR = "Only where the site chose errors over cards (`on_vendor_failure: error`)"
_PAGE = Answer(200, "The page.", kind=_HTML)
_NO_PAGE = Answer(404, "There is no service of this name; a page that says so.", kind=_HTML)

DOORS: Final = (
    Door(
        "/cds-services",
        "get",
        "discover",
        "Discovery",
        "Lists the services that the caller may call, with what each asks for. A site may open it to"
        " everybody. The answer does not depend on any vendor.",
        _HOOKS,
        (Answer(200, "The services; none is a legal answer.", "Discovery", example=examples.DISCOVERY),),
        _OF_CALLERS,
        secured=True,
    ),
    Door(
        "/cds-services/{service_id}",
        "post",
        "invoke",
        "A hook call",
        "Asks the service's model, records the prediction, and answers with its cards and with what is known"
        " about how well it works for patients like this one. A vendor that fails is a card that says so, and"
        " no error.",
        _HOOKS,
        (
            Answer(200, "The cards; `cards: []` is nothing to say.", "CDSResponse", example=examples.ANSWER),
            Answer(412, f"{_ON_ERROR}: the model lacks an input.", "OperationOutcome"),
            Answer(502, f"{_ON_ERROR}: the model gave no result.", "OperationOutcome"),
            Answer(504, f"{_ON_ERROR}: the model did not answer in time.", "OperationOutcome"),
        ),
        _OF_BODIES,
        secured=True,
        body="HookCall",
        example=examples.CALL,
        names=("service_id",),
    ),
    Door(
        "/cds-services/{service_id}/feedback",
        "post",
        "feedback",
        "Feedback",
        "What clinicians did with cards. A token made out to the service's own address is taken as well.",
        _HOOKS,
        (Answer(200, "What could be stored is stored. The body is empty.", kind=None),),
        (*_OF_BODIES, errors.LedgerUnavailable),
        secured=True,
        body="Feedback",
        example=examples.FEEDBACK,
        names=("service_id",),
    ),
    Door(
        "/livez",
        "get",
        "livez",
        "Is the process alive?",
        "Answers as long as the process turns. Asks nothing else.",
        _HEALTH,
        (Answer(200, "It is.", "Alive"),),
    ),
    Door(
        "/readyz",
        "get",
        "readyz",
        "Can it serve?",
        "Whether calls are answered and recorded, and what a monitor wants to know. Never asks a vendor.",
        _HEALTH,
        (
            Answer(200, "It can.", "Readiness"),
            Answer(503, "It cannot: a check is false, or it was told to stop.", "Readiness"),
        ),
    ),
    Door(
        "/.well-known/jwks.json",
        "get",
        "keySet",
        "Our own keys",
        "The public keys (JWKS) with which a vendor verifies that a call is ours. Only where calls to a"
        " vendor are signed.",
        _HOOKS,
        (Answer(200, "The key set: two keys while they change.", "KeySet"),),
        (errors.UnknownService, errors.MethodNotAllowed, WrapperError),
    ),
    Door(
        "/evidence/{service}",
        "get",
        "evidence",
        "How a score was checked",
        "A service's page, without a caveat.",
        _PAGES,
        (_PAGE, _NO_PAGE),
        names=("service",),
    ),
    Door(
        "/evidence/{service}/model",
        "get",
        "model",
        "The model",
        "Every published figure by group, with its source.",
        _PAGES,
        (_PAGE, _NO_PAGE),
        names=("service",),
    ),
    Door(
        "/evidence/{service}/{edition}/{token}",
        "get",
        "behindACard",
        "The page behind a card",
        "What the card's caveat means. An old or unknown address gives the service's own page.",
        _PAGES,
        (_PAGE, _NO_PAGE),
        names=("service", "edition", "token"),
    ),
    Door(
        STYLE,
        "get",
        "style",
        "The pages' style sheet",
        "Loaded by the pages above.",
        _PAGES,
        (Answer(200, "The style sheet.", kind="text/css"),),
    ),
    Door(
        "/openapi.json",
        "get",
        "openapi",
        "This document",
        "OpenAPI 3.1. The same for every site.",
        _PAGES,
        (Answer(200, "The document.", "OpenAPI"),),
    ),
    Door(
        "/docs",
        "get",
        "docs",
        "This document, for people",
        "One page without scripts.",
        _PAGES,
        (_PAGE,),
    ),
)

_HEADERS: Final[dict[int, dict[str, Schema]]] = {
    401: {"WWW-Authenticate": {"const": "Bearer"}},
    405: {"Allow": {"type": "string"}},
    429: {"Retry-After": {"type": "string", "pattern": "^[0-9]+$"}},
    503: {"Retry-After": {"type": "string", "pattern": "^[0-9]+$"}},
}
_WORDS: Final = (
    "cds-wrapper is a CDS Hooks 2.0.1 service. Bodies are JSON in UTF-8. Whatever is refused is answered with"
    " an OperationOutcome that repeats nothing of the call. `GET` paths answer `HEAD` as well. A message that"
    " is no HTTP, or has a head too large, is refused by the server in front of all this. Where a site lists"
    " pages that may call from a browser, the addresses of CDS Hooks answer a preflight (`OPTIONS`) too."
)
_PARAMETERS: Final[dict[str, str]] = {
    "service_id": "Id of a service, as discovery lists it.",
    "service": "Id of a service.",
    "edition": "Edition of the evidence.",
    "token": "Made from the edition and a finding, never from a patient.",
}


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for door in DOORS:
        paths.setdefault(door.path, {})[door.method] = _operation(door)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cds-wrapper",
            "version": VERSION,
            "description": _WORDS,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in (_HOOKS, _HEALTH, _PAGES)],
        "paths": paths,
        "components": {
            "schemas": {**schemas(), "OpenAPI": {"type": "object", "required": ["openapi", "paths"]}},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Signed by the EHR for the address that is called, good for one call (CDS"
                    ' Hooks 2.0.1, "Trusting CDS Clients"). A refusal gives no reason.',
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "Instead of a token or beside it, where the site agreed on it.",
                },
            },
        },
    }


def _operation(door: Door) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": door.id,
        "summary": door.title,
        "description": door.words,
        "tags": [door.tag],
        "security": [{"token": []}, {"certificate": []}] if door.secured else [],
        "responses": _responses(door),
    }
    if door.names:
        operation["parameters"] = [_parameter(name) for name in door.names]
    if door.body:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _reference(door.body), "example": door.example}},
        }
    return operation


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": _PARAMETERS[name], "schema": schema}


def _responses(door: Door) -> dict[str, Any]:
    """Every status by its number: the door's own answers, and one for each error it can meet."""
    refusals = [Answer(kind.http_status, _first_line(kind), "OperationOutcome") for kind in door.refusals]
    taken = {answer.status for answer in door.answers}
    every = [*door.answers, *(answer for answer in refusals if answer.status not in taken)]
    return {str(answer.status): _response(answer) for answer in sorted(every, key=_status)}


def _status(answer: Answer) -> int:
    return answer.status


def _first_line(kind: type[WrapperError]) -> str:
    if kind is WrapperError:
        return "An error of our own; the operator log has it."
    return (kind.__doc__ or "").splitlines()[0]


def _response(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.meaning}
    if answer.kind:
        schema: Schema = _reference(answer.schema) if answer.schema else {"type": "string"}
        content: dict[str, Any] = {"schema": schema}
        if answer.example is not None:
            content["example"] = answer.example
        response["content"] = {answer.kind: content}
    if answer.schema == "OperationOutcome" and answer.status in _HEADERS:
        response["headers"] = {
            name: {"schema": schema, "required": True} for name, schema in _HEADERS[answer.status].items()
        }
    return response


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def statuses(doors: Iterable[Door] = DOORS) -> set[int]:
    """Every status that some door is said to answer with."""
    return {int(status) for door in doors for status in _responses(door)}
