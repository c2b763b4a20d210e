"""An import that kills itself (SIGKILL) when it has read so many rows of a CSV file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from cds_wrapper.ledger import outcomes
from cds_wrapper.ledger.outcome_keys import Keys
from cds_wrapper.ledger.outcome_reading import digest_of
from cds_wrapper.ledger.outcome_tables import csv_rows
from cds_wrapper.ledger.outcomes import FollowUp, Imported, Row, Subject, import_rows
from cds_wrapper.ledger.pseudonyms import pseudonyms_from
from cds_wrapper.services.outcomes import TableRule
from tests.unit.ledger.moments import JANUARY, NOW

RULE = TableRule(patient="mrn", at="admitted", id="row")
BATCH = 10
"""Rows that become durable together here, so that a small file has many batches."""


def rows_until(path: Path, keys: Keys, last: int) -> Iterator[tuple[int, Row]]:
    """The rows of the file, and death before the one behind the last."""
    for count, row in enumerate(csv_rows(path, RULE, keys, NOW)):
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row


def run(table: Path, database: Path, keys_file: Path, last: int = -1) -> Imported:
    """One import, to its end where `last` is negative."""
    outcomes.BATCH = BATCH  # type: ignore[misc]  # shorter, for this process
    pseudonyms = pseudonyms_from(keys_file.read_bytes(), "test")
    keys = Keys(pseudonyms, "https://ehr.example", ("urn:mrn",), (), "readmission", "readmission")
    subject = Subject("readmission", "readmission", digest_of(table), "csv")
    covered: list[FollowUp] = [JANUARY]
    return import_rows(database, subject, rows_until(table, keys, last), covered)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
