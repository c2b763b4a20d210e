"""The discovery document, and that everything it lists is there (CDS Hooks 2.0.1, "Discovery")."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.services import load_problems
from tests import fakes
from tests.contract import wire
from tests.contract.hook_calls import call, listening
from tests.ehr import EHR, NORTH, bearer, write_clients
from tests.service.harness import NOON, copy_hooks, request_of, wrapper

NOWHERE = "http://127.0.0.1:9/cds-services/prevent"


def second_service(hooks: Path, service_id: str) -> None:
    """Another service beside the shipped one, under its own id."""
    folder = hooks / service_id
    shutil.copytree(hooks / "cvd-risk", folder)
    service = folder / "service.yaml"
    service.write_text(service.read_text().replace("id: cvd-risk\n", f"id: {service_id}\n", 1))


async def listed(folder: Path, hooks: Path) -> list[dict[str, Any]]:
    async with wrapper(folder, hooks) as running:
        answer = await running.http.get("/cds-services")
    assert answer.status_code == 200
    services: list[dict[str, Any]] = answer.json()["services"]
    return services


async def test_a_service_says_what_it_is_what_it_asks_for_and_what_it_does_without(tmp_path: Path) -> None:
    (service,) = await listed(tmp_path, copy_hooks(tmp_path, NOWHERE))
    assert set(service) == {"hook", "title", "description", "id", "prefetch", "usageRequirements"}
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert "Without the Patient resource" in service["usageRequirements"]


async def test_a_service_that_asks_for_nothing_more_is_listed_without_empty_members(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE)
    service = hooks / "cvd-risk" / "service.yaml"
    head, rest = service.read_text().split("usage_requirements:", 1)
    service.write_text(head + rest[rest.index("contact:") :])
    (entry,) = await listed(tmp_path, hooks)
    assert "usageRequirements" not in entry and wire.misfits("discovery", {"services": [entry]}) == []


async def test_what_the_ballot_adds_is_listed_only_for_ehrs_that_read_it(tmp_path: Path) -> None:
    query = "Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}"
    hooks = copy_hooks(tmp_path, NOWHERE)
    service = hooks / "cvd-risk" / "service.yaml"
    text = service.read_text().replace("\nprefetch:\n", f'\nprefetch:\n  recent: "{query}"\n', 1)
    service.write_text(text)
    (refused,) = load_problems(hooks)
    assert "today() - 90 days" in refused.problem and refused.key == "prefetch.recent"
    service.write_text(f"{text}\ncds_hooks_3: true\n")
    (entry,) = await listed(tmp_path, hooks)
    assert (entry["version"], entry["hookVersion"]) == ("3.0.0-ballot", "1.0")
    assert entry["prefetch"]["recent"] == query


async def test_every_pair_of_id_and_hook_is_listed_once_and_answers_at_its_address(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE)
    second_service(hooks, "cvd-risk-clinic")
    async with wrapper(tmp_path, hooks) as running:
        services = (await running.http.get("/cds-services")).json()["services"]
        answers = [
            await running.call(
                {"hook": service["hook"], "hookInstance": "i", "context": {"patientId": "p1"}}, service["id"]
            )
            for service in services
        ]
        rows = running.rows()
    assert {(service["id"], service["hook"]) for service in services} == {
        ("cvd-risk", "patient-view"),
        ("cvd-risk-clinic", "patient-view"),
    }
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [row["service_id"] for row in rows] == [service["id"] for service in services]


async def test_one_id_on_several_hooks_is_listed_for_each_and_answers_by_the_calls_hook(
    tmp_path: Path,
) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **listening(("patient-view", "encounter-start")))
        async with wrapper(tmp_path, hooks) as running:
            services = (await running.http.get("/cds-services")).json()["services"]
            answers = [await running.call(call(hook)) for hook in ("encounter-start", "patient-view")]
            neither = await running.call(call("encounter-discharge"))
            cards = [answer.json()["cards"][0]["uuid"] for answer in answers]
            given = {"card": cards[0], "outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:30Z"}
            await running.http.post("/cds-services/cvd-risk/feedback", json={"feedback": [given]})
            rows, feedback = running.rows(), running.rows("feedback_v1")
    assert [(one["id"], one["hook"]) for one in services] == [
        ("cvd-risk", "patient-view"),
        ("cvd-risk", "encounter-start"),
    ]
    assert services[0] == {**services[1], "hook": "patient-view"}
    assert [row["hook"] for row in rows] == [asked["hook"] for asked in vendor.asked]
    assert [row["hook"] for row in rows] == ["encounter-start", "patient-view"]
    assert feedback[0]["prediction_id"] == rows[0]["prediction_id"]
    assert neither.status_code == 400 and "hook" in neither.json()["issue"][0]["diagnostics"]
    reader = LedgerReader(tmp_path / "ledger.db")
    assert [replay(row, reader.kept_file).mismatches for row in reader.recent(2)] == [(), ()]


async def test_an_edition_of_evidence_and_its_page_hold_for_every_hook_of_an_id(tmp_path: Path) -> None:
    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **listening(("patient-view", "encounter-start")))
        async with wrapper(tmp_path, hooks) as running:
            runtime = running.app.state.doors.runtime
            book = runtime.services.catalog.services[0].book
            later = type(book).of(dataclasses.replace(book.contents, as_of=date(2026, 7, 31)))
            await runtime.services.publish(later, runtime.ledger, timedelta(seconds=5))
            answers = [await running.call(call(hook)) for hook in ("patient-view", "encounter-start")]
            links = [answer.json()["cards"][0]["links"][-1]["url"] for answer in answers]
            pages = [await running.http.get(url.removeprefix("http://127.0.0.1:8080")) for url in links]
            rows = running.rows()
    assert {row["evidence_edition"] for row in rows} == {later.edition} and later.edition != book.edition
    assert [page.status_code for page in pages] == [200, 200]


def test_one_id_cannot_be_listed_twice(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE)
    shutil.copytree(hooks / "cvd-risk", hooks / "copy")
    assert any("cvd-risk" in mistake.problem for mistake in load_problems(hooks))


@pytest.mark.parametrize("member", ["id", "hook", "title", "description"])
def test_a_service_that_leaves_out_what_discovery_needs_is_refused(member: str, tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE)
    service = hooks / "cvd-risk" / "service.yaml"
    text = service.read_text()
    assert load_problems(hooks) == ()
    for instead in (f'{member}: " "\nformer:', "former:"):
        service.write_text(re.sub(f"^{member}:", instead, text, flags=re.MULTILINE))
        assert any(mistake.key == member for mistake in load_problems(hooks))


async def test_a_service_that_is_not_the_callers_looks_like_one_that_does_not_exist(tmp_path: Path) -> None:
    hooks = copy_hooks(tmp_path, NOWHERE)
    second_service(hooks, "cvd-risk-clinic")
    write_clients(hooks, f"{NORTH}\nservices: [cvd-risk]")
    ehr, body = EHR(NOON), json.dumps(request_of("white-55"))
    async with wrapper(tmp_path, hooks, public_url="https://cds.example.org") as running:
        answers = []
        for service in ("cvd-risk-clinic", "sepsis", "cvd-risk"):
            path = f"/cds-services/{service}"
            headers = bearer(ehr.token(f"https://cds.example.org{path}", tenant="main"))
            answers.append(await running.http.post(path, content=body, headers=headers))
    not_mine, nobodys, mine = answers
    assert (not_mine.status_code, not_mine.content) == (nobodys.status_code, nobodys.content)
    assert (not_mine.status_code, mine.status_code) == (403, 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_discovery_is_read_and_nothing_else(method: str, tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, NOWHERE)) as running:
        answer = await running.http.request(method, "/cds-services")
    assert answer.status_code == 405
