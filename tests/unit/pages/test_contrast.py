"""Text can be told from its ground, for the colours the style sheets name: WCAG 2.2, 1.4.3, AA, 4.5 to 1."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "cds_wrapper"
SHEETS = {"evidence": PACKAGE / "pages/static/pages.css", "screen": PACKAGE / "demo/static/screen.css"}
PAIRS = [
    ("evidence", "ink", "paper"),
    ("evidence", "soft", "paper"),
    ("evidence", "faint", "paper"),
    ("evidence", "link", "paper"),
    ("evidence", "brand", "surface"),
    ("screen", "ink", "paper"),
    ("screen", "soft", "paper"),
    ("screen", "soft", "brand-pale"),
    ("screen", "faint", "paper"),
    ("screen", "info", "info-pale"),
    ("screen", "warning", "warning-pale"),
    ("screen", "warning", "surface"),
    ("screen", "critical", "critical-pale"),
    ("screen", "brand", "surface"),
    ("screen", "surface", "brand-deep"),
]


def colours(sheet: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", SHEETS[sheet].read_text()))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("sheet", "text", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(sheet: str, text: str, ground: str) -> None:
    named = colours(sheet)
    dark, light = sorted((luminance(named[text]), luminance(named[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
