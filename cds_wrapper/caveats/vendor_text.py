"""Vendor text made fit to be shown as one line, cleaned and cut without breaking a character.

What cannot be seen (control and bidirectional characters) goes. Each function is the identity on clean text,
so a comparison tells whether something changed. Markdown is `caveats.markup`'s.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

SUMMARY_LIMIT: Final = 139
"""CDS Hooks: fewer than 140 characters; counted in code points and in UTF-16 units, whichever is more."""

ELLIPSIS: Final = "…"

LONGEST_LINE: Final = 1_000
"""Characters of a vendor's line that are passed on."""

BIDIRECTIONAL: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_UNSEEN = re.compile(f"[{BIDIRECTIONAL}\u00ad\u115f\u1160\u180e\u200b\u2060-\u2064\u3164\ufeff\uffa0]")
SURROGATES = re.compile("[\ud800-\udfff]")
_JOINER: Final = "\u200d"
_REGIONAL = range(0x1F1E6, 0x1F200)
_EXTENDING = (range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080), range(0x1160, 0x1200), range(0xFE00, 0xFE10))


def clean_line(text: str) -> str:
    """The text as one line: breaks and control characters become one blank, what cannot be seen goes.

    Nothing is left of a text without a visible character, nor of what stands behind `LONGEST_LINE`.
    """
    if text.isascii():
        return _BREAKS.sub(" ", text[:LONGEST_LINE]).strip()
    visible = _UNSEEN.sub("", SURROGATES.sub("\ufffd", text[:LONGEST_LINE]))
    line = _BREAKS.sub(" ", visible).strip()
    return line if any(unicodedata.category(character)[0] in "LNPS" for character in line) else ""


def cut(text: str, limit: int = SUMMARY_LIMIT) -> str:
    """The text within `limit`, shortened at a word with an ellipsis if it must be; `limit` is at least 2.

    Neither a character with its marks, nor an emoji sequence, nor a flag is broken apart. A word longer than
    half of the room is cut inside.
    """
    if fits(text, limit):
        return text
    end = _whole(text, _end_within(text, limit - 1))
    blank = end if text[end : end + 1].isspace() else text.rfind(" ", 0, end)
    return text[: blank if blank > end // 2 else end].rstrip() + ELLIPSIS


def fits(text: str, limit: int = SUMMARY_LIMIT) -> bool:
    """Whether the text keeps within `limit` in code points and in UTF-16 units."""
    return len(text) <= limit and units(text) <= limit


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _end_within(text: str, limit: int) -> int:
    """The number of characters that fit into `limit` UTF-16 units."""
    used = 0
    for position, character in enumerate(text):
        used += 2 if ord(character) > 0xFFFF else 1
        if used > limit:
            return position
    return len(text)


def _whole(text: str, end: int) -> int:
    """The last place at or before `end` where no character is broken apart."""
    while 0 < end < len(text) and _joined(text, end):
        end -= 1
    return end


def _joined(text: str, at: int) -> bool:
    """Whether the code points before and after `at` are one character to a reader."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after) in {"Mn", "Me", "Mc"}
        or _JOINER in {before, after}
        or any(ord(after) in block for block in _EXTENDING)
        or (ord(after) in _REGIONAL and _flags_before(text, at) % 2 == 1)
    )


def _flags_before(text: str, at: int) -> int:
    """How many regional indicators stand directly before `at`; two make a flag."""
    start = at
    while start and ord(text[start - 1]) in _REGIONAL:
        start -= 1
    return at - start
