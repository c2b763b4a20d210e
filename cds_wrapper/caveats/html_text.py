"""A vendor's HTML made inert, for an EHR that is told to read `detail` as HTML."""

from __future__ import annotations

import html
import re
from typing import Final
from urllib.parse import urlsplit

import nh3

from cds_wrapper.caveats.markup import LONGEST_DETAIL, Lists, apart, inert_addresses, nothing_listed, visible
from cds_wrapper.caveats.vendor_text import ELLIPSIS

_TAGS: Final = {"p", "br", "hr", "b", "strong", "i", "em", "u", "sub", "sup", "ul", "ol", "li", "a"} | {
    "blockquote", "code", "pre", "h1", "h2", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td"
}  # fmt: skip
_IMAGE: Final = re.compile(r"!+(?=\[)")


def clean_html(text: str, lists: Lists = nothing_listed) -> str:
    """HTML of plain tags only, every one of them closed: no style, image, script, form or attribute.

    A link keeps its address where the host is listed. It stays harmless when it is read as Markdown.
    """

    def attribute(_tag: str, name: str, value: str) -> str | None:
        if name != "href":
            return (
                value if name == "rel" else None
            )  # `rel` is ours; by itself nh3 lets `title` and `lang` pass
        try:
            parts = urlsplit(value)
        except ValueError:
            return None
        return value if "\\" not in value and lists(parts.scheme, parts.netloc) else None

    clean = nh3.clean(
        visible(text[:LONGEST_DETAIL]),
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes={"a": {"href"}},
        attribute_filter=attribute,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer",
    )
    clean = apart(_IMAGE.sub("", inert_addresses(visible(clean), lists)))
    return clean if len(text) <= LONGEST_DETAIL else f"{clean}<p>{ELLIPSIS}</p>"


def paragraph(text: str, *, bold: bool = False) -> str:
    """A line of plain text as a paragraph."""
    safe = html.escape(text, quote=False)
    return f"<p><b>{safe}</b></p>" if bold else f"<p>{safe}</p>"
