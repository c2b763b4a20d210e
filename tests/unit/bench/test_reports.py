"""What a run is said to have shown: comparisons within a round, and nothing missing is passed over."""

from __future__ import annotations

import json

from msgspec.structs import replace

from cds_wrapper.bench import ledger_report, serving_report
from cds_wrapper.bench.appended import Appended
from cds_wrapper.bench.ledger import (
    ALONE,
    BATCHES,
    DISK,
    FAST,
    LEDGER,
    SINGLY,
    SLOW,
    TOGETHER,
    Case,
    LedgerOptions,
    LedgerRun,
)
from cds_wrapper.bench.load import LoadResult
from cds_wrapper.bench.machine import Machine
from cds_wrapper.bench.serving import ServingOptions, ServingRun
from cds_wrapper.bench.systems import AIOHTTP, HTTPX, NGINX, VENDOR, WRAPPER

MACHINE = Machine(2, "3.11.7", "Linux 6", "ext4")
PIDS = {VENDOR: 10, WRAPPER: 11, HTTPX: 12, AIOHTTP: 13}
# By system: milliseconds an answer takes, microseconds of processor time.
COSTS = {VENDOR: (50, 50), WRAPPER: (54, 600), HTTPX: (60, 2400), AIOHTTP: (51, 200)}


def load(system: str, slower: float = 1.0) -> LoadResult:
    """A hundred answers of one system, on a machine that is so many times slower."""
    milliseconds, cpu_us = COSTS[system]
    cpu = {PIDS[VENDOR]: 0.1, PIDS[system]: cpu_us * slower * 100 / 1e6, 0: 0.3}
    return LoadResult(100, 1.0, [milliseconds * 1000.0] * 100, 0, 0, {}, cpu)


def serving_run() -> ServingRun:
    """Two rounds, the second on a machine that had become twice as slow."""
    run = ServingRun(MACHINE, ServingOptions(rounds=2), 10_000, 22, tuple(COSTS), {NGINX: "it is not here"})
    run.pids = PIDS
    run.warm_ups = {system: [load(system)] for system in COSTS}
    for connections in (1, 32):
        for system in COSTS:
            run.loads[system, connections] = [load(system), load(system, slower=2.0)]
    run.syncs = [[0.0005] * 10, [0.0015] * 10]
    run.commits = [(300, 30), (300, 100)]
    run.import_seconds = [0.5, 0.7]
    run.resident_bytes = 100 * 2**20
    run.rows = run.lines = run.answers(WRAPPER)
    return run


def verdicts(document: object) -> dict[str, str]:
    assert isinstance(document, dict)
    return {figure["name"]: figure["verdict"] for figure in document["figures"]}


def test_a_machine_that_became_slower_changes_no_ratio() -> None:
    by_name = {figure.name: figure.measured for figure in serving_report.figures(serving_run())}
    to_aiohttp = by_name["CPU of a request to Starlette + aiohttp"]
    to_httpx = by_name["CPU of a request to FastAPI + httpx"]
    assert to_aiohttp is not None and (to_aiohttp.lowest, to_aiohttp.highest) == (3.0, 3.0)
    assert to_httpx is not None and to_httpx.median == 0.25


def test_the_disk_s_own_time_is_taken_from_what_the_wrapper_adds() -> None:
    first = serving_report.figures(serving_run())[0].measured
    assert first is not None
    assert (round(first.lowest, 3), round(first.highest, 3)) == (2.5, 3.5)


def test_every_figure_of_the_serving_path_has_its_verdict() -> None:
    said = verdicts(serving_report.document(serving_run()))
    assert said["added p50, one at a time, beyond the sync"] == "met"
    assert said["CPU of a request, 32 at a time"] == "missed by 250 us (38%)"
    assert said["resident memory after the load"] == "met"
    assert len(said) == 9


def test_a_run_without_mistakes_says_that_nothing_is_missing() -> None:
    run = serving_run()
    assert serving_report.mistakes(run) == []
    said = serving_report.text(run)
    assert "500 records for 500 answers: none is missing." in said
    assert "Left out: nginx, since it is not here." in said


