"""A model's inputs named on a card: by their labels, a few of them, and never one that describes the person.

A label is what the site calls an input (`Input.label`). An empty one stands for whatever describes the
person: on a card it is "a personal detail", once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cds_wrapper.caveats.texts import LONGEST_SHORT_FORM, Terms, fill

MOST_WORDS: Final = 5
"""Words of a list of inputs inside a sentence, unless one label alone has more."""

_WORDS_OF_MORE: Final = 2


def listed(labels: Sequence[str], terms: Terms) -> str:
    """As many as fit into five words, and how many more there are: "lactate, heart rate, 2 more"."""
    named = _named(labels, terms)
    if not named:
        return terms.inputs
    for count in range(len(named), 1, -1):
        left = len(named) - count
        if _words(named[:count]) + (_WORDS_OF_MORE if left else 0) <= MOST_WORDS:
            return _joined(named[:count], left, terms)
    return _joined(named[:1], len(named) - 1, terms)


def listed_in_full(labels: Iterable[str], personal: str) -> str:
    """Every one of them, for a line that has room; `personal` is what a personal detail is called."""
    return ", ".join(dict.fromkeys(label or personal for label in labels))


def shortly(template: str, labels: Sequence[str], terms: Terms) -> str:
    """What stands for `{input}` in a short form: one input, and how many more where there is room for it."""
    named = [terms.personal_in_short if one == terms.personal else one for one in _named(labels, terms)]
    if len(named) < 2:
        return named[0] if named else terms.input
    counted = (_joined([label], len(named) - 1, terms) for label in named)
    fitting = (text for text in counted if len(fill(template, {"input": text})) <= LONGEST_SHORT_FORM)
    return next(fitting, f"{named[0]}, …")


def as_a_sentence(text: str) -> str:
    """With a capital at the beginning, unless the first word is written in its own way, as eGFR is."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first == first.lower() else text


def _named(labels: Iterable[str], terms: Terms) -> list[str]:
    """Each once, what describes the person last."""
    clinical = dict.fromkeys(label for label in labels if label)
    return [*clinical, *([terms.personal] if "" in labels else [])]


def _joined(named: Sequence[str], left: int, terms: Terms) -> str:
    text = ", ".join(named)
    if not left:
        return text
    # Words that were kept before the number was said have no place for it.
    more = fill(terms.more_inputs, {"n": str(left)})
    return f"{text}, {more}" if "{n}" in terms.more_inputs else f"{text} {more}"


def _words(named: Iterable[str]) -> int:
    return sum(len(label.split()) for label in named)
