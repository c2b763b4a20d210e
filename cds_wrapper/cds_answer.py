"""What a CDS Hooks vendor answers, read member by member and judged by nobody yet.

Read strictly as a whole (an object with an array `cards`, neither endless nor bottomless) and leniently card
by card: what to make of a bent card is decided where it is put together again, in `caveats.cards`. Actions
are kept as the bytes that came: what a clinician accepts must be what the vendor wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import msgspec

from cds_wrapper.json_values import is_deeper

Members = Mapping[str, bytes]
"""An action's members as the bytes that came; empty when it was no object."""


@dataclass(frozen=True, slots=True)
class VendorSource:
    """A vendor card's `source`, each member as it came or None when absent or of the wrong type.

    `misshapen` names members of the wrong type, `unknown` counts those the specification does not have.
    """

    label: str | None = None
    url: str | None = None
    icon: str | None = None
    topic: Mapping[str, Any] | None = None
    misshapen: tuple[str, ...] = ()
    unknown: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class VendorSuggestion:
    """A vendor's suggestion; with `actions` it would change the chart.

    `action_behavior` is the 3.0 ballot's `actionSelectionBehavior`: a text, or what else stood there.
    `unknown` counts the members the specification does not have.
    """

    label: str | None
    uuid: str | None
    is_recommended: bool
    actions: tuple[Members, ...] = ()
    action_behavior: object = None
    unknown: int = 0

    def __repr__(self) -> str:
        return f"VendorSuggestion({len(self.actions)} actions)"


@dataclass(frozen=True, slots=True, repr=False)
class VendorCard:
    """One card as the vendor sent it, read member by member and judged by nobody yet.

    `links` and `override_reasons` hold whatever stood in those arrays. `left_out` counts the suggestions
    beyond `MOST_SUGGESTIONS`. `misshapen` names members whose JSON type is not the specification's (their
    value reads as absent); `unknown` names members the specification does not have.
    """

    summary: str | None = None
    indicator: str | None = None
    detail: str | None = None
    uuid: str | None = None
    source: VendorSource = field(default_factory=VendorSource)
    suggestions: tuple[VendorSuggestion, ...] = ()
    selection_behavior: str | None = None
    links: tuple[Any, ...] = ()
    override_reasons: tuple[Any, ...] = ()
    extension: Mapping[str, Any] = field(default_factory=dict)
    left_out: int = 0
    misshapen: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"VendorCard(indicator={self.indicator!r})"


@dataclass(frozen=True, slots=True, repr=False)
class VendorAnswer:
    """A whole 200 answer: its cards, the system actions it asks for, and the document for paths."""

    cards: tuple[VendorCard, ...]
    system_actions: tuple[Members, ...]
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


_SOURCE_MEMBERS: Mapping[str, type] = {"label": str, "url": str, "icon": str, "topic": dict}
_SUGGESTION_MEMBERS = frozenset({"label", "uuid", "isRecommended", "actions", "actionSelectionBehavior"})


MOST_CARDS = 20
MOST_SUGGESTIONS = 20
DEEPEST = 64

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


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
    if is_deeper(document, DEEPEST):
        return None
    system_actions = document.get("systemActions")
    if not system_actions and not any(map(_acts, cards)):
        return VendorAnswer(tuple(map(read_card, cards)), (), document)
    raw = _members.decode(body)
    return VendorAnswer(
        cards=tuple(map(read_card, cards, map(bytes, _items.decode(raw["cards"])))),
        system_actions=_actions(raw["systemActions"]) if system_actions else (),
        document=document,
    )


def _acts(card: Mapping[str, Any]) -> bool:
    """Whether a suggestion of a card would change the chart."""
    suggestions = card.get("suggestions")
    return isinstance(suggestions, list) and any(
        isinstance(one, dict) and bool(one.get("actions")) for one in suggestions
    )


def read_card(card: Mapping[str, Any], raw: bytes | None = None) -> VendorCard:
    """Read one vendor card without judging it; null and empty members read as absent.

    `raw` are the bytes it was read from; without them its actions are written anew.
    """
    known: dict[str, Any] = {name: card.get(name) for name in _CARD_MEMBERS}
    fits = {name for name, kind in _CARD_MEMBERS.items() if known[name] and isinstance(known[name], kind)}
    right = {name: value for name, value in known.items() if name in fits}
    source: Mapping[str, Any] = right.get("source", {})
    suggestions = right.get("suggestions", [])
    actions: Sequence[tuple[Members, ...]] = ()
    if suggestions and _acts(card):
        actions = _actions_by_suggestion(msgspec.json.encode(card) if raw is None else raw)
    return VendorCard(
        summary=right.get("summary"),
        indicator=right.get("indicator"),
        detail=right.get("detail"),
        uuid=right.get("uuid"),
        source=_read_source(source) if source else VendorSource(),
        suggestions=tuple(
            _read_suggestion(item, own)
            for item, own in zip_longest(suggestions[:MOST_SUGGESTIONS], actions[:MOST_SUGGESTIONS])
        ),
        selection_behavior=right.get("selectionBehavior"),
        links=tuple(right.get("links", ())),
        override_reasons=tuple(right.get("overrideReasons", ())),
        extension=right.get("extension", {}),
        left_out=max(0, len(suggestions) - MOST_SUGGESTIONS),
        misshapen=tuple(name for name, value in known.items() if value and name not in right),
        unknown=tuple(sorted(set(card) - set(_CARD_MEMBERS))),
    )


def _read_source(source: Mapping[str, Any]) -> VendorSource:
    return VendorSource(
        label=_text(source, "label"),
        url=_text(source, "url"),
        icon=_text(source, "icon"),
        topic=source.get("topic") if isinstance(source.get("topic"), dict) else None,
        misshapen=tuple(
            name
            for name, kind in _SOURCE_MEMBERS.items()
            if source.get(name) and not isinstance(source[name], kind)
        ),
        unknown=len(source.keys() - _SOURCE_MEMBERS.keys()),
    )


def _read_suggestion(item: object, actions: tuple[Members, ...] | None) -> VendorSuggestion:
    members: Mapping[str, Any] = item if isinstance(item, dict) else {}
    return VendorSuggestion(
        label=_text(members, "label"),
        uuid=_text(members, "uuid"),
        is_recommended=members.get("isRecommended") is True,
        actions=actions or () if members.get("actions") else (),
        action_behavior=members.get("actionSelectionBehavior") or None,
        unknown=len(members.keys() - _SUGGESTION_MEMBERS),
    )


def _actions_by_suggestion(card: bytes) -> list[tuple[Members, ...]]:
    """The actions of every suggestion of a card that is known to have some."""
    suggestions = _items.decode(_members.decode(card)["suggestions"])
    return [_actions(_object(suggestion).get("actions", b"null")) for suggestion in suggestions]


def _actions(raw: msgspec.Raw | bytes) -> tuple[Members, ...]:
    """The actions in an array; a value that is no array is one action that nobody can read."""
    try:
        return tuple(_object(item) for item in _items.decode(raw))
    except msgspec.DecodeError:
        return ({},)


def _object(raw: msgspec.Raw | bytes) -> Members:
    try:
        return {name: bytes(value) for name, value in _members.decode(raw).items()}
    except msgspec.DecodeError:
        return {}


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None
