"""Cards with hostile vendor texts, shown in a real browser as EHRs show cards: the caveat stays in sight.

Each text goes through the whole service. Its card is then rendered twice, by a reader that escapes HTML and
by one that lets it through, into a page that runs scripts; what the page asks for goes nowhere.
"""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Page, Route

from tests import fakes
from tests.browser.chromium import CHROMIUM, chromium
from tests.contract.hostile_texts import HOSTILE_DETAILS
from tests.service.harness import copy_hooks, request_of, wrapper

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]

EHR = "http://ehr.example/card"
READERS = {
    "HTML escaped": MarkdownIt("gfm-like", {"linkify": False, "html": False}),
    "HTML let through": MarkdownIt("gfm-like", {"linkify": False, "html": True}),
}
NO_JSON = "half a pair"
"""A text that no JSON can hold: the vendor's whole answer cannot be read, and our own card stands for it."""

NAMES = [name for name in HOSTILE_DETAILS if name != NO_JSON]
GROUPS = [NAMES[start : start + 12] for start in range(0, len(NAMES), 12)]


async def cards_of_all(folder: Path) -> dict[str, dict[str, Any]]:
    """The card that goes out for each hostile text."""
    texts = iter(HOSTILE_DETAILS[name] for name in (*NAMES, NO_JSON))

    async def behave(writer: asyncio.StreamWriter) -> None:
        await fakes.answers(fakes.card_answer(detail=next(texts)))(writer)

    async with fakes.running(behave) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url)) as running:
            calls = {name: await running.call(request_of("black-35")) for name in (*NAMES, NO_JSON)}
    return {name: answer.json()["cards"][0] for name, answer in calls.items()}


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return asyncio.run(cards_of_all(tmp_path_factory.mktemp("hostile")))


def shown(card: dict[str, Any], reader: MarkdownIt) -> str:
    """An EHR's page with the card in it; the page's own part comes before and after."""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>EHR</title><link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.4 sans-serif; margin: 1rem }} .card {{ border: 1px solid #999; padding: 1rem }}
</style>
<h1>Orders</h1>
<article class="card"><h2 id="summary">{html.escape(card["summary"])}</h2>
<div id="detail">{reader.render(card["detail"])}</div>
<p id="source">{html.escape(card["source"]["label"])}</p></article>
<p id="after">Next part of the chart</p></html>"""


@dataclass
class Screen:
    """A page that shows cards; `asked` are the addresses it wanted to load beside itself."""

    page: Page
    asked: list[str]

    def show(self, text: str) -> None:
        self.asked.clear()
        self.page.unroute_all()
        self.page.route("**/*", lambda route: self._answer(route, text))
        self.page.goto(EHR)
        self.page.wait_for_timeout(20)  # what loads or leads away at once has had its turn

    def _answer(self, route: Route, text: str) -> None:
        if route.request.url == EHR:
            body = text.encode("utf-8", "replace")
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        else:
            self.asked.append(route.request.url)
            route.abort()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def screen(browser: Browser) -> Iterator[Screen]:
    context = browser.new_context(viewport={"width": 800, "height": 900})
    yield Screen(context.new_page(), [])
    context.close()


# Whether the first line of an element can be read: it has a size, is drawn, and nothing lies over it.
IN_SIGHT = """(selector) => {
  const element = document.querySelector(selector);
  if (!element) return "is not there";
  const style = getComputedStyle(element), box = element.getClientRects()[0];
  if (!box || box.width < 20 || box.height < 8) return "has no size";
  if (style.visibility !== "visible" || Number(style.opacity) < 1) return "is not drawn";
  if (box.top < 0 || box.bottom > innerHeight || box.left < 0) return "is off the screen";
  for (const share of [0.1, 0.5, 0.9]) {
    const top = document.elementFromPoint(box.left + box.width * share, box.top + box.height / 2);
    if (!top || !(element.contains(top) || top.contains(element))) return "is covered";
  }
  return "";
}"""
CAVEAT = "#detail > p:first-child > strong:first-child"


def out_of_sight(screen: Screen, card: dict[str, Any]) -> list[str]:
    """What of the caveat cannot be seen, and whatever the page asked for."""
    if screen.asked or screen.page.url != EHR:
        return [f"the page asked for {address}" for address in screen.asked] or ["the page went away"]
    told = {selector: screen.page.evaluate(IN_SIGHT, selector) for selector in ("#summary", CAVEAT)}
    found = [f"{selector} {why}" for selector, why in told.items() if why]
    if not found and not card["detail"].startswith(f"**{screen.page.inner_text(CAVEAT)}**"):
        found.append("something else stands first")
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("names", GROUPS, ids=[names[0] for names in GROUPS])
def test_the_caveat_stays_in_sight_and_nothing_is_asked_of_anybody(
    names: list[str], reader: str, cards: dict[str, dict[str, Any]], screen: Screen, tmp_path: Path
) -> None:
    found = {}
    for name in names:
        screen.show(shown(cards[name], READERS[reader]))
        found[name] = out_of_sight(screen, cards[name])
    screen.page.screenshot(path=tmp_path / "last.png")  # kept with --basetemp
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_summary_says_it_too(cards: dict[str, dict[str, Any]]) -> None:
    short = " – true risk may be higher for this patient"
    assert [name for name in NAMES if not cards[name]["summary"].endswith(short)] == []
    assert cards[NO_JSON]["summary"].endswith("This does not mean low risk.")


# What this test would find ----------------------------------------------------------------------------------

NAIVE = {
    "<style>*{display:none !important}</style>": "has no size",
    '<div style="position:fixed;inset:0;background:#fff">All is well</div>': "is covered",
    "<style>strong{opacity:0}</style>": "is not drawn",
    '<img src="https://evil.example.com/p.png">': "asked for https://evil.example.com/p.png",
    '<meta http-equiv="refresh" content="0;url=https://evil.example.com/">': "asked for",
    "<script>document.body.innerHTML = 'All is well'</script>": "is not there",
}


@pytest.mark.parametrize("text", NAIVE)
def test_a_card_that_nobody_cleaned_would_be_found(text: str, screen: Screen) -> None:
    card = {"summary": "Risk 3.1 %", "detail": f"**A caveat.**\n\n{text}", "source": {"label": "x"}}
    screen.show(shown(card, READERS["HTML let through"]))
    screen.page.wait_for_timeout(200)
    assert NAIVE[text] in json.dumps(out_of_sight(screen, card))
