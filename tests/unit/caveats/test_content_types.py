"""A card whose extension says how `detail` is read: the caveat follows it, or the card is Markdown."""

from __future__ import annotations

from typing import Any

import pytest

from cds_wrapper.caveats.cards import CONTENT_TYPE, Passage
from cds_wrapper.cds_client import ClientProfile
from tests.unit.caveats.test_cards import KEY, WORDS, composed, sent, vendor

HEEDS = Passage(profile=ClientProfile(content_type_extension=CONTENT_TYPE))
CAVEAT = WORDS.lines[0]


def detail_of(
    kind: Any, detail: str, passage: Passage = HEEDS, **members: Any
) -> tuple[str, Any, tuple[str, ...]]:
    """The detail that goes out, the extension's value, and what was changed."""
    card = vendor(detail=detail, extension={CONTENT_TYPE: kind, "org.example": 1}, **members)
    composition = composed(card, passage=passage)
    (out,) = sent(composition)
    assert out["extension"]["org.example"] == 1 and out["extension"][KEY]
    return out["detail"], out["extension"].get(CONTENT_TYPE), composition.changes


def test_plain_text_stays_plain_and_so_does_the_caveat() -> None:
    detail, kind, changes = detail_of("text/plain", "Risk < 5 % *today*")
    assert detail.split("\n\n") == [CAVEAT, WORDS.evidence_line, WORDS.ai_line, "---", "Risk < 5 % *today*"]
    assert kind == "text/plain" and changes == ()


def test_html_is_cleaned_and_the_caveat_is_a_paragraph_before_it() -> None:
    dirty = (
        '<p>Risk <b>3 %</b></p><img src="https://evil.example/p.png"><style>*{display:none}</style><details>'
    )
    detail, kind, changes = detail_of("text/html; charset=utf-8", dirty)
    parts = detail.split("\n\n")
    assert parts[0] == f"<p><b>{CAVEAT}</b></p>" and parts[1] == f"<p>{WORDS.evidence_line}</p>"
    assert parts[3:] == ["<hr>", "<p>Risk <b>3 %</b></p>"]
    assert kind == "text/html; charset=utf-8" and changes == ("cards[0].detail: cleaned",)


@pytest.mark.parametrize("kind", ["CommonMark", "text/markdown; variant=CommonMark"])
def test_commonmark_is_what_we_write_anyway(kind: str) -> None:
    detail, kept, changes = detail_of(kind, "*Risk*")
    assert detail.startswith(f"**{CAVEAT}**\n\n") and detail.endswith("\n\n---\n\n*Risk*")
    assert kept == kind and changes == ()


@pytest.mark.parametrize(
    ("kind", "passage"),
    [
        ("text/html", Passage()),
        ("text/rtf", HEEDS),
        (5, HEEDS),
        (["text/html"], HEEDS),
        ("text/html", Passage(profile=ClientProfile(content_type_extension="org.other"))),
    ],
)
def test_what_is_not_agreed_goes_and_the_card_is_markdown(kind: Any, passage: Passage) -> None:
    detail, kept, changes = detail_of(kind, "<b>Risk</b>", passage)
    assert detail.startswith(f"**{CAVEAT}**\n\n") and detail.endswith("&lt;b>Risk&lt;/b>")
    assert kept is None and f'cards[0].extension."{CONTENT_TYPE}": removed' in changes


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_shortened_summary_stands_whole_in_the_same_syntax(kind: str) -> None:
    summary = "Risk <i> " + "very " * 40 + "https://evil.example/x high"
    detail, _, _ = detail_of(kind, "x", summary=summary)
    whole = detail.split("\n\n")[4]
    assert whole.startswith("Risk < i> very" if kind == "text/plain" else "<p>Risk &lt;i&gt; very")
    assert whole.rstrip("</p>").endswith("https:/ /evil.example/x high")


def test_a_replaced_card_is_always_markdown() -> None:
    broken = vendor(detail="<b>x</b>", indicator="loud", extension={CONTENT_TYPE: "text/html"})
    (card,) = sent(composed(broken, passage=HEEDS))
    assert card["detail"].startswith("**") and set(card["extension"]) == {KEY}
