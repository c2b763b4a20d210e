"""Any recorded card can be explained: the decision is computed again from the record and the kept files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.commands.replay import Explanation, replay
from cds_wrapper.ledger.store import LedgerReader
from tests import fakes
from tests.fhir import Asked, Says, authorization, fhir_server
from tests.service.harness import ROOT, copy_hooks, request_of, wrapper

CASES = sorted(
    path.stem
    for path in (ROOT / "fixtures" / "requests").glob("*.json")
    if json.loads(path.read_bytes())["hook"] == "patient-view"
)


async def recorded(folder: Path, vendor_url: str, cases: list[str]) -> LedgerReader:
    async with wrapper(folder, copy_hooks(folder, vendor_url)) as running:
        for case in cases:
            await running.call(request_of(case))
    return LedgerReader(folder / "ledger.db")


def explained(reader: LedgerReader, **altered: Any) -> Explanation:
    (row,) = reader.recent(1)
    return replay({**row, **altered}, reader.kept_file)


async def test_every_fixture_that_was_recorded_replays_to_what_was_stored(
    tmp_path: Path, vendor_url: str
) -> None:
    reader = await recorded(tmp_path, vendor_url, CASES)
    rows = reader.recent(100)
    assert len(rows) == len(CASES) > 20
    assert {row["caveat_level"] for row in rows} == {"limited", "not_assessed", "not_validated", "reduced"}
    for row in rows:
        explanation = replay(row, reader.kept_file)
        assert explanation.mismatches == (), row["status"]
        assert any(line.startswith("The level is") for line in explanation.story)


async def test_every_way_a_vendor_can_fail_replays_too(tmp_path: Path) -> None:
    answers = [
        fakes.answers({}, status=500),
        fakes.answers({}, status=403),
        fakes.answers({}),
        fakes.answers({}, status=412),
        fakes.answers({"cards": []}),
        fakes.answers(fakes.card_answer(version="2099.1")),
        fakes.answers(fakes.card_answer(extension={})),
        fakes.answers(fakes.card_answer(score=0.2, indicator="shout")),
    ]

    async def behave(writer: Any) -> None:
        await answers[len(vendor.asked) - 1](writer)

    async with fakes.running(behave) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            for _ in answers:
                await running.call(request_of("white-55"))
    reader = LedgerReader(tmp_path / "ledger.db")
    rows = reader.recent(20)
    assert [row["disposition"] for row in rows].count("shadow") == 1
    assert [replay(row, reader.kept_file).mismatches for row in rows] == [()] * len(answers)


async def test_what_the_ehr_left_out_or_sent_oddly_replays_too(tmp_path: Path) -> None:
    """Calls that are stripped or not passed on, and data that was read, not found or somebody else's."""
    whole, other = request_of("black-35"), request_of("white-55")
    patient = whole["prefetch"].pop("patient")

    def answering(asked: Asked) -> Says:
        return Says(patient) if asked.target.endswith("/Patient/black-35") else Says(status=503)

    async with fhir_server(answering) as server, fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        token = {"fhirServer": server.base, "fhirAuthorization": authorization()}
        elsewhere = {**token, "fhirServer": "https://elsewhere.example/fhir"}
        calls = [
            {**whole, **token},
            {**whole, **elsewhere},
            {**whole, "prefetch": {**whole["prefetch"], "patient": other["prefetch"]["patient"]}},
            {**whole, "prefetch": {}, **token},
            {**other, "prefetch": {}},
            {**other, "context": {"patientId": "white-55"}},
            {**other, "context": {"patientId": "Patient/white-55", "userId": "Practitioner/1"}},
        ]
        hooks = copy_hooks(tmp_path, vendor.url)
        async with wrapper(tmp_path, hooks, development_fhir=server.base) as running:
            for body in calls:
                assert (await running.call(body)).status_code == 200
    reader = LedgerReader(tmp_path / "ledger.db")
    rows = reader.recent(20)
    assert [replay(row, reader.kept_file).mismatches for row in rows] == [()] * len(calls)
    found = [(row["race"], row["status"], row["reason"]) for row in sorted(rows, key=lambda r: r["sequence"])]
    assert found == [
        ("black", "answered", None),
        ("missing:not_fetched", "answered", None),
        ("missing:fetch_failed", "answered", None),
        ("black", "answered", None),
        ("missing:not_fetched", "answered", "request_stripped"),
        ("white", "missing_input", "context_incomplete"),
        ("white", "answered", None),
    ]


