"""The hook calls of a benchmark, as a file that its parts read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class HookCall(msgspec.Struct, frozen=True):
    """One call: the case it is named for, the patient, its body as an EHR sends it, the vendor's answer."""

    case: str
    patient: str
    body: bytes
    answer: bytes


_Calls = tuple[HookCall, ...]


def write_calls(calls: Sequence[HookCall], place: Path) -> None:
    """Write calls to a file."""
    place.write_bytes(msgspec.json.encode(calls))


def read_calls(place: Path) -> tuple[HookCall, ...]:
    """Read what `write_calls` wrote."""
    return msgspec.json.decode(place.read_bytes(), type=_Calls)
