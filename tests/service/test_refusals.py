"""A call that is refused before a service and a context are known: logged and counted, not recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service.harness import copy_hooks, request_of, wrapper

VENDOR = "http://127.0.0.1:9/cds-services/prevent"
JSON = {"content-type": "application/json"}
CANARY = "Quetzalcoatl"


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "reason"),
    [
        ("POST", "/cds-services/cvd-risk", b"{", JSON, 400, "malformed"),
        ("POST", "/cds-services/cvd-risk", b'{"hook": "%s"}' % CANARY.encode(), JSON, 400, "malformed"),
        ("POST", "/cds-services/cvd-risk", b'{"hook": "x",}', JSON, 400, "malformed"),
        ("POST", "/cds-services/cvd-risk", b"\xff", JSON, 400, "malformed"),
        ("POST", "/cds-services/cvd-risk", b"x", {"content-type": "text/plain"}, 415, "not_json"),
        ("POST", "/cds-services/cvd-risk", b" " * 20_000, JSON, 413, "too_large"),
        ("GET", "/cds-services/cvd-risk", b"", JSON, 405, "method_not_allowed"),
        ("GET", f"/nowhere/{CANARY}", b"", JSON, 404, "unknown_service"),
        ("POST", "/cds-services", b"{}", JSON, 405, "method_not_allowed"),
    ],
)
async def test_a_refusal_is_an_outcome_that_repeats_nothing(
    method: str, path: str, content: bytes, headers: dict[str, str], status: int, reason: str, tmp_path: Path
) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR), max_body_bytes=10_000) as running:
        answer = await running.http.request(method, path, content=content, headers=headers)
        ready = (await running.http.get("/readyz")).json()
        assert running.rows() == []
        (event,) = [event for event in running.events() if event["event"] == "request_refused"]
    assert answer.status_code == status
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"][0]["diagnostics"]
    assert CANARY not in answer.text and CANARY not in str(event)
    assert (event["http_status"], event["reason"]) == (status, reason)
    assert ready["refused"] == {reason: 1}


async def test_a_service_nobody_has_is_a_404(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        answer = await running.call(request_of("white-55"), service="sepsis")
    assert answer.status_code == 404 and answer.json()["issue"][0]["code"] == "not-found"


async def test_another_hook_than_the_services_is_refused_without_asking_the_vendor(tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        answer = await running.call({**request_of("white-55"), "hook": "order-sign"})
        assert running.rows() == []
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_is_good_while_the_vendor_is_down(path: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, VENDOR)) as running:
        assert (await running.http.get(path)).status_code == 200


async def test_a_hospital_without_services_has_an_empty_discovery(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    async with wrapper(tmp_path, tmp_path / "none") as running:
        answer: Any = (await running.http.get("/cds-services")).json()
    assert answer == {"services": []}
