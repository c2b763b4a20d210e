"""What an operator is told of the stores, from one look at them to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cds_wrapper.ledger.work import LedgerHealth, Replay
from cds_wrapper.telling import changes

WELL = LedgerHealth(spool_available=True)
OLDEST = datetime(2027, 3, 4, 12, tzinfo=UTC)
REPLAY = Replay(12, timedelta(seconds=3.25), OLDEST)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (WELL, WELL, []),
        (WELL, replace(WELL, ledger_available=False), ["ledger_unavailable"]),
        (
            WELL,
            replace(WELL, ledger_available=False, spool_starts_total=1),
            ["ledger_unavailable", "spool_started"],
        ),
        (WELL, replace(WELL, spool_available=False), ["spool_unavailable"]),
        (
            replace(WELL, ledger_available=False),
            replace(WELL, ledger_available=False, spool_available=False),
            ["records_unavailable", "spool_unavailable"],
        ),
        (
            replace(WELL, ledger_available=False, spool_available=False),
            replace(WELL, spool_available=False),
            ["records_available", "ledger_available"],
        ),
        (replace(WELL, spool_available=False), WELL, ["spool_available"]),
        (WELL, replace(WELL, replays_total=1, last_replay=REPLAY), ["spool_replayed"]),
        (
            WELL,
            replace(WELL, spool_starts_total=1, replays_total=1, last_replay=REPLAY),
            ["spool_started", "spool_replayed"],
        ),
        (replace(WELL, lost_total=1), replace(WELL, lost_total=3), ["record_lost"]),
        (WELL, replace(WELL, out_of_place_total=1), ["spool_out_of_order"]),
        (WELL, replace(WELL, chain_problems=("predictions: x",)), ["chain_broken"]),
    ],
)
def test_each_change_has_its_event_and_what_stays_as_it_was_is_not_told_again(
    before: LedgerHealth, now: LedgerHealth, told: list[str]
) -> None:
    assert [event.name for event, _ in changes(before, now)] == told
    assert list(changes(now, now)) == []


@pytest.mark.parametrize(
    "now",
    [
        LedgerHealth(ledger_available=False, spool_starts_total=1, lost_total=1, out_of_place_total=1),
        replace(WELL, replays_total=1, last_replay=REPLAY, chain_problems=("x",)),
    ],
)
def test_an_event_is_given_no_field_that_it_may_not_carry(now: LedgerHealth) -> None:
    for event, fields in changes(WELL, now):
        assert fields.keys() <= event.fields


def test_a_replay_is_told_with_how_much_how_long_and_since_when() -> None:
    ((_, fields),) = changes(WELL, replace(WELL, replays_total=1, last_replay=REPLAY))

    assert fields == {"records": 12, "seconds": 3.25, "oldest": "2027-03-04T12:00:00.000Z"}


def test_lost_records_are_counted_since_the_last_look() -> None:
    ((_, fields),) = changes(replace(WELL, lost_total=1), replace(WELL, lost_total=3))

    assert fields == {"records": 2}
