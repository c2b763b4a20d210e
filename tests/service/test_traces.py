"""Traces of the whole application: what an exporter is given names no patient, and off means off."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cds_wrapper.traces.otel import OTelTracer
from tests import fakes
from tests.service.harness import copy_hooks, request_of, wrapper


async def test_a_call_is_one_trace_of_its_parts_and_nothing_in_it_names_the_patient(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    tracer = OTelTracer(exporter)
    request = request_of("black-35")
    async with fakes.running(fakes.answers(fakes.card_answer(version="9.9-beta"))) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            doors = running.app.state.doors
            doors.runtime = replace(doors.runtime, tracer=tracer)
            await running.call(request)
            doors.runtime.afterwards.do_all()
            (row,) = running.rows()
    tracer.close()
    spans = exporter.get_finished_spans()
    whole = next(span for span in spans if span.name == "hook call")
    parts = [span for span in spans if span is not whole]
    assert {"vendor", "decide", "ledger"} <= {span.name for span in parts}
    assert {span.parent.span_id for span in parts if span.parent} == {whole.context.span_id}
    assert all(
        (whole.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0) <= (whole.end_time or 0)
        for span in parts
    )
    assert whole.attributes and whole.attributes["service_id"] == "cvd-risk"
    assert whole.attributes["model_version"] == "other"
    told = "".join(span.to_json() for span in spans).lower()
    patient = request["prefetch"]["patient"]
    secrets = [request["context"]["patientId"], request["context"]["userId"], request["hookInstance"]]
    secrets += [patient["name"][0]["family"], *(one["value"] for one in patient["identifier"])]
    secrets += [
        row[key] for key in ("prediction_id", "patient_fhir_key", "race", "caveat_level", "disposition")
    ]
    secrets += ["9.9-beta", "http://", vendor.url, str(row["score"])]
    assert [secret for secret in secrets if secret.lower() in told] == []


def test_without_the_setting_nothing_of_the_library_is_loaded() -> None:
    program = "import sys, cds_wrapper.app; print([name for name in sys.modules if 'telemetry.sdk' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_collector_that_is_not_there_costs_traces_and_no_answer(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks, otel_endpoint="http://127.0.0.1:9/v1/traces") as running:
            answer = await running.call(request_of("black-35"))
            rows = running.rows()
    assert answer.status_code == 200 and len(rows) == 1
