"""The approved words as data, and the limits every one of them keeps.

`services` reads `wording.en.yaml`; a response plan may replace a caveat's text by its id. `Wording.mistakes`
holds shipped and replaced texts alike to the limits of length, sentences, placeholders and vocabulary.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta, tzinfo
from typing import Final

import msgspec

from cds_wrapper.caveats.vendor_text import SUMMARY_LIMIT, fits
from cds_wrapper.errors import WrapperError

MOST_WORDS: Final = 25
MOST_SENTENCES: Final = 2
LONGEST_SHORT_FORM: Final = 60

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_COUNT = re.compile(r"(?<![\d.,-])(?:10|[1-9])(?![\d-]|[.,]\d)")
_NEVER_SAID = re.compile(
    r"\b(?:(?:un)?bias\w*|unfair\w*|fair(?:er|ness)?|(?:un)?safe(?:r|ly)?|validated for you"
    r"|high[- ]risk groups?|minorit\w*|non[- ]?complian\w*|should not|algorithm\w*|aurocs?|p"
    r"|this patient declined)\b",
    re.IGNORECASE,
)


class UnusableWording(WrapperError):
    """The file of texts cannot be used; the message names the text."""

    reason = "configuration"


class Elsewhere(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A caveat's text for what was found in another health system."""

    never: str
    show: str | None = None


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One caveat's texts: `show` with figures or a rule's words, `never` without, `short` for a summary."""

    never: str
    show: str | None = None
    elsewhere: Elsewhere | None = None
    short: str | None = None


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What placeholders become where nothing more may or can be said."""

    anyone: str
    everyone: str
    everyone_elsewhere: str
    input: str
    inputs: str
    more_inputs: str
    proxy: str
    months: tuple[str, ...]
    # Not in every file that was ever kept.
    personal: str = "a personal detail"
    personal_in_short: str = "personal detail"
    moment: str = "{clock} on {day}"
    minutes: tuple[str, str] = ("{n} minute", "{n} minutes")
    hours: tuple[str, str] = ("{n} hour", "{n} hours")
    days: tuple[str, str] = ("{n} day", "{n} days")

    def month(self, day: date) -> str:
        """A day as a month and a year, "March 2026"."""
        return f"{self.months[day.month - 1]} {day.year}"

    def day(self, day: date) -> str:
        """A day in full, "30 March 2026"."""
        return f"{day.day} {self.month(day)}"


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lines beside the caveats."""

    ai: str
    supported: str
    checked: str
    not_checked: str
    no_local_results: str
    known_since: str
    lower_urgency: str
    recheck: str
    link: str
    plan_link: str | None = None
    """Not in every file that was ever kept: without it, `known_since` is said."""
    missing_inputs: str = "Not on file: {missing}."
    score_at: str = "The score is from {score_at}."


class CardText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card of our own."""

    summary: str
    detail: str


class OwnCard(enum.Enum):
    """The cards of our own that stand in for the vendor's."""

    NO_RESULT = "no_result"
    NOT_CALCULATED = "not_calculated"
    STALE = "stale"
    NOT_RECORDED = "not_recorded"
    WITHHELD = "withheld"
    STOPPED = "stopped"
    PAUSED = "paused"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    language: str
    terms: Terms
    caveats: dict[str, Text]
    lines: Lines
    cards: dict[OwnCard, CardText]


