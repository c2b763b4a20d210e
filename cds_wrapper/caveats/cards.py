"""Puts words onto the vendor's cards, or a card of our own in their place.

The vendor's clinical content is never changed: the caveat is added in front, a summary that would be too long
is shortened with its full text kept, markup is made inert, and what nobody here can judge yet is held back.
Every one of these is listed in `Composition.changes` as `what: why`, without any of the vendor's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from cds_wrapper.caveats.caveat import Caveat, CaveatReason, Disposition
from cds_wrapper.caveats.evidence import evidence_token
from cds_wrapper.caveats.reason_words import wording_id
from cds_wrapper.caveats.vendor_text import (
    ELLIPSIS,
    SUMMARY_LIMIT,
    clean_line,
    clean_markdown,
    cut,
    fits,
    prune,
    units,
)
from cds_wrapper.caveats.wording import CaveatWords, OwnCard, ServiceWords, Wording, own_words
from cds_wrapper.cds import Card, Link, Source, Suggestion
from cds_wrapper.cds_answer import VendorCard, VendorSource, VendorSuggestion
from cds_wrapper.patient.subgroups import Display, SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Prediction

AI_LABEL: Final = "AIAST"
"""Asserted by an artificial intelligence (http://terminology.hl7.org/CodeSystem/v3-ObservationValue)."""

CONTENT_TYPE: Final = "com.epic.cdshooks.card.detail.content-type"
"""A card extension that changes how `detail` is read; ours is Markdown, so it goes (CDS Hooks: GFM)."""

MOST_CHANGES: Final = 50

_INDICATORS = frozenset({"info", "warning", "critical"})
_AT_MOST_ONE: Final = "at-most-one"
_BEHAVIOURS = frozenset({_AT_MOST_ONE, "any"})
_DASH: Final = " – "
_RULE: Final = "---"


def card_uuid(prediction_id: UUID, position: int) -> str:
    """The id of the card at a position of the vendor's answer, the same at every replay."""
    return str(uuid5(prediction_id, str(position)))


@dataclass(frozen=True, slots=True)
class CardStamp:
    """What a card carries of its record and its files.

    `link_url` is the page behind the caveat, `general_url` the service's own page; either may be None.
    `own_label` (model and developer) is the source of cards we write, `vendor_label` that of a vendor card
    without one. `shown` are the attributes whose groups may be named (`shown_attributes`).
    """

    prediction_id: UUID
    edition: str
    plan_version: str
    wording_version: str
    extension_key: str
    own_label: str
    vendor_label: str
    link_url: str | None = None
    general_url: str | None = None
    shown: frozenset[str] = frozenset()

    def card_uuid(self, position: int) -> str:
        """The id of the card at a position of the vendor's answer."""
        return card_uuid(self.prediction_id, position)


@dataclass(frozen=True, slots=True, repr=False)
class Composition:
    """The cards that go back, every change made on the way, and whether a summary carries a caveat."""

    cards: tuple[Card, ...]
    changes: tuple[str, ...]
    in_summary: bool
    is_our_own: bool = False  # the one card stands in the place of the vendor's

    def __repr__(self) -> str:
        return f"Composition({len(self.cards)} cards, {len(self.changes)} changes)"


def compose(
    prediction: Prediction | NoPrediction,
    words: CaveatWords,
    caveat: Caveat,
    disposition: Disposition,
    stamp: CardStamp,
) -> Composition:
    """The answer's cards: the vendor's with the caveat first in `detail`, or one card of our own."""
    held = prediction.changes if isinstance(prediction, Prediction) else ()
    if words.replacement is not None:
        why = [f"cards: {disposition.value}"] if isinstance(prediction, Prediction) else []
        return Composition(
            (_own_card(words.replacement, stamp, words.link_label),), (*held, *why), False, True
        )
    if isinstance(prediction, NoPrediction) or not prediction.cards:
        return Composition((), held, False)
    ours = _extension(prediction, words, caveat, stamp)
    made = [_Composing(words, stamp, ours, *numbered) for numbered in enumerate(prediction.cards)]
    cards = tuple(card for one in made if (card := one.card()) is not None)
    changes = _bounded((*held, *(change for one in made for change in one.changes)))
    if not cards:
        return Composition((_own_card(words.fallback, stamp, words.link_label),), changes, False, True)
    return Composition(cards, changes, words.short is not None)


def unavailable_card(card: OwnCard, wording: Wording, service: ServiceWords, stamp: CardStamp) -> Card:
    """A card of our own that needs no caveat: our own error, or a record that could not be written."""
    return _own_card(own_words(card, wording, service), stamp, wording.lines.link)


def shown_attributes(scheme: SubgroupScheme) -> frozenset[str]:
    """The attributes whose groups a card may name."""
    return frozenset(name for name, policy in scheme.attributes.items() if policy.display is Display.SHOW)


# One vendor card --------------------------------------------------------------------------------------------


class _Composing:
    """One vendor card on its way out; collects what is changed."""

    def __init__(
        self, words: CaveatWords, stamp: CardStamp, ours: Mapping[str, Any], position: int, vendor: VendorCard
    ) -> None:
        self._words = words
        self._stamp = stamp
        self._ours = ours
        self._position = position
        self._vendor = vendor
        self._whole_summary = clean_line(vendor.summary or "")
        self.changes: list[str] = []

    def card(self) -> Card | None:
        """The card that goes out; None when its suggestions could not be understood by any client."""
        behaviour = self._vendor.selection_behavior
        if behaviour is not None and behaviour not in _BEHAVIOURS:
            self._note("selectionBehavior", "unknown, card withheld")
            return None
        fault = self._fault()
        if fault is not None:
            self._note(*fault)
            return self._minimal()
        return self._caveated()

    def _note(self, member: str, why: str) -> None:
        self.changes.append(f"cards[{self._position}].{member}: {why}")

    def _line(self, member: str, text: str) -> str:
        line = clean_line(text)
        if line != text:
            self._note(member, "cleaned")
        return line

    def _fault(self) -> tuple[str, str] | None:
        """What makes the card invalid by CDS Hooks, beyond what may simply be left out."""
        vendor = self._vendor
        if vendor.indicator not in _INDICATORS:
            return "indicator", "invalid, card replaced"
        if not self._whole_summary:
            return "summary", "missing, card replaced"
        recommended = sum(suggestion.is_recommended for suggestion in vendor.suggestions)
        if vendor.selection_behavior == _AT_MOST_ONE and recommended > 1:
            return "suggestions", "several recommended where one may be, card replaced"
        return None

    def _caveated(self) -> Card:
        suggestions = list(self._suggestions())
        self._hold_back()
        return Card(
            uuid=self._stamp.card_uuid(self._position),
            summary=self._summary(self._vendor.summary or ""),
            indicator=self._vendor.indicator or "info",
            source=self._source(self._vendor.source),
            detail=self._detail(),
            suggestions=suggestions or None,
            selectionBehavior=self._vendor.selection_behavior if suggestions else None,
            links=_links(self._stamp.link_url, self._words.link_label),
            extension=self._merged_extension(),
        )

    def _minimal(self) -> Card:
        """A valid card with the vendor's label, the caveat and the vendor's cleaned text."""
        self._hold_back()
        left_out = {"suggestions": self._vendor.suggestions, "extension": self._vendor.extension}
        for member, value in left_out.items():
            if value:
                self._note(member, "held_back")
        return Card(
            uuid=self._stamp.card_uuid(self._position),
            summary=self._summary(self._whole_summary or self._words.title),
            indicator="info",
            source=Source(label=self._label(self._vendor.source)),
            detail=self._detail(),
            links=_links(self._stamp.link_url, self._words.link_label),
            extension=dict(self._ours),
        )

    def _hold_back(self) -> None:
        vendor = self._vendor
        if vendor.uuid is not None:
            self._note("uuid", "replaced by ours")
        if vendor.has_links:
            self._note("links", "held_back")
        if vendor.has_override_reasons:
            self._note("overrideReasons", "held_back")
        if vendor.unknown:  # their names are the vendor's words
            self._note("(others)", f"{len(vendor.unknown)} unknown members, held_back")
        for name in vendor.misshapen:
            self._note(name, "of another type, held_back")

    def _summary(self, text: str) -> str:
        """The vendor's text, then ours; only the vendor's is ever cut."""
        line = self._line("summary", text)
        ours = f"{_DASH}{self._words.short}" if self._words.short else ""
        short = cut(line, SUMMARY_LIMIT - units(ours))
        if short != line:
            self._note("summary", "shortened")
        return short + ours

    def _detail(self) -> str | None:
        words = self._words
        caveats = [f"**{line}**" for line in words.lines]
        block = [*caveats, *(line for line in (words.evidence_line, words.ai_line) if line)]
        theirs = self._vendor_text()
        return "\n\n".join([*block, *([_RULE, *theirs] if theirs and block else theirs)]) or None

    def _vendor_text(self) -> list[str]:
        """The vendor's own text, after its whole summary where that was shortened."""
        detail = self._vendor.detail or ""
        clean = clean_markdown(detail)
        if clean != detail:
            self._note("detail", "cleaned")
        ours = f"{_DASH}{self._words.short}" if self._words.short else ""
        whole = [] if fits(self._whole_summary + ours) else [clean_markdown(self._whole_summary)]
        return [*whole, *([clean] if clean.strip() else [])]

    def _label(self, source: VendorSource) -> str:
        label = self._line("source.label", source.label or "")
        if not label:
            self._note("source.label", "missing, added")
        return label or self._stamp.vendor_label

    def _source(self, source: VendorSource) -> Source:
        return Source(
            label=self._label(source),
            url=self._address("source.url", source.url),
            icon=self._address("source.icon", source.icon),
            topic=self._topic(source.topic),
        )

    def _address(self, member: str, url: str | None) -> str | None:
        if url is None or _is_web_address(url):
            return url
        self._note(member, "not an http(s) address, removed")
        return None

    def _topic(self, topic: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if topic is None:
            return None
        if not (_is_text(topic.get("code")) and _is_text(topic.get("system"))):
            self._note("source.topic", "without code or system, removed")
            return None
        return self._pruned("source.topic", topic)

    def _suggestions(self) -> Iterator[Suggestion]:
        """Those that change nothing in the chart; one with actions is held back whole, never split."""
        behaviour = self._vendor.selection_behavior
        if self._vendor.suggestions and behaviour is None:
            self._note("suggestions", "without selectionBehavior, removed")
            return
        for number, suggestion in enumerate(self._vendor.suggestions):
            if suggestion.label is None:
                self._note(f"suggestions[{number}]", "without label, removed")
            elif suggestion.has_actions:
                self._note(f"suggestions[{number}]", "actions_held_back")
            else:
                yield self._suggestion(number, suggestion.label, suggestion)

    def _suggestion(self, number: int, label: str, suggestion: VendorSuggestion) -> Suggestion:
        own = uuid5(UUID(self._stamp.card_uuid(self._position)), f"suggestion {number}")
        if suggestion.uuid is None:
            self._note(f"suggestions[{number}].uuid", "missing, added")
        return Suggestion(
            label=self._line(f"suggestions[{number}].label", label),
            uuid=suggestion.uuid or str(own),
            isRecommended=suggestion.is_recommended,
        )

    def _merged_extension(self) -> dict[str, Any]:
        """The vendor's members, without what would change the meaning of `detail`, and ours."""
        theirs = dict(self._vendor.extension)
        for name in (CONTENT_TYPE, self._stamp.extension_key):
            if theirs.pop(name, None) is not None:
                self._note(f'extension."{name}"', "removed")
        return {**(self._pruned("extension", theirs) or {}), **self._ours}

    def _pruned(self, member: str, value: Mapping[str, Any]) -> dict[str, Any] | None:
        kept: dict[str, Any] | None = prune(value)
        if value and kept != value:
            self._note(member, "empty values removed")
        return kept


# Cards of our own -------------------------------------------------------------------------------------------


def _own_card(text: tuple[str, str], stamp: CardStamp, link_label: str) -> Card:
    """One `info` card in our own name; it says the same whatever the reason was."""
    summary, detail = text
    return Card(
        uuid=stamp.card_uuid(0),
        summary=summary,
        indicator="info",
        source=Source(label=stamp.own_label),
        detail=detail,
        links=_links(stamp.general_url, link_label),
        extension={stamp.extension_key: _versions(stamp)},
    )


def _links(url: str | None, label: str) -> list[Link] | None:
    return [Link(label=label, url=url)] if url else None


# The machine-readable copy ----------------------------------------------------------------------------------


def _extension(
    prediction: Prediction, words: CaveatWords, caveat: Caveat, stamp: CardStamp
) -> dict[str, Any]:
    """The caveat for programs; nothing essential lives only here, and no group that may not be named."""
    return {
        stamp.extension_key: {
            "ai_label": AI_LABEL,
            "model": prediction.model.id,
            "version": clean_line(prediction.model.version),
            "level": caveat.level.value,
            **({"caveats": list(_caveats(caveat.reasons, stamp))} if caveat.reasons else {}),
            **({"wording_ids": list(words.wording_ids)} if words.wording_ids else {}),
            **_versions(stamp),
        }
    }


def _versions(stamp: CardStamp) -> dict[str, str]:
    return {
        "prediction_id": str(stamp.prediction_id),
        "evidence_edition": stamp.edition,
        "plan_version": stamp.plan_version,
        "wording_version": stamp.wording_version,
    }


def _caveats(reasons: Iterable[CaveatReason], stamp: CardStamp) -> Iterator[dict[str, Any]]:
    for reason in reasons:
        may_name = bool(reason.groups) and stamp.shown.issuperset(reason.attributes)
        members = {
            "id": wording_id(reason),
            "level": reason.level.value,
            "reason": reason.reason.value,
            "scope": reason.scope.value,
            "direction": reason.direction.value if reason.direction else None,
            "side": reason.side.value if reason.side else None,
            "group": [f"{attribute}={level}" for attribute, level in reason.groups] if may_name else None,
            "evidence": evidence_token(stamp.edition, reason.key),
        }
        yield {name: value for name, value in members.items() if value is not None}


# Small judgements -------------------------------------------------------------------------------------------


def _bounded(changes: tuple[str, ...]) -> tuple[str, ...]:
    if len(changes) <= MOST_CHANGES:
        return changes
    return (*changes[: MOST_CHANGES - 1], f"{ELLIPSIS}: {len(changes) - MOST_CHANGES + 1} more")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and clean_line(url) == url
