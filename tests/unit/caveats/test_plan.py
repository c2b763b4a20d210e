"""What the board decided ahead is carried out, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.orders import Order, Ordered, Standing, stricter
from cds_wrapper.caveats.plan import NEVER, OnError, ResponsePlan, WithoutLedger
from cds_wrapper.vendors.base import NoPrediction, Status, VendorCall
from tests.spec.prevent import MODEL, PLAN, prediction

STRICT = replace(
    PLAN,
    respond={CaveatLevel.NOT_VALIDATED: Disposition.WITHHOLD, CaveatLevel.REDUCED: Disposition.SHADOW},
)


@pytest.mark.parametrize(
    ("plan", "level", "disposition"),
    [
        (PLAN, CaveatLevel.SUPPORTED, Disposition.SHOW),
        *((PLAN, level, Disposition.ANNOTATE) for level in list(CaveatLevel)[1:]),
        (STRICT, CaveatLevel.SUPPORTED, Disposition.SHOW),
        (STRICT, CaveatLevel.LIMITED, Disposition.ANNOTATE),
        (STRICT, CaveatLevel.NOT_VALIDATED, Disposition.WITHHOLD),
        (STRICT, CaveatLevel.REDUCED, Disposition.SHADOW),
    ],
)
def test_each_level_gets_what_the_plan_says(
    plan: ResponsePlan, level: CaveatLevel, disposition: Disposition
) -> None:
    assert plan.settle(Caveat(level), prediction()) is disposition


@pytest.mark.parametrize("level", list(CaveatLevel))
def test_a_version_nobody_approved_runs_in_shadow(level: CaveatLevel) -> None:
    assert PLAN.settle(Caveat(level), prediction(version="2024.1")) is Disposition.SHADOW


@pytest.mark.parametrize("status", list(Status))
def test_a_failure_is_never_withheld_or_shadowed(status: Status) -> None:
    failed = NoPrediction(status, replace(MODEL, version="unheard of"), VendorCall())
    assert STRICT.settle(Caveat(CaveatLevel.REDUCED), failed) is Disposition.ANNOTATE


# What stands whatever a prediction says ---------------------------------------------------------------------

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def order(decision: Ordered, since: datetime = NOON) -> Order:
    return Order("d", "cvd-risk", decision, since, "informatician on call")


def test_nothing_stands_where_nothing_was_ordered() -> None:
    assert PLAN.standing(None, NOON) is None
    assert PLAN.standing(order(Ordered.LIVE), NOON) is None


@pytest.mark.parametrize(
    ("decision", "disposition"), [(Ordered.STOP, Disposition.STOP), (Ordered.SHADOW, Disposition.SHADOW)]
)
def test_an_order_stands_with_its_day_and_its_id(decision: Ordered, disposition: Disposition) -> None:
    assert PLAN.standing(order(decision), NOON) == Standing(disposition, True, "d", date(2026, 11, 27))


@pytest.mark.parametrize("days", [0, 13, 14, 400])
@pytest.mark.parametrize("told_for", [14, 0, 366])
def test_a_card_tells_of_an_order_for_as_long_as_the_plan_says(days: int, told_for: int) -> None:
    plan = replace(PLAN, paused_card_for=timedelta(days=told_for))
    standing = plan.standing(order(Ordered.STOP), NOON + timedelta(days=days))

    assert standing is not None
    assert standing.card_is_due is (days < told_for)
    assert standing.disposition is Disposition.STOP, "it stands all the same"


def test_an_order_that_came_while_the_vendor_was_asked_is_told_too() -> None:
    standing = PLAN.standing(order(Ordered.STOP, NOON + timedelta(seconds=1)), NOON)

    assert standing is not None and standing.card_is_due


@pytest.mark.parametrize("live_since", [NEVER, date(2026, 11, 28)])
def test_a_service_that_was_never_shown_runs_in_shadow_and_nobody_is_told(live_since: date) -> None:
    plan = replace(PLAN, live_since=live_since)

    hidden = Standing(Disposition.SHADOW, card_is_due=False)
    assert plan.standing(None, NOON) == hidden
    assert plan.standing(order(Ordered.LIVE), NOON) == hidden, "no command overrules the plan"
    stopped = plan.standing(order(Ordered.STOP), NOON)
    assert stopped is not None
    assert (stopped.disposition, stopped.card_is_due) == (Disposition.STOP, False)


def test_a_service_is_shown_from_its_day_on() -> None:
    plan = replace(PLAN, live_since=NOON.date())

    assert plan.standing(None, NOON) is None
    assert plan.standing(None, NOON - timedelta(days=1)) is not None
    early = plan.standing(order(Ordered.SHADOW, NOON - timedelta(days=1)), NOON)
    assert early is not None and not early.card_is_due, "whoever never saw it need not be told"


@pytest.mark.parametrize("level", list(CaveatLevel))
@pytest.mark.parametrize("version", ["2023.1", "2024.1"])
@pytest.mark.parametrize("imposed", [Disposition.SHADOW, Disposition.STOP])
def test_the_strongest_wins(level: CaveatLevel, version: str, imposed: Disposition) -> None:
    standing = Standing(imposed, card_is_due=True)

    assert STRICT.settle(Caveat(level), prediction(version=version), standing) is imposed
    failed = NoPrediction(Status.TIMED_OUT, MODEL, VendorCall())
    assert STRICT.settle(Caveat(level), failed, standing) is imposed


def test_the_stricter_of_two_moments_holds() -> None:
    shadow, stop = (Standing(one, card_is_due=True) for one in (Disposition.SHADOW, Disposition.STOP))

    assert stricter(None, None) is None
    assert stricter(stop, None) is stop, "a resume does not reach a call that was begun before"
    assert stricter(None, stop) is stop
    assert stricter(stop, shadow) is stop
    assert stricter(shadow, stop) is stop
    later = replace(shadow, decision_id="later")
    assert stricter(shadow, later) is later


def test_orders_are_ordered() -> None:
    assert Ordered.LIVE < Ordered.SHADOW < Ordered.STOP
    assert [one.disposition for one in Ordered] == [None, Disposition.SHADOW, Disposition.STOP]


def test_what_a_plan_does_not_say_is_the_visible_choice() -> None:
    assert (PLAN.on_error, PLAN.without_ledger) == (OnError.CARD, WithoutLedger.WITHHOLD)
