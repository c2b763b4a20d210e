"""Whether one group is answered as often and as soon as another: answered, timed out, withheld, latency.

A score that does not come is no score that says "low": a group that is left without one more often is served
worse, however well the model does where it speaks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ibis import _

from cds_wrapper.monitoring.by_group import ANSWERED, Table, per_group
from cds_wrapper.monitoring.values import Group

TIMED_OUT: Final = "timed_out"
LACKS_INPUT: Final = "missing_input"
WITHHELD: Final = "withhold"


@dataclass(frozen=True, slots=True)
class ServiceEquity:
    """One group: calls, and how many of them had a score, came too late, lacked an input or were withheld.

    Latency is of the whole call in milliseconds, in the middle and for 95 in 100; None where none is known.
    """

    group: Group
    n: int
    answered: int
    timed_out: int
    lacking: int
    withheld: int
    median_ms: float | None
    slow_ms: float | None


def service_equity(predictions: Table, attributes: Collection[str]) -> tuple[ServiceEquity, ...]:
    """Every group that was asked about, everybody first."""
    figures = {
        "n": _.count(),
        "answered": (_.status == ANSWERED).sum(),
        "timed_out": (_.status == TIMED_OUT).sum(),
        "lacking": (_.status == LACKS_INPUT).sum(),
        "withheld": (_.disposition == WITHHELD).sum(),
        "median_ms": _.total_ms.quantile(0.5),
        "slow_ms": _.total_ms.quantile(0.95),
    }
    return tuple(
        ServiceEquity(
            group=group,
            n=row["n"],
            answered=row["answered"],
            timed_out=row["timed_out"],
            lacking=row["lacking"],
            withheld=row["withheld"] or 0,
            median_ms=row["median_ms"],
            slow_ms=row["slow_ms"],
        )
        for group, row in per_group(predictions, attributes, figures)
    )
