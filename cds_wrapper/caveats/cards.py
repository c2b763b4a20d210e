"""Puts words onto the vendor's cards, or a card of our own in their place.

The vendor's clinical content is never changed: the caveat is added in front, a summary that would be too long
is shortened with its full text kept, markup is made inert, and what the site lets nobody be led to stays
here. Every one of these is listed in `Composition.changes` as `what: why`, without any of the vendor's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cds_wrapper.caveats.actions import AI_LABEL, read_system_actions
from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.codings import override_reasons_of, own_topic, topic_of
from cds_wrapper.caveats.detail import CONTENT_TYPE, Syntax, agreed_syntax, detail_of
from cds_wrapper.caveats.machine_copy import CardStamp, card_uuid, machine_copy, versions
from cds_wrapper.caveats.orders import Standing
from cds_wrapper.caveats.passage import CLOSED, CardPolicy, Changes, Passage
from cds_wrapper.caveats.suggestions import suggestions_of
from cds_wrapper.caveats.vendor_links import vendor_links
from cds_wrapper.caveats.vendor_text import ELLIPSIS, SUMMARY_LIMIT, clean_line, cut, fits, units
from cds_wrapper.caveats.wording import (
    CaveatWords,
    OwnCard,
    ServiceWords,
    Wording,
    own_words,
    standing_card,
)
from cds_wrapper.cds import Action, Card, Link, Source
from cds_wrapper.cds_answer import VendorCard, VendorSource
from cds_wrapper.patient.subgroups import Display, SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Prediction

__all__ = [
    "AI_LABEL",
    "CONTENT_TYPE",
    "CardPolicy",
    "CardStamp",
    "Composition",
    "Passage",
    "card_uuid",
    "compose",
    "shown_attributes",
    "standing_cards",
    "unavailable_card",
]

MOST_CHANGES: Final = 50

_INDICATORS = frozenset({"info", "warning", "critical"})
_AT_MOST_ONE: Final = "at-most-one"
_BEHAVIOURS = frozenset({_AT_MOST_ONE, "any"})
_DASH: Final = " – "


@dataclass(frozen=True, slots=True, repr=False)
class Composition:
    """The cards that go back, every change made on the way, and whether a summary carries a caveat.

    `system_actions` are those a site has agreed to; they go beside the cards. `is_our_own` says that the one
    card stands in the place of the vendor's.
    """

    cards: tuple[Card, ...]
    changes: tuple[str, ...]
    in_summary: bool
    system_actions: tuple[Action, ...] = ()
    is_our_own: bool = False

    def __repr__(self) -> str:
        return f"Composition({len(self.cards)} cards, {len(self.changes)} changes)"


def compose(
    prediction: Prediction | NoPrediction,
    words: CaveatWords,
    caveat: Caveat,
    disposition: Disposition,
    stamp: CardStamp,
    passage: Passage = CLOSED,
) -> Composition:
    """The answer's cards: the vendor's with the caveat first in `detail`, or one card of our own."""
    if isinstance(prediction, NoPrediction):
        own = (_own_card(words.replacement, stamp, words.link_label),) if words.replacement else ()
        return Composition(own, (), in_summary=False, is_our_own=bool(own))
    if words.replacement is not None or disposition >= Disposition.SHADOW:
        held = (*prediction.changes, *_held_back(prediction, disposition))
        own = (_own_card(words.replacement, stamp, words.link_label),) if words.replacement else ()
        return Composition(own, held, in_summary=False, is_our_own=bool(own))
    ours = machine_copy(prediction, words, caveat, stamp) if prediction.cards else {}
    made = [
        _Composing(words, caveat, stamp, passage, ours, *numbered, is_the_sites=prediction.score_only)
        for numbered in enumerate(prediction.cards)
    ]
    cards = tuple(card for one in made if (card := one.card()) is not None)
    is_withheld = len(cards) < len(made)
    system_actions, acted = _system_actions(prediction, caveat, disposition, passage, is_withheld=is_withheld)
    changes = _bounded((*prediction.changes, *acted, *(change for one in made for change in one.found)))
    if prediction.cards and not cards:
        fallback = _own_card(words.fallback, stamp, words.link_label)
        return Composition((fallback,), changes, in_summary=False, is_our_own=True)
    return Composition(cards, changes, bool(cards) and words.short is not None, system_actions)


def unavailable_card(card: OwnCard, wording: Wording, service: ServiceWords, stamp: CardStamp) -> Card:
    """A card of our own that needs no caveat: our own error, or a record that could not be written."""
    return _own_card(own_words(card, wording, service), stamp, wording.lines.link)


def standing_cards(
    standing: Standing, wording: Wording, service: ServiceWords, stamp: CardStamp
) -> tuple[Card, ...]:
    """The card that tells of an order where nothing could be composed; none when nobody is told any more."""
    card = standing_card(standing)
    if card is None:
        return ()
    return (_own_card(own_words(card, wording, service, since=standing.since), stamp, wording.lines.link),)


def shown_attributes(scheme: SubgroupScheme) -> frozenset[str]:
    """The attributes whose groups a card may name."""
    return frozenset(name for name, policy in scheme.attributes.items() if policy.display is Display.SHOW)


# System actions ---------------------------------------------------------------------------------------------


def _held_back(prediction: Prediction, disposition: Disposition) -> Iterator[str]:
    """What does not go out where no score is shown."""
    if prediction.system_actions:
        yield "systemActions: held_back"
    if prediction.cards:
        yield f"cards: {disposition.value}"


def _system_actions(
    prediction: Prediction, caveat: Caveat, disposition: Disposition, passage: Passage, *, is_withheld: bool
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """What may be applied without a person: only what was agreed, and only where no caveat is due."""
    if not prediction.system_actions:
        return (), ()
    is_plain = disposition in {Disposition.SHOW, Disposition.ANNOTATE} and not is_withheld
    if caveat.level is not CaveatLevel.SUPPORTED or not is_plain:
        return (), ("systemActions: held_back",)
    actions, changes = read_system_actions(prediction.system_actions, passage)
    return actions, tuple(changes)


# One vendor card --------------------------------------------------------------------------------------------


class _Composing(Changes):
    """One card on its way out; collects what is changed. The site's are those of a vendor without cards."""

    def __init__(
        self,
        words: CaveatWords,
        caveat: Caveat,
        stamp: CardStamp,
        passage: Passage,
        ours: Mapping[str, Any],
        position: int,
        vendor: VendorCard,
        *,
        is_the_sites: bool,
    ) -> None:
        super().__init__(position)
        self._words = words
        self._caveat = caveat
        self._stamp = stamp
        self._passage = passage
        self._ours = ours
        self._uuid = stamp.card_uuid(position)
        self._vendor = vendor
        self._is_the_sites = is_the_sites
        self._whole_summary = clean_line(vendor.summary or "")

    def card(self) -> Card | None:
        """The card that goes out; None when its suggestions could not be understood by any client."""
        behaviour = self._vendor.selection_behavior
        if behaviour is not None and behaviour not in _BEHAVIOURS:
            self.note("selectionBehavior", "unknown, card withheld")
            return None
        fault = self._fault()
        if fault is not None:
            self.note(*fault)
            return self._minimal()
        return self._caveated()

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
        vendor, passage = self._vendor, self._passage
        self._hold_back()
        syntax = agreed_syntax(vendor.extension, passage.profile) if vendor.extension else None
        suggestions = suggestions_of(vendor, self._uuid, passage, self)
        links = vendor_links(vendor.links, passage, self, caveat_is_due=self._caveat_is_due)
        return Card(
            uuid=self._uuid,
            summary=self._summary(vendor.summary or ""),
            indicator=vendor.indicator or "info",
            source=self._source(vendor.source),
            detail=self._detail(syntax or Syntax.MARKDOWN),
            suggestions=suggestions,
            selectionBehavior=vendor.selection_behavior if suggestions else None,
            overrideReasons=override_reasons_of(vendor.override_reasons, passage, self),
            links=[*_links(self._stamp.link_url, self._words.link_label), *links] or None,
            extension=self._merged_extension(syntax),
        )

    @property
    def _caveat_is_due(self) -> bool:
        return bool(self._words.lines) or self._caveat.level is not CaveatLevel.SUPPORTED

    def _minimal(self) -> Card:
        """A valid card with the vendor's label, the caveat and the vendor's cleaned text."""
        vendor = self._vendor
        self._hold_back()
        left_out = {
            "suggestions": vendor.suggestions,
            "links": vendor.links,
            "overrideReasons": vendor.override_reasons,
            "extension": vendor.extension,
        }
        for member, value in left_out.items():
            if value:
                self.note(member, "held_back")
        return Card(
            uuid=self._uuid,
            summary=self._summary(self._whole_summary or self._words.title),
            indicator="info",
            source=Source(label=self._label(vendor.source)),
            detail=self._detail(Syntax.MARKDOWN),
            links=_links(self._stamp.link_url, self._words.link_label) or None,
            extension=dict(self._ours),
        )

    def _hold_back(self) -> None:
        vendor = self._vendor
        if vendor.uuid is not None:
            self.note("uuid", "replaced by ours")
        if vendor.unknown:  # their names are the vendor's words
            self.note("(others)", f"{len(vendor.unknown)} unknown members, held_back")
        for name in vendor.misshapen:
            self.note(name, "of another type, held_back")

    def _summary(self, text: str) -> str:
        """The vendor's text, then ours; only the vendor's is ever cut."""
        line = self.line("summary", text)
        ours = f"{_DASH}{self._words.short}" if self._words.short else ""
        short = cut(line, SUMMARY_LIMIT - units(ours))
        if short != line:
            self.note("summary", "shortened")
        return short + ours

    def _detail(self, syntax: Syntax) -> str | None:
        """The vendor's own text stands last, after its whole summary where that was shortened."""
        ours = f"{_DASH}{self._words.short}" if self._words.short else ""
        whole = None if fits(self._whole_summary + ours) else self._whole_summary
        theirs = self._vendor.detail or ""
        detail, is_changed = detail_of(self._words, theirs, whole, syntax, self._passage.lists)
        if is_changed:
            self.note("detail", "cleaned")
        return detail

    def _label(self, source: VendorSource) -> str:
        label = self.line("source.label", source.label or "")
        if not label:
            self.note("source.label", "missing, added")
        return label or self._stamp.vendor_label

    def _source(self, source: VendorSource) -> Source:
        if self._is_the_sites:
            topic = own_topic(self._caveat, self._passage, self)
            return Source(label=self._stamp.own_label, url=self._stamp.general_url, topic=topic)
        for name in source.misshapen:
            self.note(f"source.{name}", "of another type, removed")
        if source.unknown:
            self.note("source", f"{source.unknown} unknown members, held_back")
        return Source(
            label=self._label(source),
            url=self._address("source.url", source.url),
            icon=self._address("source.icon", source.icon),
            topic=topic_of(source.topic, self._caveat, self._passage, self),
        )

    def _address(self, member: str, url: str | None) -> str | None:
        if url is None or _is_web_address(url):
            return url
        self.note(member, "not an http(s) address, removed")
        return None

    def _merged_extension(self, syntax: Syntax | None) -> dict[str, Any]:
        """The vendor's members, without what would change the meaning of `detail`, and ours."""
        theirs = dict(self._vendor.extension)
        agreed = self._passage.profile.content_type_extension
        for name in (CONTENT_TYPE, agreed, self._stamp.extension_key):
            is_heeded = name == agreed and syntax is not None
            if name in theirs and not is_heeded and theirs.pop(name) is not None:
                self.note(f'extension."{name}"', "removed")
        return {**(self.pruned("extension", theirs) or {}), **self._ours}


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
        links=_links(stamp.general_url, link_label) or None,
        extension={stamp.extension_key: versions(stamp)},
    )


def _links(url: str | None, label: str) -> list[Link]:
    return [Link(label=label, url=url, type="absolute")] if url else []


# Small judgements -------------------------------------------------------------------------------------------


def _bounded(changes: tuple[str, ...]) -> tuple[str, ...]:
    if len(changes) <= MOST_CHANGES:
        return changes
    return (*changes[: MOST_CHANGES - 1], f"{ELLIPSIS}: {len(changes) - MOST_CHANGES + 1} more")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and clean_line(url) == url
