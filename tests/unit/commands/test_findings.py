"""`findings`: listed in words and as JSON, and closed by two roles only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.caveats.evidence import Direction
from cds_wrapper.commands.report import reviews_of
from cds_wrapper.commands.review import only_one
from cds_wrapper.commands.table import build
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_values import NewReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import findings_in, record_review
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcomes import Subject as Imported
from cds_wrapper.ledger.outcomes import import_rows
from cds_wrapper.monitoring.report.known import NO_REVIEWS
from cds_wrapper.services import load_services
from tests.service.harness import ROOT

CLOSE = ("findings", "close", "here-1")
ROLES = ("--by", "clinical owner", "--second", "AI committee chair", "--why", "a change of coding")
(SERVICE,) = load_services(ROOT / "hooks").of("readmission")
SUBJECT = Subject(SERVICE.id, SERVICE.card.id, SERVICE.card.version)
DAY = date(2026, 9, 30)
FINDING = StoredFinding(
    "here-1",
    SUBJECT,
    "readmission",
    "group_drift",
    {"age_band": ("60-79",), "race": ("black",)},
    True,
    "scores_too_low",
    DAY,
    {"what": "1.70 times the events", "sure": "rang", "plan": "reduced", "due": "2026-10-14"},
)


def run(folder: Path, *arguments: str) -> Result:
    environment = {
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "CDS_WRAPPER_HOOKS": str(ROOT / "hooks"),
    }
    return CliRunner().invoke(build(["findings", "review"]), arguments, env=environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledger = tmp_path / "ledger.db"
    prepare(ledger)
    other = replace(FINDING, finding_id="here-2", subject=replace(SUBJECT, service_id="another"))
    record_review(ledger, NewReview("r1", SUBJECT, DAY, b'{"divisors": {}}'), [FINDING, other])
    return tmp_path


def test_open_findings_are_listed_with_what_the_plan_says(folder: Path) -> None:
    words = run(folder, "findings", "--service", SERVICE.id)
    assert words.exit_code == 0
    assert "here-1 (open), since 2026-09-30: group_drift, age_band 60-79, race black" in words.stdout
    assert "here-2" not in words.stdout
    told = json.loads(run(folder, "findings", "--json").stdout)["findings"]
    assert [(one["id"], one["service"], one["on_cards"]) for one in told] == [
        ("here-1", SERVICE.id, True),
        ("here-2", "another", True),
    ]


def test_two_roles_close_a_finding_on_the_record(folder: Path) -> None:
    closed = run(folder, *CLOSE, *ROLES)
    assert closed.exit_code == 0, closed.output
    assert "closed by clinical owner and AI committee chair" in closed.stdout
    (one,) = findings_in(folder / "ledger.db", SERVICE.id)
    assert (one.is_open, one.why) == (False, "a change of coding")
    assert "here-1" not in run(folder, "findings").stdout
    assert "here-1 (closed on" in run(folder, "findings", "--all").stdout
    assert run(folder, *CLOSE, *ROLES).exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        CLOSE,
        (*CLOSE, "--by", "chair", "--why", "x"),
        (*CLOSE, "--by", "Chair", "--second", "chair", "--why", "x"),
        (*CLOSE, "--by", "clinical owner", "--second", "Clinical  Owner", "--why", "x"),
        (*CLOSE, "--by", "clinical_owner", "--second", "clinical-owner", "--why", "x"),
        (*CLOSE, "--by", "chair", "--second", "owner"),
        (*CLOSE, "--by", "chair", "--second", "owner", "--why", "two\nlines"),
        ("findings", "close", *ROLES),
    ],
)
def test_fewer_than_two_roles_and_a_reason_close_nothing(folder: Path, arguments: tuple[str, ...]) -> None:
    assert run(folder, *arguments).exit_code == 2
    assert all(one.is_open for one in findings_in(folder / "ledger.db"))


def test_without_a_ledger_that_is_said(tmp_path: Path) -> None:
    assert run(tmp_path, "findings").exit_code == 2
    assert run(tmp_path, *CLOSE, *ROLES).exit_code == 2


def test_a_report_tells_what_reviews_have_found_until_its_day(folder: Path) -> None:
    ledger = folder / "ledger.db"
    reviews = reviews_of(ledger, SERVICE, DAY)
    (found,) = reviews.found
    assert (found.id, found.direction, found.due, found.carded) == (
        "here-1",
        Direction.SCORES_TOO_LOW,
        date(2026, 10, 14),
        True,
    )
    assert found.group.where == (("race", "black"), ("age_band", "60-79")), "in the order the file declares"
    assert reviews.past.reviewed_on == DAY
    early = reviews_of(ledger, SERVICE, date(2026, 9, 1))
    assert (early.found, early.past.reviewed_on, early.past.local) == ((), None, None)
    assert reviews_of(folder / "none.db", SERVICE, DAY) == NO_REVIEWS


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--service", "readmision"), 3, "There is no service `readmision`"),
        (("--service", "readmission"), 2, "No outcomes were imported"),
    ],
)
def test_a_review_that_cannot_be_made_says_why(
    folder: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = run(folder, "review", *arguments)
    assert ended.exit_code == code
    assert said in ended.output


def test_a_review_without_a_place_to_write_to_says_which(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    import_rows(beside(folder / "ledger.db"), Imported("readmission", "readmission", "a", "csv"), [])

    ended = run(folder, "review", "--service", "readmission", "--data", str(tmp_path / "file" / "inside"))
    nowhere = run(tmp_path / "nowhere", "review", "--service", "readmission")

    assert ended.exit_code == nowhere.exit_code == 2
    assert "cannot be written (Not a directory)" in ended.output
    assert "cannot be written (No such file or directory)" in nowhere.output


def test_a_second_review_at_the_same_time_does_nothing(folder: Path) -> None:
    with only_one(folder / "ledger.db"):
        ended = run(folder, "review", "--service", "readmission")
    assert ended.exit_code == 9
    assert "Another review of this ledger is running" in ended.output
