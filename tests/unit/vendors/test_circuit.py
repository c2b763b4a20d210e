"""When a vendor is given a rest: on made-up clocks, and in every order of events that is thought of."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_wrapper.vendors.circuit import Circuit, CircuitPolicy, CircuitState, Ticket, Turn, Verdict

POLICY = CircuitPolicy(failures=3, lasting=timedelta(seconds=2), open_for=timedelta(seconds=30))
WORKS, FAILED, NOTHING = Verdict.WORKS, Verdict.FAILED, Verdict.NOTHING


def after(circuit: Circuit, *ends: tuple[float, Verdict]) -> list[Turn | None]:
    """What calls, one after the other, each begun and ended at a time, make of a circuit."""
    turns = []
    for now, verdict in ends:
        ticket = circuit.begin(now)
        assert ticket is not None, f"let nobody through at {now}"
        turns.append(circuit.end(ticket, verdict, now))
    return turns


def opened() -> Circuit:
    """Opened at 2 s, tried again from 32 s on."""
    circuit = Circuit(POLICY)
    assert after(circuit, (0, FAILED), (1, FAILED), (2, FAILED)) == [None, None, Turn.OPENED]
    return circuit


STREAKS = [
    ("enough and long enough", [(0, FAILED), (1, FAILED), (2, FAILED)], CircuitState.OPEN),
    ("too few", [(0, FAILED), (5, FAILED)], CircuitState.CLOSED),
    ("many in one moment, as in a pause of the vendor", [(0, FAILED)] * 50, CircuitState.CLOSED),
    ("many in one moment, and one later", [*[(0, FAILED)] * 50, (2, FAILED)], CircuitState.OPEN),
    ("one in between works", [(0, FAILED), (1, FAILED), (2, WORKS), (3, FAILED)], CircuitState.CLOSED),
    ("one in between says nothing", [(0, FAILED), (1, FAILED), (2, NOTHING), (3, FAILED)], CircuitState.OPEN),
    ("hours apart and never an answer", [(0, FAILED), (4000, FAILED), (8000, FAILED)], CircuitState.OPEN),
    ("every other one works", [(n, (FAILED, WORKS)[n % 2]) for n in range(100)], CircuitState.CLOSED),
]


@pytest.mark.parametrize(("name", "ends", "state"), STREAKS, ids=[row[0] for row in STREAKS])
def test_a_circuit_opens_when_enough_calls_in_a_row_have_failed_for_long_enough(
    name: str, ends: list[tuple[float, Verdict]], state: CircuitState
) -> None:
    circuit = Circuit(POLICY)
    after(circuit, *ends)
    assert circuit.state(ends[-1][0]) is state


def test_an_open_circuit_lets_nobody_through_until_its_rest_is_over_and_then_one() -> None:
    circuit = opened()
    assert [circuit.begin(now) for now in (2, 10, 31.9)] == [None, None, None]
    assert circuit.state(31.9) is CircuitState.OPEN and circuit.state(32) is CircuitState.HALF_OPEN
    probe = circuit.begin(32)
    assert probe is not None and [circuit.begin(32 + n) for n in range(32)] == [None] * 32
    assert circuit.state(40) is CircuitState.HALF_OPEN


def test_a_probe_that_works_closes_the_circuit_and_forgets_what_was() -> None:
    circuit = opened()
    assert after(circuit, (32, WORKS)) == [Turn.CLOSED] and circuit.state(32) is CircuitState.CLOSED
    assert after(circuit, (33, FAILED), (34, FAILED)) == [None, None]


def test_a_probe_that_fails_gives_the_vendor_another_whole_rest_and_is_not_told_again() -> None:
    circuit = opened()
    assert after(circuit, (40, FAILED)) == [None] and circuit.state(40) is CircuitState.OPEN
    assert circuit.begin(69.9) is None and circuit.begin(70) is not None


def test_a_probe_without_a_verdict_leaves_its_place_to_the_next_call_at_once() -> None:
    circuit = opened()
    for _ in range(3):
        assert after(circuit, (32, NOTHING)) == [None]
    assert after(circuit, (32, WORKS)) == [Turn.CLOSED]


@pytest.mark.parametrize("late", [WORKS, FAILED])
def test_a_call_that_was_under_way_when_the_circuit_opened_decides_nothing_for_the_probe(
    late: Verdict,
) -> None:
    circuit = Circuit(POLICY)
    old = circuit.begin(0)
    after(circuit, (0, FAILED), (1, FAILED), (2, FAILED))
    assert old is not None and circuit.end(old, late, 3) is None and circuit.state(3) is CircuitState.OPEN
    probe = circuit.begin(32)
    assert circuit.end(old, late, 33) is None and circuit.begin(33) is None, "the probe is still under way"
    assert probe is not None and circuit.end(probe, WORKS, 34) is Turn.CLOSED


def test_an_end_that_comes_twice_counts_once() -> None:
    circuit = opened()
    probe = circuit.begin(32)
    assert probe is not None and circuit.end(probe, FAILED, 32) is None
    assert circuit.end(probe, WORKS, 33) is None and circuit.state(33) is CircuitState.OPEN


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.1, 40)),
        st.tuples(st.just("begin"), st.just(0.0)),
        st.tuples(st.sampled_from(["works", "failed", "nothing"]), st.floats(0, 1)),
    ),
    max_size=120,
)


@given(EVENTS)
def test_whatever_happens_there_is_never_more_than_one_probe_and_no_circuit_stays_shut_for_good(
    events: list[tuple[str, float]],
) -> None:
    circuit, now, under_way, probes = Circuit(POLICY), 0.0, list[Ticket](), set[Ticket]()
    for kind, number in events:
        match kind:
            case "wait":
                now += number
            case "begin":
                is_probe = circuit.state(now) is not CircuitState.CLOSED
                ticket = circuit.begin(now)
                if ticket is not None:
                    under_way.append(ticket)
                    probes |= {ticket} if is_probe else set()
            case verdict if under_way:
                ended = under_way.pop(int(number * (len(under_way) - 1)))
                circuit.end(ended, Verdict(verdict), now)
                probes.discard(ended)
            case _:
                pass
        assert len(probes) <= 1
    for ticket in under_way:
        circuit.end(ticket, NOTHING, now)
    assert circuit.begin(now + 31) is not None
