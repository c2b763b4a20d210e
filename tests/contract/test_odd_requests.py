"""Bodies as clients were seen to send them: answered, or refused naming the member; never an error of ours.

And never with another patient's details, whatever disguise they come in.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from tests.contract import wire
from tests.contract.odd_requests import ODD, OTHER, ROOMS
from tests.service.harness import copy_hooks, wrapper


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one odd call."""

    status: int
    text: str
    asked: tuple[bytes, ...]
    rows: tuple[dict[str, Any], ...]
    events: tuple[str, ...]


async def send_all(folder: Path) -> dict[str, Became]:
    """Every call of the table to one application, one after the other."""
    became = {}
    async with fakes.running(fakes.answers(fakes.card_answer()), strict=False) as vendor:
        async with wrapper(folder, copy_hooks(folder, vendor.url)) as running:
            for name, odd in ODD.items():
                asked, rows, events = len(vendor.bodies), len(running.rows()), len(running.events())
                answer = await running.call(odd.body)
                became[name] = Became(
                    answer.status_code,
                    answer.text,
                    tuple(vendor.bodies[asked:]),
                    tuple(running.rows()[rows:]),
                    tuple(event["event"] for event in running.events()[events:]),
                )
    return became


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Became]:
    return asyncio.run(send_all(tmp_path_factory.mktemp("odd")))


def test_no_two_rows_have_one_name() -> None:
    assert len(ODD) == sum(map(len, ROOMS.values()))


@pytest.mark.parametrize("name", [name for name, odd in ODD.items() if odd.member is None])
def test_it_is_served_and_recorded_under_this_patients_own_details(
    name: str, became: dict[str, Became]
) -> None:
    one = became[name]
    (row,) = one.rows
    stripped = None if json.loads(ODD[name].body).get("prefetch") else "request_stripped"
    asked = ("answered", stripped) if ODD[name].asked else ("missing_input", "context_incomplete")
    assert (one.status, row["status"], row["reason"]) == (200, *asked)
    assert "invocation_failed" not in one.events
    assert (row["race"] == "white") is ODD[name].known
    assert ODD[name].known or row["race"].startswith("missing:")


@pytest.mark.parametrize("name", [name for name, odd in ODD.items() if odd.member is not None])
def test_it_is_refused_naming_the_member(name: str, became: dict[str, Became]) -> None:
    one = became[name]
    sentence = json.loads(one.text)["issue"][0]["diagnostics"]
    assert (one.status, one.rows, one.asked) == (400, (), ())
    assert str(ODD[name].member) in sentence


@pytest.mark.parametrize("name", [name for name, odd in ODD.items() if odd.member is None])
def test_what_reaches_the_vendor_is_cds_hooks_or_it_is_not_asked(
    name: str, became: dict[str, Became]
) -> None:
    asked = became[name].asked
    assert len(asked) == ODD[name].asked
    assert [wrong for body in asked for wrong in wire.question(body)] == []


def test_what_was_not_asked_is_said_on_a_card(became: dict[str, Became]) -> None:
    unasked = [json.loads(became[name].text)["cards"] for name, odd in ODD.items() if not odd.asked]
    assert len(unasked) > 3
    assert all("does not mean low risk" in card["summary"] for (card,) in unasked)


def test_another_patient_reaches_nobody(became: dict[str, Became]) -> None:
    sent = b"".join(body for one in became.values() for body in one.asked)
    recorded = json.dumps([row for one in became.values() for row in one.rows])
    assert OTHER.encode() not in sent
    assert OTHER not in recorded and "black" not in recorded
    assert "30-39" not in {row["age_band"] for one in became.values() for row in one.rows}
