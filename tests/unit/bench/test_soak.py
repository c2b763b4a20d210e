"""What a soak says of three accounts, and that no difference between them passes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from cds_wrapper.bench.load import Round, connected
from cds_wrapper.bench.machine import Machine
from cds_wrapper.bench.soak import SoakOptions, SoakRun, Tenth, Totals, sums_of
from cds_wrapper.bench.soak_load import Heard, SoakResult
from cds_wrapper.bench.soak_report import disagreements, document, growth, ratio, text
from cds_wrapper.bench.vendor import FixedTimeVendor, Mood
from cds_wrapper.bench.wire import answer, post

MACHINE = Machine(2, "3.11", "Linux", "ext4")
NOBODY = Heard(0, 0, {}, [])
ALL_WELL = Totals(20, 20, 0, 20, 20, 0, 20, 0, 20, 20, 0)


def tenth(
    number: int, *, hung: bool = False, p99_ms: float = 10.0, wrong: dict[str, int] | None = None
) -> Tenth:
    load = SoakResult(1.0, Heard(2, 0, wrong or {}, [1000.0, p99_ms * 1000]), NOBODY, [3.0])
    return Tenth(load, hung, resident_bytes=1000 + number, descriptors=50 + number, connections=30)


def run(totals: Totals | None = ALL_WELL, hanging: bool = False) -> SoakRun:
    tenths = [
        tenth(number, hung=hanging and number % 2 == 1, p99_ms=30.0 if hanging and number % 2 else 20.0)
        for number in range(10)
    ]
    return SoakRun(MACHINE, SoakOptions(20, hanging=hanging), tenths, totals)


def test_all_is_well_when_three_accounts_say_the_same() -> None:
    assert disagreements(run()) == ()
    assert "All accounts agree to the last call." in text(run())


@pytest.mark.parametrize(
    "difference",
    [
        {"answers": 21},
        {"requests": 19},
        {"withheld": 1},
        {"predictions": 21},
        {"unrecorded": 1},
        {"records": 19},
        {"lost": 1},
        {"rows": 21},
        {"returned_rows": 19},
        {"spooled": 1},
    ],
)
def test_one_call_more_or_less_in_any_account_is_told(difference: dict[str, int]) -> None:
    found = run(replace(ALL_WELL, **difference))
    assert disagreements(found)
    assert document(found)["mistakes"] and "All accounts agree" not in text(found)


def test_an_answer_that_was_not_recorded_and_says_so_is_no_difference() -> None:
    late = replace(ALL_WELL, withheld=2, unrecorded=2, predictions=18, returned_rows=18, rows=19, records=19)
    assert disagreements(run(late)) == ()


def test_wrong_answers_a_bad_stop_and_missing_totals_are_told() -> None:
    one = run()
    one.tenths[3] = tenth(3, wrong={"no card": 2})
    one.exit_code = 1
    assert disagreements(one) == ("2 answers: no card", "exit code 1")
    assert disagreements(run(None)) == ("there are no totals",)


def test_growth_is_counted_from_the_second_tenth_on() -> None:
    memory, descriptors = growth(run())
    assert memory == pytest.approx(8 / 1001) and descriptors == 8


def test_the_other_service_is_compared_only_where_a_vendor_hung() -> None:
    assert ratio(run()) is None
    assert ratio(run(hanging=True)) == 1.5


def test_metrics_are_summed_over_their_labels() -> None:
    page = (
        "# TYPE cds_wrapper_requests_total counter\n"
        'cds_wrapper_requests_total{service="a"} 2.0\ncds_wrapper_requests_total{service="b"} 3.0\n'
        "# TYPE process_open_fds gauge\nprocess_open_fds 9.0\n"
    )
    assert sums_of(page) == {"requests_total": 5, "process_open_fds": 9}


async def test_so_many_calls_are_sent_and_no_more() -> None:
    answers = {"one": answer("200 OK", b'{"cards":[{"summary":"3 %"}]}')}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(FixedTimeVendor, answers, 0.0), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    one = Round([post("/x", b'{"context":{"patientId":"one"}}')], b"", 1, measured_from=0, left=7)
    async with server:
        connections = await connected(one, 3, port)
        await asyncio.wait([connection.ended for connection in connections], timeout=30)
    assert (one.answers, len(one.latencies), one.left, dict(one.wrong)) == (7, 7, 0, {})


async def test_a_vendor_that_hangs_takes_a_call_and_answers_the_next_when_it_does_no_more() -> None:
    mood = Mood(hangs=True)
    answers = {"one": answer("200 OK", b"{}")}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(FixedTimeVendor, answers, 0.0, mood), "127.0.0.1", 0)
    call = post("/x", b'{"context":{"patientId":"one"}}')
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(call)
        await writer.drain()
        await asyncio.sleep(0.05)
        mood.hangs = False
        writer.write(call)
        read = await asyncio.wait_for(reader.read(10_000), 30)
        writer.close()
    assert read.count(b"HTTP/1.1 200") == 1
