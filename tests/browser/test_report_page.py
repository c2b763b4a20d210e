"""The report in a real browser: nothing is loaded, nothing complained of, and it can be read without a mouse.

The checks of accessibility are our own: landmarks, headings in order, names, scopes, contrast, reflow, paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from cds_wrapper.monitoring.report.page import html_of, page_of
from tests.browser.chromium import CHROMIUM, chromium
from tests.unit.monitoring.report.made import known

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]

CONTRAST = """() => {
  const part = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const light = c => { const [r, g, b] = c.map(part);
    return .2126 * r + .7152 * g + .0722 * b; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const paper = e => { for (let n = e; n; n = n.parentElement) {
    const c = rgb(getComputedStyle(n).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll('h1,h2,h3,p,li,dt,dd,th,td,a,caption,figcaption span')) {
    if (e.closest('.skip') || !e.textContent.trim()) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(paper(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(e.tagName + ': ' + e.textContent.trim().slice(0, 40));
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_of(page_of(known())), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.goto(file.as_uri())
    yield opened
    opened.close()


def test_nothing_leaves_and_the_console_is_silent(browser: Browser, file: Path) -> None:
    opened = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", file.as_uri()))] == []
    opened.close()


def test_there_is_one_main_a_header_a_footer_and_a_named_navigation(page: Page) -> None:
    for role in ("main", "banner", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("navigation", name="Contents").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"


def test_headings_go_down_one_step_at_a_time(page: Page) -> None:
    levels: list[int] = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_has_a_caption_and_every_header_a_scope(page: Page) -> None:
    bad: list[Any] = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => !t.caption?.textContent.trim()"
        " || [...t.querySelectorAll('th')].some(h => !h.scope)"
        " || [...t.tBodies[0].rows].some(r => r.cells[0].tagName !== 'TH')).map(t => t.id)"
    )
    assert bad == []
    assert page.locator("table").count() > 10


def test_every_drawing_has_a_name_and_a_description_that_exists(page: Page) -> None:
    drawings = page.get_by_role("img")
    assert drawings.count() > 5
    for place in range(drawings.count()):
        described = drawings.nth(place).get_attribute("aria-describedby")
        assert drawings.nth(place).get_attribute("aria-label")
        assert page.locator(f"[id='{described}']").inner_text()


def test_every_link_leads_to_a_section_and_every_reference_to_an_element(page: Page) -> None:
    lost: list[str] = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))"
        ".concat([...document.querySelectorAll('[aria-labelledby]')]"
        ".map(e => e.getAttribute('aria-labelledby')))"
        ".filter(id => !document.getElementById(id))"
    )
    assert lost == []


def test_the_first_key_skips_to_the_content_and_tables_can_be_reached(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "wide"
    outline: str = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_text_stands_out_from_its_paper(page: Page) -> None:
    assert page.evaluate(CONTRAST) == []
    page.emulate_media(contrast="more")
    assert page.evaluate(CONTRAST) == []


def test_a_phone_scrolls_tables_and_never_the_page(browser: Browser, file: Path) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    phone.goto(file.as_uri())
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()


def test_on_paper_nothing_is_cut_off(page: Page, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins, at 96 dots to the inch
    wide: list[str] = page.evaluate(
        "[...document.querySelectorAll('table, svg, p')]"
        ".filter(e => e.getBoundingClientRect().right > 704).map(e => e.id || e.tagName)"
    )
    assert wide == []
    paper = page.pdf(format="A4", path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 40
