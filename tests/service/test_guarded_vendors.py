"""One vendor in trouble harms nobody else: neither another service, nor the clinician, nor the record."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.services import examine_services
from tests import fakes
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper

NO_RESULT = "10-year cardiovascular risk (demonstration): no result right now. This does not mean low risk."


def with_vendor(lines: str) -> dict[str, str]:
    """Replacements that add lines to `vendor` of the service's file."""
    return {"  protocol: cds-hooks": f"  protocol: cds-hooks\n{lines}"}


def beside(hooks: Path, other_url: str, first_url: str) -> None:
    """A second service, `other`, with a vendor of its own."""
    shutil.copytree(hooks / "cvd-risk", hooks / "other")
    file = hooks / "other" / "service.yaml"
    file.write_text(file.read_text().replace("id: cvd-risk", "id: other").replace(first_url, other_url))


def statuses(running: Wrapper, service: str) -> Counter[str]:
    return Counter(row["status"] for row in running.rows() if row["service_id"] == service)


async def test_a_vendor_that_hangs_takes_neither_connections_nor_time_from_another(tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def hangs(writer: Any) -> None:
        await let_go.wait()
        await fakes.answers(fakes.card_answer())(writer)

    lines = with_vendor("  most_in_flight: 8")
    async with fakes.running(hangs) as hanging, fakes.running(fakes.answers(fakes.card_answer())) as quick:
        hooks = copy_hooks(tmp_path, hanging.url, **lines)
        beside(hooks, quick.url, hanging.url)
        async with wrapper(tmp_path, hooks) as running:
            waiting = [asyncio.create_task(running.call(request_of("white-55"))) for _ in range(32)]
            while len(hanging.asked) < 8 or statuses(running, "cvd-risk")["overloaded"] < 24:
                await asyncio.sleep(0.01)
            body = request_of("white-55")
            await asyncio.gather(*(running.call(body, "other") for _ in range(32)))
            assert statuses(running, "other")["answered"] >= 8, "while eight calls of the first still hang"
            assert not statuses(running, "cvd-risk")["answered"] and len(hanging.asked) == 8
            let_go.set()
            answers = await asyncio.gather(*waiting)
            found = statuses(running, "cvd-risk")
    assert found == {"overloaded": 24, "answered": 8}
    cards = Counter(answer.json()["cards"][0]["summary"] == NO_RESULT for answer in answers)
    assert cards == {True: 24, False: 8}, "whoever found no place reads a truthful card at once"


async def test_a_vendor_that_does_not_work_is_given_a_rest_and_taken_back_by_one_call(tmp_path: Path) -> None:
    says = {"now": fakes.answers({}, status=503)}

    async def flaps(writer: Any) -> None:
        await says["now"](writer)

    lines = with_vendor("  circuit: {failures: 3, lasting: PT0S, open_for: PT3S}")
    async with fakes.running(flaps) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **lines)) as running:
            for _ in range(5):
                (card,) = (await running.call(request_of("white-55"))).json()["cards"]
                assert card["summary"] == NO_RESULT
            assert len(vendor.asked) == 3
            says["now"] = fakes.answers(fakes.card_answer())
            while statuses(running, "cvd-risk")["answered"] == 0:
                await asyncio.gather(*(running.call(request_of("white-55")) for _ in range(8)))
                await asyncio.sleep(0.1)
            rows, events = running.rows(), running.events()
    assert [row["status"] for row in rows[:5]] == ["failed"] * 3 + ["circuit_open"] * 2
    assert {row["status"] for row in rows[5:]} == {"circuit_open", "answered"}
    assert len(vendor.asked) == 3 + sum(row["status"] == "answered" for row in rows)
    assert {row["vendor_attempts"] for row in rows if row["status"] == "circuit_open"} == {0}
    told = [event for event in events if event["event"].startswith("circuit_")]
    assert [(event["event"], event["service_id"]) for event in told] == [
        ("circuit_opened", "cvd-risk"),
        ("circuit_closed", "cvd-risk"),
    ]
    assert (told[0]["status"], told[0]["open_seconds"]) == ("failed", 3)


async def test_a_vendor_that_refuses_each_call_is_asked_again_every_time(tmp_path: Path) -> None:
    lines = with_vendor("  circuit: {failures: 2, lasting: PT0S}")
    async with fakes.running(fakes.answers({}, status=403)) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url, **lines)) as running:
            for _ in range(5):
                await running.call(request_of("white-55"))
            assert statuses(running, "cvd-risk") == {"refused": 5} and len(vendor.asked) == 5


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("most_in_flight: 0", "greater than or equal to 1"),
        ("most_in_flight: many", "must be a whole number"),
        ("circuit: {failures: 0}", "greater than or equal to 1"),
        ("circuit: {open_for: PT0S}", "must be from `PT1S` to `PT10M`"),
        ("circuit: {lasting: PT1H}", "must be from `PT0S` to `PT5M`"),
        ("circuit: {open_fro: PT30S}", "Did you mean `open_for`?"),
    ],
)
def test_what_makes_no_guard_is_a_mistake_with_its_line(lines: str, words: str, tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, "http://127.0.0.1:9/x", **with_vendor(f"  {lines}"))
    (mistake,) = examine_services(hooks).mistakes
    assert words in str(mistake) and mistake.line is not None
