"""What the board decided ahead is carried out, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel, Disposition
from cds_wrapper.caveats.plan import OnError, ResponsePlan, WithoutLedger
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


def test_what_a_plan_does_not_say_is_the_visible_choice() -> None:
    assert (PLAN.on_error, PLAN.without_ledger) == (OnError.CARD, WithoutLedger.WITHHOLD)
