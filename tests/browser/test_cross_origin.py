"""An EHR's page on another origin, in a real browser: with its origin listed it may call, otherwise not.

Discovery, a hook call and feedback, each by the page's own JavaScript with a token of its own.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import CHROMIUM, chromium
from tests.ehr import NORTH, write_clients
from tests.service.doors import PUBLIC, token_for
from tests.service.harness import copy_hooks, request_of
from tests.service.servers import Server, server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="/usr/bin/chromium is not installed"),
]

DISCOVERY, SERVICE = "/cds-services", "/cds-services/cvd-risk"
FEEDBACK = f"{SERVICE}/feedback"
SCREEN = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>EHR</title><link rel="icon" href="data:,">
<script>
async function call([address, method, token, body]) {
  const headers = {"Authorization": token};
  if (body !== null) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(address, {method, headers, body});
    return {status: answer.status, text: await answer.text()};
  } catch (error) {
    return {refused: error.name};
  }
}
</script></html>"""


class Screen(http.server.BaseHTTPRequestHandler):
    """The EHR's page, and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(SCREEN)))
        self.end_headers()
        self.wfile.write(SCREEN)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's own signature
        """Say nothing."""


@pytest.fixture(scope="module")
def screen() -> Iterator[int]:
    """The port of the EHR's page, an origin of its own; `localhost` is another."""
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Screen)
    serving = threading.Thread(target=listening.serve_forever, daemon=True)
    serving.start()
    yield listening.server_address[1]
    listening.shutdown()
    listening.server_close()
    serving.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@dataclass(frozen=True)
class Ehr:
    """The page in its browser, and the service it calls."""

    page: Page
    service: Server

    def call(self, path: str, method: str, body: Any = None) -> dict[str, Any]:
        """What the page's own JavaScript got, with a token made out to the address."""
        text = None if body is None else json.dumps(body)
        sent = [f"{self.service.url}{path}", method, token_for(path), text]
        answer: dict[str, Any] = self.page.evaluate("call", sent)
        return answer

    def rows(self, view: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.service.ledger)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {view}")]


@contextlib.contextmanager
def opened(
    browser: Browser, folder: Path, vendor_base: str, screen: int, origins: list[str], host: str = "127.0.0.1"
) -> Iterator[Ehr]:
    """The page, opened from a host, and a service whose client lists these origins."""
    hooks = copy_hooks(folder, f"{vendor_base}/cds-services/prevent")
    write_clients(hooks, NORTH + (f"origins: {json.dumps(origins)}\n" if origins else ""))
    context = browser.new_context()
    with server(folder, hooks, CDS_WRAPPER_PUBLIC_URL=PUBLIC) as running:
        page = context.new_page()
        page.goto(f"http://{host}:{screen}/")
        yield Ehr(page, running)
    context.close()


def feedback_on(card: str) -> dict[str, Any]:
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z"}
    return {"feedback": [entry]}


def test_a_listed_page_discovers_calls_and_gives_feedback(
    browser: Browser, tmp_path: Path, vendor_base: str, screen: int
) -> None:
    with opened(browser, tmp_path, vendor_base, screen, [f"http://127.0.0.1:{screen}"]) as ehr:
        discovered = ehr.call(DISCOVERY, "GET")
        called = ehr.call(SERVICE, "POST", request_of("black-35"))
        (card,) = json.loads(called["text"])["cards"]
        given = ehr.call(FEEDBACK, "POST", feedback_on(card["uuid"]))
        refused = ehr.page.evaluate("call", [f"{ehr.service.url}{SERVICE}", "POST", "Bearer x", "{}"])
        (kept,) = ehr.rows("feedback_v1")
    assert [service["id"] for service in json.loads(discovered["text"])["services"]] == ["cvd-risk"]
    assert called["status"] == 200 and card["summary"]
    assert given == {"status": 200, "text": ""} and kept["card_uuid"] == card["uuid"] and kept["matched"]
    assert refused["status"] == 401, "what went wrong can be read too"


@pytest.mark.parametrize("which", ["no page is listed", "another page is listed", "the page of another host"])
def test_any_other_page_is_refused_by_the_browser(
    which: str, browser: Browser, tmp_path: Path, vendor_base: str, screen: int
) -> None:
    origins = {"no page is listed": [], "another page is listed": ["https://ehr.example.org"]}
    listed = origins.get(which, [f"http://127.0.0.1:{screen}"])
    host = "localhost" if which == "the page of another host" else "127.0.0.1"
    with opened(browser, tmp_path, vendor_base, screen, listed, host) as ehr:
        answers = [
            ehr.call(DISCOVERY, "GET"),
            ehr.call(SERVICE, "POST", request_of("black-35")),
            ehr.call(FEEDBACK, "POST", feedback_on("c")),
        ]
        kept = [*ehr.rows("predictions_v1"), *ehr.rows("feedback_v1")]
    assert answers == [{"refused": "TypeError"}] * 3
    assert kept == [], "the browser asked first, and never sent the call"
