"""What a CDS Hooks vendor answers, read member by member and judged by nobody yet.

Read strictly as a whole (an object with an array `cards`, neither endless nor bottomless) and leniently card
by card: what to make of a bent card is decided where it is put together again, in `caveats.cards`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class VendorSource:
    """A vendor card's `source`, each member as it came or None when absent or of the wrong type."""

    label: str | None = None
    url: str | None = None
    icon: str | None = None
    topic: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class VendorSuggestion:
    """A vendor's suggestion; `has_actions` says that it would change the chart."""

    label: str | None
    uuid: str | None
    is_recommended: bool
    has_actions: bool


@dataclass(frozen=True, slots=True, repr=False)
class VendorCard:
    """One card as the vendor sent it, read member by member and judged by nobody yet.

    `misshapen` names members whose JSON type is not the specification's (their value reads as absent);
    `unknown` names members the specification does not have.
    """

    summary: str | None = None
    indicator: str | None = None
    detail: str | None = None
    uuid: str | None = None
    source: VendorSource = field(default_factory=VendorSource)
    suggestions: tuple[VendorSuggestion, ...] = ()
    selection_behavior: str | None = None
    has_links: bool = False
    has_override_reasons: bool = False
    extension: Mapping[str, Any] = field(default_factory=dict)
    misshapen: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"VendorCard(indicator={self.indicator!r})"


@dataclass(frozen=True, slots=True, repr=False)
class VendorAnswer:
    """A whole 200 answer: its cards, whether it asks for system actions, and the document for paths."""

    cards: tuple[VendorCard, ...]
    has_system_actions: bool
    document: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"VendorAnswer({len(self.cards)} cards)"


_CARD_MEMBERS: Mapping[str, type] = {
    "summary": str,
    "indicator": str,
    "detail": str,
    "uuid": str,
    "source": dict,
    "suggestions": list,
    "selectionBehavior": str,
    "links": list,
    "overrideReasons": list,
    "extension": dict,
}


MOST_CARDS = 20
MOST_SUGGESTIONS = 20
DEEPEST = 64
_NESTED = (dict, list)


def _is_shallow(value: object) -> bool:
    """Whether nothing is nested deeper than any client would read."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for outer in level
            if isinstance(outer, _NESTED)
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, _NESTED)
        ]
        if not level:
            return True
    return False


def read_answer(body: bytes) -> VendorAnswer | None:
    """Read a vendor's answer; None when it is not a JSON object with an array `cards` of objects.

    More than `MOST_CARDS` cards, or deeper nesting than `DEEPEST`, is no answer for a clinician either.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("cards"), list):
        return None
    cards = document["cards"]
    if len(cards) > MOST_CARDS or not all(isinstance(card, dict) for card in cards):
        return None
    if not _is_shallow(document):
        return None
    return VendorAnswer(
        cards=tuple(read_card(card) for card in document["cards"]),
        has_system_actions=bool(document.get("systemActions")),
        document=document,
    )


def read_card(card: Mapping[str, Any]) -> VendorCard:
    """Read one vendor card without judging it; null and empty members read as absent."""
    known: dict[str, Any] = {name: card.get(name) for name in _CARD_MEMBERS}
    fits = {name for name, kind in _CARD_MEMBERS.items() if known[name] and isinstance(known[name], kind)}
    right = {name: value for name, value in known.items() if name in fits}
    source = right.get("source", {})
    return VendorCard(
        summary=right.get("summary"),
        indicator=right.get("indicator"),
        detail=right.get("detail"),
        uuid=right.get("uuid"),
        source=VendorSource(
            label=_text(source, "label"),
            url=_text(source, "url"),
            icon=_text(source, "icon"),
            topic=source.get("topic") if isinstance(source.get("topic"), dict) else None,
        ),
        suggestions=tuple(_read_suggestion(item) for item in right.get("suggestions", [])[:MOST_SUGGESTIONS]),
        selection_behavior=right.get("selectionBehavior"),
        has_links="links" in right,
        has_override_reasons="overrideReasons" in right,
        extension=right.get("extension", {}),
        misshapen=tuple(name for name, value in known.items() if value and name not in right),
        unknown=tuple(sorted(set(card) - set(_CARD_MEMBERS))),
    )


def _read_suggestion(item: object) -> VendorSuggestion:
    members: Mapping[str, Any] = item if isinstance(item, dict) else {}
    return VendorSuggestion(
        label=_text(members, "label"),
        uuid=_text(members, "uuid"),
        is_recommended=members.get("isRecommended") is True,
        has_actions=bool(members.get("actions")),
    )


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None
