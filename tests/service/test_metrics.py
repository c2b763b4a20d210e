"""`/metrics` of the whole application: totals that agree with the record, nothing that names a patient."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_values import NewReview
from cds_wrapper.ledger.editions import record_review
from cds_wrapper.metrics.table import METRICS
from tests import fakes
from tests.ports import free_port
from tests.service.harness import ROOT, Wrapper, copy_hooks, request_of, wrapper
from tests.service.servers import server
from tests.unit.test_review_watch import FINDING

NO_CLIENT = {"client": "development"}
PREDICTION = {"service": "cvd-risk", "model_version": "2023.1"}


async def scraped(running: Wrapper, accept: str = "text/plain") -> httpx.Response:
    """One scrape, as Prometheus makes it."""
    running.app.state.doors.runtime.afterwards.do_all()
    transport = httpx.ASGITransport(app=running.app.state.metrics)
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics.example") as client:
        return await client.get("/metrics", headers={"accept": accept})


async def totals(running: Wrapper) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    text = (await scraped(running)).text
    return {
        (sample.name.removeprefix("cds_wrapper_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def sum_of(found: Mapping[tuple[str, frozenset[tuple[str, str]]], float], name: str) -> float:
    return sum(value for (one, _), value in found.items() if one == name)


async def test_calls_records_and_metrics_agree(tmp_path: Path, vendor_url: str) -> None:
    cases = ["black-35", "white-35", "no-hdl", "age-81", "black-35"]
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        for case in cases:
            await running.call(request_of(case))
        found = await totals(running)
        rows = running.rows()
    assert len(rows) == len(cases) == sum_of(found, "predictions_total") == sum_of(found, "records_total")
    called = of("requests_total", service="cvd-risk", hook="patient-view", code="200", **NO_CLIENT)
    assert found[called] == len(cases)
    assert found[of("predictions_total", status="answered", **PREDICTION)] == 4
    assert found[of("predictions_total", status="missing_input", **PREDICTION)] == 1
    assert found[of("vendor_requests_total", service="cvd-risk", outcome="missing_input")] == 1
    assert found[of("request_duration_seconds_count", service="cvd-risk")] == len(cases)
    assert found[of("vendor_duration_seconds_count", service="cvd-risk")] == len(cases)
    assert found[of("caveats_total", service="cvd-risk", level="reduced", in_summary="true")] == sum(
        row["caveat_level"] == "reduced" and row["caveat_in_summary"] for row in rows
    )
    assert sum_of(found, "cards_total") == sum(len(json.loads(row["cards_returned"])) for row in rows)
    assert found[of("ledger_append_duration_seconds_count")] == len(cases)
    assert found[of("ledger_available")] == found[of("spool_available")] == 1
    for lost in ("records_lost_total", "unrecorded_answers_total", "abandoned_total", "spool_records"):
        assert sum_of(found, lost) == 0


async def test_a_refused_call_is_counted_without_what_it_says(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        await running.call(b"{")
        await running.call(request_of("black-35"), service="nobody-s")
        await running.call({**request_of("black-35"), "hook": "order-sign"})
        found = await totals(running)
        text = (await scraped(running)).text
    counted = {"client": "other", "code": "400"}
    assert found[of("requests_total", service="cvd-risk", hook="patient-view", **counted)] == 2
    assert found[of("requests_total", service="other", hook="other", client="other", code="404")] == 1
    assert "nobody-s" not in text and "order-sign" not in text


async def test_other_addresses_are_no_hook_calls(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        await running.http.get("/cds-services")
        await running.http.get("/nowhere")
        await running.http.post("/cds-services/cvd-risk/feedback", content=b"{")
        found = await totals(running)
    assert sum_of(found, "requests_total") == 0


async def test_what_an_ehr_does_wrong_is_counted_for_it(tmp_path: Path, vendor_url: str) -> None:
    stripped, mixed = request_of("black-35"), request_of("black-35")
    stripped["prefetch"] = {}
    mixed["prefetch"]["patient"]["id"] = "another"
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        before = await totals(running)
        await running.call(stripped)
        await running.call(mixed)
        after = await totals(running)
    for name in ("stripped_requests_total", "patient_mismatch_total"):
        assert (before[of(name, **NO_CLIENT)], after[of(name, **NO_CLIENT)]) == (0, 1)


async def test_a_version_that_nobody_approved_is_counted_and_not_named(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer(version="9.9-beta"))) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            await running.call(request_of("black-35"))
            found = await totals(running)
            text = (await scraped(running)).text
    named = {"service": "cvd-risk", "model_version": "other", "status": "answered"}
    assert found[of("predictions_total", **named)] == 1
    assert "9.9-beta" not in text


async def test_a_vendor_that_is_left_alone_is_seen(tmp_path: Path) -> None:
    state = of("vendor_circuit_state", service="cvd-risk")
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/cds-services/prevent")) as running:
        before = await totals(running)
        async with asyncio.timeout(60):
            while (await totals(running))[state] != 2:
                await running.call(request_of("black-35"))
                await asyncio.sleep(0.05)
        await running.call(request_of("black-35"))
        after = await totals(running)
        rows = running.rows()
    assert (before[state], after[of("vendor_in_flight", service="cvd-risk")]) == (0, 0)
    asked = after[of("vendor_requests_total", service="cvd-risk", outcome="unreachable")]
    left_alone = after[of("predictions_total", status="circuit_open", **PREDICTION)]
    assert asked > 0 and left_alone > 0 and asked + left_alone == len(rows)


async def test_feedback_is_counted_by_what_became_of_it(tmp_path: Path, vendor_url: str) -> None:
    entry = {"outcome": "accepted", "outcomeTimestamp": "2026-06-30T12:00:30Z"}
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        (card,) = (await running.call(request_of("white-55"))).json()["cards"]
        body = {"feedback": [{**entry, "card": card["uuid"]}, {"card": 5}, {**entry, "card": "nobody's"}]}
        for _ in range(2):
            await running.http.post("/cds-services/cvd-risk/feedback", json=body)
        found = await totals(running)
    for outcome, entries in {"stored": 2, "repeated": 2, "rejected": 2}.items():
        assert found[of("feedback_total", service="cvd-risk", outcome=outcome)] == entries
    assert found[of("feedback_unmatched_total", service="cvd-risk")] == 1


async def test_what_is_in_force_is_told_so_that_replicas_can_be_compared(
    tmp_path: Path, vendor_url: str
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        one = await totals(running)
    again, changed = tmp_path / "again", tmp_path / "changed"
    again.mkdir()
    changed.mkdir()
    async with wrapper(again, copy_hooks(again, vendor_url)) as running:
        same = await totals(running)
    async with wrapper(changed, copy_hooks(changed, vendor_url + "/")) as running:
        other = await totals(running)

    def digests(found: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> set[Any]:
        return {labels for name, labels in found if name == "configuration_in_force"}

    assert len(digests(one)) == 1 and digests(one) == digests(same) != digests(other)
    assert sum_of(one, "build") == 1 and sum_of(one, "evidence_published_timestamp_seconds") > 1.5e9


async def test_what_a_review_left_in_the_ledger_is_told(tmp_path: Path, vendor_url: str) -> None:
    prepare(tmp_path / "ledger.db")
    finding = replace(FINDING, subject=replace(FINDING.subject, service_id="cvd-risk"))
    review = NewReview("r1", finding.subject, FINDING.since, b"{}")
    record_review(tmp_path / "ledger.db", review, [finding])
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        async with asyncio.timeout(30):
            while of("findings_open", service="cvd-risk") not in (found := await totals(running)):
                await asyncio.sleep(0.02)
    assert found[of("findings_open", service="cvd-risk")] == 1
    reviewed = found[of("review_success_timestamp_seconds", service="cvd-risk")]
    due = {"service": "cvd-risk", "work": "review", "owner": "not named"}
    assert found[of("monitoring_due_timestamp_seconds", **due)] == reviewed + 2 * 86400
    assert sum_of(found, "outcomes_imported_timestamp_seconds") == 0


async def test_nothing_of_a_patient_stands_in_a_scrape(tmp_path: Path, vendor_url: str) -> None:
    request = request_of("black-35")
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        await running.call(request)
        (row,) = running.rows()
        text = (await scraped(running)).text.lower()
    patient = request["prefetch"]["patient"]
    secrets = [request["context"]["patientId"], request["context"]["userId"], request["hookInstance"]]
    secrets += [patient["name"][0]["family"], *(one["value"] for one in patient["identifier"])]
    secrets += [row[key] for key in ("prediction_id", "patient_fhir_key", "race", "age_band", "sex")]
    assert [secret for secret in secrets if secret.lower() in text] == []


async def test_open_metrics_is_spoken_to_whoever_asks_for_it(tmp_path: Path, vendor_url: str) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, vendor_url)) as running:
        await running.call(request_of("black-35"))
        answer = await scraped(running, "application/openmetrics-text;version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    types = {
        f"# TYPE {metric.full_name.removesuffix('_total')} {metric.kind.value}\n"
        for metric in METRICS.values()
    }
    assert [line for line in types if line not in answer.text] == []


def test_the_server_opens_a_door_of_its_own_for_metrics_and_closes_it(
    tmp_path: Path, vendor_url: str
) -> None:
    port = free_port()
    hooks = copy_hooks(tmp_path, vendor_url)
    with server(tmp_path, hooks, CDS_WRAPPER_METRICS=str(port)) as running:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert httpx.get(f"{running.url}/metrics").status_code == 404
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 404
        assert running.stop() == 0
    assert "cds_wrapper_ledger_available 1.0" in text and "process_open_fds" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_stops_the_start_and_is_named(tmp_path: Path, vendor_url: str) -> None:
    port = free_port()
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with server(first, copy_hooks(first, vendor_url), CDS_WRAPPER_METRICS=str(port)):
        with pytest.raises(AssertionError, match="ended with 1"):
            with server(second, copy_hooks(second, vendor_url), CDS_WRAPPER_METRICS=str(port)):
                pass
    told = (second / "operator.log").read_text()
    assert "CDS_WRAPPER_METRICS" in told and str(port) in told and str(ROOT) not in told
