"""Resources made from the tables of FHIR R4, every element filled, to try an expression on. Pure.

Nobody's data: the same text, number and date stand everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cds_wrapper.vendors.fhirpath_names import Model

_DEEPEST: Final = 5
_PLAIN: Final[Mapping[str, Any]] = {
    "boolean": True,
    "integer": 3,
    "positiveInt": 3,
    "unsignedInt": 3,
    "decimal": 12.5,
    "date": "2020-01-31",
    "dateTime": "2020-01-31T10:00:00Z",
    "instant": "2020-01-31T10:00:00Z",
    "time": "10:00:00",
    "uri": "http://example.org",
    "String": "text",
}
_REPEATED: Final = frozenset(
    {
        *("address", "category", "coding", "component", "contact", "communication", "diagnosis", "event"),
        *("dosageInstruction", "entry", "evidence", "extension", "generalPractitioner", "given", "hasMember"),
        *("identifier", "interpretation", "item", "line", "link", "location", "name", "note", "participant"),
        *("performer", "prefix", "reaction", "reasonCode", "referenceRange", "result", "suffix", "telecom"),
    }
)
"""Elements that may come more than once wherever they stand; others do so in some types only."""

_TOO_DEEP: Final = frozenset({"contained", "modifierExtension", "meta", "text", "implicitRules"})


def samples(model: Model, resource_type: str) -> Iterator[dict[str, Any]]:
    """An empty resource; then whole ones, each with another type where there is a choice.

    Of what may repeat, there is one in the first of two, and two in the second.
    """
    yield {"resourceType": resource_type}
    most = max((len(types) for types in model.below.get(resource_type, {}).values()), default=1)
    for turn in range(max(most, 1)):
        for repeated in (False, True):
            yield {"resourceType": resource_type, **_filled(model, resource_type, turn, 1, repeated=repeated)}


def _filled(model: Model, kind: str, turn: int, depth: int, *, repeated: bool) -> dict[str, Any]:
    element: dict[str, Any] = {}
    for name in sorted(model.members(kind) - _TOO_DEEP):
        types = sorted(model.member(kind, name) or ())
        if not types or (depth > 1 and name == "extension"):
            continue
        one = types[turn % len(types)]
        value = _value(model, one, turn, depth, repeated=repeated)
        if value is not None:
            key = name + one[:1].upper() + one[1:] if len(types) > 1 else name
            element[key] = [value] * (2 if repeated else 1) if name in _REPEATED else value
    return element


def _value(model: Model, kind: str, turn: int, depth: int, *, repeated: bool) -> Any:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind[:1].islower() or kind == "xhtml":
        return "text"
    if depth >= _DEEPEST or model.is_resource(kind) or kind == "Resource":
        return None
    return _filled(model, kind, turn, depth + 1, repeated=repeated) or None
