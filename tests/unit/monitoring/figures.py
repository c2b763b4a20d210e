"""Hand-made figures of a service: a group beside everybody, with only what a rule looks at."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from cds_wrapper.monitoring.values import (
    EVERYBODY,
    DailySums,
    Group,
    GroupFigures,
    Measure,
    Measured,
    ServiceFigures,
)

AS_OF = date(2026, 12, 31)
LIVE = date(2026, 1, 1)
PERIOD = (LIVE, AS_OF)
BLACK = Group((("race", "black"),))
FEMALE = Group((("sex", "female"),))

Given = tuple[float, float, float] | None


def measured(measure: Measure, group: Group, figure: Given, events: int = 200) -> Measured:
    value, low, high = figure or (None, None, None)
    return Measured(measure, group, value, low, high, 10 * events, events, events, "made", PERIOD, "o")


def daily(events: float, expected: float, rest: float, rest_expected: float, days: int = 300) -> DailySums:
    """The same on each of so many days."""
    return DailySums(
        tuple(LIVE + timedelta(days=number) for number in range(days)),
        (events / max(1, days),) * days,
        (expected / max(1, days),) * days,
        (rest / max(1, days),) * days,
        (rest_expected / max(1, days),) * days,
    )


def figures_of(
    group: Group, *, events: int = 200, sums: DailySums | None = None, **given: Given
) -> GroupFigures:
    """One group; what is not given is as it should be."""
    usual: dict[str, Given] = {
        "oe_ratio": (1.0, 0.9, 1.1),
        "auroc": (0.8, 0.77, 0.83),
        "sensitivity": (0.6, 0.55, 0.65),
        "ppv": (0.3, 0.25, 0.35),
    }
    if group.where:
        usual |= {"sensitivity_gap": (0.0, -0.04, 0.04), "auroc_gap": (0.0, -0.03, 0.03)}
    figures = tuple(
        measured(Measure(name), group, figure, events) for name, figure in {**usual, **given}.items()
    )
    states: dict[str, Any] = {
        "event": events,
        "no_event": 9 * events,
        "pending": 0,
        "censored": 0,
        "unverified": 0,
    }
    return GroupFigures(group, figures, sums or daily(events, events, 9 * events, 9 * events), states, 1.0)


def service_figures(
    *groups: GroupFigures, everybody: GroupFigures | None = None, as_of: date = AS_OF
) -> ServiceFigures:
    first = everybody or figures_of(EVERYBODY, events=2000)
    return ServiceFigures("s", "m", "1", "o", 0.2, as_of, (first, *groups))
