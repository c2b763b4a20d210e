"""How many accepted rows are of patients with a recorded prediction, counted as they pass."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest

from cds_wrapper.commands.outcome_links import Linked
from cds_wrapper.ledger.outcomes import Report, Reported
from cds_wrapper.ledger.predicted import Predicted


@dataclass
class Known:
    """A service whose predictions are of the patients `a`; None: the look-up fails."""

    has_them: bool | None = True
    is_empty: bool = False

    def has(self, row: Reported) -> bool | None:
        return self.has_them and row.patient_key == "a"


def reported(patient: str) -> Reported:
    return Reported(outcome_id=f"of-{patient}", report=Report.EVENT, patient_key=patient)


def passed(known: Any, rows: int) -> Linked:
    found = Linked(known)
    for _ in found.passing((line, reported("a" if line % 3 == 0 else "b")) for line in range(1, rows + 1)):
        pass
    return found


def test_rows_that_are_refused_later_are_not_counted() -> None:
    found = passed(Known(), 30)
    assert (found.accepted, found.linked) == (30, 10)
    found.refused(3)
    found.refused(4)
    assert (found.accepted, found.linked) == (28, 9)


def test_an_import_that_goes_on_counts_the_rows_of_this_run_alone() -> None:
    found = passed(Known(), 6_000)
    found.went_on_at(5_000)
    for line in range(5_001, 5_501):
        found.refused(line)
    assert (found.accepted, found.linked) == (500, 167)


def test_a_look_up_that_fails_is_not_known_and_warns_of_nothing() -> None:
    found = passed(Known(None), 30)
    assert not found.is_known
    assert found.warning("readmission", "readmission") is None


def test_a_table_that_cannot_be_read_any_more_says_that_it_is_not_known() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE predicted (key TEXT)")
        known = Predicted(connection)
    assert known.has(reported("a")) is None


@pytest.mark.parametrize(("rows", "warns"), [(19, False), (20, True)])
def test_none_of_many_is_a_warning(rows: int, warns: bool) -> None:
    found = passed(Known(has_them=False), rows)
    assert (found.warning("readmission", "readmission") is not None) is warns
