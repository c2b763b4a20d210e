"""The daily look at one group and at the model as a whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cds_wrapper.monitoring.formulas.budget import Budget, Share
from cds_wrapper.monitoring.formulas.restarts import Days, log_e_restarts
from cds_wrapper.monitoring.formulas.sequences import (
    Floats,
    Sides,
    log_e_against_rest,
    ratio_sequence,
    ratio_to_rest_sequence,
    steps,
)
from cds_wrapper.monitoring.formulas.watching import Watched, watch, watch_model
from cds_wrapper.monitoring.values import WhyNot

BUDGET = Budget(10)
SHARE = BUDGET.daily([False] * 10)[0]
BAR = BUDGET.log_watch_bar


def life(days: int, ratio: Floats | float, common: Floats | float = 1.0) -> tuple[Sides, Days]:
    """A group with one event every other day and a rest with eight, by the ratio it has on each day."""
    rng = np.random.default_rng(11)
    group, rest = np.full(days, 0.5), np.full(days, 8.0)
    events = rng.poisson(group * ratio * common).astype(float), rng.poisson(rest * common).astype(float)
    return Sides(*events, group, rest), np.arange(days, dtype=np.int64)


def watched(sides: Sides, days: Days, share: Share = SHARE) -> Watched:
    told = watch(sides, days, share, BAR)
    assert isinstance(told, Watched)
    return told


def test_a_group_whose_risk_is_underestimated_is_found_and_stays_found() -> None:
    sides, days = life(365, 1.85)
    told = watched(sides, days)
    running = log_e_against_rest(sides)

    assert told.alarm_day is not None
    assert told.alarm_day == told.since_live.first_day == int(np.argmax(running >= SHARE.log_bar))
    assert told.since_live.now == pytest.approx(running[-1])
    assert told.since_live.highest == pytest.approx(running.max())
    assert told.sequence == ratio_to_rest_sequence(sides, SHARE.error / 2)
    assert told.sequence[0] > 1
    assert told.ratio == pytest.approx(1.85, abs=0.3)
    assert told.on_watch
    assert told.log_e_material < told.since_live.now


def test_a_drift_of_the_whole_model_is_no_finding_of_a_group_but_one_of_the_model() -> None:
    sides, days = life(365, 1.0, np.linspace(1, 2, 365))
    model = watch_model(
        sides.group + sides.rest, sides.group_expected + sides.rest_expected, days, BUDGET.for_model
    )

    assert watched(sides, days).alarm_day is None
    assert isinstance(model, Watched)
    assert model.alarm_day is not None
    assert model.ratio == pytest.approx(1.5, abs=0.1)


def test_after_a_good_spell_the_restarts_ring_first_and_say_since_when() -> None:
    sides, days = life(1_400, np.where(np.arange(1_400) < 1_100, 1.0, 1.85))
    told = watched(sides, days)

    assert told.alarm_day == told.restarts.first_day
    assert told.restarts.highest == pytest.approx(log_e_restarts(np.cumsum(steps(sides), axis=0), days).max())
    assert 1_000 <= told.since_day <= 1_200
    assert told.ratio < 1.3 < told.ratio_since


def test_the_model_too_says_since_when() -> None:
    sides, days = life(1_400, 1.0, np.where(np.arange(1_400) < 1_100, 1.0, 1.3))
    told = watch_model(sides.rest, sides.rest_expected, days, BUDGET.for_model, divisor=1.5)

    assert isinstance(told, Watched)
    assert 1_000 <= told.since_day <= 1_200
    assert told.ratio_since == pytest.approx(1.3, abs=0.1)
    assert told.sequence == ratio_sequence(
        sides.rest.sum() / 1.5, sides.rest_expected.sum() / 1.5, BUDGET.for_model.each
    )


def test_a_day_is_counted_from_go_live_and_not_by_its_place() -> None:
    sides, days = life(365, 1.85)
    told = watched(sides, days * 3 + 40)

    assert told.since_live.first_day is not None
    assert (told.since_live.first_day - 40) / 3 == watched(sides, days).since_live.first_day


def test_a_design_effect_delays_the_alarm() -> None:
    sides, days = life(365, 1.85)
    doubled = Sides(sides.group, sides.rest, sides.group_expected, sides.rest_expected, divisor=2.0)
    early, late = watched(sides, days).alarm_day, watched(doubled, days).alarm_day

    assert early is not None
    assert late is not None
    assert early < late


def test_a_group_with_the_larger_share_of_the_error_is_found_earlier() -> None:
    sides, days = life(365, 1.5)
    shares = BUDGET.daily([True] + [False] * 9)
    early, late = (watched(sides, days, share).since_live.first_day for share in (shares[0], shares[1]))

    assert early is not None
    assert late is None or early <= late


def test_the_internal_list_asks_for_less_than_a_finding() -> None:
    sides, days = life(365, 1.5)
    alarm = watched(sides, days).alarm_day
    told = watched(sides.days(0, alarm), days[:alarm])

    assert told.alarm_day is None
    assert told.on_watch


def test_nothing_is_said_without_events_or_without_a_rest() -> None:
    one, none = np.ones(3), np.zeros(3)
    days = np.arange(3, dtype=np.int64)

    assert watch(Sides(none, none, one, one), days, SHARE, BAR) is WhyNot.NO_EVENTS
    assert watch(Sides(one, none, one, none), days, SHARE, BAR) is WhyNot.NO_REST
    assert watch_model(none, none, days, SHARE) is WhyNot.NO_ROWS


def test_a_group_without_an_event_can_be_found_all_the_same() -> None:
    days = np.arange(400, dtype=np.int64)
    told = watched(Sides(np.zeros(400), np.full(400, 2.0), np.full(400, 0.2), np.full(400, 2.0)), days)

    assert told.ratio == 0
    assert told.sequence[0] == 0
    assert math.isfinite(told.sequence[1])
    assert told.alarm_day is not None
