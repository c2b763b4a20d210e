"""What reviews and imports left is told by the serving process: in numbers, and once when it is overdue."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.edition_values import LeftByReviews, NewReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import close_finding, left_by_reviews, record_review
from cds_wrapper.ledger.outcome_file import beside, imported_in
from cds_wrapper.ledger.outcomes import Subject as Imported
from cds_wrapper.ledger.outcomes import import_rows
from cds_wrapper.log import OperatorLog
from cds_wrapper.metrics import table
from cds_wrapper.review_watch import NOBODY, Left, ReviewWatch, Work, due_of
from cds_wrapper.runtime import ServicesInForce
from cds_wrapper.services import ServiceCatalog, load_services
from tests.service.harness import ROOT
from tests.unit.ledger.attacks import attacker

(SHIPPED,) = load_services(ROOT / "hooks").of("readmission")
PLAN = replace(SHIPPED.plan.monitoring, owner="equity lead")
SERVICE = replace(SHIPPED, plan=replace(SHIPPED.plan, monitoring=PLAN))
SUBJECT = Subject(SERVICE.id, SERVICE.card.id, SERVICE.card.version)
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FINDING = StoredFinding(
    "here-1", SUBJECT, "readmission", "group_drift", {"race": ("black",)}, True, None, date(2026, 9, 30), {}
)


def left(
    reviewed: datetime | None = None,
    imported: tuple[datetime, datetime] | None = None,
    served: datetime | None = None,
) -> Left:
    def of(moment: datetime | None) -> Mapping[str, datetime]:
        return {SERVICE.id: moment} if moment else {}

    return Left(LeftByReviews({}, of(reviewed), of(served)), {SERVICE.id: imported} if imported else {})


def test_each_work_is_overdue_twice_the_plans_time_after_it_was_last_done() -> None:
    due = due_of(SERVICE, left(NOON, (NOON - 90 * DAY, NOON - DAY)))
    assert due == {
        Work.REVIEW: NOON + 2 * DAY,
        Work.OUTCOMES: NOON - DAY + 70 * DAY,
        Work.EVIDENCE: datetime(2026, 6, 30, tzinfo=UTC) + 182 * DAY,
    }
    slower = replace(PLAN, look_every=7 * DAY, outcomes_within=10 * DAY, review_every=30 * DAY)
    service = replace(SERVICE, plan=replace(SERVICE.plan, monitoring=slower))
    later = due_of(service, left(NOON, (NOON - 90 * DAY, NOON - DAY)))
    assert [later[work] - due[work] for work in Work] == [12 * DAY, -50 * DAY, -122 * DAY]


@pytest.mark.parametrize(
    ("found", "works"),
    [
        (left(), {}),
        (left(served=NOON), {Work.OUTCOMES: NOON + 30 * DAY + 70 * DAY}),
        (left(served=NOON, imported=(NOON, NOON + 40 * DAY)),
         {Work.REVIEW: NOON + 2 * DAY, Work.OUTCOMES: NOON + 110 * DAY}),
        (left(served=NOON, reviewed=NOON), {Work.REVIEW: NOON + 2 * DAY}),
    ],
    ids=["nothing", "served only", "imported and never reviewed", "published to from elsewhere"],
)  # fmt: skip
def test_nothing_is_due_before_it_can_be_done(found: Left, works: Mapping[Work, datetime]) -> None:
    due = due_of(SERVICE, found)
    assert {work: at for work, at in due.items() if work is not Work.EVIDENCE} == works


class Watched:
    """A ledger and a watch over it, at a moment of the test's own."""

    def __init__(self, folder: Path, owner: str | None = "equity lead") -> None:
        self.ledger = folder / "ledger.db"
        prepare(self.ledger)
        self.said = io.StringIO()
        self.now = datetime.now(UTC)
        plan = replace(SERVICE.plan, monitoring=replace(PLAN, owner=owner))
        service = replace(SERVICE, plan=plan)
        catalog = ServiceCatalog((service, replace(service, hook="patient-view")))
        lines = OperatorLog("test-0", self.said)
        self.watch = ReviewWatch(
            self.ledger, ServicesInForce(catalog), lines, lambda: self.now, timedelta(milliseconds=5)
        )

    def review(self, number: int = 1, finding: StoredFinding | None = None) -> None:
        what = NewReview(f"r{number}", SUBJECT, date(2026, 10, number), b"{}")
        record_review(self.ledger, what, (finding,) if finding else ())

    def outcomes(self, name: str = "a") -> None:
        import_rows(beside(self.ledger), Imported(SERVICE.id, "readmission", name, "csv"), [])

    def samples(self) -> dict[str, float]:
        found = {(one.name, *labels): value for one, labels, value in self.watch.look()}
        assert len(found) == len(list(self.watch.look())), "each service once, whatever its hooks"
        return {" ".join(name): value for name, value in found.items() if isinstance(value, float | int)}

    async def until(self, name: str, value: float | None = None) -> None:
        async with asyncio.timeout(30):
            while self.samples().get(name) is None or value not in {None, self.samples()[name]}:
                await asyncio.sleep(0.005)

    def events(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.said.getvalue().splitlines()]
        return [(line["event"], line["owner"]) for line in lines if line["event"] != "evidence_expired"]


