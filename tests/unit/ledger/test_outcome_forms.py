"""What files of outcomes say when they are corrected, torn, late, or of two hospitals."""

from __future__ import annotations

import gzip
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger import outcome_fhir
from cds_wrapper.ledger.outcome_fhir import fhir_rows, is_event, learn_patients, resource_row, searches
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_parquet import parquet_rows
from cds_wrapper.ledger.outcome_reading import moment_of
from cds_wrapper.ledger.outcome_tables import csv_rows
from cds_wrapper.ledger.outcomes import Refused, Report, Reported, Row, Subject, import_rows
from cds_wrapper.ledger.pseudonyms import new_keys_file, pseudonyms_from
from cds_wrapper.services.outcomes import Codes, Outcome, OutcomeKind, ResourceRule, TableRule
from tests.unit.ledger.moments import JANUARY, NOW

PSEUDONYMS = pseudonyms_from(new_keys_file("test"), "test")
STAY = ResourceRule("Encounter", {"class": Codes.written("IMP")}, {}, ("period.start",))
READMISSION = Outcome("readmission", "another stay", "P30D", events=(STAY,))
CASES = TableRule(encounter="visit", label="y", at="at")


def keys(namespace: str = "https://ehr.example") -> Keys:
    return Keys(PSEUDONYMS, namespace, ("urn:mrn",), ("urn:visit",), "readmission", "readmission")


def rows_of(folder: Path, text: str | bytes, rule: TableRule, name: str = "table.csv") -> list[Row]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [row for _, row in csv_rows(folder / name, rule, keys(), NOW)]


def subject(digest: str) -> Subject:
    return Subject("readmission", "readmission", digest, "csv")