WORDING_IDS = (
    *("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "S1", "R1", "D1", "D2", "M1", "M2", "L1"),
    *("U1", "U2", "U3", "N1", "N2", "T1", "T2", "K1"),
)
"""Every caveat text, strongest first."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One version of the approved words; `digest` is that of the file."""

    version: str
    digest: str
    language: str
    terms: Terms
    texts: Mapping[str, Text]
    lines: Lines
    cards: Mapping[OwnCard, CardText]

    @classmethod
    def read(cls, document: object, digest: str) -> Wording:
        """The words from the plain values of their file; `UnusableWording` says what is wrong with them."""
        try:
            file = msgspec.convert(document, _File)
        except msgspec.ValidationError as error:
            raise UnusableWording(f"The approved words cannot be used: {error}.") from None
        wrong = set(WORDING_IDS).symmetric_difference(file.caveats) | {
            card.value for card in OwnCard if card not in file.cards
        }
        if wrong:
            raise UnusableWording(f"The approved words lack or do not know {', '.join(sorted(wrong))}.")
        return cls(file.version, digest, file.language, file.terms, file.caveats, file.lines, file.cards)

    def replaced(self, overrides: Mapping[str, Mapping[str, str]]) -> Wording:
        """The same words with a plan's own texts in their place, by id and part (`show`, `never`, `short`).

        What a replaced text says of elsewhere begins with that word. Raises `UnusableWording` for an unknown
        id or part.
        """
        for name, parts in overrides.items():
            if name not in self.texts or not parts.keys() <= _PARTS:
                raise UnusableWording(f"`wording.{name}` is no text with these parts.")
        changed = {name: _replaced(self.texts[name], parts) for name, parts in overrides.items()}
        return replace(self, texts={**self.texts, **changed})

    def mistakes(self, longest: Mapping[str, str]) -> tuple[WordingMistake, ...]:
        """Every text that breaks a limit once filled with its longest values.

        `longest` holds them by placeholder (`who`, `outcome`, `rule`, `title`, `contact`, ...). One without a
        value is filled with as many words as it may have; characters of its short form are not counted.
        """
        values = {**_LONGEST, **longest}
        found = [
            WordingMistake(name, part, problem)
            for name, text in self.texts.items()
            for part, words in _parts_of(text)
            for problem in _problems(
                words,
                _allowed(name, part),
                values,
                short=part == "short" and longest.keys() >= set(placeholders(words)),
            )
        ]
        for card, own in self.cards.items():
            if not fits(fill(own.summary, values)):
                problem = f"is longer than {SUMMARY_LIMIT} characters once filled."
                found.append(WordingMistake(card.value, "summary", problem))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class WordingMistake:
    """A text that breaks a limit: its id, which part of it, and what is wrong."""

    id: str
    part: str
    problem: str

    def __str__(self) -> str:
        return f"{self.id}.{self.part} {self.problem}"


_PARTS = frozenset({"show", "never", "short"})


def _replaced(text: Text, parts: Mapping[str, str]) -> Text:
    elsewhere = text.elsewhere
    if elsewhere:
        own = {part: _from_elsewhere(words) for part, words in parts.items() if part != "short"}
        elsewhere = msgspec.structs.replace(elsewhere, **own)
    return msgspec.structs.replace(text, **parts, elsewhere=elsewhere)


def _from_elsewhere(words: str) -> str:
    return f"Elsewhere, {words[:1].lower()}{words[1:]}"


@dataclass(frozen=True, slots=True)
class ServiceWords:
    """What a service is called on cards; `outcome` fits "had ..." and "... cases" in at most two words.

    `zone` is that of the clock on the ward's wall; None says UTC. A score older than `oldest_score` is not
    shown; None where the vendor scores when it is asked.
    """

    title: str
    contact: str
    outcome: str
    developer: str
    model_name: str
    zone: tzinfo | None = None
    oldest_score: timedelta | None = None


# The limits -------------------------------------------------------------------------------------------------

# As many words as each placeholder may become; eight letters a word.
_WORDS_IN = {
    "who": 5,
    "outcome": 2,
    "inputs": 5,
    "input": 3,
    "rule": 6,
    "proxy": 3,
    "recheck": 12,
    "title": 4,
}
_LONGEST = {
    **{name: " ".join(["abcdefgh"] * count) for name, count in _WORDS_IN.items()},
    **dict.fromkeys(("a", "b", "p", "o"), "100"),
    "contact": "contact",
    "time": "09:59 UTC on 30 September 2026",
    "limit": "24 hours",
    "date": "30 September 2026",
}
_ALLOWED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("G1", "G3"), frozenset({"who", "outcome", "a", "b"})),
    **dict.fromkeys(("G5", "G6", "G7"), frozenset({"who", "outcome", "p", "o"})),
    "S1": frozenset({"rule", "outcome"}),
    "D1": frozenset({"who", "input", "recheck"}),
    "D2": frozenset({"input"}),
    "M1": frozenset({"input", "inputs"}),
    "M2": frozenset({"input", "inputs"}),
    "L1": frozenset({"proxy", "outcome"}),
    **dict.fromkeys(("N2", "T2", "K1"), frozenset({"outcome"})),
}
_ONLY_SHOWN = frozenset({"a", "b", "p", "o", "rule"})
_IN_SHORT_FORMS = frozenset({"input", "proxy", "outcome"})


def _allowed(name: str, part: str) -> frozenset[str]:
    """The placeholders of one part: figures only where they may be shown, no group in a short form."""
    allowed = _ALLOWED.get(name, frozenset({"who", "outcome"}))
    if part == "short":
        return allowed & _IN_SHORT_FORMS
    return allowed if part.endswith("show") else allowed - _ONLY_SHOWN


def _parts_of(text: Text) -> Iterator[tuple[str, str]]:
    elsewhere = text.elsewhere
    parts = {
        "show": text.show,
        "never": text.never,
        "elsewhere.show": elsewhere.show if elsewhere else None,
        "elsewhere.never": elsewhere.never if elsewhere else None,
        "short": text.short,
    }
    return ((part, words) for part, words in parts.items() if words is not None)


def _problems(
    words: str, allowed: frozenset[str], values: Mapping[str, str], *, short: bool
) -> Iterator[str]:
    unknown = [name for name in _PLACEHOLDER.findall(words) if name not in allowed]
    if unknown or "{" in _PLACEHOLDER.sub("", words) or "}" in _PLACEHOLDER.sub("", words):
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        yield f"has a placeholder that cannot be filled here; it may have: {known}."
        return
    filled = fill(words, values)
    if not filled.strip() or "\n" in words:
        yield "is not one line of text."
    if short and len(filled) > LONGEST_SHORT_FORM:
        yield f"has {len(filled)} characters once filled, at most {LONGEST_SHORT_FORM} fit."
    if len(filled.split()) > MOST_WORDS:
        yield f"has {len(filled.split())} words once filled, at most {MOST_WORDS} fit."
    if len(_SENTENCE_END.findall(filled)) > MOST_SENTENCES:
        yield f"has more than {MOST_SENTENCES} sentences."
    if said := never_said(_PLACEHOLDER.sub("", words)):
        yield f'says "{said}", which no card says.'
    if _COUNT.search(_PLACEHOLDER.sub("", words)):
        yield "has a number from 1 to 10: it reads as a count of patients."


def never_said(words: str) -> str | None:
    """The first word or phrase that no card says: verdicts, blame, statistics."""
    found = _NEVER_SAID.search(words)
    return found[0] if found else None


def placeholders(template: str) -> list[str]:
    """The names between braces."""
    return _PLACEHOLDER.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A text with its placeholders filled; `KeyError` for one without a value."""
    if "{" not in template:
        return template
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
