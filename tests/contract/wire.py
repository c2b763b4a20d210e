"""What goes over the wire, held against our own JSON Schemas of CDS Hooks 2.0.1 (`schemas/`).

The service tests' client and the fake vendor both ask here, so that every test checks both directions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parent / "schemas"
BODIES: Mapping[str, Draft202012Validator] = {
    path.stem: Draft202012Validator(json.loads(path.read_text())) for path in sorted(SCHEMAS.glob("*.json"))
}


def misfits(kind: str, body: Any) -> list[str]:
    """Where a body does not fit its schema, and the rule it breaks, without repeating a value."""
    found = {f"{error.json_path}: {error.validator}" for error in BODIES[kind].iter_errors(body)}
    if kind == "response":
        found |= set(_long_summaries(body))
    return sorted(found)


def _long_summaries(body: Any) -> Iterator[str]:
    """JSON Schema counts code points; there are clients that count UTF-16 units."""
    cards = body.get("cards", []) if isinstance(body, dict) else []
    for number, card in enumerate(cards):
        if len(str(card.get("summary", "")).encode("utf-16-le", "surrogatepass")) // 2 > 139:
            yield f"$.cards[{number}].summary: UTF-16"


def question(body: bytes) -> list[str]:
    """What is wrong with a hook call or with feedback that was sent to a vendor."""
    document = strict(body)
    is_feedback = isinstance(document, dict) and "feedback" in document
    return misfits("feedback" if is_feedback else "request", document)


async def conforms(answer: httpx.Response) -> None:
    """Check whatever a CDS service answers; the event hook of the service tests' client."""
    await answer.aread()
    assert wrong_with(answer) == []


def wrong_with(answer: httpx.Response) -> list[str]:
    """What is wrong with an answer of the CDS service; other pages are not judged."""
    path = answer.request.url.path
    if path.split("/")[1] != "cds-services":
        return []
    if answer.status_code == 204 and answer.request.method == "OPTIONS":
        return [] if answer.content == b"" else ["the answer to a preflight holds something"]
    if answer.is_success and path.endswith("/feedback"):
        return [] if answer.content == b"" else ["the answer to feedback holds something"]
    kind = "outcome" if not answer.is_success else "response" if path != "/cds-services" else "discovery"
    header = answer.headers.get("content-type")
    unlike_json = [] if header == "application/json" else [f"content-type: {header}"]
    return unlike_json + misfits(kind, strict(answer.content))


def strict(body: bytes) -> Any:
    """The document of a body: UTF-8, no name twice, no number that JSON does not have."""
    return json.loads(body.decode(), object_pairs_hook=_each_name_once, parse_constant=_no_such_number)


def _each_name_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    members = dict(listed)
    assert len(members) == len(listed), "a member stands there twice"
    return members


def _no_such_number(_name: str) -> None:
    raise AssertionError("a number that JSON does not have")
