"""Prefetch values as clients of the first drafts wrote them, turned into what CDS Hooks has today.

Those clients handed over the answer of their FHIR server whole: `{"response": {"status": "200 OK"},
"resource": {...}}`. The resource is the value; a failure is one that stops the key.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_WRAPPER: Final = re.compile(rb'\s*\{\s*"(?:response|resource)"\s*:')
_NULL: Final = msgspec.Raw(b"null")
_NOTHING: Final = b"null"
_STATUS: Final = re.compile(rb'"?([1-5]\d\d)\b')
_NOT_FOUND: Final = (404, 410)
FAILED: Final = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}'
"""What stands for a read that failed: it is never forwarded, since its key has failed."""


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    response: _Response
    resource: msgspec.Raw = _NULL


class _Response(msgspec.Struct):
    status: msgspec.Raw = _NULL


_wrapped = msgspec.json.Decoder(_Wrapped)


def unwrapped(value: bytes) -> bytes:
    """The resource's own bytes, null when the server had none; a value of any other shape is left alone."""
    if _WRAPPER.match(value) is None:
        return value
    try:
        answer = _wrapped.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
    written = _STATUS.match(bytes(answer.response.status))
    if written is None:
        return value
    status = int(written[1])
    if 200 <= status < 300:
        return bytes(answer.resource)
    return _NOTHING if status in _NOT_FOUND else FAILED
