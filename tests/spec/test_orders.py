"""What clinicians see and what is recorded while a service is stopped, in shadow, or not live yet.

One table: what was ordered and when, what the vendor said, and what comes of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cds_wrapper.caveats.orders import Order, Ordered
from cds_wrapper.caveats.plan import NEVER, ResponsePlan
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from tests.spec.prevent import MODEL, PLAN, decide, patient, prediction

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOT_LIVE = replace(PLAN, live_since=NEVER)


def ordered(decision: Ordered, days_ago: int = 0) -> Order:
    return Order("d", "cvd-risk", decision, NOW - timedelta(days=days_ago), "informatician on call")


STOP, SHADOW, RESUMED = ordered(Ordered.STOP), ordered(Ordered.SHADOW), ordered(Ordered.LIVE)
OLD_STOP, OLD_SHADOW = ordered(Ordered.STOP, 14), ordered(Ordered.SHADOW, 14)

ANSWERS: dict[str, Prediction | NoPrediction] = {
    "card": prediction(0.031),
    "high": prediction(0.4),
    "nothing to say": replace(prediction(0.031), cards=()),
    "new version": prediction(0.031, version="2024.1"),
    "late": NoPrediction(Status.TIMED_OUT, MODEL, VendorCall()),
    "not asked": NoPrediction(Status.STOPPED, MODEL, VendorCall()),
}
VENDORS = "10-year cardiovascular risk 3.1 %"
STOPPED = "10-year cardiovascular risk is switched off since 27 November 2026. No score is calculated."
PAUSED = "10-year cardiovascular risk is paused; scores are being checked. They are calculated, not shown."
NO_RESULT = "10-year cardiovascular risk: no result right now. This does not mean low risk."
SILENCE = None

TABLE: list[tuple[ResponsePlan, Order | None, str, str, str | None]] = [
    # plan, order, answer -> disposition, card
    (PLAN, None, "nothing to say", "annotate", SILENCE),
    (PLAN, None, "late", "annotate", NO_RESULT),
    (PLAN, RESUMED, "late", "annotate", NO_RESULT),
    # A version that the plan does not list.
    (PLAN, None, "new version", "shadow", PAUSED),
    (PLAN, RESUMED, "new version", "shadow", PAUSED),
    # In shadow everybody sees the same, whatever the vendor said.
    (PLAN, SHADOW, "card", "shadow", PAUSED),
    (PLAN, SHADOW, "high", "shadow", PAUSED),
    (PLAN, SHADOW, "nothing to say", "shadow", PAUSED),
    (PLAN, SHADOW, "new version", "shadow", PAUSED),
    (PLAN, SHADOW, "late", "shadow", PAUSED),
    (PLAN, OLD_SHADOW, "card", "shadow", SILENCE),
    (PLAN, OLD_SHADOW, "nothing to say", "shadow", SILENCE),
    (PLAN, OLD_SHADOW, "new version", "shadow", SILENCE),
    (PLAN, OLD_SHADOW, "late", "shadow", SILENCE),
    # Stopped; an order may also come while the vendor is being asked.
    (PLAN, STOP, "not asked", "stop", STOPPED),
    (PLAN, STOP, "card", "stop", STOPPED),
    (PLAN, STOP, "high", "stop", STOPPED),
    (PLAN, STOP, "nothing to say", "stop", STOPPED),
    (PLAN, STOP, "new version", "stop", STOPPED),
    (PLAN, STOP, "late", "stop", STOPPED),
    (PLAN, OLD_STOP, "not asked", "stop", SILENCE),
    (PLAN, OLD_STOP, "card", "stop", SILENCE),
    # Before the first go-live nobody has seen the service, and nobody is told.
    (NOT_LIVE, None, "card", "shadow", SILENCE),
    (NOT_LIVE, None, "late", "shadow", SILENCE),
    (NOT_LIVE, None, "new version", "shadow", SILENCE),
    (NOT_LIVE, RESUMED, "card", "shadow", SILENCE),
    (NOT_LIVE, SHADOW, "card", "shadow", SILENCE),
    (NOT_LIVE, STOP, "not asked", "stop", SILENCE),
]


@pytest.mark.parametrize(("plan", "order", "answer", "disposition", "card"), TABLE)
@pytest.mark.parametrize("race", ["black", "white"])
def test_what_stands_is_what_is_seen(
    plan: ResponsePlan, order: Order | None, answer: str, disposition: str, card: str | None, race: str
) -> None:
    decided = decide(
        patient("30-39", race=race), ANSWERS[answer], plan=plan, standing=plan.standing(order, NOW)
    )

    assert decided.disposition.value == disposition
    assert [one.summary for one in decided.composition.cards] == ([card] if card else [])
    assert all(one.indicator == "info" and not one.suggestions for one in decided.composition.cards)
    held = f"cards: {disposition}" in decided.composition.changes
    gave_cards = isinstance(said := ANSWERS[answer], Prediction) and bool(said.cards)
    assert held is (gave_cards and disposition in {"shadow", "stop"}), "what was held back is recorded"


def test_the_details_say_what_no_card_means_and_whom_to_ask() -> None:
    for order in (STOP, SHADOW):
        decided = decide(patient(), standing=PLAN.standing(order, NOW))
        assert "No card does not mean low risk. Use your usual assessment. Questions: " in decided.detail
        assert "informatician" not in decided.detail, "who ordered it stands on the page behind the card"


def test_a_service_that_goes_live_is_shown() -> None:
    plan = replace(PLAN, live_since=date(2026, 11, 27))
    assert plan.standing(None, NOW) is None
    assert plan.standing(None, NOW - timedelta(days=1)) is not None
