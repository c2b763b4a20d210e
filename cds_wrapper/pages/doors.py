"""The doors described: `/openapi.json` for programs, `/docs` for people, made from the same document.

Both are the same for every site and hold nothing of it, so they ask for no token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_wrapper.pages.openapi import JSON, document
from cds_wrapper.pages.page import HEADERS, html_of

_METHODS: Final = ("get", "post")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a shape: `kind` in words, `shape` the name of another shape it holds, if it does."""

    name: str
    kind: str
    shape: str | None
    required: bool
    words: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of bodies; `closed` says that nothing else stands in it."""

    name: str
    words: str
    members: tuple[Member, ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What a status means; `shape` is its body's, `kind` its content type, `headers` those it always has."""

    number: str
    words: str
    kind: str | None
    shape: str | None
    headers: tuple[str, ...]
    example: str | None


@dataclass(frozen=True, slots=True)
class Described:
    """One door for people."""

    id: str
    method: str
    path: str
    title: str
    words: str
    secured: bool
    parameters: Mapping[str, str]
    body: str | None
    example: str | None
    statuses: tuple[Status, ...]


def door_routes() -> list[BaseRoute]:
    """The two routes; both answers are made once."""
    described = document()
    text = msgspec.json.encode(described)
    page = html_of("doors.html", **doors_page(described)).encode()

    async def openapi(_request: Request) -> Response:
        """The document."""
        return Response(text, media_type=JSON, headers={"Cache-Control": "no-cache"})

    async def docs(_request: Request) -> Response:
        """The page."""
        return Response(page, headers=HEADERS, media_type="text/html")

    return [Route("/openapi.json", openapi, methods=["GET"]), Route("/docs", docs, methods=["GET"])]


def doors_page(described: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a document."""
    schemas = described["components"]["schemas"]
    return {
        "words": described["info"]["description"],
        "rooms": {
            tag["name"]: [door for tags, door in _doors(described) if tag["name"] in tags]
            for tag in described["tags"]
        },
        "schemes": described["components"]["securitySchemes"],
        "shapes": [_shape(name, schema) for name, schema in schemas.items() if "properties" in schema],
    }


def _doors(described: Mapping[str, Any]) -> Iterator[tuple[list[str], Described]]:
    for path, operations in described["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield operations[method]["tags"], _described(path, method, operations[method])


def _described(path: str, method: str, operation: Mapping[str, Any]) -> Described:
    body = operation.get("requestBody", {}).get("content", {}).get(JSON)
    return Described(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        title=operation["summary"],
        words=operation["description"],
        secured=bool(operation["security"]),
        parameters={one["name"]: one["description"] for one in operation.get("parameters", ())},
        body=_name_of(body["schema"]) if body else None,
        example=_pretty(body["example"]) if body else None,
        statuses=tuple(_status(number, answer) for number, answer in operation["responses"].items()),
    )


def _status(number: str, answer: Mapping[str, Any]) -> Status:
    contents: Mapping[str, Any] = answer.get("content", {})
    kind = next(iter(contents), None)
    content = contents[kind] if kind else {}
    return Status(
        number=number,
        words=answer["description"],
        kind=kind,
        shape=_name_of(content.get("schema", {})),
        headers=tuple(answer.get("headers", {})),
        example=_pretty(content["example"]) if "example" in content else None,
    )


def _shape(name: str, schema: Mapping[str, Any]) -> Shape:
    required = schema.get("required", ())
    members = [
        Member(key, _kind(value), _name_of(value), key in required, value.get("description", ""))
        for key, value in schema["properties"].items()
    ]
    closed = schema.get("additionalProperties") is False
    return Shape(name, schema.get("description", ""), tuple(members), closed)


def _kind(schema: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if "format" in schema:
        words += f" ({schema['format']})"
    if "maxLength" in schema:
        words += f", at most {schema['maxLength']} characters"
    return f"{words} of" if words == "array" and _name_of(schema) else words


def _name_of(schema: Mapping[str, Any]) -> str | None:
    """The shape a schema refers to, itself or for the items of a list."""
    inner = schema.get("items", schema)
    reference: str | None = inner.get("$ref")
    return reference.rsplit("/", 1)[-1] if reference else None


def _pretty(example: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(example), indent=2).decode()
