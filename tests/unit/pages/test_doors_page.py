"""The page that describes the doors: what the document says, for people, and nothing from elsewhere."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from starlette.applications import Starlette

from cds_wrapper.pages.doors import door_routes
from cds_wrapper.pages.openapi import document
from tests.unit.pages.test_evidence_page import Outline

DOCUMENT = document()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=door_routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://wrapper.test") as client:
        yield client


async def test_the_document_is_served_as_it_is_made(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json" and answer.json() == DOCUMENT


async def test_every_door_status_shape_and_member_stands_on_the_page(browser: httpx.AsyncClient) -> None:
    words = Outline((await browser.get("/docs")).text).words
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}" in words
            for status, answer in operation["responses"].items():
                assert status in words
                assert answer["description"].split("`")[0].strip() in words
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for member in schema.get("properties", {}):
            assert member in words, name


async def test_every_link_on_the_page_leads_to_a_place_on_it_or_to_the_document(
    browser: httpx.AsyncClient,
) -> None:
    tags = Outline((await browser.get("/docs")).text).tags
    places = {f"#{attrs['id']}" for _, attrs in tags if "id" in attrs}
    links = {attrs["href"] or "" for tag, attrs in tags if tag == "a"}
    assert links <= places | {"/openapi.json"} and "#shape-Card" in links


async def test_the_page_works_without_scripts_and_loads_nothing_from_elsewhere(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.get("/docs")
    tags = Outline(answer.text).tags
    assert not [tag for tag, _ in tags if tag in {"script", "iframe", "object", "img", "form"}]
    assert [attrs["href"] for tag, attrs in tags if tag == "link"] == ["data:,", "/evidence-style/pages.css"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")


async def test_the_page_can_be_read_without_seeing_it(browser: httpx.AsyncClient) -> None:
    answer = (await browser.get("/docs")).text
    page = Outline(answer)
    levels = [int(level[1]) for level, _ in page.headings]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert answer.count("<table>") == answer.count("<caption>")
    assert not [attrs for tag, attrs in page.tags if tag == "th" and "scope" not in attrs]
    assert not re.search(r"\{\{|\}\}|None", Outline(answer).words.replace("{{context.patientId}}", ""))
