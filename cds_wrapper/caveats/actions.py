"""One action of a vendor's, judged: passed on with its resource as it came, or refused with the reason.

CDS Hooks 2.0.1, "Action" and "System Action". Nothing is mended but the old form of a deletion; a resource
that an action creates is labelled as made by a machine, one that it updates goes out byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cds_wrapper.caveats.passage import Passage
from cds_wrapper.caveats.vendor_text import clean_line
from cds_wrapper.cds import Action
from cds_wrapper.cds_answer import Members
from cds_wrapper.json_values import prune

AI_LABEL: Final = "AIAST"
"""Asserted by a machine (http://terminology.hl7.org/CodeSystem/v3-ObservationValue)."""

AI_CODING: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": AI_LABEL,
    "display": "Artificial Intelligence asserted",
}

LONGEST_RESOURCE: Final = 65_536
"""Bytes of one resource; checking takes time that a clinician waits."""

_PATIENT: Final = "Patient"
_TYPES: Final = ("create", "update", "delete")
_MEMBERS: Final = frozenset({"type", "description", "resource", "resourceId", "extension"})
# An id that some server would read as a place elsewhere or as an operation is none.
_REFERENCE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}/(?!\.{1,2}\Z|[$_])[^/\s?#|\\%]{1,1000}")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an action may not go out."""

    why: str


@dataclass(frozen=True, slots=True)
class Passed:
    """An action that may go out; `changed` lists the members that were touched, and why."""

    action: Action
    changed: tuple[tuple[str, str], ...] = ()


def read_action(members: Members, passage: Passage, neutral: str | None = None) -> Passed | Refused:
    """Judge one action; without a description it is refused, or given the `neutral` one."""
    values = {name: msgspec.json.decode(raw) for name, raw in members.items()}
    there = {name: value for name, value in values.items() if prune(value) is not None}
    if there.get("type") not in _TYPES:
        return Refused("of no known type")
    if there.keys() - _MEMBERS:
        return Refused("with unknown members")
    if "extension" in there and (not isinstance(there["extension"], dict) or _is_odd(members["extension"])):
        return Refused("with an odd extension")
    written = there.get("description")
    description = clean_line(written) if isinstance(written, str) else ""
    if not description and neutral is None:
        return Refused("without description")
    changed = (
        (("description", "cleaned" if description else "missing, added"),) if description != written else ()
    )
    read = _by_type(there, members, passage)
    if isinstance(read, Refused):
        return read
    action = Action(
        type=read.action.type,
        description=description or neutral or "",
        resource=read.action.resource,
        resourceId=read.action.resourceId,
        extension=msgspec.Raw(members["extension"]) if "extension" in there else None,
    )
    return Passed(action, (*changed, *read.changed))


def _by_type(there: Mapping[str, Any], members: Members, passage: Passage) -> Passed | Refused:
    match there["type"]:
        case "create":
            return _creation(there, members, passage)
        case "update":
            return _update(there, members, passage)
        case _:
            return _deletion(there)


def _creation(there: Mapping[str, Any], members: Members, passage: Passage) -> Passed | Refused:
    fault = _fault_of(there, members, passage)
    if fault is None and there["resource"]["resourceType"] == _PATIENT:
        fault = "that creates a patient"
    if fault is not None:
        return Refused(fault)
    resource, is_new = labelled(members["resource"])
    changed = (("resource", "labelled as made by a machine"),) if is_new else ()
    return Passed(Action("create", "", resource=msgspec.Raw(resource)), changed)


def _update(there: Mapping[str, Any], members: Members, passage: Passage) -> Passed | Refused:
    """The label would call a whole resource a machine's that people wrote; so it stays as it came."""
    fault = _fault_of(there, members, passage)
    if fault is not None:
        return Refused(fault)
    resource = there["resource"]
    if not _REFERENCE.fullmatch(f"{resource['resourceType']}/{resource.get('id') or ''}"):
        return Refused("with a resource without id")
    return Passed(Action("update", "", resource=msgspec.Raw(members["resource"])))


def _deletion(there: Mapping[str, Any]) -> Passed | Refused:
    """The relative reference; the old form, a text in `resource`, where it can mean one thing only."""
    old, reference = there.get("resource"), there.get("resourceId")
    if old is not None and reference is not None:
        return Refused("with two resources to delete")
    target = old if reference is None else reference
    if not isinstance(target, str) or not _REFERENCE.fullmatch(target):
        return Refused("without a relative reference to delete")
    if target.startswith(f"{_PATIENT}/"):
        return Refused("that deletes a patient")
    changed = () if reference is not None else (("resource", "old form, moved to resourceId"),)
    return Passed(Action("delete", "", resourceId=target), changed)


def _fault_of(there: Mapping[str, Any], members: Members, passage: Passage) -> str | None:
    """What is wrong with the resource of a creation or an update; None when it may go out."""
    resource = there.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return "without a FHIR resource"
    if "resourceId" in there:
        return "with two resources"
    if len(members["resource"]) > LONGEST_RESOURCE:
        return "with a resource too long to check"
    if _is_odd(members["resource"]):
        return "with a resource that holds an empty value or a name twice"
    if passage.judge is None:
        return "with a resource that nobody can check"
    return passage.judge(resource)


def _is_odd(raw: bytes) -> bool:
    """Whether JSON holds what must not go out, or what two readers would read differently."""
    names_twice: list[bool] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        listed = dict(pairs)
        names_twice.append(len(listed) < len(pairs))
        return listed

    try:
        value = json.loads(raw, object_pairs_hook=members)
    except ValueError:  # a whole number of thousands of digits
        return True
    return any(names_twice) or prune(value) != value


def labelled(resource: bytes) -> tuple[bytes, bool]:
    """The resource with the label in `meta.security`, all else byte for byte; whether it had to be added."""
    parts = _members.decode(resource)
    meta = _members.decode(parts["meta"]) if "meta" in parts else {}
    labels = _items.decode(meta["security"]) if "security" in meta else []
    if any(_is_label(msgspec.json.decode(label)) for label in labels):
        return resource, False
    security = msgspec.json.encode([*labels, msgspec.Raw(msgspec.json.encode(AI_CODING))])
    parts["meta"] = msgspec.Raw(msgspec.json.encode({**meta, "security": msgspec.Raw(security)}))
    return msgspec.json.encode(parts), True


def _is_label(coding: object) -> bool:
    return isinstance(coding, dict) and (coding.get("system"), coding.get("code")) == (
        AI_CODING["system"],
        AI_CODING["code"],
    )


# System actions ---------------------------------------------------------------------------------------------

MOST_SYSTEM_ACTIONS: Final = 10
NEUTRAL: Final = "Change proposed by the model"
"""What a system action is called whose vendor gives it no description (2.0.1 requires one)."""


def read_system_actions(actions: Iterable[Members], passage: Passage) -> tuple[tuple[Action, ...], list[str]]:
    """Those a site has agreed to beforehand, all of them or none; and what was changed or held back.

    They are applied without a person: the caller has made sure that no caveat is due.
    """
    listed = list(actions)
    if len(listed) > MOST_SYSTEM_ACTIONS:
        return (), [f"systemActions: more than {MOST_SYSTEM_ACTIONS}, held_back"]
    passed: list[Action] = []
    changes: list[str] = []
    for number, members in enumerate(listed):
        read = read_action(members, passage, NEUTRAL)
        if isinstance(read, Refused):
            return (), [f"systemActions[{number}]: {read.why}, all held_back"]
        if _kind_of(read.action) not in passage.policy.system_actions:
            return (), [f"systemActions[{number}]: not agreed, all held_back"]
        passed.append(read.action)
        changes += (f"systemActions[{number}].{name}: {why}" for name, why in read.changed)
    return tuple(passed), [*changes, f"systemActions: {len(passed)} passed on"]


def _kind_of(action: Action) -> str:
    """As a site lists it: `update/ServiceRequest`."""
    if action.resource is None:
        return f"{action.type}/{(action.resourceId or '').split('/')[0]}"
    return f"{action.type}/{msgspec.json.decode(action.resource)['resourceType']}"
