"""`outcomes import`, as an analyst runs it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build
from cds_wrapper.ledger.pseudonyms import new_keys_file, pseudonyms_from
from tests.fhir import Asked, Says, fhir_server, searchset
from tests.service.harness import ROOT

SECRET = "6W-the-name-nobody-should-read"
MRN = "urn:oid:1.2.3.4"
COVERS = ("--covers", "2026-01-01/2026-02-01")


def run(folder: Path, *arguments: str, **settings: str) -> Result:
    keys = folder / "keys.json"
    if not keys.exists():
        keys.write_bytes(new_keys_file("test"))
        keys.chmod(0o600)
    environment = {
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "CDS_WRAPPER_PSEUDONYM_KEYS": str(keys),
        "CDS_WRAPPER_HOOKS": str(ROOT / "hooks"),
        **settings,
    }
    command = ("outcomes", "import", "--service", "readmission", *arguments)
    return CliRunner().invoke(build(["outcomes", "check"]), command, env=environment)


def asked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "ledger-outcomes.db") as connection:
        return connection.execute(query).fetchall()


def export(folder: Path, **files: list[dict[str, Any]]) -> list[str]:
    for name, resources in files.items():
        text = "".join(json.dumps(one) + "\n" for one in resources)
        (folder / f"{name}.ndjson").write_text(text, encoding="utf-8")
    return [str(folder / f"{name}.ndjson") for name in files]


PATIENT = {"resourceType": "Patient", "id": "p", "identifier": [{"system": MRN, "value": "7"}]}


def stay(name: str, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"resourceType": "Encounter", "id": name, "class": {"code": "IMP"}}
    said |= {"subject": {"reference": "Patient/p"}, "period": {"start": "2026-01-09T10:00:00Z"}}
    return said | more


def test_an_export_is_linked_by_its_patients_wherever_they_stand(tmp_path: Path) -> None:
    files = export(tmp_path, Encounter=[stay("1"), stay("2", period={})], Patient=[PATIENT])

    done = run(tmp_path, *files, *COVERS)

    assert done.exit_code == 4, done.output
    made = pseudonyms_from((tmp_path / "keys.json").read_bytes(), "test")
    assert asked(tmp_path, "SELECT report, patient_key FROM outcomes_v1") == [
        ("event", made.patient(MRN, "7"))
    ]
    assert asked(tmp_path, "SELECT covers_from, covers_to, site FROM follow_up_v1") == [
        ("2026-01-01", "2026-02-01", None)
    ]
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["outcomes_imported"] * 2


def test_refused_rows_are_listed_by_line_for_the_owner_alone(tmp_path: Path) -> None:
    listed = tmp_path / "outcomes-rejected.jsonl"
    listed.touch(mode=0o644)
    file = tmp_path / "stays.csv"
    file.write_text(f"mrn,admitted\n7,2026-01-09\n{SECRET},soon\n", encoding="utf-8")

    done = run(tmp_path, str(file))

    assert done.exit_code == 4
    told = json.loads(listed.read_text(encoding="utf-8"))
    assert (told["line"], told["reason"]) == (3, "bad_time")
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    assert SECRET not in listed.read_text(encoding="utf-8") + done.output
    assert SECRET.encode() not in (tmp_path / "ledger-outcomes.db").read_bytes()


def test_nothing_is_imported_when_one_file_cannot_be_unpacked(tmp_path: Path) -> None:
    files = export(tmp_path, Patient=[PATIENT], Encounter=[stay("1")])
    (tmp_path / "torn.ndjson.gz").write_bytes(b"no gzip at all")

    done = run(tmp_path, *files, str(tmp_path / "torn.ndjson.gz"), *COVERS)

    assert done.exit_code == 2 and "torn.ndjson.gz is no whole gzip" in done.stderr
    assert not (tmp_path / "ledger-outcomes.db").exists()


def test_a_file_that_breaks_off_covers_nothing_and_keeps_what_it_said(tmp_path: Path) -> None:
    first, last = tmp_path / "first.csv", tmp_path / "last.csv"
    first.write_text("mrn,admitted\n7,2026-01-09\n", encoding="utf-8")
    last.write_text('mrn,admitted\n8,"2026-01-10\n', encoding="utf-8")

    done = run(tmp_path, str(first), str(last), *COVERS)

    assert done.exit_code == 2 and "quote left open" in done.stderr
    assert len(asked(tmp_path, "SELECT * FROM outcomes_v1")) == 1
    assert asked(tmp_path, "SELECT * FROM follow_up_v1") == []


def test_a_dry_run_counts_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "stays.csv"
    file.write_text("mrn,admitted\n7,2026-01-09\n8,soon\n", encoding="utf-8")

    tried = run(tmp_path, str(file), *COVERS, "--dry-run", "--json")

    assert (
        json.loads(tried.stdout)[str(file)] | {"read": 2, "written": 1} == json.loads(tried.stdout)[str(file)]
    )
    assert (
        asked(tmp_path, "SELECT 1 FROM outcomes UNION SELECT 1 FROM follow_up UNION SELECT 1 FROM imports")
        == []
    )
    assert not (tmp_path / "outcomes-rejected.jsonl").exists()
    assert run(tmp_path, str(file), *COVERS).exit_code == 4


async def test_a_fhir_server_is_searched_for_what_changed(tmp_path: Path) -> None:
    died = {**PATIENT, "deceasedDateTime": "2026-02-03"}

    def answering(request: Asked) -> Says:
        if request.target.startswith("/fhir/Patient"):
            return Says(searchset(died))
        if "page=2" in request.target:
            return Says(searchset(stay("2")))
        return Says(searchset(stay("1"), died, following="/fhir/Encounter?page=2"))

    async with fhir_server(answering) as server:
        arguments = ("--fhir", server.base, "--since", "2026-01-01", *COVERS)
        settings = {"CDS_WRAPPER_DEVELOPMENT_FHIR": server.base}
        done = await asyncio.to_thread(lambda: run(tmp_path, *arguments, **settings))
        again = await asyncio.to_thread(lambda: run(tmp_path, *arguments, "--json", **settings))

    assert done.exit_code == 0, done.output
    made = pseudonyms_from((tmp_path / "keys.json").read_bytes(), "test").patient(MRN, "7")
    assert asked(tmp_path, "SELECT report, reason, patient_key FROM outcomes_v1 ORDER BY report") == [
        ("censored", "competing_event", made), ("event", None, made), ("event", None, made),
    ]  # fmt: skip
    assert json.loads(again.stdout)[server.base]["written"] == 0
    assert len(asked(tmp_path, "SELECT * FROM follow_up_v1")) == 1


async def test_a_search_that_breaks_off_covers_nothing(tmp_path: Path) -> None:
    def answering(request: Asked) -> Says:
        if "page=2" in request.target:
            return Says({}, status=503, headers={"Retry-After": "86400"})
        return Says(searchset(stay("1"), following="/fhir/Encounter?page=2"))

    async with fhir_server(answering) as server:
        arguments = ("--fhir", server.base, "--since", "2026-01-01", *COVERS)
        done = await asyncio.to_thread(
            lambda: run(tmp_path, *arguments, CDS_WRAPPER_DEVELOPMENT_FHIR=server.base)
        )

    assert done.exit_code == 2 and "503" in done.stderr
    assert asked(tmp_path, "SELECT * FROM follow_up_v1") == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--fhir", "https://elsewhere.example/fhir", "--since", "2026-01-01"), 2, "clients.yaml"),
        (("--fhir", "https://elsewhere.example/fhir"), 2, "--since"),
        ((), 2, "Name the files"),
        (("stays.txt",), 2, "--format"),
        (("nowhere.csv",), 2, "nowhere.csv"),
        (("nowhere.csv", "--outcome", "sepsis"), 3, "sepsis"),
        (("nowhere.csv", "--covers", "2026-02-01/2026-01-01"), 2, "ends before it begins"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(tmp_path, *arguments)

    assert done.exit_code == code and words in done.stderr


def test_ids_of_several_ehrs_are_told_apart_by_the_client_they_come_from(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    shutil.copytree(ROOT / "hooks" / "readmission", hooks / "readmission")
    entries = [
        {"name": name, "issuer": f"https://{name}.example", "namespace": f"https://{name}.example/fhir",
         "environment": "test", "algorithms": ["ES384"], "audiences": ["https://w.example"],
         "keys": {"url": f"https://{name}.example/keys"}}
        for name in ("north", "south")
    ]  # fmt: skip
    (hooks / "clients.yaml").write_text(json.dumps({"clients": entries}), encoding="utf-8")
    files = export(tmp_path, Patient=[PATIENT], Encounter=[stay("1")])
    settings = {"CDS_WRAPPER_HOOKS": str(hooks)}

    unsaid = run(tmp_path, *files, **settings)
    north = run(tmp_path, *files, "--client", "north", **settings)

    assert unsaid.exit_code == 2 and "north, south" in unsaid.stderr, unsaid.output
    assert north.exit_code == 0, north.output
    made = pseudonyms_from((tmp_path / "keys.json").read_bytes(), "test")
    assert asked(tmp_path, "SELECT patient_fhir_key FROM outcomes_v1") == [
        (made.patient("https://north.example/fhir", "p"),)
    ]
    assert run(tmp_path, *files, "--client", "west", **settings).exit_code == 3
