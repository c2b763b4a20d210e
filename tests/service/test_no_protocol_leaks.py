"""Planted texts go through every protocol for bare scores and each of its failures, and stay inside.

Beside what `test_nothing_leaks` plants: an identifier that a vendor is asked by, an input's value, a key.
Searched are the operator log, what libraries log, answers, health, metrics, traces, what is printed, the
application as it prints itself, and the ledger.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cds_wrapper.traces.otel import OTelTracer
from tests import fakes
from tests.service.harness import NOON, Wrapper, wrapper
from tests.service.test_nothing_leaks import CANARIES, planted
from tests.unit.services.files import with_vendor

SECRET = "Quetzalkey~1"
SYSTOLIC = 187.625
TOLD = [*CANARIES.values(), SECRET, str(SYSTOLIC), "qpatient77", "quser88"]

FEATURES = """
features:
  systolic:
    label: systolic blood pressure
    prefetch: blood_pressure
    codes: ["http://loinc.org|8480-6"]
    unit: "mm[Hg]"
    if_missing: required
"""
LOOK_UP = """\
  protocol: rest
  url: "{url}/p/{{patient}}/score?visit={{encounter}}"
  authentication: {{kind: api_key, secret: {secret}}}
  rest:
    method: GET
    headers: {{x-mrn: "{{patient}}"}}
    look_up: {{patient: "urn:oid:1.2.3.4", encounter: fhir-id, time: at, oldest: PT6H, echo: mrn}}
  circuit: {{failures: 1000}}
  score: {{path: risk, kind: probability, range: [0, 1]}}
  model: {{id: prevent-base, version: "2023.1", version_path: v}}
"""
REST = """\
  protocol: rest
  url: "{url}/score"
  authentication: {{kind: bearer, token: {secret}}}
  rest: {{body: {{sbp: "{{systolic}}"}}}}
  circuit: {{failures: 1000}}
  score: {{path: risk, kind: probability, range: [0, 1]}}
  model: {{id: prevent-base, version: "2023.1", version_path: v}}
"""
MLFLOW = """\
  protocol: mlflow
  url: "{url}"
  authentication: {{kind: api_key, secret: {secret}, header: ocp-key}}
  mlflow: {{inputs: [systolic]}}
  circuit: {{failures: 1000}}
  score: {{kind: probability, range: [0, 1]}}
  model: {{id: prevent-base, version: "2023.1"}}
"""
INFERENCE = """\
  protocol: open-inference
  url: "{url}"
  authentication: {{kind: api_key, secret: {secret}}}
  inference:
    model: risk
    inputs: [{{name: systolic}}]
    output: p
  circuit: {{failures: 1000}}
  score: {{kind: probability, range: [0, 1]}}
  model: {{id: prevent-base, version: "2023.1"}}
