"""Vendor text: made inert, cut without breaking a character, otherwise left alone."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds_wrapper.caveats.vendor_text import clean_line, clean_markdown, cut, fits, prune, units

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e8\U0001f1ed"
THUMB = "\U0001f44d\U0001f3fd"
ACCENT = "e\u0301"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("10-year risk 12 %", "10-year risk 12 %"),
        ("two\nlines\r\n\tone", "two lines one"),
        ("a\x00b\x1bc", "a b c"),
        ("right\u202eto left\u2066", "rightto left"),
        ("  blanks  around ", "blanks around"),
        ("half a pair \ud83d", "half a pair \ufffd"),
        (f"{FAMILY} {FLAG} stays", f"{FAMILY} {FLAG} stays"),
        ("\u2028 \u0085", ""),
    ],
)
def test_a_line_is_one_line_and_shows_all_it_has(text: str, clean: str) -> None:
    assert clean_line(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("**bold**\n\n- a list\n- <5 %, p < 0.05, a <- b", "**bold**\n\n- a list\n- <5 %, p < 0.05, a <- b"),
        ("<details><style>*{display:none}", "&lt;details>&lt;style>*{display:none}"),
        ("</div> <!-- x --> <?php", "&lt;/div> &lt;!-- x --> &lt;?php"),
        ("![chart](https://x.example/p.png)", "[chart](https://x.example/p.png)"),
        ("[guide](https://x.example)", "[guide](https://x.example)"),
        ("[go](javascript:alert(1))", "[go]\\(javascript:alert(1))"),
        ("[go](&#106;avascript:alert(1))", "[go]\\(&#106;avascript:alert(1))"),
        ("[go]( data:text/html,x)", "[go]\\( data:text/html,x)"),
        ("![x][pic]\n\n[pic]: file:///etc/passwd", "[x][pic]\n\n\\[pic]: file:///etc/passwd"),
        ("[pic]: https://x.example/p", "\\[pic]: https://x.example/p"),
        ("hidden\u202e\u200f\x07", "hidden"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_markdown_keeps_its_meaning_and_loses_what_acts(text: str, clean: str) -> None:
    assert clean_markdown(text) == clean


@UNTIMED
@given(st.text())
def test_clean_text_is_left_alone(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)
    markdown = clean_markdown(text)
    assert "<" not in markdown or clean_markdown(markdown) == markdown


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short enough", 20, "short enough"),
        ("Sepsis risk is high today", 20, "Sepsis risk is high…"),
        ("Sepsis risk is high today", 19, "Sepsis risk is…"),
        ("Donaudampfschifffahrtsgesellschaft", 10, "Donaudamp…"),
        (f"abc{ACCENT}f", 5, "abc…"),
        (f"ab{FAMILY}", 8, "ab…"),
        (f"ab{FLAG}{FLAG}", 8, f"ab{FLAG}…"),
        (f"ab{THUMB}x", 5, "ab…"),
        ("\U0001f600" * 5, 7, "\U0001f600" * 3 + "…"),
    ],
)
def test_a_cut_falls_at_a_word_and_never_inside_a_character(text: str, limit: int, expected: str) -> None:
    assert cut(text, limit) == expected


PIECES = ["a", " ", "é", "e", "\u0301", "\u200d", "\U0001f468", "\U0001f1e8", "한"]


@UNTIMED
@given(st.text(alphabet=st.sampled_from(PIECES)), st.integers(2, 60))
def test_a_cut_text_always_fits_and_is_a_beginning_of_the_whole(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert fits(short, limit)
    if short != text:
        kept = short.removesuffix("…")
        assert text.startswith(kept)
        assert not kept or not unicodedata.combining(text[len(kept)])


def test_length_counts_what_the_strictest_reader_counts() -> None:
    assert units("a\U0001f600") == 3
    assert not fits("\U0001f600" * 70)
    assert fits("é" * 139)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": None, "b": "", "c": [], "d": {}}, None),
        ({"a": {"b": {"c": [None, {}]}}, "d": 0, "e": False}, {"d": 0, "e": False}),
        ([1, "", [2]], [1, [2]]),
        ("text", "text"),
    ],
)
def test_json_without_a_value_is_left_out_at_any_depth(value: Any, kept: Any) -> None:
    assert prune(value) == kept


ACTING = [
    "!![x](https://evil.example/p.png)",
    "!!![x][r]\n\n[r]: https://evil.example/p.png",
    "- [a]: javascript:x\n\n[a]",
    "1. [a]: data:text/html,x\n\n[a]",
    "> - [a]: file:///x\n>\n> [a]",
    "[a\\]b]: javascript:x\n\n[a\\]b]",
    "[a\nb]: javascript:x\n\n[a\nb]",
    "[x](javascript:alert(1))",
    "[x]( <javascript:alert(1)>)",
    "<img src=x onerror=y>",
    "<javascript:alert(1)>",
]


def test_a_unit_in_brackets_and_many_exclamation_marks_stay_as_they_are() -> None:
    text = "Creatinine [mg/dL]: 1.2" + "!" * 19_000
    assert clean_markdown(text) == text


@pytest.mark.parametrize("text", ACTING)
def test_rendered_it_loads_nothing_and_leads_to_web_addresses_only(text: str) -> None:
    html = MarkdownIt("commonmark").render(clean_markdown(text))
    assert "<img" not in html
    assert all(target.startswith(("http://", "https://")) for target in re.findall(r'href="([^"]*)"', html))


@given(st.text(alphabet="![]()<>:ab \n-\\/htps", max_size=60))
def test_whatever_is_written_renders_to_nothing_that_acts(text: str) -> None:
    html = MarkdownIt("commonmark").render(clean_markdown(text))
    assert "<img" not in html
    assert all(target.startswith(("http://", "https://")) for target in re.findall(r'href="([^"]*)"', html))


@pytest.mark.parametrize("text", ["\u200b", "\u2060\u00ad", "\u3164", "\u180e \ufeff", "\u0301"])
def test_a_line_without_a_visible_character_is_nothing(text: str) -> None:
    assert clean_line(text) == ""


def test_a_text_no_panel_could_show_is_shortened_visibly() -> None:
    long = "word " * 10_000
    assert clean_markdown(long).endswith("\n\n…") and len(clean_markdown(long)) < 20_010
    assert len(clean_line(long)) <= 1_000
