"""Whether an answer is one that our own OpenAPI document describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from cds_wrapper.pages.openapi import document
from tests.contract import wire

DOCUMENT = document()
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (path, method): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def misfits(schema: dict[str, Any], body: Any) -> list[str]:
    """Where a body does not fit a schema of the document, without repeating a value."""
    whole = {**schema, "components": DOCUMENT["components"]}
    checker = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return sorted({f"{error.json_path}: {error.validator}" for error in checker.iter_errors(body)})


def door_of(method: str, path: str) -> tuple[str, str]:
    """The described path and method that a call meets; an unknown method meets any of its path's."""
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template, method if method in operations else next(iter(operations))
    raise AssertionError("no described path")


def unlike_document(answer: httpx.Response) -> list[str]:
    """What the document does not say about an answer: its status, its content type, headers or body."""
    method, path = answer.request.method.lower(), answer.request.url.path
    template, method = door_of(method, path)
    described = OPERATIONS[template, method]["responses"].get(str(answer.status_code))
    if described is None:
        return [f"{template}: {answer.status_code} is not described"]
    return list(_unlike(described, answer))


def _unlike(described: dict[str, Any], answer: httpx.Response) -> Iterator[str]:
    for name, header in described.get("headers", {}).items():
        yield from (f"{name}: {rule}" for rule in misfits(header["schema"], answer.headers.get(name)))
    contents = described.get("content")
    if contents is None:
        yield from ["there is a body"] if answer.content else []
        return
    kind = answer.headers.get("content-type", "").split(";")[0]
    if kind not in contents:
        yield f"content type {kind}"
    elif kind == "application/json":
        yield from misfits(contents[kind]["schema"], wire.strict(answer.content))
