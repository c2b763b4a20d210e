"""`outcomes import`, as an analyst runs it."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.pseudonyms import every_pseudonyms_from, new_keys_file, pseudonyms_from
from tests.fhir import Asked, Says, fhir_server, searchset
from tests.service.harness import ROOT
from tests.unit.commands.loop import prediction, record

SECRET = "6W-the-name-nobody-should-read"
MRN = "urn:oid:1.2.3.4"
COVERS = ("--covers", "2026-01-01/2026-02-01")


def keys_in(folder: Path) -> Path:
    keys = folder / "keys.json"
    if not keys.exists():
        keys.write_bytes(new_keys_file("test"))
        keys.chmod(0o600)
    return keys


def run(folder: Path, *arguments: str, **settings: str) -> Result:
    keys = keys_in(folder)
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


def predict(folder: Path, *numbers: str, service: str = "readmission") -> None:
    """Record a prediction of each of these patients, under the key in force."""
    made = every_pseudonyms_from(keys_in(folder).read_bytes(), "test")[0]
    ledger = folder / "ledger.db"
    if not ledger.exists():
        prepare(ledger)
    draw = random.Random(1)
    of = {"service_id": service, "patient_fhir_key": None, "encounter_key": None}
    entries = [
        prediction(
            at,
            draw,
            prediction_id=f"{service}-{made.number}-{number}",
            patient_key=made.patient(MRN, number),
            **of,
        )
        for at, number in enumerate(numbers)
    ]
    record(ledger, entries)


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


def stays(folder: Path, numbers: range, *more: str) -> str:
    path = folder / f"stays-{numbers.start}-{numbers.stop}.csv"
    rows = [f"{number},2026-01-09\n" for number in numbers]
    path.write_text("".join(["mrn,admitted\n", *rows, *more]), encoding="utf-8")
    return str(path)


def test_it_is_said_how_many_rows_are_of_patients_with_a_prediction(tmp_path: Path) -> None:
    predict(tmp_path, "3", "4", "5")
    file = stays(tmp_path, range(30), "3,2026-01-11\n", "4,soon\n")

    told = json.loads(run(tmp_path, file, "--dry-run", "--json").stdout)[file]
    done, again = run(tmp_path, file), run(tmp_path, file, "--json")

    assert (told["accepted"], told["of_predicted_patients"]) == (31, 4)
    assert "  4 of 31 accepted rows are of patients with a recorded prediction." in done.stdout.splitlines()
    assert "Warning" not in done.stderr + again.stderr
    assert json.loads(again.stdout)[file]["of_predicted_patients"] is None, "they were not looked at"


def test_a_file_of_which_nobody_is_known_is_warned_of_with_what_to_look_at(tmp_path: Path) -> None:
    predict(tmp_path, "3", service="cvd-risk")
    none = run(tmp_path, stays(tmp_path, range(30)), "--json")
    predict(tmp_path, "3")
    nobody, few = run(tmp_path, stays(tmp_path, range(40, 70))), run(tmp_path, stays(tmp_path, range(40, 50)))

    assert none.exit_code == nobody.exit_code == few.exit_code == 0
    assert "there is no prediction of it in the ledger" in none.stderr and json.loads(none.stdout)
    assert "identifiers.patient" in nobody.stderr and "CDS_WRAPPER_PSEUDONYM_KEYS" in nobody.stderr
    assert "Warning" not in few.stderr, "of so few nobody need be known"


def test_a_ledger_that_cannot_be_read_keeps_no_outcome_out(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database, and long enough to be looked at" * 40)

    done = run(tmp_path, stays(tmp_path, range(30)), "--json")

    assert done.exit_code == 0 and "ledger.db cannot be read (SQLITE_NOTADB)" in done.stderr
    assert len(asked(tmp_path, "SELECT * FROM outcomes_v1")) == 30
