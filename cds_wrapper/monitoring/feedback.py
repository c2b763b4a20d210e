"""What clinicians did with the cards, by group of patients: accepted, overridden, or not trusted at all.

Only episodes whose card was shown can have feedback, and only some of them have: a share is of those.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ibis import _

from cds_wrapper.monitoring.by_group import Table, per_group
from cds_wrapper.monitoring.values import Group

SHOWN: Final = "shown"
DISTRUST: Final = "recipient-does-not-trust"
"""Code of the override reason that says so, as the cards offer it."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """One group: episodes whose card was shown, how many had feedback, how many of those were overridden.

    `distrusted` are overrides whose reason is that the score is not trusted.
    """

    group: Group
    shown: int
    told: int
    overridden: int
    distrusted: int


def feedback(episodes: Table, attributes: Collection[str]) -> tuple[Feedback, ...]:
    """Every group with a card that was shown, everybody first."""
    shown = episodes.filter(episodes.displayed == SHOWN)
    overridden = _.action == "overridden"
    figures = {
        "n": _.count(),
        "told": _.action.isin(["accepted", "overridden"]).sum(),
        "overridden": overridden.sum(),
        "distrusted": (overridden & (_.override_reason == DISTRUST)).sum(),
    }
    return tuple(
        Feedback(group, row["n"], row["told"], row["overridden"], row["distrusted"] or 0)
        for group, row in per_group(shown, attributes, figures)
    )
