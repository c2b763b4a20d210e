"""Outcomes come in once each, go on where they were cut off, and supersede without overwriting."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import LedgerUnavailable, UnreadableFile
from cds_wrapper.ledger.outcome_fhir import fhir_rows, learn_patients
from cds_wrapper.ledger.outcome_file import opened
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_tables import csv_rows
from cds_wrapper.ledger.outcomes import BATCH, FollowUp, Refused, Report, Reported, Row, Subject, import_rows
from cds_wrapper.ledger.pseudonyms import new_keys_file, pseudonyms_from
from cds_wrapper.services.outcomes import Codes, Outcome, ResourceRule, TableRule
from tests.unit.ledger.moments import NOW

PSEUDONYMS = pseudonyms_from(new_keys_file("test"), "test")
KEYS = Keys(PSEUDONYMS, "https://ehr.example", ("urn:mrn",), ("urn:visit",), "readmission", "readmission")
SUBJECT = Subject("readmission", "readmission", "digest", "csv")
STAY = ResourceRule(
    "Encounter",
    {"class": Codes.written("IMP")},
    {"priority": Codes.written("http://terminology.hl7.org/CodeSystem/v3-ActPriority|EL")},
    ("period.start",),
)
MRN = {"system": "urn:mrn", "value": "7"}
READMISSION = Outcome("readmission", "another stay", "P30D", events=(STAY,))


def event(name: str, day: int = 1) -> Reported:
    return Reported(name, Report.EVENT, patient_key="p1:a", happened_at=datetime(2026, 3, day, tzinfo=UTC))


def numbered(rows: list[Row]) -> list[tuple[int, Row]]:
    return list(enumerate(rows, start=1))


def stored(path: Path, what: str = "outcome_id, report, is_current") -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {what} FROM outcomes_v1 ORDER BY sequence").fetchall()


def test_a_row_is_written_once_and_a_refused_one_is_told_with_its_line(tmp_path: Path) -> None:
    refused: list[tuple[int, Refused]] = []
    rows = numbered([event("a"), None, Refused.NO_TIME, event("a"), event("b")])

    done = import_rows(tmp_path / "o.db", SUBJECT, rows, refuse=lambda line, why: refused.append((line, why)))

    assert (done.read, done.written, done.same) == (5, 2, 1)
    assert refused == [(3, Refused.NO_TIME)]
    assert stored(tmp_path / "o.db") == [("a", "event", 1), ("b", "event", 1)]


def test_the_same_file_again_writes_nothing(tmp_path: Path) -> None:
    import_rows(tmp_path / "o.db", SUBJECT, numbered([event("a")]))

    again = import_rows(tmp_path / "o.db", SUBJECT, numbered([event("a"), event("b")]))

    assert (again.was_done, again.written) == (True, 0)


def test_an_import_that_was_cut_off_goes_on_and_ends_as_one_run_would(tmp_path: Path) -> None:
    rows = numbered([event(str(n)) for n in range(BATCH + 7)])

    def cut_off() -> Iterator[tuple[int, Row]]:
        yield from rows[: BATCH + 3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_rows(tmp_path / "cut.db", SUBJECT, cut_off())
    assert len(stored(tmp_path / "cut.db")) == BATCH
    went_on = import_rows(tmp_path / "cut.db", SUBJECT, rows)
    import_rows(tmp_path / "whole.db", SUBJECT, rows)

    assert (went_on.went_on_at, went_on.read) == (BATCH, 7)
    assert stored(tmp_path / "cut.db") == stored(tmp_path / "whole.db")


def test_what_is_corrected_supersedes_and_what_is_withdrawn_stays_on_file(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    import_rows(path, SUBJECT, numbered([event("a", 1), event("b")]))
    later = Subject("readmission", "readmission", "later", "csv")
    import_rows(
        path,
        later,
        numbered([event("a", 2), Reported("b", Report.WITHDRAWN), Reported("c", Report.WITHDRAWN)]),
    )

    assert stored(path) == [
        ("a", "event", 0), ("b", "event", 0), ("a", "event", 1), ("b", "withdrawn", 1),
    ]  # fmt: skip


def test_nothing_in_it_can_be_changed_or_deleted(tmp_path: Path) -> None:
    import_rows(
        tmp_path / "o.db", SUBJECT, numbered([event("a")]), [FollowUp(date(2026, 1, 1), date(2026, 2, 1))]
    )

    for statement in ("UPDATE outcomes SET report = 'x'", "DELETE FROM outcomes", "DELETE FROM follow_up"):
        with pytest.raises(LedgerUnavailable), opened(tmp_path / "o.db") as connection:
            connection.execute(statement)


def test_follow_up_is_said_once(tmp_path: Path) -> None:
    covers = [
        FollowUp(date(2026, 1, 1), date(2026, 2, 1)),
        FollowUp(date(2026, 1, 1), date(2026, 2, 1), "north"),
    ]
    for _ in range(2):
        import_rows(tmp_path / "o.db", SUBJECT, numbered([event("a")]), covers)

    with sqlite3.connect(tmp_path / "o.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM follow_up_v1").fetchone() == (2,)


def test_another_program_s_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_bytes(b"no database at all, and long enough to be read as one" * 40)

    with pytest.raises(LedgerUnavailable):
        import_rows(tmp_path / "o.db", SUBJECT, [])


# --- what a file says


def table(tmp_path: Path, text: str, rule: TableRule) -> list[Row]:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return [row for _, row in csv_rows(path, rule, KEYS, NOW)]


def test_a_table_of_events(tmp_path: Path) -> None:
    text = "mrn,admitted\n7,2026-03-01\n,2026-03-01\n8,soon\n9,2027-01-01\n10,\n"

    found = table(tmp_path, text, TableRule(patient="mrn", at="admitted"))

    assert isinstance(found[0], Reported)
    assert found[0].patient_key == PSEUDONYMS.patient("urn:mrn", "7")
    assert found[0].happened_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert found[1:] == [Refused.NO_PATIENT, Refused.BAD_TIME, Refused.IN_THE_FUTURE, Refused.NO_TIME]


def test_a_table_of_cases(tmp_path: Path) -> None:
    text = "visit,y\nv1,1\nv2,0\nv3,\nv4,maybe\n"

    found = table(tmp_path, text, TableRule(encounter="visit", label="y"))

    assert [one.report if isinstance(one, Reported) else one for one in found] == [
        Report.EVENT, Report.NO_EVENT, Report.UNVERIFIED, Refused.BAD_STATE,
    ]  # fmt: skip


def test_a_column_that_is_declared_and_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="mrn"):
        table(tmp_path, "id,admitted\n", TableRule(patient="mrn", at="admitted"))


def resource(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"resourceType": kind, "id": name, **more}


def stay(name: str, code: str = "IMP", **more: object) -> dict[str, object]:
    said: dict[str, object] = {
        "class": {"code": code},
        "subject": {"reference": "Patient/p"},
        "period": {"start": "2026-03-01T10:00:00+01:00"},
    }
    return resource("Encounter", name, **(said | more))


def export(tmp_path: Path, *resources: object) -> Path:
    path = tmp_path / "export.ndjson"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in resources) + "{\n", encoding="utf-8")
    return path


def test_a_bulk_export_is_read_by_the_declaration(tmp_path: Path) -> None:
    elective = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "EL"}]}
    path = export(
        tmp_path,
        resource(
            "Patient", "p", identifier=[{"system": "urn:mrn", "value": "7"}], deceasedDateTime="2026-05-02"
        ),
        stay("1"),
        stay("2", "AMB"),
        stay("3", priority=elective),
        stay("4", status="entered-in-error"),
        stay("5", period={}),
        stay("6", subject={}),
        resource("Observation", "o"),
    )
    learn_patients(path, KEYS)

    found = [row for _, row in fhir_rows(path, READMISSION, KEYS, NOW)]

    reports = [one.report if isinstance(one, Reported) else one for one in found]
    assert reports == [
        Report.CENSORED, Report.EVENT, Report.WITHDRAWN, Report.WITHDRAWN, Report.WITHDRAWN, Refused.NO_TIME,
        Refused.NO_PATIENT, None, Refused.NOT_JSON,
    ]  # fmt: skip
    first = found[1]
    assert isinstance(first, Reported)
    assert first.happened_at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert first.patient_key == PSEUDONYMS.patient("urn:mrn", "7")
    assert first.patient_fhir_key == PSEUDONYMS.patient("https://ehr.example", "p")


def test_no_identifier_is_in_what_is_shown_of_a_row() -> None:
    assert "p1" not in repr(event("a"))
    assert "urn" not in repr(KEYS)
