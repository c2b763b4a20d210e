"""The error budget: how often a version of a model may be accused wrongly in its whole life, and of what.

One family is one service with one version of its model, its threshold and its outcome. Its error (0.05 by
default) has two halves: sequences that are looked at daily, and dated reviews. Both are split over the
groups by Bonferroni, which needs nothing of how groups overlap. The model as a whole is watched with an
error of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FAMILY_ERROR: Final = 0.05
"""The chance that anything is ever found in a group of a model that is equally good for all: a convention."""

MODEL_ERROR: Final = 0.05
"""The chance that a calibrated model is ever found to be off as a whole: a convention."""

EVENTS_TO_FIX: Final = 100
"""Events in a group from which on its design effect is fixed and only raised."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one sequence may spend in the life of the version, and on what levels it rings.

    Half goes to the sum since go-live, half to the monthly restarts.
    """

    error: float

    @property
    def each(self) -> float:
        """The error of either of the two."""
        return self.error / 2

    @property
    def log_bar(self) -> float:
        """The logarithm of the e-value that either of the two must reach."""
        return -math.log(self.each)


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of a family of groups: all levels listed, missing ones and crossings among them.

    The number counts levels as they are declared, not as they have been seen, and is fixed before looking.
    """

    groups: int
    family_error: float = FAMILY_ERROR
    model_error: float = MODEL_ERROR

    @property
    def for_model(self) -> Share:
        """The model as a whole, which is never blamed on a group."""
        return Share(self.model_error)

    def daily(self, suspected: Sequence[bool]) -> tuple[Share, ...]:
        """The share of each group's daily sequence, in order.

        `suspected` are the groups with a finding from outside, known before the first look: they share one
        half, all others the rest. With none or nothing but suspects everyone has the same.
        """
        half = self.family_error / 2
        suspects = sum(suspected)
        if suspects in {0, self.groups}:
            return tuple(Share(half / self.groups) for _ in suspected)
        others = self.groups - suspects
        return tuple(Share(half / 2 / (suspects if is_suspect else others)) for is_suspect in suspected)

    def review(self, number: int) -> float:
        """The error of each test of a group (sensitivity, equal score) in dated review 1, 2, ...

        1/(q(q+1)) adds up to 1 over all reviews, so that their number need not be known ahead.
        """
        return self.family_error / 2 / (2 * self.groups) / (number * (number + 1))

    @property
    def log_watch_bar(self) -> float:
        """The logarithm of the e-value that puts a group on the internal list: no error is split for that."""
        return -math.log(self.family_error)


def contrast_design_effect(group: float, group_events: float, rest: float, rest_events: float) -> float:
    """The design effect of a ratio to the rest, out of those of both sides' O/E: variances of logarithms add.

    The smaller side decides, since its variance does. Both sides have events.
    """
    variance = group / group_events + rest / rest_events
    return max(1.0, variance / (1 / group_events + 1 / rest_events))


def divisor(estimate: float, events: float, in_force: float | None) -> float:
    """By how much evidence is divided for repeated patients: fixed from 100 events on and only raised.

    `estimate` is today's design effect, `in_force` the divisor since there were 100 events (None before).
    Raising it is harmless whenever it happens: with weights that add up to 1, sum(w * x^(1/d)) <= sum(w *
    x)^(1/d), so a larger d rings on no day on which a smaller one does not.
    """
    present = max(1.0, estimate)
    return present if in_force is None or events < EVENTS_TO_FIX else max(present, in_force)
