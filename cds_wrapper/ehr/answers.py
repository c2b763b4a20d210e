"""What the answer to a read or a search means: "there is nothing" is told from "I cannot". Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from cds_wrapper.cds import PrefetchState
from cds_wrapper.outbound import Answer

_CANNOT: Final = frozenset({405, 501})
_NOT_THERE: Final = frozenset({404, 410})


class _Issue(msgspec.Struct):
    code: msgspec.Raw = msgspec.Raw(b"null")


class _Resource(msgspec.Struct):
    resourceType: msgspec.Raw = msgspec.Raw(b"null")
    type: msgspec.Raw = msgspec.Raw(b"null")
    issue: msgspec.Raw = msgspec.Raw(b"null")


_resource = msgspec.json.Decoder(_Resource)
_issues = msgspec.json.Decoder(list[_Issue])


def failed(answer: Answer, *, is_search: bool) -> PrefetchState | None:
    """The state of a key whose answer holds no value; None when there is one, to be sorted like prefetch.

    A read of what is not there is empty. A search that the server does not know, or answers with anything
    else than a searchset, is unsupported: it says nothing about the patient (FHIR R4, 3.1.0 and 3.1.1).
    """
    found = _read(answer.body)
    if _cannot(found):
        return PrefetchState.UNSUPPORTED
    if answer.status == 200:
        return PrefetchState.UNSUPPORTED if is_search and _is_no_searchset(found) else None
    if answer.status in _NOT_THERE:
        return PrefetchState.UNSUPPORTED if is_search else PrefetchState.EMPTY
    if answer.status in _CANNOT or (is_search and answer.status == 400):
        return PrefetchState.UNSUPPORTED
    return PrefetchState.ERROR


def _read(body: bytes) -> _Resource | None:
    try:
        return _resource.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _cannot(found: _Resource | None) -> bool:
    """Whether it is an OperationOutcome that says `not-supported`."""
    if found is None or bytes(found.resourceType) != b'"OperationOutcome"':
        return False
    try:
        return any(bytes(issue.code) == b'"not-supported"' for issue in _issues.decode(found.issue))
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_no_searchset(found: _Resource | None) -> bool:
    """Whether a readable answer is neither a searchset nor an OperationOutcome."""
    if found is None:
        return False
    match bytes(found.resourceType):
        case b'"OperationOutcome"':
            return False
        case b'"Bundle"':
            return bytes(found.type) not in (b'"searchset"', b"null")
        case _:
            return True
