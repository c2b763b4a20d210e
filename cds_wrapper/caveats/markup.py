"""A vendor's Markdown or plain text made inert: nothing that acts, hides, loads or leads astray.

HTML is shown as text, images become links, a web address opens only where its host is listed, what cannot be
seen goes, an open fence is closed. Nothing else is rewritten: each function is the identity on harmless text,
so a comparison tells whether something changed.
"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Callable
from functools import partial
from typing import Final

from cds_wrapper.caveats.vendor_text import BIDIRECTIONAL, ELLIPSIS, SURROGATES

LONGEST_DETAIL: Final = 20_000
"""Characters of a vendor's text that are passed on; no panel of an EHR shows more."""

Lists = Callable[[str, str], bool]
"""Whether an address of this scheme and host may be opened from a card."""

_INVISIBLE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{BIDIRECTIONAL}\u2028\u2029\ufeff]")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,31}));")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"(?<!!)!+(?=\[)")
_LINK = re.compile(r"\](?=\((?!\s*<?https?://))", re.IGNORECASE)
_DEFINITION = re.compile(r"^([ \t>*+\-\d.)]*)\[(?=(?:\\.|[^\]\\]){1,1000}\]:)", re.MULTILINE | re.DOTALL)

# What GitHub's Markdown makes a link of by itself: an address, `www.`, an e-mail address.
# Only the `://` is taken: an address may stand in what looks like the host of another. Readers do not agree
# where a host ends either: `https://a).b/` is a link to one of `b` to some.
_ADDRESS = re.compile(r"://(?=([^\s/?#()\[\]<>\"]*))(?=[^\s/?#()\[\]<>\"]*([^ \t\n\r\f\v/?#<>\[\]\\|^]*))")
_WWW = re.compile(r"(?<![A-Za-z0-9/.=&%-])(www)(?=\.)", re.IGNORECASE)
_MAIL = re.compile(r"(?<=[A-Za-z0-9._+-])@(?=[A-Za-z0-9_-]{1,63}\\*\.)")
_ESCAPED = re.compile(r"\\+(?=[:/@])|(?<=[A-Za-z])\\+(?=\.)")
_AFTER_A_HOST: Final = ".,:;!?*_~'"
_AROUND_AN_ADDRESS: Final = f'{_AFTER_A_HOST}()"'
_TELLING: Final = frozenset(":/.@#?")

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})(.*)$")
_CONTAINER = re.compile(r"^ {0,3}(?:>|[-*+](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$))")


def nothing_listed(_scheme: str, _host: str) -> bool:
    """The answer where no host is listed."""
    return False


def clean_markdown(text: str, lists: Lists = nothing_listed) -> str:
    """Markdown without anything that acts or hides; longer than `LONGEST_DETAIL` it ends with a mark."""
    plain = visible(text[:LONGEST_DETAIL])
    if "&" in plain:
        plain = _without_entities_that_act(plain)
    if "\\" in plain:  # an escape shows the same, and would hide an address from us alone
        plain = _ESCAPED.sub("", plain)
    plain = inert_addresses(_TAG.sub("&lt;", plain), lists)
    if "[" in plain or "]" in plain:
        # Without definitions, a link by reference leads nowhere.
        plain = _DEFINITION.sub(r"\1\\[", _LINK.sub("]\\\\", _IMAGE.sub("", plain)))
    plain = _closed(plain)
    return plain if len(text) <= LONGEST_DETAIL else f"{plain}\n\n{ELLIPSIS}"


def clean_plain(text: str, lists: Lists = nothing_listed) -> str:
    """Plain text that stays harmless when somebody reads it as Markdown or HTML all the same.

    What could act is kept apart by a blank, since an escape would be shown as it is written.
    """
    plain = inert_addresses(_TAG.sub("< ", visible(text[:LONGEST_DETAIL])), lists)
    plain = _closed(apart(_IMAGE.sub("", plain)))
    return plain if len(text) <= LONGEST_DETAIL else f"{plain}\n\n{ELLIPSIS}"


def apart(text: str) -> str:
    """The text without links and definitions of Markdown, for a syntax that has none."""
    return text.replace("](", "] (").replace("]:", "] :")


def visible(text: str) -> str:
    """The text without control and bidirectional characters, its lines ended alike."""
    return _INVISIBLE.sub("", SURROGATES.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n"))


def inert_addresses(text: str, lists: Lists) -> str:
    """The text with every address that is not listed set apart, so that no reader makes a link of it."""
    if "://" in text:
        text = _ADDRESS.sub(partial(_kept_or_inert, lists), text)
    if "www." in text.lower():
        text = _WWW.sub(r"\1 ", text)
    return _MAIL.sub(" @", text) if "@" in text else text


def _kept_or_inert(lists: Lists, found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 5) : found.start()].lower()
    scheme = "https" if before == "https" else "http" if before.endswith("http") else ""
    ends_there = not found[2].strip(_AROUND_AN_ADDRESS)
    if scheme and ends_there and lists(scheme, found[1].rstrip(_AFTER_A_HOST)):
        return found[0]
    return ":/ /"


def _without_entities_that_act(text: str) -> str:
    """The text as some reader could decode it; one that makes new entities again and again has none."""
    for _ in range(_MOST_DECODINGS):
        decoded = _ENTITY.sub(_decoded, text)
        if decoded == text:
            return text
        text = decoded
    return text.replace("&", "&amp;")


_MOST_DECODINGS: Final = 4


def _decoded(found: re.Match[str]) -> str:
    """An entity as what it stands for, where that could act: a part of an address, a tag, the unseen."""
    decimal, hexadecimal, name = found.groups()
    if name is not None:
        character = html.entities.html5.get(f"{name};", found[0])
    else:
        code = int(decimal) if decimal is not None else int(hexadecimal, 16)
        character = chr(code) if code <= 0x10FFFF else "\ufffd"
    if character.startswith("<"):
        return "&lt;"
    if _INVISIBLE.search(character):
        return ""
    letter = len(character) == 1 and character.isascii() and (character.isalnum() or character in _TELLING)
    return character if letter else found[0]


def _closed(text: str) -> str:
    """The text with its last fence closed; one inside a list or a quotation ends with that."""
    if "```" not in text and "~~~" not in text:
        return text
    indent, fence, contained = "", "", False
    for line in text.split("\n"):
        if not fence:
            goes_on = contained and (not line.strip() or line[0] in " \t")
            contained = goes_on or _CONTAINER.match(line) is not None
        found = None if contained else _FENCE.match(line)
        if found is None:
            continue
        if not fence:
            is_code = found[2][0] == "`" and "`" in found[3]
            indent, fence = ("", "") if is_code else (found[1], found[2])
        elif found[2].startswith(fence) and not found[3].strip():
            fence = ""
    return f"{text}\n{indent}{fence}" if fence else text
