"""What people decided, in the ledger: orders are written beside the serving process and read by it.

An order is one row of the chain `decisions`, written by a command in a transaction of its own. The write lock
that it holds meanwhile is the serving process's too, for a millisecond: a record waits, and none is lost.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cds_wrapper import __version__
from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger import schema
from cds_wrapper.ledger.columns import DECISION_COLUMNS
from cds_wrapper.ledger.database import check_not_empty, connect, error_name, is_locked
from cds_wrapper.ledger.heads import HeadProblem, read_end
from cds_wrapper.ledger.values import FORMS, Checker, Plain

ORDER: Final = "order"
LOCK_PATIENCE: Final = timedelta(seconds=10)
READ_PATIENCE: Final = timedelta(seconds=1)

_CHAIN: Final = "decisions"
_LAST_YEAR: Final = 9000
_CHECKER = Checker([column for column in DECISION_COLUMNS if column.name != "hash"])
_NAMES: Final = (
    "decision_id",
    "service_id",
    "decision",
    "recorded_at",
    "by_role",
    "second_role",
    "plan_version",
    "why",
)
_ORDERS: Final = f"SELECT {', '.join(_NAMES)} FROM decisions WHERE kind = ? ORDER BY rowid"  # noqa: S608  names are ours


class Outcome(enum.Enum):
    """What became of an order that was given."""

    WRITTEN = "written"
    ALREADY = "already_in_force"
    SECOND_ROLE_NEEDED = "second_role_needed"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be given: what, about which service, by whom and why."""

    decision_id: str
    service_id: str
    decision: Ordered
    by: str
    second: str | None
    why: str
    plan_version: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """What became of it; `order` is the one in force now, None where none ever was.

    `problem` is what was wrong with the end of the chain of decisions before.
    """

    outcome: Outcome
    order: Order | None
    problem: HeadProblem | None = None


def give(path: Path, new: NewOrder, patience: timedelta = LOCK_PATIENCE, writer: str | None = None) -> Given:
    """Write an order; when this returns `WRITTEN` it is on the disk. `writer` is this machine's command.

    One that is in force already is not written again. One that loosens needs a second role: tightening takes
    one person, loosening two. `LedgerUnavailable` when there is no ledger or it cannot be written within
    `patience`: then nothing has changed.
    """
    _check_there(path)
    try:
        with contextlib.closing(connect(path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {patience // timedelta(milliseconds=1)}")
            connection.execute("BEGIN IMMEDIATE")
            return _given(connection, new, writer or f"{socket.gethostname()}-command")
    except sqlite3.Error as error:
        if is_locked(error):
            seconds = round(patience.total_seconds())
            problem = f"{path} was locked by another process for more than {seconds} seconds"
        else:
            problem = f"{path} cannot be written ({error_name(error)})"
        raise LedgerUnavailable(f"{problem}: the order was NOT given.") from None


def orders_in(path: Path) -> Mapping[str, Order]:
    """The last order about each service, by its id; those that made it live again are among them.

    `LedgerUnavailable` when the ledger cannot be read.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        _check_there(path)
        check_not_empty(path)
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=READ_PATIENCE.total_seconds(), isolation_level=None)
        ) as connection:
            return _latest(connection)
    except OSError as error:  # a disk that answers no question about the file: whoever looks goes on looking
        raise LedgerUnavailable(f"{path} cannot be read ({error.strerror}).") from None
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{path} cannot be read ({error_name(error)}).") from None


def has_served(path: Path, service_id: str) -> bool:
    """Whether this ledger was ever served with a service of that id: it keeps the file that named it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    query = "SELECT EXISTS (SELECT 1 FROM kept_files WHERE kind = 'service' AND name = ?)"
    try:
        check_not_empty(path)
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return bool(connection.execute(query, (f"{service_id}/service.yaml",)).fetchone()[0])
    except sqlite3.Error:
        return False


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise LedgerUnavailable(
            f"There is no ledger at {path}: name the one that the service is run with, by CDS_WRAPPER_LEDGER"
            " or --ledger."
        )
    try:
        check_not_empty(path)
    except sqlite3.Error:
        raise LedgerUnavailable(f"{path} is empty: no service has been run with it.") from None


def _given(connection: sqlite3.Connection, new: NewOrder, writer: str) -> Given:
    """Look at what is in force and write, in one transaction."""
    before = _latest(connection).get(new.service_id)
    now_in_force = before.decision if before else Ordered.LIVE
    if new.decision is now_in_force:
        return Given(Outcome.ALREADY, before)
    if new.decision < now_in_force and new.second is None:
        return Given(Outcome.SECOND_ROLE_NEEDED, before)
    end, problem = read_end(connection, _CHAIN, writer)
    latest = connection.execute("SELECT max(recorded_at) FROM decisions").fetchone()[0]
    stamp = end.stamp(max(datetime.now(UTC), _moment(latest)))
    order = Order(
        new.decision_id,
        new.service_id,
        new.decision,
        stamp.recorded_at,
        new.by,
        new.second,
        new.plan_version,
        new.why,
    )
    row = _row(order, stamp.sequence, stamp.writer, stamp.previous_hash)
    connection.execute(schema.INSERT_DECISION, row)
    connection.execute(schema.SET_HEAD, (_CHAIN, stamp.writer, stamp.sequence, row[-1]))
    connection.execute("COMMIT")
    return Given(Outcome.WRITTEN, order, problem)


def _moment(latest: object) -> datetime:
    """When the last decision was written: no later one is earlier, whatever a clock says."""
    try:
        moment = datetime.fromisoformat(str(latest))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(order: Order, sequence: int, writer: str, previous: str | None) -> tuple[Plain, ...]:
    plain = _CHECKER.checked(
        {
            "sequence": sequence,
            "writer": writer,
            "recorded_at": order.since,
            "decision_id": order.decision_id,
            "kind": ORDER,
            "service_id": order.service_id,
            "decision": order.decision.value,
            "by_role": order.by,
            "second_role": order.second,
            "why": order.why,
            "plan_version": order.plan_version,
            "wrapper_version": __version__,
            "previous_hash": previous,
        }
    )
    return (*plain, FORMS[_CHAIN].hash((*plain, None)))


def _latest(connection: sqlite3.Connection) -> dict[str, Order]:
    """The last order about each service, in the order they were written.

    What nobody could have given was written past the wrapper: it neither stops a service nor lifts an order,
    and the audit names it.
    """
    connection.text_factory = lambda stored: stored.decode("utf-8", "replace")
    found: dict[str, Order] = {}
    for row in connection.execute(_ORDERS, (ORDER,)):
        with contextlib.suppress(ValueError, TypeError):
            order = order_of(dict(zip(_NAMES, row, strict=True)))
            found[order.service_id] = order
    return found


def order_of(row: Mapping[str, object]) -> Order:
    """The order that a row of `decisions_v1` holds; `ValueError` or `TypeError` when it holds none."""
    since = datetime.fromisoformat(_text(row["recorded_at"]))
    if since.tzinfo is None or since.year > _LAST_YEAR:
        raise ValueError("no time that a clock showed")
    return Order(
        decision_id=_text(row["decision_id"]),
        service_id=_text(row["service_id"]),
        decision=Ordered(row["decision"]),
        since=since,
        by=_text(row["by_role"]),
        second=_text_or_none(row["second_role"]),
        plan_version=_text_or_none(row["plan_version"]),
        why=_text(row["why"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
