"""What was published and what was seen here, together: the known figures of the posterior."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest

from cds_wrapper.caveats.combining import Prior, combined
from cds_wrapper.caveats.evidence import Direction, Limits, Seen
from cds_wrapper.caveats.outside import differing, outside_findings, transport
from tests.unit.caveats.test_outside import PUBLISHED, TODAY

THETA, S = 0.616186, 0.077345
QUIET = Seen(20, 20, 200, 200)


@pytest.mark.parametrize(
    ("observed", "expected", "tau", "p_low", "centre", "low", "high"),
    [
        (0, 3, 0.20, 0.8246, 1.500, 1.020, 2.190),
        (0, 3, 0.35, 0.4065, 1.161, 0.641, 2.048),
        (12, 10, 0.20, 0.9085, 1.557, 1.124, 2.134),
        (12, 10, 0.35, 0.6964, 1.391, 0.902, 2.088),
        (20, 20, 0.20, 0.6868, 1.339, 1.006, 1.763),
        (20, 20, 0.35, 0.3489, 1.163, 0.809, 1.632),
        (40, 40, 0.20, 0.4198, 1.219, 0.961, 1.531),
        (40, 40, 0.35, 0.1657, 1.092, 0.825, 1.423),
        (0, 0, 0.20, 0.9665, 1.852, 1.217, 2.818),
    ],
)
def test_events_seen_here_are_weighed_against_a_published_ratio(
    observed: float, expected: float, tau: float, p_low: float, centre: float, low: float, high: float
) -> None:
    here = combined(Prior(THETA, math.hypot(S, tau)), observed, expected)
    assert here.above(1.25) == pytest.approx(p_low, abs=2e-3)
    assert here.centre == pytest.approx(centre, rel=2e-3)
    assert [here.limit(0.025), here.limit(0.975)] == [
        pytest.approx(low, rel=5e-3),
        pytest.approx(high, rel=5e-3),
    ]
    assert here.above(1.25) + here.below(1.25) == pytest.approx(1)


def test_a_t_lets_what_is_seen_here_weigh_more_than_a_normal_of_the_same_spread() -> None:
    normal = combined(Prior(0.6, 0.2), 40, 40)
    assert combined(Prior(0.6, 0.2, degrees=2), 40, 40).above(1.25) < normal.above(1.25)


def found(seen: Seen | None, standing: tuple[str, ...] = ()) -> list[Direction | None]:
    here = {PUBLISHED.group: seen} if seen else {}
    findings = outside_findings([PUBLISHED], TODAY, signed=True, seen=here, standing=standing)
    return [finding.direction for finding in findings]


def test_a_finding_from_elsewhere_stands_until_quiet_events_here_have_undone_it() -> None:
    assert found(None) == [Direction.SCORES_TOO_LOW]
    assert found(QUIET) == [], "0.69 makes no new finding"
    assert found(QUIET, standing=(PUBLISHED.id,)) == [Direction.SCORES_TOO_LOW], "and keeps an old one"
    assert found(Seen(40, 40, 200, 200), standing=(PUBLISHED.id,)) == []


def test_what_is_relative_is_held_against_the_rest_here() -> None:
    """Everybody here has twice the events foretold, so 40 where 20 were is nothing of the group's own."""
    relative, absolute = PUBLISHED, replace(PUBLISHED, reference=None)
    seen = Seen(40, 20, 400, 200)
    assert seen.beside(transport(relative, TODAY)) == (40, 40)
    assert seen.beside(transport(absolute, TODAY)) == (40, 20)
    assert Seen(4, 2, 0, 20).beside(transport(relative, TODAY)) is None


def test_adequate_results_here_stand_beside_the_published_one_and_not_in_it() -> None:
    assert found(Seen(300, 300, 3000, 3000, adequate=True)) == [Direction.SCORES_TOO_LOW]


@pytest.mark.parametrize(("observed", "differ"), [(100, True), (150, False), (185, False), (330, True)])
def test_results_that_differ_from_the_published_ones_are_marked(observed: int, differ: bool) -> None:
    seen = {PUBLISHED.group: Seen(observed, 100, 1000, 1000, adequate=True)}
    assert bool(differing([PUBLISHED], TODAY, seen)) is differ


def test_two_cut_offs_of_probability_are_in_order() -> None:
    assert Limits.changed({"standing_probability": 0.4}).standing_probability == 0.4
    with pytest.raises(Exception, match="standing_probability"):
        Limits.changed({"standing_probability": 0.95})


def test_the_age_of_the_study_is_still_counted() -> None:
    old = replace(PUBLISHED, data_ended=2000)
    findings = outside_findings([old], date(2026, 1, 1), signed=True, seen={old.group: Seen(12, 10, 99, 99)})
    assert findings == ()
