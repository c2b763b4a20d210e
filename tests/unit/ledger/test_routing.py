"""Where work goes, step by step and without threads: the interleavings that decide order and once."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.entries import Correction, Stamp
from cds_wrapper.ledger.items import Item, Place
from cds_wrapper.ledger.queues import CHUNK, QUEUE_LIMIT
from cds_wrapper.ledger.routing import Routing, Taken
from cds_wrapper.ledger.spool_folder import Position
from cds_wrapper.ledger.work import Receipt, Record
from tests.unit.ledger.examples import entry

NOW = datetime(2027, 3, 4, tzinfo=UTC)
START = Position(0, 0, 0, "")


def routing(*, has_spool: bool = True) -> Routing:
    made = Routing("host-0", has_spool=has_spool)
    made.open()
    return made


def at(number: int) -> Position:
    """The end of a spool with so many lines."""
    return Position(1, number * 100, number, "") if number else START


def put(to: Routing, names: str) -> list[Item]:
    """One item for each letter, put in that order."""
    items = [Item(Record(entry(prediction_id=name), ("instead",))) for name in names]
    for item in items:
        to.put(item)
    return items


def names(items: list[Item]) -> str:
    """The letters of predictions; a correction is a capital."""
    return "".join(
        item.piece.entry.prediction_id if isinstance(item.piece, Record) else str(capital(item.piece))
        for item in items
    )


def capital(piece: object) -> str:
    assert isinstance(piece, Correction)
    return piece.prediction_id.upper()


def commit(of: Routing, taken: Taken, unfounded: list[Correction] | None = None) -> None:
    """The transaction is durable: every item was written."""
    for number, item in enumerate(taken.items, 1):
        item.written = Stamp("host-0", number, NOW, timedelta())
    of.ledger_durable(taken, len(taken.items), len(taken.corrections), unfounded or [])
    if taken.until is not None or taken.hands_over:
        of.moved(taken.until or at(0), 0, None)


def spool(of: Routing, end: int) -> str:
    """The spooler writes what there is; the letters, in order."""
    items = of.take_for_spool()
    of.spool_durable(at(end))
    return names(items)


def away(of: Routing) -> None:
    """The ledger failed, and the time to try it again has come."""
    of.ledger_failed("SQLITE_FULL", has_begun=False, in_doubt=False)
    of._outage.hand_over_at = 0.0


def is_spooled(item: Item) -> bool:
    return isinstance(item.result, Receipt) and item.result.spooled


def is_recorded(item: Item) -> bool:
    return isinstance(item.result, Receipt) and not item.result.spooled


def is_refused(item: Item) -> bool:
    return isinstance(item.result, LedgerUnavailable)


# The ledger hangs -------------------------------------------------------------------------------------------


def test_what_hangs_and_what_waits_behind_it_goes_to_the_spool_in_its_order_and_is_told_of_once() -> None:
    r = routing()
    a, b = put(r, "ab")
    taken = r.take_for_ledger(alone=False)
    c, d = put(r, "cd")
    r.lose_patience(b)
    (e,) = put(r, "e")

    assert spool(r, 5) == "abcde"
    assert all(is_spooled(item) for item in (a, b, c, d, e))
    commit(r, taken)
    assert all(is_spooled(item) for item in (a, b)), "whoever was told is not told again"
    assert {item.ledger for item in (a, b)} == {Place.DURABLE}


def test_a_commit_that_comes_to_its_end_first_takes_its_rows_out_of_the_spools_queue() -> None:
    r = routing()
    a, b = put(r, "ab")
    taken = r.take_for_ledger(alone=False)
    r.lose_patience(a)
    commit(r, taken)

    assert is_recorded(a) and is_recorded(b)
    assert spool(r, 0) == ""


def test_whoever_waits_for_a_hanging_commit_and_leaves_is_withdrawn_from_the_spool_and_corrected() -> None:
    r = routing()
    a, b = put(r, "ab")
    taken = r.take_for_ledger(alone=False)
    r.lose_patience(a)
    assert r.expire(a)
    assert not r.expire(a)

    assert spool(r, 2) == "bA"
    commit(r, taken)
    assert is_spooled(b)


def test_a_caller_that_has_no_time_proves_nothing_about_the_ledger() -> None:
    r = routing()
    (a,) = put(r, "a")
    assert r.expire(a)

    assert r.health.ledger_available
    assert r.take_for_ledger(alone=False).items == []


# The ledger fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_doubt", [False, True])
def test_rows_of_a_transaction_that_failed_go_to_the_spool_before_those_that_waited(in_doubt: bool) -> None:
    r = routing()
    a, b = put(r, "ab")
    r.take_for_ledger(alone=False)
    c, d = put(r, "cd")
    assert r.ledger_failed("SQLITE_IOERR", has_begun=True, in_doubt=in_doubt) == []

    assert spool(r, 4) == "abcd"
    assert all(is_spooled(item) for item in (a, b, c, d))


def test_who_leaves_after_a_commit_in_doubt_is_corrected_though_only_a_queue_held_it() -> None:
    r = routing()
    a, b = put(r, "ab")
    r.take_for_ledger(alone=False)
    r.ledger_failed("SQLITE_IOERR", has_begun=True, in_doubt=True)
    r.leave(a)

    assert spool(r, 2) == "bA"
    assert is_spooled(b)


def test_who_leaves_after_a_failure_without_doubt_leaves_nothing_behind() -> None:
    r = routing()
    (a,) = put(r, "a")
    r.take_for_ledger(alone=False)
    r.ledger_failed("SQLITE_FULL", has_begun=True, in_doubt=False)
    r.leave(a)

    assert spool(r, 0) == ""


def test_without_a_spool_rows_of_a_failed_transaction_are_refused_and_those_behind_them_wait() -> None:
    r = routing(has_spool=False)
    a, b = put(r, "ab")
    r.take_for_ledger(alone=False)
    (c,) = put(r, "c")
    assert names(r.ledger_failed("SQLITE_FULL", has_begun=True, in_doubt=False)) == "ab"

    assert is_refused(a) and is_refused(b)
    assert names(r.take_for_ledger(alone=False).items) == "c"
    assert not c.is_settled


def test_without_a_spool_a_refusal_in_doubt_is_followed_by_a_correction() -> None:
    r = routing(has_spool=False)
    put(r, "a")
    r.take_for_ledger(alone=False)
    r.ledger_failed("SQLITE_IOERR", has_begun=True, in_doubt=True)

    assert r.take_for_ledger(alone=False).corrections == [Correction("a", ("instead",))]


# The hand-over ----------------------------------------------------------------------------------------------


def test_lines_come_first_then_what_the_spooler_has_then_its_queue_then_what_is_new() -> None:
    r = routing()
    away(r)
    put(r, "ab")
    assert spool(r, 2) == "ab"
    commit(r, r.take_for_ledger(alone=False))  # the ledger has proved that it works
    r.moved(at(0), 0, None)  # as if that had been the beginning of a long spool
    r._outage.hand_over_at = 0.0
    put(r, "cd")
    in_hand = r.take_for_spool()
    put(r, "ef")
    taken = r.take_for_ledger(alone=False)
    put(r, "g")

    assert taken.hands_over and taken.until == at(2)
    assert (names(in_hand), names(taken.items)) == ("cd", "cdef")
    r.spool_durable(at(4))
    assert all(is_spooled(item) for item in in_hand)
    commit(r, taken)
    assert [is_recorded(item) for item in taken.items] == [False, False, True, True]
    assert names(r.take_for_ledger(alone=False).items) == "g", "from then on it is the ledger again"


def test_a_hand_over_that_fails_brings_everything_back_to_the_spool_once_and_in_order() -> None:
    r = routing()
    away(r)
    commit(r, r.take_for_ledger(alone=False))
    r._outage.hand_over_at = 0.0
    put(r, "ab")
    in_hand = r.take_for_spool()
    put(r, "cd")
    taken = r.take_for_ledger(alone=False)
    assert (names(in_hand), names(taken.items)) == ("ab", "abcd")
    put(r, "e")
    r.ledger_failed("SQLITE_FULL", has_begun=True, in_doubt=False)
    r.spool_durable(at(2))

    assert all(is_spooled(item) for item in in_hand)
    assert spool(r, 5) == "cde"


def test_a_hand_over_that_hangs_brings_everything_back_to_the_spool_once_and_in_order() -> None:
    r = routing()
    away(r)
    commit(r, r.take_for_ledger(alone=False))
    r._outage.hand_over_at = 0.0
    put(r, "a")
    r.take_for_spool()
    put(r, "b")
    taken = r.take_for_ledger(alone=False)
    (c,) = put(r, "c")
    r.lose_patience(c)
    r.spool_durable(at(1))

    assert spool(r, 3) == "bc"
    commit(r, taken)
    assert spool(r, 3) == ""


def test_a_long_spool_is_not_handed_over_and_a_ledger_that_has_proved_nothing_is_not_either() -> None:
    r = routing()
    away(r)
    r._backlog.end = at(CHUNK + 1)
    assert not r.take_for_ledger(alone=False).hands_over, "it has just failed"
    r._ledger.works()
    assert not r.take_for_ledger(alone=False).hands_over, "there is too much"
    r._backlog.drained = at(1)
    assert r.take_for_ledger(alone=False).hands_over


def test_a_spool_that_cannot_be_read_keeps_nobody_from_a_ledger_that_works() -> None:
    r = routing()
    away(r)
    r._backlog.end = at(CHUNK + 1)
    r._ledger.works()
    r.moved(at(0), 0, None, is_readable=False)
    put(r, "a")

    assert names(r.take_for_ledger(alone=False).items) == "a"


def test_an_outage_is_over_when_the_ledger_is_used_and_nothing_is_on_its_way_to_the_spool() -> None:
    r = routing()
    away(r)
    commit(r, r.take_for_ledger(alone=False))
    r._outage.hand_over_at = 0.0
    put(r, "a")
    r.take_for_spool()
    commit(r, r.take_for_ledger(alone=False))
    assert r.health.replays_total == 0, "a line is being written"
    r.spool_durable(at(1))
    commit(r, r.take_for_ledger(alone=False))

    assert r.health.replays_total == 1
    assert r.is_to_retire() and not r.is_to_retire()


def test_an_empty_spool_stands_in_until_the_ledger_that_works_again_is_trusted() -> None:
    r = routing()
    r.ledger_failed("SQLITE_FULL", has_begun=False, in_doubt=False)
    commit(r, r.take_for_ledger(alone=False))
    proven = r.health
    assert (proven.ledger_available, proven.spool_records, proven.spool_stands_in) == (True, 0, True)
    put(r, "a")
    assert spool(r, 1) == "a", "the next record goes there"
    r._outage.hand_over_at = 0.0
    commit(r, r.take_for_ledger(alone=False))

    assert not r.health.spool_stands_in
    put(r, "b")
    assert names(r.take_for_ledger(alone=False).items) == "b"


def test_an_outage_is_over_when_what_was_left_in_the_spool_is_gone_with_its_folder() -> None:
    r = routing()
    away(r)
    commit(r, r.take_for_ledger(alone=False))
    r._outage.hand_over_at = 0.0
    put(r, "a")
    r.take_for_spool()
    commit(r, r.take_for_ledger(alone=False))
    r.spool_durable(at(1))
    r.spool_opened(at(0), at(0))

    assert not r.health.spool_stands_in
    assert (r.health.replays_total, r.health.lost_total) == (1, 1)


# The spool fails --------------------------------------------------------------------------------------------


def test_what_the_spool_could_not_write_goes_to_the_ledger_unless_it_is_or_was_there() -> None:
    r = routing()
    a, b = put(r, "ab")
    r.take_for_ledger(alone=False)  # hangs
    r.lose_patience(a)
    put(r, "c")
    assert names(r.take_for_spool()) == "abc"
    assert r.spool_failed("ENOSPC") == []
    assert not a.is_settled and not b.is_settled, "the commit may still come to its end"
    assert names(r.ledger_failed("SQLITE_FULL", has_begun=True, in_doubt=False)) == "ab"

    assert names(r.take_for_ledger(alone=False).items) == "c"
    assert names(r.ledger_failed("SQLITE_FULL", has_begun=True, in_doubt=False)) == "c"
    assert not r.health.available


def test_a_correction_the_spool_could_not_write_waits_until_its_row_is_there_or_can_be_nowhere() -> None:
    r = routing()
    away(r)
    a, b = put(r, "ab")
    in_hand = r.take_for_spool()
    r.leave(a)
    r.spool_durable(at(2))
    assert names(r.take_for_spool()) == "A"
    r.spool_failed("ENOSPC")
    assert (names(in_hand), is_spooled(b)) == ("ab", True)
    taken = r.take_for_ledger(alone=False)
    assert taken.corrections == [Correction("a", ("instead",))]
    r.ledger_durable(taken, 0, 0, taken.corrections)  # its row is further behind in the spool
    again = r.take_for_ledger(alone=False)
    assert again.corrections == []
    r.ledger_durable(again, 0, 0, [])
    r.moved(at(2), 2, NOW)

    last = r.take_for_ledger(alone=False)
    assert last.corrections == [Correction("a", ("instead",))]
    r.ledger_durable(last, 0, 0, last.corrections)
    assert r.take_for_ledger(alone=False).corrections == [], "there never was such a row"


# Limits, closing --------------------------------------------------------------------------------------------


def test_a_queue_that_is_full_turns_to_the_spool_or_refuses_where_there_is_none() -> None:
    r = routing()
    put(r, "x" * QUEUE_LIMIT)
    put(r, "y")
    assert len(r.take_for_spool()) == QUEUE_LIMIT + 1

    without = routing(has_spool=False)
    put(without, "x" * QUEUE_LIMIT)
    with pytest.raises(LedgerUnavailable, match="more to write"):
        put(without, "y")


def test_what_the_committer_leaves_at_its_end_goes_to_the_spool_and_the_spooler_ends_after_it() -> None:
    r = routing()
    (a,) = put(r, "a")
    r.close(timedelta())
    with pytest.raises(LedgerUnavailable, match="closed"):
        put(r, "b")
    assert r.ledger_ended() == []

    assert r.wait_for_spool()
    assert spool(r, 1) == "a"
    assert is_spooled(a)
    assert not r.wait_for_spool()


def test_what_the_spool_cannot_take_at_the_end_is_refused() -> None:
    r = routing()
    (a,) = put(r, "a")
    r.close(timedelta())
    r.ledger_ended()
    r.take_for_spool()
    assert names(r.spool_failed("ENOSPC")) == "a"

    assert is_refused(a)


async def test_a_line_is_held_back_while_the_ledger_catches_up_and_no_longer_than_it_says() -> None:
    r = routing()
    r._backlog.end = at(10 * CHUNK)
    r._turn_to_spool()
    put(r, "a")
    r.take_for_spool()
    r.spool_durable(at(10 * CHUNK + 1))
    (b,) = put(r, "b")
    b.spool_by = r._spool_by = b.put_at + 3600
    waiting = asyncio.create_task(asyncio.to_thread(r.wait_for_spool))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    r.moved(at(CHUNK), CHUNK, NOW)

    assert await waiting


def test_a_spool_that_cannot_be_opened_when_an_outage_ends_is_not_asked_without_a_pause() -> None:
    ledger = routing()
    away(ledger)
    ledger.spool_failed("ENOENT")
    for _ in ("proves that it works", "hands over"):
        commit(ledger, ledger.take_for_ledger(alone=False))
    assert ledger._is_to_retire
    due = ledger._next_line_at()
    assert due is not None and due > time.monotonic()


def test_at_the_close_what_the_spool_cannot_write_comes_back_to_the_ledger() -> None:
    ledger = routing()
    away(ledger)
    put(ledger, "a")
    ledger.take_for_spool()
    commit(ledger, ledger.take_for_ledger(alone=True))
    ledger.close(timedelta(seconds=5))
    threading.Timer(0.1, ledger.spool_failed, ["EIO"]).start()
    assert ledger.wait_for_ledger()
    assert names(ledger.take_for_ledger(alone=False).items) == "a"


def test_corrections_are_written_a_few_hundred_at_a_time_however_many_there_are() -> None:
    ledger = routing(has_spool=False)
    for item in put(ledger, "a" * 5):
        ledger._corrections += [Correction(f"{item}{number}") for number in range(CHUNK)]
    taken = ledger.take_for_ledger(alone=False)
    assert len(taken.corrections) == CHUNK
    commit(ledger, taken)
    assert len(ledger.take_for_ledger(alone=False).corrections) == CHUNK
