"""The `detail` of a card: the caveat first, then the vendor's text, in the syntax the EHR will read.

CDS Hooks has GitHub's Markdown. An EHR that is told another syntax by an extension of the card gets the
caveat written in that one; where that is not agreed, the extension goes and the card is Markdown again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, assert_never

from cds_wrapper.caveats.html_text import clean_html, paragraph
from cds_wrapper.caveats.markup import Lists, clean_markdown, clean_plain, inert_addresses
from cds_wrapper.caveats.wording import CaveatWords
from cds_wrapper.cds_client import ClientProfile

CONTENT_TYPE: Final = "com.epic.cdshooks.card.detail.content-type"
"""A card extension that changes how `detail` is read."""

_RULE: Final = "---"


class Syntax(enum.Enum):
    """How `detail` is read."""

    MARKDOWN = "markdown"
    PLAIN = "plain"
    HTML = "html"


_NAMED: Final[Mapping[str, Syntax]] = {
    "text/plain": Syntax.PLAIN,
    "text/html": Syntax.HTML,
    "text/markdown": Syntax.MARKDOWN,
    "text/commonmark": Syntax.MARKDOWN,
    "commonmark": Syntax.MARKDOWN,
}


def agreed_syntax(extension: Mapping[str, Any], profile: ClientProfile) -> Syntax | None:
    """The syntax a card's extension names, where this EHR heeds it; None when the card is plain CDS Hooks."""
    named = extension.get(profile.content_type_extension) if profile.content_type_extension else None
    return _NAMED.get(named.split(";")[0].strip().casefold()) if isinstance(named, str) else None


def detail_of(
    words: CaveatWords, theirs: str, whole_summary: str | None, syntax: Syntax, lists: Lists
) -> tuple[str | None, bool]:
    """The whole `detail`, and whether the vendor's own text was changed.

    `whole_summary` is the vendor's summary where the card's had to be shortened.
    """
    ours = [*words.lines, *(line for line in (words.evidence_line, words.ai_line) if line)]
    clean = cleaned(theirs, syntax, lists)
    own_text = [clean] if clean.strip() else []
    match syntax:
        case Syntax.MARKDOWN:
            block = [*(f"**{line}**" for line in words.lines), *ours[len(words.lines) :]]
            whole = [clean_markdown(whole_summary, lists)] if whole_summary else []
            parts = [*block, *_after_a_rule(block, [*whole, *own_text], _RULE)]
        case Syntax.PLAIN:
            whole = [clean_plain(whole_summary, lists)] if whole_summary else []
            parts = [*ours, *_after_a_rule(ours, [*whole, *own_text], _RULE)]
        case Syntax.HTML:
            block = [paragraph(line, bold=place < len(words.lines)) for place, line in enumerate(ours)]
            whole = [paragraph(inert_addresses(whole_summary, lists))] if whole_summary else []
            parts = [*block, *_after_a_rule(block, [*whole, *own_text], "<hr>")]
        case _:
            assert_never(syntax)
    return "\n\n".join(parts) or None, clean != theirs


def cleaned(theirs: str, syntax: Syntax, lists: Lists) -> str:
    """The vendor's text without anything that acts, in its own syntax."""
    if not theirs:
        return ""
    match syntax:
        case Syntax.MARKDOWN:
            return clean_markdown(theirs, lists)
        case Syntax.PLAIN:
            return clean_plain(theirs, lists)
        case Syntax.HTML:
            return clean_html(theirs, lists)
        case _:
            assert_never(syntax)


def _after_a_rule(ours: list[str], theirs: list[str], rule: str) -> list[str]:
    return [rule, *theirs] if ours and theirs else theirs
