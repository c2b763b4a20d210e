"""Whatever a vendor writes into `detail`, the caveat is seen first; nothing acts, loads or leads astray."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nh3
import pytest
from markdown_it import MarkdownIt

from cds_wrapper.caveats.cards import CardPolicy, Passage
from tests import fakes
from tests.contract.hostile_texts import EVIL, HOSTILE_DETAILS, LISTED
from tests.service.harness import copy_hooks, request_of, wrapper
from tests.unit.caveats.test_cards import WORDS, composed, sent, vendor

LISTING = Passage(CardPolicy(link_hosts=frozenset({LISTED})), https_only=True)
CAVEAT = WORDS.lines[0]
READERS = {
    "a careful reader": MarkdownIt("gfm-like", {"linkify": False, "html": False}),
    "a reader that lets HTML through": MarkdownIt("gfm-like", {"linkify": False, "html": True}),
    "a plain CommonMark reader": MarkdownIt("commonmark", {"html": True}),
}
# What GitHub's Markdown makes a link of without being asked.
BARE = re.compile(
    r"(?:^|[\s*_~(>])((?:https?|ftp)://[^\s<]+|www\.[^\s<]+)|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+",
    re.IGNORECASE,
)
ACTING = re.compile(r"<(?:img|script|style|iframe|svg|form|base|meta|details|div|template|b )", re.IGNORECASE)


def detail_of(text: str) -> str:
    (card,) = sent(composed(vendor(detail=text), passage=LISTING))
    assert card["summary"].endswith(f" – {WORDS.short}")
    detail = card["detail"]
    assert isinstance(detail, str)
    return detail


def seen(page: str) -> str:
    """The text of a page as an EHR shows it that allows `<details>` and removes what it does not know."""
    kept = nh3.clean(page, tags={"p", "strong", "details", "summary", "pre", "code", "hr", "ul", "li"})
    closed = re.sub(r"<details>.*?(</details>|$)", "", kept, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", closed))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE_DETAILS.values(), ids=HOSTILE_DETAILS)
def test_the_caveat_is_the_first_thing_that_is_seen(text: str, reader: str) -> None:
    page = READERS[reader].render(detail_of(text))
    assert page.startswith(f"<p><strong>{CAVEAT}</strong></p>")
    assert seen(page).startswith(CAVEAT)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE_DETAILS.values(), ids=HOSTILE_DETAILS)
def test_nothing_is_loaded_and_nothing_opens_that_is_not_listed(text: str, reader: str) -> None:
    page = READERS[reader].render(detail_of(text))
    assert not ACTING.search(page)
    targets = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [target for target in targets if not target.startswith(f"https://{LISTED}/")] == []
    outside_code = re.sub(r"<(pre|code)>.*?</\1>|<a [^>]*>.*?</a>", "", page, flags=re.DOTALL)
    found = [match[0] for match in BARE.finditer(html.unescape(re.sub(r"<[^>]*>", "", outside_code)))]
    assert [one for one in found if f"https://{LISTED}/" not in one] == []


@pytest.mark.parametrize("text", HOSTILE_DETAILS.values(), ids=HOSTILE_DETAILS)
def test_what_an_ehr_writes_behind_the_detail_is_not_swallowed(text: str) -> None:
    page = READERS["a reader that lets HTML through"].render(f"{detail_of(text)}\n\nFrom the **EHR**")
    assert page.rstrip().endswith("<p>From the <strong>EHR</strong></p>")


@pytest.mark.parametrize("text", HOSTILE_DETAILS.values(), ids=HOSTILE_DETAILS)
def test_nothing_unseen_is_left(text: str) -> None:
    shown = html.unescape(detail_of(text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)
    assert len(shown) < 20_500


@pytest.mark.parametrize("text", HOSTILE_DETAILS.values(), ids=HOSTILE_DETAILS)
def test_the_same_text_as_a_summary_leaves_the_caveat_whole(text: str) -> None:
    (card,) = sent(composed(vendor(summary=text, detail=None), passage=LISTING))
    assert card["summary"].endswith(f" – {WORDS.short}") and len(card["summary"]) <= 139
    assert "\n" not in card["summary"]
    assert READERS["a reader that lets HTML through"].render(card["detail"]).startswith("<p><strong>")
    assert f"](https://{EVIL}" not in card["detail"]


def test_the_readers_would_notice() -> None:
    careless = READERS["a reader that lets HTML through"]
    assert "<img" in careless.render(HOSTILE_DETAILS["an image"])
    assert CAVEAT not in seen(careless.render(f"<details>\n\n{CAVEAT}"))
    assert BARE.search(HOSTILE_DETAILS["a bare address"])
    assert BARE.search(HOSTILE_DETAILS["an e-mail address"])
    swallowed = careless.render(f"{HOSTILE_DETAILS['an open fence']}\n\nFrom the **EHR**")
    assert "<strong>EHR</strong>" not in swallowed


async def test_every_change_is_on_record_and_none_of_the_vendors_words(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [
        {**fakes.DEFAULT_CARD, "detail": HOSTILE_DETAILS[name]}
        for name in ("a script", "a link", "an open fence", "right to left by entity", "a text without end")
    ]
    async with fakes.running(fakes.answers({"cards": given})) as peer:
        async with wrapper(tmp_path, copy_hooks(tmp_path, peer.url)) as running:
            cards = (await running.call(request_of("black-35"))).json()["cards"]
            (row,) = running.rows()
    assert len(cards) == len(given)
    for number in range(len(given)):
        assert f"cards[{number}].detail: cleaned" in row["changes_made"]
    assert EVIL not in row["changes_made"] and "alert" not in row["changes_made"]


async def test_a_listed_host_opens_and_in_production_only_by_https(tmp_path: Path) -> None:
    detail = f"[a](https://{LISTED}/a) [b](http://{LISTED}/b) [c](https://{EVIL}/c)"
    lists = {"displayed: shown": f"displayed: shown\ncards: {{link_hosts: [{LISTED}]}}"}
    async with fakes.running(fakes.answers({"cards": [{**fakes.DEFAULT_CARD, "detail": detail}]})) as peer:
        async with wrapper(tmp_path, copy_hooks(tmp_path, peer.url, **lists)) as running:
            (card,) = (await running.call(request_of("black-35"))).json()["cards"]
            assert running.app.state.doors.runtime.https_only is False
    targets = re.findall(r'href="([^"]*)"', READERS["a careful reader"].render(card["detail"]))
    assert targets == [f"https://{LISTED}/a", f"http://{LISTED}/b"]
    assert Passage(LISTING.policy, https_only=False).opens(f"http://{LISTED}/b")
    assert not LISTING.opens(f"http://{LISTED}/b")
