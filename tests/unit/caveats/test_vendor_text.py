"""A vendor's lines: cleaned, cut without breaking a character, otherwise left alone."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.caveats.vendor_text import clean_line, cut, fits, units

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


@given(st.text())
def test_a_clean_line_is_left_alone(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)


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


@pytest.mark.parametrize("text", ["\u200b", "\u2060\u00ad", "\u3164", "\u180e \ufeff", "\u0301"])
def test_a_line_without_a_visible_character_is_nothing(text: str) -> None:
    assert clean_line(text) == ""


def test_a_line_no_panel_could_show_is_shortened() -> None:
    long = "word " * 10_000
    assert len(clean_line(long)) <= 1_000
