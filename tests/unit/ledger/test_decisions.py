"""Orders in the ledger: written beside whoever writes records, read as they were, never lifted by chance."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.audit import audit
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.decisions import Given, NewOrder, Outcome, give, has_served, orders_in
from cds_wrapper.ledger.entries import KeptFile
from cds_wrapper.ledger.heads import HeadTrouble
from cds_wrapper.ledger.retention import erase
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger
from tests.unit.ledger.attacks import attacker, found, hashed, insert, row
from tests.unit.ledger.examples import LONG_ENOUGH, NOON, Locked, entry, opened

AT_ONCE = timedelta(milliseconds=50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def new(decision: Ordered, number: int = 1, service: str = "cvd-risk", second: str | None = None) -> NewOrder:
    return NewOrder(f"decision-{number}", service, decision, "informatician on call", second, "a recall", "3")


def test_an_order_is_read_as_it_was_given(path: Path) -> None:
    before = datetime.now(UTC)
    given = give(path, new(Ordered.STOP))

    assert (given.outcome, given.problem) == (Outcome.WRITTEN, None)
    read = orders_in(path)["cvd-risk"]
    assert before - timedelta(milliseconds=1) <= read.since <= datetime.now(UTC)
    assert read == Order(
        "decision-1", "cvd-risk", Ordered.STOP, read.since, "informatician on call", None, "3", "a recall"
    )


def test_the_view_holds_who_decided_what_when_and_why(path: Path) -> None:
    give(path, new(Ordered.STOP), writer="host-command")

    held = LedgerReader(path).decision("decision-1")
    assert held is not None
    told = (
        "writer",
        "sequence",
        "kind",
        "service_id",
        "decision",
        "by_role",
        "second_role",
        "why",
        "plan_version",
    )
    assert [held[name] for name in told] == [
        *("host-command", 1, "order", "cvd-risk", "stop"),
        *("informatician on call", None, "a recall", "3"),
    ]
    assert LedgerReader(path).decision("another") is None


def test_the_last_order_about_each_service_counts(path: Path) -> None:
    give(path, new(Ordered.SHADOW, 1))
    give(path, new(Ordered.STOP, 2, "deterioration"))
    give(path, new(Ordered.STOP, 3))
    give(path, new(Ordered.LIVE, 4, second="clinical owner"))

    assert {name: order.decision for name, order in orders_in(path).items()} == {
        "cvd-risk": Ordered.LIVE,
        "deterioration": Ordered.STOP,
    }


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(Ordered.STOP, Ordered.SHADOW), (Ordered.STOP, Ordered.LIVE), (Ordered.SHADOW, Ordered.LIVE)],
)
def test_tightening_takes_one_role_and_loosening_two(path: Path, before: Ordered, wanted: Ordered) -> None:
    assert give(path, new(before, 1)).outcome is Outcome.WRITTEN

    refused = give(path, new(wanted, 2))
    assert refused.outcome is Outcome.SECOND_ROLE_NEEDED
    assert refused.order is not None and refused.order.decision is before
    assert orders_in(path)["cvd-risk"].decision is before

    assert give(path, new(wanted, 3, second="clinical owner")).outcome is Outcome.WRITTEN
    assert orders_in(path)["cvd-risk"].second == "clinical owner"


def test_what_is_in_force_already_keeps_its_date(path: Path) -> None:
    first = give(path, new(Ordered.STOP, 1)).order
    again = give(path, new(Ordered.STOP, 2))

    assert first is not None and again.order is not None
    assert (again.outcome, again.order.decision_id) == (Outcome.ALREADY, "decision-1")
    assert len(LedgerReader(path).rows("SELECT * FROM decisions_v1")) == 1
    assert give(path, new(Ordered.LIVE, 3, "deterioration")) == Given(Outcome.ALREADY, None)


def test_no_order_is_dated_before_the_one_it_follows(path: Path) -> None:
    later = {"recorded_at": "2999-01-01T00:00:00.000Z"}
    give(path, new(Ordered.STOP, 1), writer="host-0")
    with attacker(path) as connection:  # as a machine whose clock was wrong would have written it
        changed = hashed("decisions", {**row(connection, "decisions", 1), **later})
        connection.execute("DELETE FROM decisions")
        insert(connection, "decisions", changed)
        connection.execute("UPDATE chain_heads SET hash = ?", (changed["hash"],))
    give(path, new(Ordered.LIVE, 2, second="clinical owner"), writer="host-1")

    rows = LedgerReader(path).rows("SELECT recorded_at FROM decisions_v1")
    assert [one["recorded_at"] for one in rows] == [later["recorded_at"]] * 2
    assert orders_in(path)["cvd-risk"].decision is Ordered.LIVE
    assert audit(path).is_whole


# Beside a serving process -----------------------------------------------------------------------------------


async def test_an_order_is_given_while_a_process_writes_records(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    for number in range(20):
        await ledger.append(entry(prediction_id=f"before-{number}"), LONG_ENOUGH)
    give(ledger.path, new(Ordered.STOP))
    await ledger.append(entry(prediction_id="after", decision_id="decision-1"), LONG_ENOUGH)
    await ledger.close()

    assert orders_in(ledger.path)["cvd-risk"].decision is Ordered.STOP
    assert audit(ledger.path).is_whole


GIVE = """
import sys
from pathlib import Path
from cds_wrapper.caveats.orders import Ordered
from cds_wrapper.ledger.decisions import NewOrder, give
for number in range(20):
    service = f"{sys.argv[2]}-{number}"
    give(Path(sys.argv[1]), NewOrder(service, service, Ordered.STOP, "role", None, "why", None))
