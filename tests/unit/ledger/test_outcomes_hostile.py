"""Files of outcomes that are hostile, or what a careless program writes."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cds_wrapper.errors import UnreadableFile
from cds_wrapper.ledger import outcome_tables
from cds_wrapper.ledger.entries import by_system
from cds_wrapper.ledger.outcome_fhir import fhir_rows
from cds_wrapper.ledger.outcome_parquet import parquet_rows
from cds_wrapper.ledger.outcomes import Refused, Report, Reported, Row, Subject, import_rows
from cds_wrapper.services.outcomes import OutcomeKind, TableRule
from tests.unit.ledger.moments import NOW
from tests.unit.ledger.test_outcome_forms import PSEUDONYMS, READMISSION, STAY, current, keys, rows_of, stay

EVENTS = TableRule(patient="mrn", at="at")
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def parquet(folder: Path, **columns: Any) -> list[Row]:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return [row for _, row in parquet_rows(folder / "a.parquet", EVENTS, keys(), NOW)]


@pytest.mark.parametrize(
    "identifiers",
    [
        [{"system": "urn:mrn", "value": " 7 "}],
        [{"system": " urn:mrn", "value": "7"}],
        [{"system": "urn:mrn", "value": "3", "use": "old"}, {"system": "urn:mrn", "value": "7"}],
        [{"system": "urn:mrn", "value": " "}, {"system": "urn:mrn", "value": "7"}],
        [7, {"system": ["urn:mrn"]}, {"system": "urn:mrn", "value": "7"}],
    ],
)
def test_an_outcome_s_patient_is_read_as_the_prediction_s_patient_is(identifiers: list[Any]) -> None:
    assert by_system(identifiers)["urn:mrn"] == "7"
    assert keys().declared(identifiers) == PSEUDONYMS.patient("urn:mrn", "7")


@pytest.mark.parametrize("mrn", [b"7", 7, 7.0, Decimal("7.00"), " 7"])
def test_a_patient_is_the_same_in_whatever_type_a_column_holds_the_number(tmp_path: Path, mrn: Any) -> None:
    (row,) = parquet(tmp_path, mrn=[mrn], at=["2026-03-01"])

    assert isinstance(row, Reported) and row.patient_key == PSEUDONYMS.patient("urn:mrn", "7")


def test_a_number_that_is_missing_is_no_patient_called_nan(tmp_path: Path) -> None:
    assert parquet(tmp_path, mrn=[float("nan")], at=["2026-03-01"]) == [Refused.NO_PATIENT]


def test_a_date_that_no_calendar_has_is_one_refused_row(tmp_path: Path) -> None:
    at = pa.array([1_200_000_000_000_000_000, int(DAY.timestamp()) * 1_000_000], pa.timestamp("us"))

    first, second = parquet(tmp_path, mrn=["7", "8"], at=at)

    assert first is Refused.BAD_TIME
    assert isinstance(second, Reported) and second.happened_at == DAY


@pytest.mark.parametrize("mrn", [[{"id": "7"}], [["7"]]])
def test_a_structure_is_no_patient(tmp_path: Path, mrn: list[Any]) -> None:
    with pytest.raises(UnreadableFile) as refused:
        parquet(tmp_path, mrn=mrn, at=["2026-03-01"])
    assert "lists or structures in the column `mrn`" in refused.value.sentence


def test_a_column_that_stands_twice_is_not_chosen_from(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as refused:
        rows_of(tmp_path, "mrn,at,mrn\n7,2026-03-01,8\n", EVENTS)
    assert "`mrn` twice" in refused.value.sentence


def test_a_table_without_line_ends_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_tables, "LONGEST_LINE", 1 << 10)
    packed = gzip.compress(b"mrn,at\n" + b"7" * (1 << 20))

    with pytest.raises(UnreadableFile) as refused:
        rows_of(tmp_path, packed, EVENTS, "bomb.csv.gz")
    assert "has a line of more than" in refused.value.sentence


def test_a_number_that_is_too_great_for_a_float_is_no_value(tmp_path: Path) -> None:
    rule = replace(STAY, value="length.value")
    outcome = replace(READMISSION, events=(rule,), kind=OutcomeKind.COST)
    text = json.dumps(stay(length={"value": 10**400})) + "\n" + json.dumps(stay("e2", length={"value": 3}))
    (tmp_path / "a.ndjson").write_text(text, encoding="utf-8")

    first, second = [row for _, row in fhir_rows(tmp_path / "a.ndjson", outcome, keys(), NOW)]

    assert first is Refused.BAD_VALUE
    assert isinstance(second, Reported) and second.value == 3


def test_a_row_that_claims_to_be_known_since_a_day_to_come_does_not_bar_corrections(tmp_path: Path) -> None:
    subject = Subject("readmission", "readmission", "a", "csv")
    told = Reported("o1", Report.EVENT, patient_key="p1:a", happened_at=DAY, known_on=date(2026, 3, 2))
    far = replace(told, known_on=date(9999, 12, 31))

    done = import_rows(tmp_path / "o.db", subject, [(1, far), (2, told)])

    assert dict(done.rejected) == {"in_the_future": 1}
    assert [report for report, _, _ in current(tmp_path / "o.db")] == ["event"]


def test_two_runs_of_one_import_at_once_leave_the_last_word_to_the_last_line(tmp_path: Path) -> None:
    path, subject = tmp_path / "o.db", Subject("readmission", "readmission", "a", "csv")
    event = Reported("o1", Report.EVENT, patient_key="p1:a", happened_at=DAY)
    lines: list[tuple[int, Row]] = [(1, event), (2, replace(event, report=Report.WITHDRAWN))]

    def slow() -> Any:
        """The second run, which has read the first line when the first run is done."""
        yield lines[0]
        import_rows(path, subject, lines)

    again = import_rows(path, subject, slow())

    assert (again.read, again.written) == (0, 0)
    assert [report for report, _, _ in current(path)] == ["withdrawn"]
