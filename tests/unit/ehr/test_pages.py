"""Results that come in pages: when there is more, and how pages become one result (PRE-14)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cds_wrapper.ehr.pages import is_cut_short, merged
from tests.fhir import searchset

NEXT = "https://ehr.example/fhir?page=2"
ONE = {"resourceType": "Observation", "id": "1"}
INCLUDED = {"search": {"mode": "include"}, "resource": ONE}


@pytest.mark.parametrize(
    ("page", "most", "expected"),
    [
        (searchset(ONE), None, False),
        (searchset(ONE, following=NEXT), None, True),
        (searchset(ONE, ONE, following=NEXT), 2, False),
        (searchset(ONE, following=NEXT), 2, True),
        (searchset(ONE, following=NEXT, entry=[{"resource": ONE}, INCLUDED]), 2, True),
        (searchset(following=NEXT), 2, True),
        ({"link": [{"relation": "next"}]}, None, False),
        ({"link": [{"relation": "next", "url": " "}]}, None, False),
        ({"link": [{"relation": "next", "url": 5}]}, None, False),
        ({"link": ["next"], "entry": "x"}, None, False),
        ({"link": {"relation": "next", "url": NEXT}}, None, False),
    ],
)
def test_a_page_is_cut_short_when_there_is_more_of_what_was_asked_for(
    page: dict[str, Any], most: int | None, expected: bool
) -> None:
    assert is_cut_short(page, most) is expected


def test_pages_become_one_bundle_whose_entries_are_the_bytes_that_came() -> None:
    first = (
        b'{"resourceType":"Bundle","total":3,"type":"searchset","link":[{"relation":"self","url":"a"},'
        b'{"relation":"next","url":"b"}],"entry":[{"resource":{"z":1.10,"big":12345678901234567890}}],"id":"q"}'
    )
    second = b'{"resourceType":"Bundle","entry":[{"resource":{"e":1E+2}},  {"resource":{"u":"\\u00e9"}}]}'
    whole = merged([first, second])
    assert whole is not None
    assert b'[{"resource":{"z":1.10,"big":12345678901234567890}},{"resource":{"e":1E+2}}' in whole
    read = msgspec.json.decode(whole)
    assert read["link"] == [{"relation": "self", "url": "a"}]
    assert (read["id"], read["total"], len(read["entry"])) == ("q", 3, 3)


@pytest.mark.parametrize("page", [b"[]", b"{", b'{"entry":5}', b"\xff", b'{"\xff":1}', b'{"entry":{"a":1}}'])
def test_pages_that_cannot_be_taken_apart_make_no_result(page: bytes) -> None:
    assert merged([b'{"resourceType":"Bundle"}', page]) is None
    assert merged([page, b'{"resourceType":"Bundle"}']) is None
