"""Episodes as they are made out of a ledger: whose, of which predictions, with what is known by a day."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Waiting
from cds_wrapper.ledger.episode_store import make_episodes
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.outcomes import FollowUp, Report, Reported, Subject, import_rows
from cds_wrapper.services import load_services
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.outcomes import OutcomeKind
from tests.durability import ROOT
from tests.unit.ledger.examples import card_of, entry, feedback

ASKED = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = date(2026, 5, 1)
YEAR = FollowUp(date(2026, 1, 1), date(2027, 1, 1))


@cache
def readmission() -> ServiceDefinition:
    return next(one for one in load_services(ROOT / "hooks") if one.id == "readmission")


def prediction(name: str, **differences: Any) -> dict[str, Any]:
    """What one prediction differs in from the ordinary example."""
    given = {
        "prediction_id": name,
        "service_id": "readmission",
        "environment": "production",
        "occurred_at": ASKED,
        "patient_key": "p1:a",
        "encounter_key": f"e1:{name}",
    }
    return {**given, **differences}


def recorded(folder: Path, *entries: dict[str, Any], feedback_first: bool = False) -> Path:
    path = folder / "ledger.db"
    path.touch()
    file = LedgerFile(path, "host-0")
    file.begin()
    said = [feedback(card_of(str(one["prediction_id"])), service="readmission") for one in entries[:1]]
    if feedback_first:
        file.add_feedback(said)
    file.add_predictions([Waiting(entry(**one), timedelta()) for one in entries])
    if not feedback_first:
        file.add_feedback(said)
    file.commit()
    file.discard()
    return path


def imported(ledger: Path, rows: Iterable[Reported], name: str = "a file", cover: bool = True) -> None:
    subject = Subject("readmission", readmission().outcome.name, name, "csv")
    import_rows(beside(ledger), subject, enumerate(rows, start=1), [YEAR] if cover else [])


def episodes(ledger: Path, what: str = "episode_id, state", as_of: date = LATER) -> list[tuple[Any, ...]]:
    made = make_episodes(ledger, beside(ledger), readmission(), as_of)
    with contextlib.closing(sqlite3.connect(beside(ledger))) as store:
        rows = store.execute(f"SELECT {what} FROM episodes_v1 ORDER BY episode_id").fetchall()
    assert made == len(rows)
    return rows


def back(day: int, name: str = "stay", **more: Any) -> Reported:
    at = datetime(2026, 3, day, 8, tzinfo=UTC)
    return Reported(name, Report.EVENT, **{"patient_key": "p1:a", "happened_at": at, **more})


def test_only_answered_predictions_of_real_patients_are_in_an_episode(tmp_path: Path) -> None:
    ledger = recorded(
        tmp_path,
        prediction("real"),
        prediction("test patient", is_test=True),
        prediction("test system", environment="test"),
        prediction("late", status="timed_out", score=None, flagged=None),
        prediction("tomorrow", occurred_at=ASKED + timedelta(days=90)),
        prediction("elsewhere", service_id="cvd-risk"),
    )

    assert episodes(ledger) == [("real", "unverified")]


def test_a_prediction_without_the_patient_is_of_the_patient_its_fhir_id_is_known_for(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, prediction("with"), prediction("without", patient_key=None))
    imported(ledger, [back(9)])

    assert episodes(ledger, "episode_id, patient_key, state") == [
        ("with", "p1:a", "event"), ("without", "p1:a", "event"),
    ]  # fmt: skip


def test_another_version_of_the_model_begins_another_episode(tmp_path: Path) -> None:
    one = {"encounter_key": "e1:one"}
    same = [prediction("old", **one), prediction("again", **one)]
    ledger = recorded(tmp_path, *same, prediction("new", model_version="2", **one))

    assert sorted(episodes(ledger, "model_version, predictions")) == [("2", 1), ("2023.1", 2)]


@pytest.mark.parametrize("feedback_first", [False, True])
def test_what_was_done_about_a_card_is_there_even_when_it_was_told_too_early(
    tmp_path: Path, feedback_first: bool
) -> None:
    ledger = recorded(tmp_path, prediction("a"), prediction("b"), feedback_first=feedback_first)

    assert episodes(ledger, "episode_id, action") == [("a", "overridden"), ("b", "none")]


def test_a_late_correction_changes_the_answer_and_a_withdrawal_takes_it_back(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, prediction("a"))
    imported(ledger, [back(9)])
    assert episodes(ledger) == [("a", "event")]

    imported(ledger, [back(9, happened_at=datetime(2026, 4, 9, tzinfo=UTC))], "a correction")
    assert episodes(ledger) == [("a", "no_event")]

    imported(ledger, [back(10)], "another")
    imported(ledger, [Reported("stay", Report.WITHDRAWN, patient_key="p1:a")], "taken back")
    assert episodes(ledger) == [("a", "no_event")]


def test_what_a_source_learnt_later_is_not_in_the_answer_for_an_earlier_day(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, prediction("a"))
    imported(ledger, [back(9, known_on=date(2026, 3, 10))])
    moved = back(9, happened_at=datetime(2026, 4, 20, tzinfo=UTC), known_on=date(2026, 6, 1))
    imported(ledger, [moved], "a correction of June")

    assert episodes(ledger, as_of=date(2026, 5, 1)) == [("a", "event")]
    assert episodes(ledger, as_of=date(2026, 6, 1)) == [("a", "no_event")]


def test_a_month_whose_events_are_gone_is_less_known_and_no_better(tmp_path: Path) -> None:
    """The feed of March is deleted: neither fewer events among the known, nor events that stand alone."""
    entries = [
        prediction(f"{n:02}", patient_key=f"p1:{n}", patient_fhir_key=f"p1:f{n}",
                   occurred_at=datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=3 * n))
        for n in range(40)
    ]  # fmt: skip
    ledger = recorded(tmp_path, *entries)
    at = {n: entries[n]["occurred_at"] + timedelta(days=5) for n in range(0, 40, 4)}
    kept = {n: one for n, one in at.items() if one.month != 3}
    rows = [back(1, f"stay {n}", patient_key=f"p1:{n}", happened_at=one) for n, one in kept.items()]
    months = [
        FollowUp(date(2026, 1, 1), date(2026, 3, 1)), FollowUp(date(2026, 4, 1), date(2027, 1, 1)),
    ]  # fmt: skip
    subject = Subject("readmission", readmission().outcome.name, "a file", "csv")
    import_rows(beside(ledger), subject, enumerate(rows, start=1), months)

    states = dict(episodes(ledger, as_of=date(2026, 12, 1)))
    known = [state for state in states.values() if state in {"event", "no_event"}]

    assert len(known) < len(at) * 4
    assert known.count("event") / len(known) == pytest.approx(0.25, abs=0.1)
    assert {state for name, state in states.items() if 9 <= int(name) <= 28} == {"unverified"}


def test_making_them_again_gives_the_same(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, prediction("a"), prediction("b"))
    imported(ledger, [back(9)])

    assert episodes(ledger, "*") == episodes(ledger, "*")


def test_the_ledger_is_not_held_while_episodes_are_made(tmp_path: Path) -> None:
    """A writer's log can be emptied meanwhile, which a reader's open look would hinder."""
    ledger = recorded(tmp_path, *(prediction(f"{n}", patient_key=f"p1:{n}") for n in range(3)))
    emptied: list[int] = []

    def meanwhile(_: int) -> None:
        with contextlib.closing(sqlite3.connect(ledger)) as writer:
            writer.execute(schema.BEAT, (f"2026-03-0{len(emptied) + 1}T00:00:00.000Z",))
            writer.commit()
            emptied.append(writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    make_episodes(ledger, beside(ledger), readmission(), LATER, meanwhile)

    assert emptied == [0, 0, 0]


def test_a_ledger_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db"):
        make_episodes(tmp_path / "ledger.db", tmp_path / "outcomes.db", readmission(), LATER)


def test_a_ledger_that_cannot_be_read_is_named_and_not_the_file_of_outcomes(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("CREATE TABLE of_another_program (id INTEGER)")
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db cannot be read"):
        make_episodes(tmp_path / "ledger.db", tmp_path / "outcomes.db", readmission(), LATER)


def test_two_stays_that_began_at_one_moment_are_counted_as_two(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, prediction("a"))
    counted = replace(readmission().outcome, name="stays", kind=OutcomeKind.COUNT)
    service = replace(readmission(), further_outcomes=(counted,))
    stays = [back(9, "one", value=1.0), back(9, "another", value=1.0)]
    subject = Subject("readmission", "stays", "a file", "csv")
    import_rows(beside(ledger), subject, enumerate(stays, start=1), [YEAR])

    make_episodes(ledger, beside(ledger), service, LATER)

    with contextlib.closing(sqlite3.connect(beside(ledger))) as store:
        assert store.execute("SELECT value FROM episode_outcomes_v1").fetchall() == [(2.0,)]
