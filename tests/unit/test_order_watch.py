"""Orders reach the serving process from its ledger, and are lifted by later orders alone."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.caveats.plan import NEVER
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.decisions import give, orders_in
from cds_wrapper.log import OperatorLog
from cds_wrapper.order_watch import LOOK_EVERY, OrderWatch
from cds_wrapper.runtime import OrdersInForce
from cds_wrapper.services import ServiceCatalog, load_services
from tests.service.harness import ROOT
from tests.unit.ledger.attacks import attacker, order

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SOON = timedelta(milliseconds=5)


def ordered(decision: Ordered, number: int = 1, service: str = "cvd-risk") -> Order:
    since = NOON + timedelta(minutes=number)
    return Order(f"d{number}", service, decision, since, "informatician on call")


STOP, LIVE = ordered(Ordered.STOP, 1), ordered(Ordered.LIVE, 2)


# What is known ----------------------------------------------------------------------------------------------


def test_what_the_ledger_holds_is_taken_over_and_told_once() -> None:
    orders = OrdersInForce()

    assert orders.of("cvd-risk") is None
    assert orders.follow({"cvd-risk": STOP}) == (STOP,)
    assert orders.follow({"cvd-risk": STOP}) == ()
    assert orders.of("cvd-risk") is STOP
    assert orders.follow({"cvd-risk": LIVE}) == (LIVE,)


@pytest.mark.parametrize("read", [{}, {"cvd-risk": ordered(Ordered.LIVE, 0)}], ids=["gone", "older"])
def test_an_order_is_lifted_by_a_later_one_and_by_nothing_else(read: Mapping[str, Order]) -> None:
    orders = OrdersInForce({"cvd-risk": STOP})

    assert orders.follow(read) == ()
    assert orders.of("cvd-risk") is STOP


def test_a_stricter_order_is_followed_also_when_a_clock_dates_it_earlier() -> None:
    orders = OrdersInForce({"cvd-risk": LIVE})

    earlier = replace(STOP, since=LIVE.since - timedelta(days=1))
    assert orders.follow({"cvd-risk": earlier}) == (earlier,)
    assert orders.of("cvd-risk") is earlier


def test_two_orders_of_one_moment_follow_each_other() -> None:
    orders = OrdersInForce({"cvd-risk": STOP})

    assert orders.follow({"cvd-risk": replace(LIVE, since=STOP.since)})
    assert orders.of("cvd-risk") != STOP


def test_a_reader_sees_all_of_a_look_or_nothing_of_it() -> None:
    """Stopped together in one look, two services are stopped together in every mapping that was ever seen."""
    orders, seen, is_over = OrdersInForce(), set(), threading.Event()
    both = [{name: ordered(one, n, name) for name in ("a", "b")} for n, one in enumerate([*Ordered] * 200)]

    def watch() -> None:
        while not is_over.is_set():
            held = orders._orders
            seen.add(
                (held["a"].decision if "a" in held else None, held["b"].decision if "b" in held else None)
            )

    watching = threading.Thread(target=watch)
    watching.start()
    for read in both:
        orders.follow(read)
    is_over.set()
    watching.join()
    assert all(a is b for a, b in seen)


def test_the_state_of_each_service_can_be_read() -> None:
    (service,) = load_services(ROOT / "hooks").of("cvd-risk")
    hidden = replace(service, id="hidden", plan=replace(service.plan, live_since=NEVER))
    catalog = ServiceCatalog((service, hidden, replace(service, id="other")))
    orders = OrdersInForce({"cvd-risk": STOP, "other": ordered(Ordered.SHADOW, 1, "other")})

    assert orders.states(catalog, NOON) == {
        "cvd-risk": Ordered.STOP,
        "hidden": Ordered.SHADOW,
        "other": Ordered.SHADOW,
    }
    orders.follow({"cvd-risk": LIVE})
    assert orders.states(catalog, NOON)["cvd-risk"] is Ordered.LIVE


# The look ---------------------------------------------------------------------------------------------------


class Watching:
    """A watch over a ledger, looking often, with what it told the operator."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.orders = OrdersInForce()
        self.stream = io.StringIO()
        lines = OperatorLog("test-0", self.stream)
        self.watch = OrderWatch(path, self.orders, lines, every=SOON, **options)

    async def __aenter__(self) -> Self:
        await self.watch.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watch.close()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    async def until(self, event: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while not (found := [one for one in self.events() if one["event"] == event]):
                await asyncio.sleep(0.005)
        return found[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


async def test_what_was_ordered_before_the_start_is_known_when_it_is_open(path: Path) -> None:
    give(path, order("before", Ordered.STOP))

    async with Watching(path) as watching:
        found = watching.orders.of("cvd-risk")
        assert found is not None and found.decision is Ordered.STOP
        told = await watching.until("service_stopped")
    assert told["service_id"] == "cvd-risk" and told["by"] == "chief medical information officer"
    assert told["plan_version"] == "1" and told["decision_id"] == "before"
    assert "withdrew" not in watching.stream.getvalue(), "why is in the ledger and nowhere else"
    assert not [one for one in watching.events() if "dropped" in one]


async def test_each_order_is_followed_and_told(path: Path) -> None:
    async with Watching(path) as watching:
        for event, decision in (
            ("service_in_shadow", Ordered.SHADOW),
            ("service_stopped", Ordered.STOP),
            ("service_resumed", Ordered.LIVE),
        ):
            give(path, order(event, decision))
            told = await watching.until(event)
            assert told["level"] == "warning"
            now = watching.orders.of("cvd-risk")
            assert now is not None and now.decision is decision


async def test_orders_stay_while_the_ledger_cannot_be_read_and_are_followed_again(path: Path) -> None:
    give(path, order("first", Ordered.STOP))
    away = path.with_name("away.db")
    async with Watching(path) as watching:
        path.rename(away)
        told = await watching.until("orders_unreadable")
        assert told["known"] is True
        held = watching.orders.of("cvd-risk")
        assert held is not None and held.decision is Ordered.STOP

        away.rename(path)
        await watching.until("orders_readable")
        give(path, order("second", Ordered.LIVE))
        await watching.until("service_resumed")
    assert len([one for one in watching.events() if one["event"] == "orders_unreadable"]) == 1


async def test_a_stop_that_somebody_takes_out_of_the_file_stays_in_force(path: Path) -> None:
    give(path, order("first", Ordered.STOP))
    looks: list[int] = []

    def read(ledger: Path) -> Mapping[str, Order]:
        found = orders_in(ledger)
        looks.append(len(found))
        return found

    async with Watching(path, read=read) as watching:
        with attacker(path) as connection:
            connection.execute("DELETE FROM decisions")
        async with asyncio.timeout(30):
            while 0 not in looks:
                await asyncio.sleep(0.005)
        held = watching.orders.of("cvd-risk")
        assert held is not None and held.decision is Ordered.STOP


async def test_a_disk_that_fails_for_a_while_does_not_end_the_looking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    async with Watching(path) as watching:
        monkeypatch.setattr(Path, "is_file", fails)
        assert "Input/output error" in (await watching.until("orders_unreadable"))["problem"]
        monkeypatch.undo()
        await watching.until("orders_readable")
        give(path, order("after", Ordered.STOP))
        await watching.until("service_stopped")


async def test_until_orders_could_be_read_once_nobody_knows_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with Watching(path) as watching:
        assert not watching.orders.are_known
        assert (await watching.until("orders_unreadable"))["known"] is False
        prepare(path)
        await watching.until("orders_readable")
        assert watching.orders.are_known


async def test_a_look_that_hangs_holds_nobody_up(path: Path) -> None:
    """The loop goes on, orders are read from memory, and only the end waits for it."""
    hangs, go_on, first = threading.Event(), threading.Event(), True

    def read(_: Path) -> Mapping[str, Order]:
        nonlocal first
        if first:
            first = False
            return {"cvd-risk": STOP}
        hangs.set()
        assert go_on.wait(timeout=60)
        raise LedgerUnavailable("It hung.")

    async with Watching(path, read=read) as watching:
        while not hangs.is_set():
            await asyncio.sleep(0.005)
        assert watching.orders.of("cvd-risk") is STOP
        go_on.set()


def test_a_look_a_second_leaves_room_within_five() -> None:
    """What is promised is five seconds; a look waits for a lock one second at most."""
    assert timedelta(seconds=1) >= LOOK_EVERY
