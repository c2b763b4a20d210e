"""`outcomes import` after the site has changed its pseudonym keys."""

from __future__ import annotations

import json
from pathlib import Path

from cds_wrapper.ledger.pseudonyms import every_pseudonyms_from, new_keys_file
from tests.unit.commands.test_outcomes_command import (
    COVERS,
    MRN,
    PATIENT,
    asked,
    export,
    predict,
    run,
    stay,
    stays,
)


def change_keys(folder: Path) -> None:
    """Add fresh keys of a higher number; those that were in force stay for linking."""
    path = folder / "keys.json"
    before = json.loads(path.read_bytes())["keys"]
    fresh = json.loads(new_keys_file("later", 2))["keys"]
    path.write_text(json.dumps({"keys": [*before, *fresh]}), encoding="utf-8")


def test_an_outcome_finds_predictions_made_before_and_after_the_keys_were_changed(tmp_path: Path) -> None:
    files = export(tmp_path, Patient=[PATIENT], Encounter=[stay("1"), stay("2", period={})])
    run(tmp_path, *files, *COVERS)
    change_keys(tmp_path)

    done = run(tmp_path, *files, *COVERS, "--json")

    newer, older = every_pseudonyms_from((tmp_path / "keys.json").read_bytes(), "test")
    linked = asked(tmp_path, "SELECT patient_key, patient_fhir_key IS NULL FROM outcomes_v1 ORDER BY 1")
    assert linked == [(older.patient(MRN, "7"), 0), (newer.patient(MRN, "7"), 0)]
    told = json.loads(done.stdout)[files[1]]
    assert (told["read"], told["written"], told["rejected"]) == (2, 1, {"no_time": 1})
    listed = (tmp_path / "outcomes-rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(listed) == 2, "refused once in each of two runs, whatever the number of keys"


def test_a_correction_replaces_what_was_imported_before_the_keys_were_changed(tmp_path: Path) -> None:
    run(tmp_path, *export(tmp_path, Patient=[PATIENT], Encounter=[stay("1")]), *COVERS)
    change_keys(tmp_path)

    run(tmp_path, *export(tmp_path, Patient=[PATIENT], Encounter=[stay("1", status="entered-in-error")]))

    current = asked(tmp_path, "SELECT report, patient_key FROM outcomes_v1 WHERE is_current")
    assert [report for report, _ in current] == ["withdrawn"]


def test_days_are_covered_when_the_rows_of_every_key_are_written(tmp_path: Path) -> None:
    run(tmp_path)
    change_keys(tmp_path)
    first, last = tmp_path / "first.csv", tmp_path / "last.csv"
    first.write_text("mrn,admitted\n7,2026-01-09\n", encoding="utf-8")
    last.write_text('mrn,admitted\n8,"2026-01-10\n', encoding="utf-8")

    done = run(tmp_path, str(first), str(last), *COVERS)

    assert done.exit_code == 2
    assert asked(tmp_path, "SELECT * FROM follow_up_v1") == []


def test_a_row_of_a_patient_predicted_under_two_keys_is_counted_once(tmp_path: Path) -> None:
    predict(tmp_path, "3", "4", "5")
    change_keys(tmp_path)
    predict(tmp_path, "5", "6")
    file = stays(tmp_path, range(30))

    told = json.loads(run(tmp_path, file, "--json").stdout)[file]

    assert (told["accepted"], told["of_predicted_patients"]) == (30, 4), told
