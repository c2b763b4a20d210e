"""What a dry run says of cards: every patient's latest recorded call, weighed with both editions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.caveats.caveat import CaveatLevel
from cds_wrapper.caveats.evidence import (
    Direction,
    EvidenceBook,
    EvidenceSource,
    Finding,
    LocalEvidence,
)
from cds_wrapper.commands.review_preview import Preview, preview
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.store import LedgerReader
from tests.unit.commands.loop import SERVICE, prediction, record
from tests.unit.ledger.attacks import attacker
from tests.unit.ledger.examples import attribute

DAY = date(2026, 12, 31)
NIGHT = datetime(2026, 12, 31, 22, tzinfo=UTC)
BEFORE = SERVICE.book
Levels = Mapping[CaveatLevel, int]


def worse_for(**where: tuple[str, ...]) -> EvidenceBook:
    """The edition after a review that found the score too low for these groups."""
    nothing = (None, None, None, None, None)
    finding = Finding(
        "here-1", where, True, Direction.SCORES_TOO_LOW, EvidenceSource.LOCAL, *nothing, DAY, True, ()
    )
    return SERVICE.edition_with(
        LocalEvidence(
            service_id=SERVICE.id,
            model_id=SERVICE.card.id,
            model_version=SERVICE.card.version,
            outcome=SERVICE.outcome.name,
            horizon=SERVICE.outcome.horizon,
            threshold=SERVICE.threshold,
            as_of=DAY,
            period=(date(2026, 1, 1), DAY),
            findings=(finding,),
        )
    )


WORSE_FOR_BLACK = worse_for(race=("black",))


def call(number: int, race: str, at: datetime = NIGHT, **differences: Any) -> LedgerEntry:
    """A call about a patient of this race; number and patient are the same unless told otherwise."""
    groups = {"age_band": "60-79", "sex": "female", "race": race}
    usual = {
        **groups,
        "occurred_at": at - timedelta(minutes=number),
        "demographics": {name: attribute(value) for name, value in groups.items()},
        "subgroups": [f"{name}={value}" for name, value in groups.items()],
    }
    return prediction(number, random.Random(1), **{**usual, **differences})


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def seen(ledger: Path, after: EvidenceBook = WORSE_FOR_BLACK, as_of: date = DAY) -> Preview:
    return preview(LedgerReader(ledger), SERVICE, (BEFORE, after), as_of)


def counted(levels: Levels) -> dict[str, int]:
    return {level.value: count for level, count in levels.items() if count}


def test_a_group_that_worsens_moves_and_nobody_else(ledger: Path) -> None:
    record(ledger, [call(n, "black" if n < 20 else "white") for n in range(50)])
    found = seen(ledger)
    assert (found.patients, found.changed, found.unreadable) == (50, 20, 0)
    assert counted(found.before) == {"limited": 50}
    assert counted(found.after) == {"limited": 30, "reduced": 20}
    levels = found.document()["levels"]
    assert levels["reduced"] == {"before": 0, "after": 20} and levels["limited"] == {
        "before": 50,
        "after": 30,
    }


def test_the_edition_in_force_changes_nothing(ledger: Path) -> None:
    record(ledger, [call(n, "black") for n in range(12)])
    found = seen(ledger, BEFORE)
    assert found.before == found.after and found.changed == 0


def test_each_patient_counts_once_with_the_latest_call_of_the_last_quarter(ledger: Path) -> None:
    one: dict[str, Any] = {"patient_key": "p1:one", "encounter_key": None}
    record(
        ledger,
        [
            call(1, "white", prediction_id="earlier", **one),
            call(0, "black", prediction_id="latest", **one),
            call(2, "black", NIGHT + timedelta(hours=2, minutes=2), patient_key="p1:tomorrow"),
            call(3, "black", NIGHT - timedelta(days=92), patient_key="p1:long-ago"),
            call(4, "black", is_test=True),
            call(5, "black", caveat_level=None, service_id=SERVICE.id),
            call(6, "black", service_id="cvd-risk"),
            call(7, "black", patient_key=None, patient_fhir_key=None),
        ],
    )
    found = seen(ledger)
    assert (found.patients, counted(found.after)) == (2, {"reduced": 2})
    assert counted(seen(ledger, as_of=date(2027, 1, 1)).after) == {"reduced": 3}


def test_without_a_call_it_says_so_and_counts_nothing(ledger: Path) -> None:
    found = seen(ledger)
    assert (found.patients, found.changed, found.unreadable) == (0, 0, 0)
    assert found.document()["patients"] is None
    with pytest.raises(LedgerUnavailable):
        seen(ledger.with_name("none.db"))


def test_a_row_that_cannot_be_read_is_counted_and_stops_nothing(ledger: Path) -> None:
    record(ledger, [call(n, "black") for n in range(14)])
    with attacker(ledger) as database:
        database.execute("""UPDATE predictions SET demographics = '{"race": 5}' WHERE sequence = 1""")
        database.execute("UPDATE predictions SET status = 'unheard of' WHERE sequence = 2")
        database.execute("UPDATE predictions SET score_at = 'yesterday' WHERE sequence = 3")
    found = seen(ledger)
    assert (found.patients, found.unreadable, found.changed) == (11, 3, 11)
    assert found.document()["unreadable"] == "some"


def test_a_handful_is_told_as_shares_and_no_number_gives_it_away(ledger: Path) -> None:
    record(ledger, [call(n, "black" if n < 4 else "white") for n in range(40)])
    told = seen(ledger).document()
    assert (told["patients"], told["changed"]) == (40, None)
    assert told["levels"]["limited"] == {"before": "about 100 %", "after": "about 90 %"}
    assert told["levels"]["reduced"] == {"before": "about 0 %", "after": "about 10 %"}


def test_two_large_numbers_whose_difference_is_a_handful_are_shares_too() -> None:
    limited, reduced = CaveatLevel.LIMITED, CaveatLevel.REDUCED
    levels = dict.fromkeys(CaveatLevel, 0)
    before, after = {**levels, limited: 500, reduced: 200}, {**levels, limited: 497, reduced: 203}
    told = Preview(before, after, 700, 3, 0).document()
    assert (told["changed"], told["levels"]["reduced"]["after"]) == (None, "about 30 %")
    assert told["levels"]["limited"] == {"before": "about 70 %", "after": "about 70 %"}
