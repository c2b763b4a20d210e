"""The demonstration vendor over HTTP, and as a process of its own."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_wrapper.demo.faults import MEANINGS, Fault
from cds_wrapper.demo.prevent_inputs import TEMPLATES
from cds_wrapper.demo.vendor import create_vendor
from tests.ports import free_port, wait_until_answers

FIXTURES = Path(__file__).parents[2] / "fixtures"
URL = "/cds-services/prevent"
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
INDEX: dict[str, dict[str, str]] = json.loads((FIXTURES / "cases.json").read_bytes())
CASES = sorted(case for case, about in INDEX.items() if about["hook"] == "patient-view")


def request(case: str) -> bytes:
    return (FIXTURES / "requests" / f"{case}.json").read_bytes()


@contextlib.asynccontextmanager
async def vendor(*, allow_faults: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    app = create_vendor(lambda: NOW, allow_faults=allow_faults)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://vendor") as client:
        yield client


async def test_discovery_lists_one_service_and_says_what_it_is_not() -> None:
    async with vendor() as client:
        (service,) = (await client.get("/cds-services")).json()["services"]
    assert (service["id"], service["hook"]) == ("prevent", "patient-view")
    assert service["prefetch"] == dict(TEMPLATES)
    assert "Demonstration" in service["description"]
    assert "Not a medical device" in service["description"]


@pytest.mark.parametrize("case", CASES)
async def test_every_named_case_gets_a_card_or_learns_what_is_missing(case: str) -> None:
    async with vendor() as client:
        answer = await client.post(URL, content=request(case))
    if answer.status_code == 200:
        (card,) = answer.json()["cards"]
        assert 0 < card["extension"]["org.example.prevent"]["probability"] < 1
    else:
        assert answer.status_code == 412
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert case in {"no-hdl", "no-smoking-44", "sex-unknown"}


async def test_a_patient_without_hdl_is_refused_by_its_name() -> None:
    async with vendor() as client:
        answer = await client.post(URL, content=request("no-hdl"))
    (issue,) = answer.json()["issue"]
    assert answer.status_code == 412
    assert issue["code"] == "required"
    assert issue["details"]["coding"] == [{"system": "urn:cds-wrapper:demo-input", "code": "hdl"}]


async def test_an_age_the_model_was_not_made_for_is_scored_all_the_same() -> None:
    async with vendor() as client:
        answers = [await client.post(URL, content=request(case)) for case in ("age-81", "age-26")]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_race_is_no_input() -> None:
    async with vendor() as client:
        answers = [await client.post(URL, content=request(case)) for case in ("black-35", "white-35")]
    first, second = (answer.json()["cards"][0] for answer in answers)
    assert first["extension"] == second["extension"]
    assert first["uuid"] != second["uuid"]


async def test_without_prefetch_everything_is_asked_for() -> None:
    async with vendor() as client:
        body = {"hook": "patient-view", "hookInstance": "i", "context": {"patientId": "1"}}
        answer = await client.post(URL, json=body)
    assert answer.status_code == 412
    assert len(answer.json()["issue"]) == 10


BAD: list[tuple[bytes, str]] = [
    (b"", "invalid"),
    (b"{", "invalid"),
    (b"[]", "invalid"),
    (b'{"hook": "order-sign", "context": {"patientId": "1"}}', "invalid"),
    (b'{"hook": "patient-view"}', "required"),
    (b'{"hook": "patient-view", "context": {"patientId": 7}}', "required"),
    (b"[" * 100_000, "invalid"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
async def test_a_malformed_call_is_a_400_with_an_operation_outcome(body: bytes, code: str) -> None:
    async with vendor() as client:
        answer = await client.post(URL, content=body)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == code


async def test_other_doors_are_closed() -> None:
    async with vendor() as client:
        assert (await client.post("/cds-services/other", content=request("black-35"))).status_code == 404
        assert (await client.get(URL)).status_code == 405
        assert (await client.post(URL, content=b" " * (10 * 1024 * 1024 + 1))).status_code == 413
        assert (await client.post("/demo/fault", json={"mode": "html"})).status_code == 404


# --- the doors of the two models that answer with a bare score

NEWS2 = {"inputs": [{"name": "pulse", "datatype": "FP64", "shape": [1, 1], "data": [131]}]}
STAY = {
    "dataframe_split": {
        "columns": ["inpatient_stays", "emergency_visits", "days", "diagnoses", "elsewhere"],
        "data": [[1, 0, 4, 8, 0]],
    }
}


async def test_news2_is_served_as_the_open_inference_protocol_has_it() -> None:
    async with vendor() as client:
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert set((await client.get("/v2")).json()) == {"name", "version", "extensions"}
        model = (await client.get("/v2/models/news2")).json()
        assert (model["name"], model["versions"]) == ("news2", ["2017"])
        assert (await client.get("/v2/models/news2/ready")).json() == {"name": "news2", "ready": True}
        for path in ("/v2/models/news2/infer", "/v2/models/news2/versions/2017/infer"):
            answer = await client.post(path, json=NEWS2)
            assert answer.json()["outputs"][0]["data"] == [3]


async def test_another_model_or_version_is_not_there() -> None:
    async with vendor() as client:
        for path in ("/v2/models/news", "/v2/models/news2/versions/2012"):
            assert (await client.get(path)).status_code == 404
            assert (await client.post(f"{path}/infer", json=NEWS2)).status_code == 404


async def test_the_readmission_model_is_served_as_mlflow_serves_one() -> None:
    async with vendor() as client:
        assert (await client.get("/ping")).status_code == 200
        answer = await client.post("/invocations", json=STAY)
    assert answer.status_code == 200
    ((_, probability),) = answer.json()["predictions"]
    assert set(answer.json()) == {"predictions"}
    assert 0.05 < probability < 0.2


async def test_a_body_that_is_far_too_long_is_read_by_no_model() -> None:
    async with vendor() as client:
        for path in ("/v2/models/news2/infer", "/invocations"):
            assert (await client.post(path, content=b" " * (10 * 1024 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize(("path", "asked"), [("/v2/models/news2/infer", NEWS2), ("/invocations", STAY)])
async def test_every_fault_can_be_rehearsed_at_both_doors(path: str, asked: dict[str, Any]) -> None:
    seen = {}
    async with vendor(allow_faults=True) as client:
        for mode in ("html", "truncated", "error", "no_content", "out_of_range", "ok"):
            await fault(client, mode)
            answer = await client.post(path, json=asked)
            seen[mode] = (answer.status_code, is_json(answer.content))
            if mode == "out_of_range":
                out_of_range = answer.json()
    assert "7.5" in str(out_of_range) or out_of_range["outputs"][0]["data"] == [75]
    assert seen == {
        "html": (200, False),
        "truncated": (200, False),
        "error": (500, True),
        "no_content": (204, False),
        "out_of_range": (200, True),
        "ok": (200, True),
    }


# --- faults


async def fault(client: httpx.AsyncClient, mode: str, seconds: float = 0) -> None:
    assert (await client.post("/demo/fault", json={"mode": mode, "seconds": seconds})).status_code == 200


def is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


async def test_each_fault_does_what_it_says_and_ok_ends_it() -> None:
    seen: dict[str, tuple[int, bool, int]] = {}
    async with vendor(allow_faults=True) as client:
        for mode in ("html", "truncated", "error", "huge", "no_content", "no_cards", "ok"):
            await fault(client, mode)
            answer = await client.post(URL, content=request("black-35"))
            seen[mode] = (answer.status_code, is_json(answer.content), len(answer.content))
    assert {mode: result[:2] for mode, result in seen.items()} == {
        "html": (200, False),
        "truncated": (200, False),
        "error": (500, True),
        "huge": (200, True),
        "no_content": (204, False),
        "no_cards": (200, True),
        "ok": (200, True),
    }
    assert seen["huge"][2] >= 20 * 1024 * 1024


async def test_a_probability_out_of_range_can_be_rehearsed() -> None:
    async with vendor(allow_faults=True) as client:
        await fault(client, "out_of_range")
        body: dict[str, Any] = (await client.post(URL, content=request("black-35"))).json()
        refusal = await client.post(URL, content=request("no-hdl"))
    assert body["cards"][0]["extension"]["org.example.prevent"]["probability"] == 7.5
    assert refusal.status_code == 412


async def test_a_slow_vendor_answers_properly_but_not_at_once() -> None:
    async with vendor(allow_faults=True) as client:
        await fault(client, "slow", 30)
        call = asyncio.create_task(client.post(URL, content=request("black-35")))
        done, _ = await asyncio.wait({call}, timeout=0.2)
        assert not done
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call


@pytest.mark.parametrize(
    "body", [b"", b'{"mode": "explode"}', b'{"mode": "ok", "extra": 1}', b'{"seconds": 1}']
)
async def test_an_unknown_fault_is_refused_with_the_list_of_those_there_are(body: bytes) -> None:
    async with vendor(allow_faults=True) as client:
        answer = await client.post("/demo/fault", content=body)
    assert answer.status_code == 400
    assert set(answer.json()["modes"]) == {one.value for one in Fault}


def test_every_fault_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Fault)


# --- the process


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    command = [sys.executable, "-m", "cds_wrapper.demo.vendor", "--port", str(port), "--allow-faults"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield child, f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_with_0_and_has_logged_nothing(
    process: tuple[subprocess.Popen[str], str], how: signal.Signals
) -> None:
    child, url = process
    wait_until_answers(f"{url}/cds-services", child)
    assert httpx.post(f"{url}{URL}", content=request("black-35")).status_code == 200
    child.send_signal(how)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert output == ""


def test_the_connection_breaks_off_in_the_middle(process: tuple[subprocess.Popen[str], str]) -> None:
    child, url = process
    wait_until_answers(f"{url}/cds-services", child)
    assert httpx.post(f"{url}/demo/fault", json={"mode": "disconnect"}).status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{url}{URL}", content=request("black-35"))
