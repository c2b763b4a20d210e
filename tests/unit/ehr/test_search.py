"""A search in bulk is read to its last page, with our own token, or it is no search."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_wrapper.ehr.backend import backend_tokens
from cds_wrapper.ehr.search import MOST_ASKED, MOST_WAITING, Page, Search, wait_after
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


BUSY = Says(outcome("throttled"), status=429, headers={"Retry-After": "7"})
LATER = "/fhir/Encounter?page=2"


async def pages(*answers: Says, wanted: int = 2) -> tuple[list[Page | str], list[float], list[str]]:
    """So many pages of a server that answers so in turn: what came, the waits and what it was asked for."""
    left, waits, got = list(answers), list[float](), list[Page | str]()

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    outbound = Outbound()
    await outbound.open()
    async with fhir_server(lambda _: left.pop(0)) as server:
        search = Search(server.base, outbound, None, pause)
        try:
            for number in range(1, wanted + 1):
                got.append(await search.page(search.first(f"Encounter?page={number}")))
        except UnreadableFile as error:
            got.append(error.sentence)
    await outbound.close()
    return got, waits, server.targets


async def test_a_busy_server_is_asked_for_the_same_page_again_after_the_time_it_names() -> None:
    first, last = Says(searchset(PATIENT, following=LATER)), Says(searchset())
    got, waits, asked = await pages(first, BUSY, Says(b"", status=503), last)

    assert [isinstance(one, Page) for one in got] == [True, True]
    assert asked == ["/fhir/Encounter?page=1", LATER, LATER, LATER]
    assert 7 <= waits[0] <= 8 and 1 <= waits[1] <= 3 and len(waits) == 2


async def test_a_server_that_stays_busy_is_left_after_a_few_times() -> None:
    got, waits, asked = await pages(Says(searchset(PATIENT, following=LATER)), *[BUSY] * 9)

    assert "busy (429, asked 5 times for one page)" in str(got[-1])
    assert (len(asked), len(waits)) == (1 + MOST_ASKED, MOST_ASKED - 1)


async def test_a_server_that_wants_a_long_rest_has_it() -> None:
    got, waits, asked = await pages(Says(b"", status=503, headers={"Retry-After": "3600"}))

    assert "busy (503, asked 1 times for one page)" in str(got[-1]) and (waits, len(asked)) == ([], 1)


async def test_the_longest_rest_that_is_given_is_given_to_a_server_that_names_it() -> None:
    busy = Says(b"", status=429, headers={"Retry-After": "120"})
    got, waits, _ = await pages(busy, Says(searchset(PATIENT)), wanted=1)

    assert isinstance(got[-1], Page) and 120 <= waits[0] <= 121


async def test_all_waits_of_a_search_together_have_an_end() -> None:
    busy = Says(b"", status=429, headers={"Retry-After": "100"})
    got, waits, _ = await pages(*[busy, Says(searchset(PATIENT))] * 50, wanted=50)

    assert "busy" in str(got[-1])
    assert MOST_WAITING - timedelta(seconds=101) < timedelta(seconds=sum(waits)) <= MOST_WAITING


@pytest.mark.parametrize(
    ("asked", "told", "seconds"),
    [
        (1, None, 1.0),
        (3, None, 4.0),
        (1, "0", 0.5),
        (4, "30", 30.5),
        (1, "Sat, 28 Nov 2026 12:00:10 GMT", 10.5),
        (1, "Sat, 28 Nov 2026 12:00:10 -0000", 10.5),
        (1, "Sat, 28 Nov 2026 11:00:00 GMT", 0.5),
        (2, "soon", 2.0),
        (2, "-5", 2.0),
        (2, "²", 2.0),
        (1, "9" * 400, 86_400.5),
    ],
)
def test_how_long_a_busy_server_is_left(asked: int, told: str | None, seconds: float) -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert wait_after(asked, told, now, 0.5) == timedelta(seconds=seconds)
