"""Planted names, identifiers, dates and addresses go through success and every failure, and stay inside.

Searched are the operator log, what the libraries log, every answer's error body, the commands' output and the
evidence page. The ledger is searched too: it holds health data, under pseudonyms, and none of these texts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.ledger.pseudonyms import Pseudonyms
from tests import fakes
from tests.service.harness import ROOT, SILENCE, copy_hooks, request_of, wrapper

CANARIES = {
    "id": "qpatient77",
    "family": "Quetzalfamily",
    "given": "Quetzalgiven",
    "mrn": "MRN-5550199",
    "ssn": "999-41-5550",
    "birth": "1990-07-19",
    "line": "17 Quetzal Court",
    "zip": "90077",
    "phone": "555-0177-231",
    "user": "Practitioner/quser88",
    "encounter": "qencounter66",
    "tribe": "Quetzaltribe",
    "text": "Quetzalcomment",
}


def planted() -> dict[str, Any]:
    text = json.dumps(request_of("white-55")).replace("white-55", CANARIES["id"])
    body: dict[str, Any] = json.loads(text)
    body["context"] |= {"userId": CANARIES["user"], "encounterId": CANARIES["encounter"]}
    body["prefetch"]["patient"] |= {
        "name": [{"family": CANARIES["family"], "given": [CANARIES["given"]]}],
        "identifier": [
            {"system": "urn:oid:1.2.3.4", "value": CANARIES["mrn"]},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": CANARIES["ssn"]},
        ],
        "birthDate": CANARIES["birth"],
        "address": [{"use": "home", "line": [CANARIES["line"]], "postalCode": CANARIES["zip"]}],
        "telecom": [{"system": "phone", "value": CANARIES["phone"]}],
    }
    tribe = {"coding": [{"code": CANARIES["tribe"]}]}
    body["prefetch"]["patient"]["extension"].append(
        {
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-tribal-affiliation",
            "extension": [{"url": "tribalAffiliation", "valueCodeableConcept": tribe}],
        }
    )
    return body


def broken(**changes: Any) -> dict[str, Any]:
    body = planted()
    body.update(changes)
    return {name: value for name, value in body.items() if value is not None}


def found_in(text: str) -> list[str]:
    return [name for name, canary in CANARIES.items() if canary.removeprefix("Practitioner/") in text]


def leaking_card() -> dict[str, Any]:
    """A vendor that writes patient data wherever it can: into a version, an unknown member, an error."""
    members = {CANARIES["family"]: 1, "summary": "Risk 8 %"}
    return fakes.card_answer(score=0.08, version=CANARIES["mrn"], **members)


MISSING = {"issue": [{"details": {"coding": [{"code": CANARIES["family"]}]}}]}
BEHAVIOURS: list[tuple[str, fakes.Behaviour]] = [
    ("answers", fakes.answers(fakes.card_answer())),
    ("leaks into its version and members", fakes.answers(leaking_card())),
    ("fails with a body full of data", fakes.answers(planted(), status=500)),
    ("refuses with a body full of data", fakes.answers(planted(), status=400)),
    ("names a patient as missing input", fakes.answers(MISSING, status=412)),
    ("sends a web page", fakes.answers(body=CANARIES["family"].encode(), kind="text/html")),
    ("is late", fakes.says_nothing_for(60)),
    ("breaks off", fakes.stops_in_the_middle()),
]


@pytest.mark.parametrize(("name", "behaviour"), BEHAVIOURS, ids=[row[0] for row in BEHAVIOURS])
async def test_no_planted_text_reaches_a_log_a_ledger_or_a_page(
    name: str,
    behaviour: fakes.Behaviour,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    async with fakes.running(behaviour) as vendor:
        hooks = copy_hooks(tmp_path, vendor.url, **(SILENCE if name == "is late" else {}))
        async with wrapper(tmp_path, hooks) as running:
            answer = await running.call(planted())
            link = answer.json()["cards"][0]["links"][-1]["url"]
            page = await running.http.get(link.removeprefix("http://127.0.0.1:8080"))
            health = (await running.http.get("/readyz")).text
            rows = json.dumps([running.rows(), running.rows("prediction_subgroups_v1")])
    assert page.status_code == 200 and found_in(page.text + link) == []
    assert found_in(running.log.getvalue() + caplog.text + health) == []
    out, err = capfd.readouterr()
    assert found_in(out + err) == []
    leaked = found_in(rows)
    # The version is the vendor's own word on its model and is recorded as such; it is in no log.
    assert leaked == (["mrn"] if "version" in name else [])


REFUSED: list[tuple[str, Any]] = [
    ("no context", broken(context=None)),
    ("patientId of another type", broken(context={"patientId": {"x": CANARIES["family"]}})),
    ("hook of another type", broken(hook=[CANARIES["family"]])),
    ("another hook", broken(hook=CANARIES["family"])),
    ("prefetch of another type", broken(prefetch=CANARIES["family"])),
    ("cut off", json.dumps(planted()).encode()[:-3]),
    ("bad bytes", json.dumps(planted()).encode() + b"\xff"),
]


@pytest.mark.parametrize(("name", "body"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_no_refusal_repeats_what_it_refuses(name: str, body: Any, tmp_path: Path) -> None:
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/x")) as running:
        answer = await running.call(body)
        unknown = await running.http.post(f"/cds-services/{CANARIES['family']}", json={})
        feedback = {"feedback": [{"card": CANARIES["text"], "outcome": "x", "userComment": CANARIES["text"]}]}
        refused = await running.http.post("/cds-services/cvd-risk/feedback", json=feedback)
    assert answer.status_code == 400 and refused.status_code == 400 and unknown.status_code in {400, 404}
    assert found_in(answer.text + unknown.text + refused.text + running.log.getvalue()) == []


async def test_an_error_of_our_own_says_class_and_place_and_nothing_of_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Pseudonyms, system: str, value: str) -> str:
        raise ValueError(f"{system} {value}")

    async with fakes.running(fakes.answers(fakes.card_answer())) as vendor:
        async with wrapper(tmp_path, copy_hooks(tmp_path, vendor.url)) as running:
            monkeypatch.setattr(Pseudonyms, "encounter", fails)
            answer = await running.call(planted())
            monkeypatch.undo()
            events = [event for event in running.events() if event["event"] == "invocation_failed"]
    assert answer.status_code == 200
    assert events[0]["error"] == "ValueError"
    assert any("invocation.py" in frame for frame in events[0]["frames"])
    assert found_in(running.log.getvalue() + answer.text) == []


async def test_feedback_keeps_no_comment(tmp_path: Path) -> None:
    entry = {"outcome": "overridden", "outcomeTimestamp": "2026-06-30T12:00:00Z", "card": "c1"}
    reason = {"overrideReason": {"userComment": CANARIES["text"]}}
    async with wrapper(tmp_path, copy_hooks(tmp_path, "http://127.0.0.1:9/x")) as running:
        feedback = {"feedback": [entry | reason]}
        answer = await running.http.post("/cds-services/cvd-risk/feedback", json=feedback)
        (row,) = running.rows("feedback_v1")
    assert answer.status_code == 200 and row["user_comment_present"] == 1
    assert found_in(json.dumps(row)) == []
    files = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.db*"))
    assert found_in(files.decode("latin-1")) == []


async def test_the_commands_print_nothing_of_the_patient(tmp_path: Path, vendor_url: str) -> None:
    hooks = copy_hooks(tmp_path, vendor_url)
    async with wrapper(tmp_path, hooks) as running:
        await running.call(planted())
        (row,) = running.rows()
    request = tmp_path / "request.json"
    request.write_text(json.dumps(planted()))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(broken(context={"patientId": [CANARIES["family"]]})))
    outputs = []
    for arguments in (
        ["explain", row["prediction_id"]],
        ["explain", CANARIES["id"]],
        ["try", str(request), "--service", "cvd-risk"],
        ["try", str(request), "--service", "cvd-risk", "--json"],
        ["try", str(wrong), "--service", "cvd-risk"],
        ["check"],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "cds_wrapper.cli", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "CDS_WRAPPER_HOOKS": str(hooks),
                "CDS_WRAPPER_LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        outputs.append((arguments[0], ran.returncode, ran.stdout + ran.stderr))
    assert [(name, code) for name, code, _ in outputs] == [
        ("explain", 0),
        ("explain", 3),
        ("try", 0),
        ("try", 0),
        ("try", 2),
        ("check", 0),
    ]
    assert found_in("".join(text for _, _, text in outputs)) == []