OPEN, REVIEWED, IMPORTED = (
    f"{one.name} readmission" for one in (table.FINDINGS_OPEN, table.REVIEW_SUCCESS, table.OUTCOMES_IMPORTED)
)


async def test_what_others_did_is_seen_while_the_service_runs(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert watched.samples() == {}, "nothing before the first look"
    before = datetime.now(UTC).timestamp()
    watched.watch.looking.start()
    await watched.until(OPEN, 0)
    assert REVIEWED not in watched.samples() and IMPORTED not in watched.samples()
    watched.outcomes()
    await watched.until(IMPORTED)
    watched.review(1, FINDING)
    await watched.until(OPEN, 1)
    seen = watched.samples()
    assert seen[REVIEWED] >= before - 1 and seen[IMPORTED] >= before - 1
    assert seen["monitoring_due_timestamp_seconds readmission review equity lead"] == (
        seen[REVIEWED] + 2 * DAY.total_seconds()
    )
    close_finding(watched.ledger, "here-1", "owner", "chair", "explained")
    await watched.until(OPEN, 0)
    watched.watch.looking.stop()


async def test_what_is_overdue_is_told_once_with_the_role_and_again_after_it_was_done(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.outcomes()
    watched.review()
    watched.now += 3 * DAY
    watched.watch.looking.start()
    await watched.until(OPEN, 0)
    await asyncio.sleep(0.05)
    assert watched.events() == [("review_overdue", "equity lead")]
    watched.now += 80 * DAY
    async with asyncio.timeout(30):
        while len(watched.events()) < 2:
            await asyncio.sleep(0.005)
    watched.review(2)
    async with asyncio.timeout(30):
        while len(watched.events()) < 3:
            await asyncio.sleep(0.005)
    watched.watch.looking.stop()
    names = [name for name, _ in watched.events()]
    assert names == ["review_overdue", "outcomes_overdue", "review_overdue"], "the clock stands in the future"


async def test_a_ledger_that_cannot_be_read_leaves_what_was_known(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.review(1, FINDING)
    watched.watch.looking.start()
    await watched.until(OPEN, 1)
    watched.ledger.rename(tmp_path / "away.db")
    await asyncio.sleep(0.05)
    assert watched.samples()[OPEN] == 1
    (tmp_path / "away.db").rename(watched.ledger)
    watched.review(2, replace(FINDING, finding_id="here-2"))
    await watched.until(OPEN, 2)
    watched.watch.looking.stop()


async def test_where_a_plan_names_no_owner_that_is_said(tmp_path: Path) -> None:
    watched = Watched(tmp_path, owner=None)
    watched.review()
    watched.watch.looking.start()
    await watched.until(f"monitoring_due_timestamp_seconds readmission review {NOBODY}")
    watched.watch.looking.stop()


def test_a_row_nobody_could_have_written_hides_no_other(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    prepare(ledger)
    record_review(ledger, NewReview("r1", SUBJECT, date(2026, 10, 1), b"{}"))
    with attacker(ledger) as database:
        database.execute(
            "INSERT INTO reviews SELECT 99, 'bad', 'yesterday', 'another', model_id, model_version, as_of,"
            " dated, result_digest, wrapper_version FROM reviews"
        )
    assert set(left_by_reviews(ledger).reviewed_at) == {SERVICE.id}


def test_a_file_of_outcomes_is_made_by_nobody_who_only_looks_and_a_foreign_one_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger-outcomes.db"
    assert imported_in(path) == {} and not path.exists()
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        imported_in(path)
