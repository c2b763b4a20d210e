"""Checks on the card that a site words for a vendor without cards: is it whole, does it fit, what it says.

A mistake in it must not wait for a patient: every text is filled here with the longest values it can have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cds_wrapper.caveats.markup import clean_markdown
from cds_wrapper.caveats.passage import Passage
from cds_wrapper.caveats.score_card import CONTEXT, IN_DETAIL, IN_SUMMARY
from cds_wrapper.caveats.texts import LONGEST_SHORT_FORM, Wording, fill, placeholders
from cds_wrapper.caveats.vendor_text import SUMMARY_LIMIT, clean_line, units
from cds_wrapper.caveats.wording import never_said
from cds_wrapper.errors import Mistake
from cds_wrapper.services.cards_file import policy_of
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.score_card_build import paragraphs, score_number, zone_of
from cds_wrapper.services.score_card_file import BandFile, ScoreCardFile
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.features import IfMissing

ROOM: Final = SUMMARY_LIMIT - LONGEST_SHORT_FORM - len(" – ")
"""Characters of a summary beside which the longest short form still fits."""

_SPEAKS_CARDS: Final = "cds-hooks"
_CARD: Final = "score_card"
_ORDERS: Final = re.compile(
    r"(?<![\w-])(?:give|start|stop|begin|initiate|administer|prescribe|(?<!in )order|must|shall|should"
    r"|ought to|ha(?:ve|s) to|needs? to)(?![\w-])",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"\{\{.*?\}\}")
_BRACES: Final = re.compile(r"\{\w*\}")


def says_what_to_do(words: str) -> str | None:
    """The first word by which a text orders what it should describe."""
    found = _ORDERS.search(words)
    return found[0] if found else None


# Whole? -----------------------------------------------------------------------------------------------------


def score_card_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """What is missing or too much for the card of a score."""
    if service.vendor.protocol == _SPEAKS_CARDS:
        yield from _needless(document, service)
        return
    yield from _lacking(document, service)
    yield from _number_mistakes(document, service)
    yield from _flag_mistakes(document, service)
    for index, band in enumerate(service.bands):
        yield from _band_mistakes(document, ("bands", index), band, service)


def _needless(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    problem = "is for a vendor that gives a score and no cards; one that speaks CDS Hooks writes its own."
    if service.score_card is not None:
        yield document.mistake((_CARD,), problem)
    if service.vendor.flags:
        yield document.mistake(("vendor", "flags"), problem)


def _lacking(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    needed = {
        "bands": (service.bands, "what the ranges of the score are called, and how urgent each is"),
        _CARD: (service.score_card, "what the card says of a score"),
    }
    for key, (there, what) in needed.items():
        if not there:
            problem = (
                f"is `{service.vendor.protocol}`: such a vendor gives a score and no cards, and `{key}` is"
                f" missing. Write there {what}."
            )
            yield document.mistake(("vendor", "protocol"), problem)


def _number_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    number = service.score_card.number if service.score_card else None
    score = service.vendor.score
    if number is None or score is None:
        return
    is_share = score.kind in {"probability", "percent"}
    if is_share == (number.form == "plain"):
        fitting = "`percent` or `in_100`" if is_share else "`plain`"
        problem = f"does not fit a score of the kind `{score.kind}`: write {fitting}."
        yield document.mistake((_CARD, "number", "form"), problem)


def _flag_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    said = service.score_card.flags if service.score_card else {}
    bands = [band.id for band in service.bands]
    for name in service.vendor.flags.keys() - said.keys():
        problem = "is said nowhere: write it under `score_card.flags`, by the same name."
        yield document.mistake(("vendor", "flags", name), problem)
    for name, flag in said.items():
        if name not in service.vendor.flags:
            near = nearest(name, service.vendor.flags)
            yield document.mistake((_CARD, "flags", name), "is no flag of `vendor.flags`.", near)
        if flag.at_least not in bands:
            problem = f"names `{flag.at_least}`, which is no band."
            near = nearest(flag.at_least, bands)
            yield document.mistake((_CARD, "flags", name, "at_least"), problem, near)


def _band_mistakes(
    document: Document, path: KeyPath, band: BandFile, service: ServiceFile
) -> Iterator[Mistake]:
    yield from _silence_mistakes(document, path, band, service)
    passage = Passage(policy_of(service.cards))
    for index, link in enumerate(band.links):
        if not passage.opens(link.url):
            problem = "leads to a host that `cards.link_hosts` does not list, so no card would have it."
            yield document.mistake((*path, "links", index, "url"), problem)
    for index, suggestion in enumerate(band.suggestions):
        below: KeyPath = (*path, "suggestions", index, "actions")
        if suggestion.actions and service.cards.suggestions == "hold":
            yield document.mistake(below, "would be held back: write `pass` under `cards.suggestions`.")
        for number, action in enumerate(suggestion.actions):
            for token in _unknown_tokens(action.resource):
                problem = (
                    f"holds `{token}`; there are `{{{{context.patientId}}}}`, `{{{{context.encounterId}}}}`"
                    " and `{{context.userId}}`."
                )
                yield document.mistake((*below, number, "resource"), problem)


def _silence_mistakes(
    document: Document, path: KeyPath, band: BandFile, service: ServiceFile
) -> Iterator[Mistake]:
    """A band has words, or it is silent where nothing was missing that would make its score higher."""
    normal = IfMissing.COUNTED_AS_NORMAL
    as_normal = [name for name, one in service.features.items() if one.if_missing is normal]
    if band.card == "none" and as_normal:
        problem = (
            f"would be as silent where `{as_normal[0]}` was missing, which the model counts as normal: write"
            " `if_incomplete`."
        )
        yield document.mistake((*path, "card"), problem)
    for key, there in (("say", band.say), ("indicator", band.indicator)):
        if there is None and band.card != "none":
            problem = f"`{band.id}` lacks `{key}`: its scores have a card (or write `card: none`)."
            yield document.mistake((*path, "id"), problem)


def _unknown_tokens(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (token for token in _TOKEN.findall(value) if not CONTEXT.fullmatch(token))
    elif isinstance(value, dict):
        for member in value.values():
            yield from _unknown_tokens(member)
    elif isinstance(value, list):
        for item in value:
            yield from _unknown_tokens(item)


# Words ------------------------------------------------------------------------------------------------------


def score_word_mistakes(document: Document, service: ServiceFile, wording: Wording) -> Iterator[Mistake]:
    """What the card of a score would say and must not, and where it would not fit."""
    card = service.score_card
    if card is None or service.vendor.score is None or not service.bands or not service.thresholds:
        return
    yield from _said(document, service, card)
    templates: list[tuple[str, str, frozenset[str]]] = [
        ("summary", card.summary, IN_SUMMARY),
        ("detail", card.detail, IN_DETAIL),
    ]
    wrong = [
        document.mistake((_CARD, key), problem)
        for key, text, allowed in templates
        for problem in _placeholder_problems(text, allowed)
    ]
    yield from wrong
    if wrong:
        return
    for band in service.bands:
        values = _longest(service, band, wording)
        yield from _filled_mistakes(document, service, card, values, wording)


def _said(document: Document, service: ServiceFile, card: ScoreCardFile) -> Iterator[Mistake]:
    """Verdicts and orders. A suggestion and a link are for the clinician to take up: they may say what."""
    described: list[tuple[KeyPath, str]] = [
        ((_CARD, "summary"), card.summary),
        ((_CARD, "detail"), card.detail),
        *(((_CARD, "flags", name, "say"), flag.say) for name, flag in card.flags.items()),
        *((("bands", index, "say"), band.say or "") for index, band in enumerate(service.bands)),
    ]
    offered: list[tuple[KeyPath, str]] = []
    for index, band in enumerate(service.bands):
        for number, suggestion in enumerate(band.suggestions):
            offered.append((("bands", index, "suggestions", number, "label"), suggestion.label))
        for number, link in enumerate(band.links):
            offered.append((("bands", index, "links", number, "label"), link.label))
    for path, text in (*described, *offered):
        word = never_said(_BRACES.sub("", text))
        if word is not None:
            yield document.mistake(path, f'says "{word}", which no card says.')
    for path, text in described:
        word = says_what_to_do(_BRACES.sub("", text))
        if word is not None:
            problem = f'says "{word}": the score is described, not ordered. Offer a suggestion instead.'
            yield document.mistake(path, problem)


def _placeholder_problems(text: str, allowed: frozenset[str]) -> Iterator[str]:
    unknown = [name for name in placeholders(text) if name not in allowed]
    rest = _BRACES.sub("", text)
    if unknown or "{" in rest or "}" in rest:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        yield f"has a placeholder that cannot be filled here; it may have: {known}."


def _filled_mistakes(
    document: Document,
    service: ServiceFile,
    card: ScoreCardFile,
    values: Mapping[str, str],
    wording: Wording,
) -> Iterator[Mistake]:
    summary = fill(card.summary, values)
    if clean_line(summary) != summary:
        yield document.mistake((_CARD, "summary"), "is not one line of plain text.")
    if units(summary) > ROOM:
        problem = f"has {units(summary)} characters once filled; at most {ROOM} leave room for the caveat."
        yield document.mistake((_CARD, "summary"), problem)
    detail = "\n\n".join(fill(part, values) for part in paragraphs(card, wording))
    if clean_markdown(detail, Passage(policy_of(service.cards)).lists) != detail:
        problem = "holds markup that no card keeps: write plain paragraphs, lists, bold and listed links."
        yield document.mistake((_CARD, "detail"), problem)


def _longest(service: ServiceFile, band: BandFile, wording: Wording) -> Mapping[str, str]:
    score = service.vendor.score
    low, high = score.recorded_range if score else (0.0, 1.0)
    number = score_number(service)
    flags = service.score_card.flags if service.score_card else {}
    clock = "09:59" if zone_of(service) else "09:59 UTC"
    return {
        "score": number.longest(low, high),
        "band": band.say or band.id,
        "threshold": number.mark(service.thresholds[0].at),
        "missing": ", ".join(one.label for one in service.features.values()) or wording.terms.input,
        "score_at": fill(wording.terms.moment, {"clock": clock, "day": "30 September 2026"}),
        "flags": "; ".join(flag.say for flag in flags.values()) or "-",
    }
