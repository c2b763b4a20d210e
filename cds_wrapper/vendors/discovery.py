"""What a vendor's own list of services says about the one that we use. Pure.

Read tolerantly (CDS Hooks 2.0.1, "Discovery"): members nobody knows, any order, one id for several hooks.
What is taken from it, the prefetch templates, is looked at one by one; none is ever repeated in a message.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

LARGEST_LIST: Final = 1_000_000
_MOST_TEMPLATES: Final = 100
_LONGEST_TEMPLATE: Final = 4_000
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)


class NoOffer(enum.Enum):
    """Why a vendor's list says nothing of our service; the closed list that events use."""

    NOT_A_LIST = "not_a_list"
    NO_SUCH_SERVICE = "no_such_service"
    OTHER_HOOK = "other_hook"


@dataclass(frozen=True, slots=True)
class Offer:
    """A service as its vendor lists it: prefetch key -> template, and how many of them could not be read."""

    templates: Mapping[str, str] = field(repr=False)
    unreadable: int = 0


class _List(msgspec.Struct):
    services: list[msgspec.Raw]


class _Entry(msgspec.Struct):
    id: str
    hook: str
    prefetch: Any = None


_list = msgspec.json.Decoder(_List)
_entry = msgspec.json.Decoder(_Entry)


def read_offer(body: bytes, service: str, hook: str) -> Offer | NoOffer:
    """The entry of a service for a hook, or why there is none; the first of several alike."""
    try:
        raws = _list.decode(body).services
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NoOffer.NOT_A_LIST
    named = [entry for raw in raws if (entry := _read(raw)) is not None and entry.id == service]
    fitting = [entry for entry in named if entry.hook == hook]
    if not fitting:
        return NoOffer.OTHER_HOOK if named else NoOffer.NO_SUCH_SERVICE
    return _offer(fitting[0].prefetch)


def _read(raw: msgspec.Raw) -> _Entry | None:
    """One entry by itself: one that cannot be read must not cost the others."""
    try:
        return _entry.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _offer(prefetch: Any) -> Offer:
    if not isinstance(prefetch, dict):
        return Offer({}, 1 if prefetch else 0)
    kept = {key: text for key, text in prefetch.items() if _is_readable(key, text)}
    listed = dict(list(kept.items())[:_MOST_TEMPLATES])
    return Offer(listed, len(prefetch) - len(listed))


def _is_readable(key: str, text: Any) -> bool:
    """Whether a key could stand in our own discovery and log, and its template is one."""
    return _KEY.fullmatch(key) is not None and isinstance(text, str) and 0 < len(text) <= _LONGEST_TEMPLATE
