"""The table of requirements is whole, and what it calls met is proven by tests that are there and run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests import conftest
from tests.contract import requirements as table
from tests.contract.coverage import COMMAND, PAGE, page
from tests.contract.known_gaps import KNOWN_GAPS
from tests.contract.requirements import Level, Requirement, Role, Verdict, fail_if_skipped, faults_of

ROWS = table.requirements()
BY_ID = {row.id: row for row in ROWS}

# The rows of each kind, numbered from 1: one that is lost or added is noticed here.
NUMBER = {
    "GEN": 5,
    "DISC": 12,
    "REQ": 10,
    "PRE": 16,
    "FHIR": 8,
    "RESP": 7,
    "CARD": 10,
    "SRC": 4,
    "SUG": 4,
    "ACT": 5,
    "OVR": 2,
    "LINK": 4,
    "SYS": 2,
    "EXT": 5,
    "COD": 1,
    "FB": 12,
    "SEC": 19,
    "SAFE": 5,
    "PERF": 2,
    "CLI": 6,
    "OWN": 11,
}
SHALLS = (Level.SHALL, Level.SHALL_NOT)
A_NAMED_TEST = "contract/test_wire.py::test_every_answer_to_a_named_case_is_valid"


def test_every_row_is_there_once() -> None:
    wanted = {f"{kind}-{number}" for kind, count in NUMBER.items() for number in range(1, count + 1)}
    assert Counter(row.id for row in ROWS) == Counter(wanted)


@pytest.mark.parametrize("row", ROWS, ids=BY_ID)
def test_a_row_is_one_sentence_with_its_section(row: Requirement) -> None:
    assert row.text.endswith(".") and ". " not in row.text
    assert row.section and row.roles and len(set(row.tests)) == len(row.tests)


@pytest.mark.parametrize("row", ROWS, ids=BY_ID)
def test_a_row_that_is_met_names_tests_and_one_that_is_not_says_why(row: Requirement) -> None:
    assert row.tests if row.verdict is Verdict.MET else row.note


def test_every_named_test_is_there_and_runs_everywhere() -> None:
    assert [fault for test in table.named_tests() for fault in faults_of(test)] == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def test_b(): ...", "no such test"),
        ("class TestX:\n    def test_a(self): ...", "no such test"),
        ("@pytest.mark.skip\ndef test_a(): ...", "uses skip"),
        ("@pytest.mark.skipif(True, reason='x')\ndef test_a(): ...", "uses skipif"),
        ("@pytest.mark.xfail\nasync def test_a(): ...", "uses xfail"),
        ("def test_a():\n    pytest.skip('not here')", "uses skip"),
        ("pytest.importorskip('x')\ndef test_a(): ...", "whole file"),
        ("pytestmark = pytest.mark.skipif(True)\ndef test_a(): ...", "whole file"),
        ("if True:\n    pytest.skip('x', allow_module_level=True)\ndef test_a(): ...", "whole file"),
    ],
)
def test_a_named_test_that_proves_nothing_is_noticed(
    source: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "TESTS", tmp_path)
    (tmp_path / "test_x.py").write_text(source)
    assert any(fault in found for found in faults_of("test_x.py::test_a"))
    assert any("no such file" in found for found in faults_of("test_y.py::test_a"))
    (tmp_path / "test_z.py").write_text("pytestmark = pytest.mark.slow\ndef test_a(): ...")
    assert list(faults_of("test_z.py::test_a")) == []


def report_of(test: str, outcome: str) -> pytest.TestReport:
    """What pytest tells about a test that ended so."""
    location = ("file", 1, "name")
    return pytest.TestReport(test, location, {}, outcome, None, "call")  # type: ignore[arg-type]  # a literal


@pytest.mark.parametrize("name", [f"tests/{A_NAMED_TEST}", f"tests/{A_NAMED_TEST}[black-35]"])
def test_a_named_test_that_is_skipped_has_failed(name: str) -> None:
    skipped = fail_if_skipped(report_of(name, "skipped"))
    assert skipped.failed and "RESP-1" in str(skipped.longrepr)
    assert fail_if_skipped(report_of(name, "passed")).passed
    assert fail_if_skipped(report_of("tests/browser/test_x.py::test_y", "skipped")).skipped


def test_pytest_asks_after_every_test_whether_it_may_be_skipped(pytestconfig: pytest.Config) -> None:
    asked = pytestconfig.hook.pytest_runtest_makereport.get_hookimpls()
    assert conftest.__file__ in {getattr(hook.plugin, "__file__", None) for hook in asked}


def test_a_row_is_not_called_met_as_long_as_a_gap_in_it_is_known() -> None:
    gaps = {row for row, _, _ in KNOWN_GAPS}
    assert {BY_ID[row].verdict for row in gaps} <= {Verdict.OPEN}


def test_every_shall_is_settled_and_has_a_test() -> None:
    """Beyond this, a named test that is missing, skipped or failing fails the suite."""
    binding = [row for row in ROWS if row.level in SHALLS]
    assert len(binding) > 60
    assert [row.id for row in binding if row.verdict is Verdict.OPEN or not row.tests] == []


def test_a_shall_is_declined_as_a_service_only() -> None:
    declined = [row for row in ROWS if row.verdict is Verdict.DECLINED and row.level in SHALLS]
    assert {role for row in declined for role in row.roles} == {Role.SERVICE}


def test_the_coverage_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), f"stale: run `{COMMAND}`"