def current(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(
            "SELECT report, happened_at, patient_key FROM outcomes_v1 WHERE is_current ORDER BY sequence"
        ).fetchall()


def stay(name: str = "e1", **more: object) -> dict[str, Any]:
    said: dict[str, Any] = {"resourceType": "Encounter", "id": name, "class": {"code": "IMP"}}
    said |= {"subject": {"reference": "Patient/p"}, "period": {"start": "2026-03-01T10:00:00Z"}}
    return said | more


def row_of(resource: dict[str, Any], outcome: Outcome = READMISSION, by: Keys | None = None) -> Reported:
    found = resource_row(resource, outcome, by or keys(), NOW)
    assert isinstance(found, Reported)
    return found


# --- tables


def test_a_no_that_becomes_a_yes_is_one_case_corrected(tmp_path: Path) -> None:
    for day, text in enumerate(("visit,y,at\nv1,0,\n", "visit,y,at\nv1,1,2026-03-01\n")):
        rows = list(enumerate(rows_of(tmp_path, text, CASES), start=1))
        import_rows(tmp_path / "o.db", subject(str(day)), rows)

    assert [report for report, _, _ in current(tmp_path / "o.db")] == ["event"]


def test_events_of_one_patient_at_two_times_are_two(tmp_path: Path) -> None:
    first, second = rows_of(
        tmp_path, "mrn,at\n7,2026-03-01\n7,2026-03-02\n", TableRule(patient="mrn", at="at")
    )

    assert isinstance(first, Reported) and isinstance(second, Reported)
    assert first.outcome_id != second.outcome_id


def test_a_row_of_too_few_or_too_many_cells_is_refused(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "visit,y,at\nv1,1\nv2,1,,more\n", CASES) == [Refused.BAD_ROW] * 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.csv.gz", gzip.compress(b"visit,y,at\n" + b"v1,0,\n" * 9, mtime=0)[:-9], "no whole gzip"),
        ("none.csv.gz", b"visit,y,at\n", "no whole gzip"),
        ("open.csv", b'visit,y,at\nv1,"0,\nv2,1,\n', "quote left open"),
        ("latin.csv", b"visit,y,at\nv\xe9,0,\n", "not UTF-8"),
        ("bare.csv", b"visit,y\nv1,0\n", "no column `at`"),
        ("empty.csv", b"", "no column `visit`"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_no_success(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(UnreadableFile, match=words) as caught:
        rows_of(tmp_path, content, CASES, name)
    assert "v1" not in str(caught.value) and "v\\xe9" not in str(caught.value)


def test_a_case_is_censored_for_a_reason_that_there_is(tmp_path: Path) -> None:
    text = "visit,s,why\nv1,censored,\nv2,censored,competing_event\nv3,censored,tired\nv4,unverified,\n"

    found = rows_of(tmp_path, text, TableRule(encounter="visit", state="s", reason="why"))

    assert [one.reason if isinstance(one, Reported) else one for one in found] == [
        "left", "competing_event", Refused.BAD_STATE, "not_tested",
    ]  # fmt: skip


def test_parquet_says_what_the_same_rows_in_csv_say(tmp_path: Path) -> None:
    rule = TableRule(patient="mrn", at="at", value="n", id="row")
    at = [datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC), None]
    columns = {"mrn": [7.0, 8.0, None], "at": at, "n": [2.5, 0.0, 1.0], "row": [1, 2, 3], "name": list("abc")}
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")

    found = [row for _, row in parquet_rows(tmp_path / "table.parquet", rule, keys(), NOW)]

    text = "mrn,at,n,row\n7,2026-03-01T10:00:00+00:00,2.5,1\n8,2026-03-02,0,2\n,,1,3\n"
    assert found == rows_of(tmp_path, text, rule)
    assert found[2] is Refused.NO_PATIENT


def test_what_is_no_parquet_is_said(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"visit,y,at\n")

    with pytest.raises(UnreadableFile, match="no whole Parquet"):
        list(parquet_rows(tmp_path / "table.parquet", CASES, keys(), NOW))


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+05:00", "2026-02-30", "2026-03", "yesterday", "x" * 10]
)
def test_a_moment_nobody_can_place_is_refused(text: str) -> None:
    assert moment_of(text) is Refused.BAD_TIME


# --- FHIR


def test_ids_of_two_hospitals_are_two_outcomes_of_two_patients() -> None:
    here, there = row_of(stay()), row_of(stay(), by=keys("https://other.example"))

    assert here.outcome_id != there.outcome_id
    assert here.patient_fhir_key != there.patient_fhir_key


@pytest.mark.parametrize(
    "subject_of",
    [
        {"reference": "Patient/p"},
        {"reference": "https://ehr.example/fhir/Patient/p"},
        {"reference": "Patient/p/_history/3"},
    ],
)
def test_a_patient_is_found_however_it_is_referred_to(subject_of: dict[str, Any]) -> None:
    assert row_of(stay(subject=subject_of)).patient_fhir_key == PSEUDONYMS.patient("https://ehr.example", "p")


def test_an_identifier_in_the_reference_is_enough() -> None:
    found = row_of(stay(subject={"identifier": {"system": "urn:mrn", "value": "7"}}))

    assert (found.patient_key, found.patient_fhir_key) == (PSEUDONYMS.patient("urn:mrn", "7"), None)


def test_an_older_export_does_not_replace_what_a_newer_one_said(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    for changed, start in (("2026-05-02", "2026-03-04"), ("2026-05-01", "2026-03-01")):
        row = row_of(stay(meta={"lastUpdated": f"{changed}T08:00:00Z"}, period={"start": start}))
        import_rows(path, subject(changed), [(1, row)])

    assert [at[:10] for _, at, _ in current(path)] == ["2026-03-04"]


def test_an_export_without_its_patients_does_not_undo_a_link(tmp_path: Path) -> None:
    path, known = tmp_path / "o.db", keys()
    known.learn({"id": "p", "identifier": [{"system": "urn:mrn", "value": "7"}]})
    import_rows(path, subject("first"), [(1, row_of(stay(), by=known))])
    again = import_rows(path, subject("same"), [(1, row_of(stay()))])
    import_rows(path, subject("moved"), [(1, row_of(stay(period={"start": "2026-03-09"})))])

    assert (again.written, again.same) == (0, 1)
    assert [key for _, _, key in current(path)] == [PSEUDONYMS.patient("urn:mrn", "7")]


def test_the_same_file_is_read_again_when_the_declaration_changed(tmp_path: Path) -> None:
    path, row = tmp_path / "o.db", row_of(stay())
    import_rows(path, replace(subject("file"), read_by="one"), [(1, row)])

    assert import_rows(path, replace(subject("file"), read_by="one"), [(1, row)]).was_done
    assert not import_rows(path, replace(subject("file"), read_by="another"), [(1, row)]).was_done


def test_a_test_that_found_nothing_is_a_report_of_its_own() -> None:
    positive = ResourceRule(
        "Observation", {"interpretation": Codes.written("POS")}, {}, ("effectiveDateTime",)
    )
    culture = ResourceRule("Observation", {"code": Codes.written("600-7")}, {}, ("effectiveDateTime",))
    sepsis = Outcome("sepsis", "sepsis", "P2D", events=(positive,), tested_by=(culture,))
    said: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o",
        "code": {"coding": [{"code": "600-7"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-03-01",
    }

    found = {"coding": [{"code": "POS"}]}
    assert row_of(said, sepsis).report is Report.NO_EVENT
    assert row_of({**said, "interpretation": [found]}, sepsis).report is Report.EVENT
    assert row_of({**said, "status": "entered-in-error"}, sepsis).report is Report.WITHDRAWN
    assert row_of({**said, "code": {"coding": [{"code": "x"}]}}, sepsis).report is Report.WITHDRAWN


def test_what_is_added_up_has_a_number_or_is_refused() -> None:
    cost = ResourceRule("Procedure", {}, {}, ("performedDateTime",), value="cost")
    spent = Outcome("cost", "what was spent", "P1Y", OutcomeKind.COST, events=(cost,))
    said: dict[str, Any] = {
        "resourceType": "Procedure",
        "id": "x",
        "subject": {"reference": "Patient/p"},
        "performedDateTime": "2026-03-01",
    }

    assert row_of({**said, "cost": {"value": 12.5}}, spent).value == 12.5
    assert resource_row(said, spent, keys(), NOW) is Refused.BAD_VALUE
    assert resource_row({**said, "cost": -1}, spent, keys(), NOW) is Refused.BAD_VALUE


def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_fhir, "LONGEST_LINE", 1000)
    lines = [json.dumps(stay(text="x" * 5000)), json.dumps(stay("e2")), "", json.dumps([1])]
    (tmp_path / "e.ndjson").write_text("\n".join(lines), encoding="utf-8")

    found = [
        (line, one.report if isinstance(one, Reported) else one)
        for line, one in fhir_rows(tmp_path / "e.ndjson", READMISSION, keys(), NOW)
    ]

    assert found == [(1, Refused.TOO_LONG), (2, Report.EVENT), (4, Refused.NOT_JSON)]


def test_searches_ask_for_codes_and_bring_the_patients() -> None:
    sepsis = "http://snomed.info/sct|91302008"
    code = ResourceRule("Condition", {"code": Codes.written(sepsis)}, {}, ("onsetDateTime",))
    both = Outcome("sepsis", "sepsis", "P2D", events=(code, STAY), death_competes=True)

    assert searches(both, date(2026, 3, 1)) == (
        f"Condition?_lastUpdated=ge2026-03-01&code={sepsis}&_include=Condition:patient&_count=500",
        "Encounter?_lastUpdated=ge2026-03-01&_include=Encounter:patient&_count=500",
        "Patient?_lastUpdated=ge2026-03-01&_count=500",
    )


def test_a_beginning_of_a_code_counts_its_finest_and_is_not_searched_for() -> None:
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    codes = Codes.written(f"{icd}|I21*", "22298006")
    rule = ResourceRule("Condition", {"code": codes}, {}, ("onsetDateTime",))

    def counts(system: str, code: str) -> bool:
        return is_event({"code": {"coding": [{"system": system, "code": code}]}}, rule)

    assert counts(icd, "I21.01") and counts(icd, "I21") and counts("http://snomed.info/sct", "22298006")
    assert not counts(icd, "I20.0") and not counts("http://elsewhere.example", "I21.01")
    (conditions, _) = searches(Outcome("mi", "mi", "P1Y", events=(rule,)), date(2026, 3, 1))
    assert conditions == "Condition?_lastUpdated=ge2026-03-01&_include=Condition:patient&_count=500"


# --- a trial


def test_a_trial_counts_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    path, row = tmp_path / "o.db", row_of(stay())
    import_rows(path, subject("before"), [(1, row)])
    later = replace(row, happened_at=datetime(2026, 3, 9, tzinfo=UTC))
    rows: list[tuple[int, Row]] = [(1, row), (2, later), (3, later), (4, row_of(stay("e2")))]

    tried = import_rows(path, subject("new"), rows, [JANUARY], is_trial=True)
    assert len(current(path)) == 1
    done = import_rows(path, subject("new"), rows, [JANUARY])

    assert (
        (tried.written, tried.same, tried.was_done)
        == (done.written, done.same, done.was_done)
        == (2, 2, False)
    )


# --- patients that were made for trying


def test_the_synthetic_export_links_every_stay_by_both_keys() -> None:
    folder = Path(__file__).parents[4] / "shared" / "data" / "synthea" / "clinical"
    if not folder.is_dir():
        pytest.skip("the synthetic export is not beside this checkout")
    patients = [json.loads(line) for line in (folder / "Patient.ndjson").open(encoding="utf-8")]
    system = patients[0]["identifier"][0]["system"]
    known = Keys(PSEUDONYMS, "https://ehr.example", (system,), (), "readmission", "readmission")

    assert learn_patients(folder / "Patient.ndjson", known) == len(patients) == len(known.patients)
    found = [row for _, row in fhir_rows(folder / "Encounter.ndjson", READMISSION, known, NOW)]
    linked = [one for one in found if isinstance(one, Reported) and one.patient_key and one.patient_fhir_key]
    events = [one for one in linked if one.report is Report.EVENT]
    assert len(linked) == len(found) and events
