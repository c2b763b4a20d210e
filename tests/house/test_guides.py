"""The guides say what the program knows: each name on the troubleshooting page is one, each link leads on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cds_wrapper import errors
from cds_wrapper.cds import PrefetchState
from cds_wrapper.ehr.clients import Refusal
from cds_wrapper.ledger.columns import COLUMNS
from cds_wrapper.log import EVENTS
from cds_wrapper.services.keys import FILE_FORMATS, keys_of
from cds_wrapper.settings import Settings
from cds_wrapper.vendors.base import Status
from tests.house.test_openapi import refusals

ROOT = Path(__file__).resolve().parents[2]
TROUBLE = ROOT / "docs" / "how-to" / "troubleshoot-the-connection.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("fixtures/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Words of HTTP, of tokens and of machines, and a state of the record's column `delivery`.
OF_OTHERS = {"Authorization", "Host", "localhost", "aud", "iss", "jku", "abandoned"}


def names() -> set[str]:
    """Every name an operator can meet: events and their fields, reasons, states, columns, settings, keys."""
    keys = {key.key.split(".")[-1] for kind in FILE_FORMATS.values() for key in keys_of(kind)}
    return {
        *EVENTS,
        *(field for event in EVENTS.values() for field in event.fields),
        *(refusal.value for refusal in Refusal),
        *(kind.reason for kind in refusals()),
        *(status.value for status in Status),
        *(state.value for state in PrefetchState),
        *(trouble.value for trouble in errors.Trouble),
        *(column.name for column in COLUMNS),
        *(f"CDS_WRAPPER_{name.upper()}" for name in Settings.model_fields),
        *keys,
    }


def test_every_name_on_the_troubleshooting_page_is_one_of_the_program() -> None:
    written = set(re.findall(r"`([A-Za-z_]+)`", TROUBLE.read_text()))
    assert written - names() - OF_OTHERS == set()
    assert {"request_refused", "request_stripped", "wrong_audience", "origin_refused"} <= written


def test_every_refusal_of_a_token_stands_in_a_guide() -> None:
    guides = TROUBLE.read_text() + (TROUBLE.parent / "trust-your-ehr.md").read_text()
    assert [refusal.value for refusal in Refusal if f"`{refusal.value}`" not in guides] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    lost = []
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, place = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (place and place not in places(file)):
            lost.append(link)
    assert lost == []


def places(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