async def test_what_a_site_lets_through_or_a_caveat_holds_back_replays_too(tmp_path: Path) -> None:
    delete = {"type": "delete", "description": "Take it off.", "resourceId": "ServiceRequest/1"}
    suggestion = {"label": "Stop it", "actions": [delete]}
    card = fakes.card_answer(suggestions=[suggestion], selectionBehavior="any")
    order = {"resourceType": "ServiceRequest", "id": "1", "subject": {"reference": "Patient/black-35"}}
    answer = {**card, "systemActions": [{"type": "update", "description": "A note.", "resource": order}]}
    agreed = "system_actions: {allow: [update/ServiceRequest]}"
    passing = f"cards: {{suggestions: pass, override_reason_set: non-adherence, {agreed}}}\n"
    async with fakes.running(fakes.answers(answer)) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **{"time_budget:": f"{passing}time_budget:"})
        async with wrapper(tmp_path, hooks) as running:
            for case in ("black-35", "white-55"):
                (shown,) = (await running.call(request_of(case))).json()["cards"]
                assert shown["suggestions"][0]["actions"] == [delete] and shown["overrideReasons"]
    reader = LedgerReader(tmp_path / "ledger.db")
    rows = reader.recent(20)
    assert [replay(row, reader.kept_file).mismatches for row in rows] == [(), ()]
    assert all("systemActions" in str(row["changes_made"]) for row in rows)


def change_race(row: dict[str, Any]) -> dict[str, Any]:
    demographics = json.loads(json.dumps(row["demographics"]))
    demographics["race"] |= {"value": "white", "members": ["white"]}
    return {"demographics": demographics}


ALTERATIONS: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    ("a changed demographic", change_race, "caveat_level"),
    ("a changed group", lambda row: {"race": "white"}, "race"),
    ("a changed score", lambda row: {"score": 0.5}, "flagged"),
    ("a changed level", lambda row: {"caveat_level": "supported"}, "caveat_level"),
    ("changed reasons", lambda row: {"caveat_reasons": []}, "caveat_reasons"),
    ("a changed disposition", lambda row: {"disposition": "show"}, "disposition"),
    ("other words", lambda row: {"words_digest": "0" * 64}, "words_digest"),
    ("another edition's name", lambda row: {"evidence_edition": "2025-01-01.00000000"}, "evidence_edition"),
    ("a version nobody approved", lambda row: {"model_version": "9"}, "disposition"),
]


@pytest.mark.parametrize(("name", "alter", "named"), ALTERATIONS, ids=[row[0] for row in ALTERATIONS])
async def test_an_altered_record_is_told_by_name(
    name: str, alter: Callable[[dict[str, Any]], dict[str, Any]], named: str, tmp_path: Path, vendor_url: str
) -> None:
    reader = await recorded(tmp_path, vendor_url, ["black-35"])
    (row,) = reader.recent(1)
    mismatches = explained(reader, **alter(row)).mismatches
    assert any(line.startswith(f"{named}:") for line in mismatches), mismatches


async def test_another_edition_of_evidence_gives_another_answer(tmp_path: Path, vendor_url: str) -> None:
    reader = await recorded(tmp_path, vendor_url, ["black-35"])
    (row,) = reader.recent(1)
    kept = reader.kept_file(row["file_digests"]["edition"])
    assert kept is not None
    edition = json.loads(kept)
    edition["findings"] = []
    changed = json.dumps(edition).encode()
    digest = f"sha256:{hashlib.sha256(changed).hexdigest()}"
    digests = {**row["file_digests"], "edition": digest}
    mismatches = replay(
        {**row, "file_digests": digests}, lambda name: changed if name == digest else reader.kept_file(name)
    ).mismatches
    assert {line.split(":")[0] for line in mismatches} >= {"evidence_edition", "caveat_level", "words_digest"}


@pytest.mark.parametrize("kind", ["service", "model_card", "subgroups", "plan", "wording", "edition"])
async def test_a_kept_file_that_was_altered_or_lost_is_named(
    kind: str, tmp_path: Path, vendor_url: str
) -> None:
    reader = await recorded(tmp_path, vendor_url, ["white-55"])
    (row,) = reader.recent(1)
    digest = row["file_digests"][kind]
    lost = replay(row, lambda name: None if name == digest else reader.kept_file(name))
    altered = replay(row, lambda name: b"x" if name == digest else reader.kept_file(name))
    assert lost.mismatches[0].startswith(f"{kind}:") and altered.mismatches[0].startswith(f"{kind}:")