"""


def test_commands_at_the_same_time_lose_no_order(path: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", GIVE, str(path), name]) for name in ("a", "b")]
    assert [one.wait(timeout=120) for one in running] == [0, 0]

    assert len(orders_in(path)) == 40
    assert audit(path).is_whole


def test_a_ledger_that_stays_locked_takes_no_order_and_says_so(path: Path) -> None:
    with Locked(path), pytest.raises(LedgerUnavailable, match=r"locked .* the order was NOT given"):
        give(path, new(Ordered.STOP), patience=AT_ONCE)

    assert orders_in(path) == {}


def test_a_ledger_that_cannot_be_written_takes_no_order_and_says_so(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER kept_out BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'x'); END"
        )

    with pytest.raises(LedgerUnavailable, match=r"cannot be written .* the order was NOT given"):
        give(path, new(Ordered.STOP))


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_where_nothing_serves_no_ledger_is_made(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.db"
    if kind == "empty":
        path.touch()

    for ask in (lambda: give(path, new(Ordered.STOP)), lambda: orders_in(path)):
        with pytest.raises(LedgerUnavailable, match=r"There is no ledger|is empty"):
            ask()
    assert path.exists() is (kind == "empty") and not (kind == "empty" and path.stat().st_size)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")

    with pytest.raises(ConfigurationRefused, match="another program's"):
        give(tmp_path / "other.db", new(Ordered.STOP))
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        orders_in(tmp_path / "other.db")


async def test_a_service_that_was_served_once_is_known_by_its_file(tmp_path: Path) -> None:
    ledger: SQLiteLedger = await opened(tmp_path / "ledger.db")
    await ledger.keep_files([KeptFile("d", "service", "cvd-risk/service.yaml", b"x")], LONG_ENOUGH)
    await ledger.close()

    assert has_served(ledger.path, "cvd-risk")
    assert not has_served(ledger.path, "cvd")
    assert not has_served(tmp_path / "nowhere.db", "cvd-risk")


# Whoever has got at the file --------------------------------------------------------------------------------


@pytest.fixture
def decided(path: Path) -> Path:
    """A service stopped, resumed and stopped again."""
    for number, decision in enumerate((Ordered.STOP, Ordered.LIVE, Ordered.STOP), start=1):
        give(path, new(decision, number, second="clinical owner"), writer="host-0")
    return path


@pytest.mark.parametrize("column", ["decision", "service_id", "by_role", "why", "recorded_at"])
def test_an_altered_order_is_found(decided: Path, column: str) -> None:
    with attacker(decided) as connection:
        connection.execute(f"UPDATE decisions SET {column} = 'other' WHERE sequence = 3")

    assert found(decided) == [("altered", "decisions", 3)]


@pytest.mark.parametrize(("gone", "named"), [(2, ("missing", 2)), (3, ("missing_at_end", 3))])
def test_a_deleted_order_is_found(decided: Path, gone: int, named: tuple[str, int]) -> None:
    with attacker(decided) as connection:
        connection.execute("DELETE FROM decisions WHERE sequence = ?", (gone,))

    problem, sequence = named
    assert found(decided) == [(problem, "decisions", sequence)]


def test_exchanged_orders_are_found(decided: Path) -> None:
    with attacker(decided) as connection:
        first, second = row(connection, "decisions", 2), row(connection, "decisions", 3)
        connection.execute("DELETE FROM decisions WHERE sequence > 1")
        insert(connection, "decisions", {**second, "sequence": 2})
        insert(connection, "decisions", {**first, "sequence": 3})

    assert ("moved", "decisions", 2) in found(decided)


async def test_a_chain_taken_away_whole_is_missed_by_the_predictions_under_it(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    give(ledger.path, new(Ordered.STOP))
    await ledger.append(entry(decision_id="decision-1"), LONG_ENOUGH)
    await ledger.close()
    with attacker(ledger.path) as connection:
        connection.execute("DELETE FROM decisions")
        connection.execute("DELETE FROM chain_heads WHERE chain = 'decisions'")

    assert found(ledger.path) == [("without_decision", "predictions", 1)]


@pytest.mark.parametrize(
    ("column", "garbage"),
    [("decision", "off"), ("decision", b"\xff"), ("recorded_at", "yesterday"), ("recorded_at", 5)],
)
def test_what_nobody_could_have_ordered_is_passed_over(decided: Path, column: str, garbage: Any) -> None:
    give(decided, new(Ordered.STOP, 9, "deterioration"))
    with attacker(decided) as connection:
        connection.execute(f"UPDATE decisions SET {column} = ? WHERE decision_id = 'decision-3'", (garbage,))

    read = orders_in(decided)
    assert read["cvd-risk"].decision_id == "decision-2", "the last one that can be read"
    assert read["deterioration"].decision is Ordered.STOP
    assert give(decided, new(Ordered.STOP, 10)).outcome is Outcome.WRITTEN


def test_whoever_decides_is_told_that_earlier_decisions_are_gone(decided: Path) -> None:
    with attacker(decided) as connection:
        connection.execute("DELETE FROM decisions WHERE sequence = 3")

    given = give(decided, new(Ordered.STOP, 4), writer="host-0")
    assert given.problem is not None and given.problem.trouble is HeadTrouble.ROWS_MISSING
    assert orders_in(decided)["cvd-risk"].decision_id == "decision-4"


def test_the_hash_of_an_order_can_be_computed_again_by_anybody(decided: Path) -> None:
    with contextlib.closing(sqlite3.connect(decided)) as connection:
        held = row(connection, "decisions", 2)

    stated = held.pop("hash")
    text = json.dumps(
        {name: value for name, value in held.items() if value is not None},
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    assert hashlib.sha256(text.encode()).hexdigest() == stated


async def test_erasing_predictions_leaves_what_was_decided(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db")
    give(ledger.path, new(Ordered.STOP))
    await ledger.append(entry(decision_id="decision-1"), LONG_ENOUGH)
    await ledger.close()

    assert erase(ledger.path, NOON + timedelta(days=1), "retention").predictions == 1
    assert orders_in(ledger.path)["cvd-risk"].decision is Ordered.STOP
    assert audit(ledger.path).is_whole