def test_an_answer_without_a_record_is_a_mistake() -> None:
    run = serving_run()
    run.rows -= 1
    assert serving_report.mistakes(run) == [
        "The wrapper gave 500 answers as recorded and its ledger holds 499 of them."
    ]


def test_an_answer_that_says_it_was_not_recorded_is_no_mistake_and_is_told() -> None:
    run = serving_run()
    run.rows = run.lines = 497
    run.warm_ups[WRAPPER] = [replace(load(WRAPPER), unmarked=5, withheld=3)]
    assert serving_report.mistakes(run) == []
    said = serving_report.text(run)
    assert "5 answers of the wrapper were cards without a score, of which 3 say" in said
    assert "497 records for 497 answers: none is missing." in said


def test_a_record_that_is_not_in_the_stream_is_a_mistake() -> None:
    run = serving_run()
    run.lines -= 2
    (mistake,) = serving_report.mistakes(run)
    assert "500 records and the prediction stream 498 lines" in mistake


def test_a_wrong_answer_is_a_mistake_whoever_gave_it() -> None:
    run = serving_run()
    run.warm_ups[AIOHTTP] += [LoadResult(5, 1.0, [1.0], 0, 0, {"status 500": 2}, {})]
    run.exit_code = 1
    assert serving_report.mistakes(run) == [
        "Starlette + aiohttp: 2 answers were wrong (status 500).",
        "The wrapper ended with 1 when it was asked to stop.",
    ]
    assert "status 500" in serving_report.text(run)


def test_the_document_for_scripts_is_json() -> None:
    document = serving_report.document(serving_run())
    assert json.loads(json.dumps(document)) == document
    assert {row["system"] for row in document["systems"]} == set(COSTS)


# The ledger -------------------------------------------------------------------------------------------------


def appended(per_second: float, commits: int, waits: bool = True) -> Appended:
    return Appended(110, 100, 100 / per_second, [2000.0] * 100 if waits else [], commits, 45.0, 80.0)


def ledger_run() -> LedgerRun:
    run = LedgerRun(MACHINE, LedgerOptions(rounds=1, records=100), left_out={SLOW: "strace is not installed"})
    run.results = {
        Case(LEDGER, DISK, TOGETHER): [appended(9000, 4)],
        Case(LEDGER, FAST, TOGETHER): [appended(25_000, 4)],
        Case(BATCHES, DISK, TOGETHER): [appended(12_000, 4, waits=False)],
        Case(SINGLY, DISK, ALONE): [appended(900, 100, waits=False)],
    }
    run.syncs = [[0.001] * 5]
    run.rows = 220
    return run


def test_the_ledger_is_compared_with_plain_sqlite() -> None:
    ratios = ledger_report.ratios(ledger_run())
    assert round(ratios[BATCHES].median, 6) == 0.75
    assert round(ratios[SINGLY].median, 6) == 10


def test_what_could_not_be_measured_says_why() -> None:
    said = verdicts(ledger_report.document(ledger_run()))
    assert list(said.values()) == ["met", "met", "not measured: strace is not installed"]
    assert "Left out: this disk, syncs 4 ms slower" in ledger_report.text(ledger_run())


def test_nobody_waits_for_a_record_of_plain_sqlite() -> None:
    rows = {row.case: row for row in ledger_report.rows(ledger_run())}
    assert rows[Case(BATCHES, DISK, TOGETHER)].cells()[5:7] == ("-", "-")
    assert rows[Case(LEDGER, DISK, TOGETHER)].cells()[5:8] == ("2.00", "2.00", "25.0")


def test_a_missing_record_takes_the_place_of_the_last_sentence() -> None:
    run = ledger_run()
    assert "none is missing" in ledger_report.text(run)
    run.mistakes = ["ledger, this disk: 5 records were confirmed and the ledger holds 4."]
    assert ledger_report.text(run).endswith("holds 4.")
    assert ledger_report.document(run)["mistakes"] == run.mistakes


def test_the_ledger_s_document_is_json() -> None:
    document = ledger_report.document(ledger_run())
    assert json.loads(json.dumps(document)) == document
