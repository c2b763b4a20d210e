"""A card as an EHR shows it: its members, and its Markdown turned into HTML that can do no harm. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from cds_wrapper.demo.fhir_values import JSON, items, mapping, text

INDICATORS: Final = {"info": "Information", "warning": "Warning", "critical": "Critical"}
_TAGS: Final = {"p", "br", "hr", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote"} | {
    "h1", "h2", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td"
}  # fmt: skip
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")


@dataclass(frozen=True, slots=True)
class CardLink:
    """A link under a card."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, repr=False)
class CardView:
    """What is shown of one card; `indicator` is one of the three the specification knows."""

    uuid: str
    summary: str
    indicator: str
    detail: Markup
    source: str
    source_url: str
    links: tuple[CardLink, ...]

    @property
    def urgency(self) -> str:
        """The indicator in words: colour alone says nothing to some readers."""
        return INDICATORS[self.indicator]


def view_card(card: JSON) -> CardView:
    """Read one card of an answer."""
    source = mapping(card.get("source"))
    indicator = text(card.get("indicator"))
    return CardView(
        uuid=text(card.get("uuid")),
        summary=text(card.get("summary")),
        indicator=indicator if indicator in INDICATORS else "info",
        detail=render(text(card.get("detail"))),
        source=text(source.get("label")),
        source_url=_web_address(source.get("url")),
        links=tuple(_links(card)),
    )


def render(markdown: str) -> Markup:
    """Markdown to HTML: markup in the text is shown as text, and what is left passes an allow-list."""
    html = _MARKDOWN.render(markdown)
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer",
    )
    return Markup(clean)  # noqa: S704 - cleaned on the line above


def _links(card: JSON) -> list[CardLink]:
    found = [mapping(link) for link in items(card.get("links"))]
    links = [CardLink(text(link.get("label")), _web_address(link.get("url"))) for link in found]
    return [link for link in links if link.url]


def _web_address(value: object) -> str:
    url = text(value)
    return url if urlsplit(url).scheme in {"http", "https"} else ""