"""
PROTOCOLS = {"look-up": LOOK_UP, "rest": REST, "mlflow": MLFLOW, "open-inference": INFERENCE}


def spoken(risk: Any = 0.081, version: str = "2023.1", mrn: str = CANARIES["mrn"]) -> dict[str, Any]:
    """One answer in every protocol at once, with what none of them knows beside it."""
    tensor = {"name": "p", "datatype": "FP64", "shape": [1, 1], "data": [risk]}
    return {
        "risk": risk,
        "at": NOON.isoformat(),
        "mrn": mrn,
        "v": version,
        "predictions": [risk],
        "model_version": version,
        "outputs": [tensor],
        CANARIES["family"]: CANARIES["given"],
    }


def redirects() -> fakes.Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        where = f"location: http://127.0.0.1:9/{CANARIES['mrn']}?name={CANARIES['family']}"
        writer.write(f"HTTP/1.1 302 {CANARIES['family']}\r\n{where}\r\ncontent-length: 0\r\n\r\n".encode())

    return behave


def garbles() -> fakes.Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {CANARIES['mrn']} X\r\n{CANARIES['family']}: {SECRET}\r\n\r\n".encode())
        writer.close()

    return behave


ECHO = {"error": [planted(), SYSTOLIC, SECRET]}
BEHAVIOURS: dict[str, fakes.Behaviour] = {
    "answers": fakes.answers(spoken()),
    "names a patient as its version": fakes.answers(spoken(version=CANARIES["mrn"])),
    "gives a name for a score": fakes.answers(spoken(risk=CANARIES["family"])),
    "gives an input for a score": fakes.answers(spoken(risk=SYSTOLIC)),
    "answers of another patient": fakes.answers(spoken(mrn=CANARIES["ssn"])),
    "fails with what it was sent": fakes.answers(ECHO, status=500),
    "refuses with what it was sent": fakes.answers(ECHO, status=400),
    "refuses us": fakes.answers(ECHO, status=401),
    "knows nothing": fakes.answers(ECHO, status=404),
    "sends a web page": fakes.answers(body=CANARIES["family"].encode(), kind="text/html"),
    "leads elsewhere": redirects(),
    "garbles its head": garbles(),
    "is late": fakes.says_nothing_for(2),
    "breaks off": fakes.stops_in_the_middle(),
    "closes at once": fakes.closes_at_once(),
}


def call() -> dict[str, Any]:
    """The planted call with one more blood pressure, the newest."""
    body = planted()
    pressure = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "subject": {"reference": f"Patient/{CANARIES['id']}"},
        "effectiveDateTime": NOON.isoformat(),
        "valueQuantity": {
            "value": SYSTOLIC,
            "unit": "mm[Hg]",
            "system": "http://unitsofmeasure.org",
            "code": "mm[Hg]",
        },
    }
    body["prefetch"]["blood_pressure"]["entry"].append({"resource": pressure})
    return body


def hooks_for(folder: Path, vendor: str, url: str) -> Path:
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    hooks = with_vendor(folder, vendor.format(url=url, secret=secret))
    file = hooks / "cvd-risk" / "service.yaml"
    before, _, shipped = file.read_text().partition("\nfeatures:\n")
    file.write_text(f"{before}\n{shipped[shipped.index('# Cut points') :]}{FEATURES}")
    return hooks


async def everything_told(running: Wrapper, exporter: InMemorySpanExporter) -> str:
    """All that anybody hears of the calls beside their answers."""
    runtime = running.app.state.doors.runtime
    runtime.afterwards.do_all()
    await asyncio.sleep(0)
    door = httpx.ASGITransport(app=running.app.state.metrics)
    async with httpx.AsyncClient(transport=door, base_url="http://metrics.example") as scraper:
        metrics = (await scraper.get("/metrics")).text
    runtime.tracer.close()
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "cds_wrapper_requests_total" in metrics and "hook call" in spans
    health = (await running.http.get("/readyz")).text
    return running.log.getvalue() + metrics + spans + health + repr(runtime) + repr(vars(running.app.state))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_planted_text_leaves_by_any_protocol_or_failure(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    exporter = InMemorySpanExporter()
    async with fakes.running(fakes.closes_at_once(), strict=False) as vendor:
        hooks = hooks_for(tmp_path, PROTOCOLS[protocol], f"http://127.0.0.1:{vendor.port}")
        async with wrapper(tmp_path, hooks) as running:
            doors = running.app.state.doors
            doors.runtime = replace(doors.runtime, tracer=OTelTracer(exporter))
            for name, vendor.behaviour in BEHAVIOURS.items():
                answer = await running.call(call())
                assert found_in(answer.text) == [], name
            told = await everything_told(running, exporter)
            rows = dict(zip(BEHAVIOURS, running.rows(), strict=True))
    under_way = found_in("".join(vendor.heads) + b"".join(vendor.bodies).decode())
    assert SECRET in under_way and {CANARIES["mrn"], str(SYSTOLIC)} & set(under_way)
    assert len(vendor.heads) == len(BEHAVIOURS), "each of them was asked"
    assert found_in(told + caplog.text + "".join(capfd.readouterr())) == []
    for name, row in rows.items():
        # A version is the vendor's own word on its model: it is recorded, and told nowhere.
        may_stand = [CANARIES["mrn"]] if "version" in name else []
        assert [one for one in found_in(json.dumps(row)) if one not in may_stand] == [], name
    answered = {name for name, row in rows.items() if row["status"] == "answered"}
    # Nobody but a look-up hears whose score it is.
    of_another = set() if protocol == "look-up" else {"answers of another patient"}
    assert answered == {"answers", "names a patient as its version", *of_another}


def found_in(text: str) -> list[str]:
    return [needle for needle in TOLD if needle in text]
