"""A search in bulk is read to its last page, with our own token, or it is no search."""

from __future__ import annotations

import io
from typing import Any

import pytest

from cds_wrapper.ehr.backend import backend_tokens
from cds_wrapper.ehr.search import Search
from cds_wrapper.errors import UnreadableFile
from cds_wrapper.log import OperatorLog
from cds_wrapper.outbound import Outbound
from tests.fhir import TOKEN, Asked, Says, fhir_server, outcome, searchset
from tests.unit.ehr.test_backend import GRANTED, backend_at

PATIENT = {"resourceType": "Patient", "id": "p"}


async def test_a_page_has_what_was_found_and_where_the_next_one_is() -> None:
    def answering(asked: Asked) -> Says:
        if "page=2" in asked.target:
            return Says(searchset({"resourceType": "Encounter", "id": "2"}))
        return Says(
            searchset(PATIENT, outcome("informational", "information"), following="/fhir/Encounter?page=2")
        )

    outbound = Outbound()
    await outbound.open()
    async with fhir_server(answering) as server:
        search = Search(server.base, outbound, None)
        first = await search.page(search.first("Encounter?_count=1"))
        assert [one["id"] for one in first.resources] == ["p"], (
            "what the server only remarks is nothing found"
        )
        second = await search.page(first.following or "")
    await outbound.close()

    assert ([one["id"] for one in second.resources], second.following) == (["2"], None)
    assert "authorization" not in server.asked[0].headers


async def test_it_is_asked_with_a_token_of_our_own() -> None:
    def answering(asked: Asked) -> Says:
        return Says(GRANTED) if asked.method == "POST" else Says(searchset(PATIENT))

    outbound = Outbound()
    await outbound.open()
    async with fhir_server(answering) as server:
        lines = OperatorLog("t", io.StringIO())
        tokens = backend_tokens("north", backend_at(f"{server.base}/token"), outbound, lines)
        search = Search(server.base, outbound, tokens)
        await search.page(search.first("Encounter?_count=1"))
        await tokens.close()
    await outbound.close()

    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (Says(searchset(PATIENT, following="https://elsewhere.example/fhir?page=2")), "not on that server"),
        (Says(searchset(PATIENT, following="/fhir/Encounter?_count=1")), "the same again"),
        (Says(outcome("not-supported")), "with a page"),
        (Says(outcome(), status=500), "500"),
        (Says(b"<html>"), "with a page"),
        (Says(PATIENT), "with a page"),
    ],
)
async def test_half_a_search_is_no_search(says: Says, words: str) -> None:
    outbound = Outbound()
    await outbound.open()
    async with fhir_server(says) as server:
        search = Search(server.base, outbound, None)
        with pytest.raises(UnreadableFile, match=words) as caught:
            await search.page(search.first("Encounter?_count=1"))
    await outbound.close()

    assert "127.0.0.1" not in str(caught.value) and "elsewhere" not in str(caught.value)


async def test_a_server_that_gives_no_token_is_not_asked() -> None:
    def answering(_: Asked) -> Says:
        return Says({}, status=401)

    outbound = Outbound()
    await outbound.open()
    async with fhir_server(answering) as server:
        lines: Any = io.StringIO()
        tokens = backend_tokens(
            "north", backend_at(f"{server.base}/token"), outbound, OperatorLog("t", lines)
        )
        with pytest.raises(UnreadableFile, match="gave no token"):
            await Search(server.base, outbound, tokens).page(f"{server.base}/Encounter?_count=1")
        await tokens.close()
    await outbound.close()

    assert [one.method for one in server.asked] == ["POST"]
