"""Words that name a group, and free text without them. Pure.

A model card's own sentences name groups as they like. On a page behind a card, the sentence that names one a
card may not name is replaced by where it can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from cds_wrapper.caveats.evidence import Where
from cds_wrapper.patient.subgroups import MISSING, Display, SubgroupScheme

ELSEWHERE: Final = "on the model’s own page"
_SHORTEST_ID: Final = 4
_NOBODY: Final = frozenset(
    {MISSING, "multiple", "other", "others", "unknown", "none", "declined", "yes", "no"}
)
"""Levels that are ordinary words: they name no group, and leaving out their sentences would leave nothing."""

_RACE: Final = frozenset(
    {
        "African American",
        "Black",
        "White",
        "Caucasian",
        "Asian",
        "Native American",
        "American Indian",
        "Alaska Native",
        "Pacific Islander",
        "Hawaiian",
    }
)
_ETHNICITY: Final = frozenset({"Hispanic", "Latino", "Latina", "Latinx"})
_SYNONYMS: Final[Mapping[str, frozenset[str]]] = {
    "race": _RACE,
    "ethnicity": _ETHNICITY,
    "race_ethnicity": _RACE | _ETHNICITY,
    "payer": frozenset({"Medicaid"}),
}
_NOT_PEOPLE: Final = re.compile(
    r"\b(?:white (?:blood )?cell|white matter|white paper|black box)", re.IGNORECASE
)


def hidden_words(wheres: Iterable[Where], scheme: SubgroupScheme) -> frozenset[str]:
    """Level ids, labels and common names of the groups of attributes that a card may not name."""
    found = {*_levels(wheres, scheme), *_labels(scheme), *_common_names(scheme)}
    return frozenset(word for word in found if names_somebody(word))


def _levels(wheres: Iterable[Where], scheme: SubgroupScheme) -> Iterator[str]:
    """Level ids, those of a crossing's open attributes apart: age is no secret where race is one."""
    for where in wheres:
        for name, levels in where.items():
            if _is_hidden(name, scheme):
                yield from (level for level in levels if len(level) >= _SHORTEST_ID)


def _labels(scheme: SubgroupScheme) -> Iterator[str]:
    for name, policy in scheme.attributes.items():
        if _is_hidden(name, scheme):
            yield from policy.labels.values()
            yield from (level for level in policy.labels if len(level) >= _SHORTEST_ID)


def _common_names(scheme: SubgroupScheme) -> Iterator[str]:
    """Everyday names, unless every declared attribute that they are levels of may be named."""
    for word in frozenset().union(*_SYNONYMS.values()):
        declared = [name for name, words in _SYNONYMS.items() if word in words and name in scheme.attributes]
        if not declared or any(_is_hidden(name, scheme) for name in declared):
            yield word


def _is_hidden(name: str, scheme: SubgroupScheme) -> bool:
    return scheme.display_of((name,)) is not Display.SHOW


def names_somebody(word: str) -> bool:
    """Whether a word is a name of a group at all: `missing` and `other` are not."""
    return len(word) > 1 and word.partition(":")[0].strip().casefold() not in _NOBODY


@lru_cache(maxsize=64)
def _pattern(names: frozenset[str]) -> re.Pattern[str]:
    """The names as words of their own, also in the plural; a blank may be a hyphen or an underscore."""
    each = (r"[\s_-]+".join(map(re.escape, re.split(r"[\s_]+", name))) for name in sorted(names))
    return re.compile(rf"(?<!\w)(?:{'|'.join(each)})s?(?!\w)", re.IGNORECASE)


def mentions(text: str, names: frozenset[str]) -> bool:
    """Whether a text holds one of the names as a word of its own."""
    return bool(names) and _pattern(names).search(_NOT_PEOPLE.sub("", text)) is not None


def without(text: str, names: frozenset[str]) -> str:
    """The text, or that it is elsewhere when it names a hidden group."""
    return f"described {ELSEWHERE}" if mentions(text, names) else text


def readable(text: str, names: frozenset[str]) -> str:
    """The text with every sentence that names a hidden group replaced by where it stands."""
    if not mentions(text, names):
        return text
    sentences = re.split(r"(?<=[.!?])\s+(?=[^a-z])", text)
    kept = [f"[{ELSEWHERE}]" if mentions(sentence, names) else sentence for sentence in sentences]
    joined = " ".join(kept)
    # A name that no single sentence holds spans two of them.
    return ELSEWHERE if len(kept) == 1 or mentions(joined, names) else joined
