"""The shapes of bodies in the OpenAPI document: what we send, made from its structs, and what we take.

What we take is written by hand, as leniently as it is read: a schema here refuses no more and no less than
the doors do. It is no schema of CDS Hooks, which wants more of a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cds_wrapper.cds import CDSResponse, Discovery

Schema = dict[str, Any]

SENT: Final = (CDSResponse, Discovery)
_TEMPLATE: Final = "#/components/schemas/{name}"

# What the structs' types cannot say, by struct and member; a member that is not there any more is an error.
_TIGHTER: Final[Mapping[str, Mapping[str, Schema]]] = {
    "Card": {
        "uuid": {"format": "uuid", "description": "The card's id; feedback names it."},
        "summary": {
            "minLength": 1,
            "maxLength": 139,
            "description": "One sentence. A caveat about this patient stands behind the vendor's words.",
        },
        "indicator": {"enum": ["info", "warning", "critical"]},
        "detail": {
            "minLength": 1,
            "description": "GitHub Flavored Markdown. A caveat, where one is due, is its first paragraph.",
        },
        "selectionBehavior": {"enum": ["at-most-one", "any"]},
        "extension": {"description": "Ours stands under the key that `CDS_WRAPPER_EXTENSION_KEY` names."},
    },
    "Source": {"label": {"minLength": 1}},
    "Suggestion": {"label": {"minLength": 1}},
    "Link": {"label": {"minLength": 1}, "type": {"enum": ["absolute", "smart"]}},
    "DiscoveryEntry": {
        "hook": {"minLength": 1},
        "title": {"minLength": 1},
        "description": {"minLength": 1},
        "id": {"minLength": 1},
        "prefetch": {"description": "FHIR queries by key. Send each answer under its key."},
    },
}

OUTCOME: Final[Schema] = {
    "title": "OperationOutcome",
    "description": "Why there is no answer, in one sentence that repeats nothing of the call.",
    "type": "object",
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "severity": {"const": "error"},
                    "code": {"type": "string", "description": "From http://hl7.org/fhir/issue-type."},
                    "diagnostics": {"type": "string", "minLength": 1},
                },
                "required": ["severity", "code", "diagnostics"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["resourceType", "issue"],
    "additionalProperties": False,
}

# An id, or a reference to a Patient: `1`, `Patient/1`, `https://ehr.example.org/fhir/Patient/1`.
_PATIENT: Final[Schema] = {
    "type": "string",
    "pattern": (
        r"^([^/]*[^/\s][^/]*"
        r"|([^?#]*/)?\s*[Pp][Aa][Tt][Ii][Ee][Nn][Tt]\s*/[^/]*[^/\s][^/]*(/_history/.*)?)$"
    ),
}
_NAMED: Final[Schema] = {"type": "object", "required": ["patientId"]}
_CONTEXT: Final[Schema] = {
    "title": "Context",
    "description": (
        "What the hook defines. Only `patientId` is needed; what else the hook requires and does not come, or"
        " has another form, is noted in the log."
    ),
    "type": ["object", "array"],
    "properties": {
        "patientId": {"description": "The patient's FHIR id, or a reference to the Patient, as text."},
        "encounterId": {"description": "The encounter's FHIR id."},
        "userId": {"description": "Who sees the card, as `Type/id`."},
    },
}
HOOK_CALL: Final[Schema] = {
    "title": "HookCall",
    "description": "A hook call of CDS Hooks 1.0 to 2.0.1. Members that are not named here are no error.",
    "type": "object",
    "properties": {
        "hook": {
            "type": "string",
            "minLength": 1,
            "description": "The hook that fired; one that the service does not listen to is a 400.",
        },
        "hookInstance": {
            "type": "string",
            "minLength": 1,
            "description": "A new UUID for each call. Any other text is taken, and recorded as none.",
        },
        "context": {"$ref": _TEMPLATE.format(name="Context")},
        "patient": {
            "description": "The patient, where the context names none, as clients of the first drafts do."
        },
        "prefetch": {
            "type": ["object", "null"],
            "description": "Answers to the queries of discovery, under their keys; null: there is none.",
        },
        "fhirServer": {"description": "Address of the EHR's FHIR server, as text."},
        "fhirAuthorization": {
            "description": "An object with the token for that server. It is never kept, logged or passed on."
        },
        "extension": {"description": "An object; what stands in it is agreed with the EHR."},
    },
    "required": ["hook", "hookInstance", "context"],
    "anyOf": [
        {"properties": {"context": {**_NAMED, "properties": {"patientId": _PATIENT}}}},
        {
            "required": ["patient"],
            "properties": {
                "patient": _PATIENT,
                "context": {"not": {**_NAMED, "properties": {"patientId": {"not": {"type": "null"}}}}},
            },
        },
    ],
}
FEEDBACK_ENTRY: Final[Schema] = {
    "title": "FeedbackEntry",
    "description": "What a clinician did with one card.",
    "type": "object",
    "properties": {
        "card": {"type": "string", "pattern": r"\S", "description": "`uuid` of the card."},
        "outcome": {"enum": ["accepted", "overridden"]},
        "outcomeTimestamp": {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339; any offset, and one without is taken for UTC and flagged.",
        },
        "acceptedSuggestions": {
            "description": "An array of `{id}` for an accepted card; without it an entry is kept and flagged."
        },
        "overrideReason": {
            "description": "An object with `reason` (a Coding) and `userComment`, also as `overrideReasons`."
        },
    },
    "required": ["card", "outcome", "outcomeTimestamp"],
}
FEEDBACK: Final[Schema] = {
    "title": "Feedback",
    "description": (
        "Entries are read one by one: those that cannot be stored cost the others nothing. It is a 400 only"
        " when there are entries and none can be stored."
    ),
    "type": "object",
    "properties": {
        "feedback": {
            "type": "array",
            "maxItems": 1000,
            "anyOf": [{"maxItems": 0}, {"contains": {"$ref": _TEMPLATE.format(name="FeedbackEntry")}}],
        }
    },
    "required": ["feedback"],
}
KEY_SET: Final[Schema] = {
    "title": "KeySet",
    "description": "Public keys (RFC 7517); none of them can sign.",
    "type": "object",
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"kid": {"type": "string"}, "kty": {"enum": ["EC", "RSA"]}, "d": False},
                "required": ["kid", "kty"],
            },
        }
    },
    "required": ["keys"],
    "additionalProperties": False,
}
ALIVE: Final[Schema] = {
    "type": "object",
    "properties": {"status": {"const": "alive"}},
    "required": ["status"],
    "additionalProperties": False,
}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
READINESS: Final[Schema] = {
    "title": "Readiness",
    "description": "Checks by name, and what a monitor counts. Never asks the vendor; members may be added.",
    "type": "object",
    "properties": {
        "status": {"enum": ["ready", "not_ready"]},
        "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "callers": {"enum": ["authenticated", "not_authenticated"]},
        "refused": {
            "type": "object",
            "description": "Calls refused since the start, by reason.",
            "additionalProperties": _COUNT,
        },
        "alarms": {
            "type": "object",
            "description": "What an operator has to look at in what EHRs sent since the start, by event.",
            "additionalProperties": _COUNT,
        },
        "in_flight": {
            "type": "object",
            "description": "Calls that are being served, by client.",
            "additionalProperties": _COUNT,
        },
        "services": {
            "type": "object",
            "description": "What each service is, by order or by its plan.",
            "additionalProperties": {"type": "string", "enum": ["live", "shadow", "stop"]},
        },
        "ledger": {"type": "boolean", "description": "Whether the ledger can be written."},
        "records": {**_COUNT, "description": "Records that came into the ledger since the start."},
        "batches": _COUNT,
        "spool": {"type": "boolean", "description": "Whether the spool can be written."},
        "spool_stands_in": {
            "type": "boolean",
            "description": "Whether records go to the spool, or have not all come back from it.",
        },
        "spool_records": _COUNT,
        "spool_bytes": _COUNT,
        "spool_oldest_seconds": {"type": ["integer", "null"], "minimum": 0},
        "stream": {
            "type": "object",
            "properties": {"available": {"type": "boolean"}, "lag_rows": _COUNT},
        },
    },
    "required": ["status", "checks", "callers", "refused"],
}


def schemas() -> dict[str, Schema]:
    """Every shape by its name under `components.schemas`."""
    return {
        **sent_schemas(),
        "OperationOutcome": OUTCOME,
        "HookCall": HOOK_CALL,
        "Context": _CONTEXT,
        "Feedback": FEEDBACK,
        "FeedbackEntry": FEEDBACK_ENTRY,
        "KeySet": KEY_SET,
        "Alive": ALIVE,
        "Readiness": READINESS,
    }


def sent_schemas() -> dict[str, Schema]:
    """What we send, from the structs themselves: no member that is null, none that is not named."""
    _, found = msgspec.json.schema_components(SENT, ref_template=_TEMPLATE)
    for name, schema in found.items():
        properties = {key: _as_sent(value) for key, value in schema["properties"].items()}
        for member, more in _TIGHTER.get(name, {}).items():
            properties[member] = {**properties[member], **more}
        schema["properties"] = properties
        schema["additionalProperties"] = False
    if missing := set(_TIGHTER) - set(found):
        raise KeyError(f"no struct of these names is sent: {sorted(missing)}")
    return found


def _as_sent(schema: Schema) -> Schema:
    """A member as it stands on the wire: one without a value is left out, so null is no value."""
    kept = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if not choices:
        return kept
    return {**kept, **choices[0]} if len(choices) == 1 else {**kept, "anyOf": choices}
