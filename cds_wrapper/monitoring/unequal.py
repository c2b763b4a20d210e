"""Findings at equal score: a group has more, or less, of an outcome than others with the same score. Pure.

A ratio to the rest has two sides: where one group's scores are too low, the others' are too high beside it.
Of a label it is known how often it was expected, so each group is held to its own events as well. Of a need
nothing was expected: where an attribute has two groups, the gap is told once, as that of the group whose
scores are too low.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cds_wrapper.caveats.found import Direction
from cds_wrapper.monitoring.equal_scores import Among, Compared, Standing
from cds_wrapper.monitoring.findings import FindingKind, Observed
from cds_wrapper.monitoring.values import Group, Measure, ServiceFigures, WhyNot
from cds_wrapper.patient.subgroups import is_missing
from cds_wrapper.services.outcomes import Role

_DIRECTIONS: Final = {
    Standing.SCORES_TOO_LOW: Direction.SCORES_TOO_LOW,
    Standing.SCORES_TOO_HIGH: Direction.SCORES_TOO_HIGH,
}


def of_equal_score(compared: Iterable[Compared], figures: ServiceFigures) -> Iterator[Observed]:
    """Groups with more or less of an outcome than others with the same score, at the level of this review.

    A need that surely differs from the label, by a size that is open, is listed and on no card.
    """
    every = [one for one in compared if one.among is Among.ALL]
    for one in every:
        direction = _DIRECTIONS.get(one.standing)
        if direction is None:
            if one.shows_mismatch and not _is_the_other_side(one, every):
                yield _mismatch(one, figures)
        elif _is_its_own(one, every, figures, direction):
            yield _gap(one, figures, direction)


def _gap(one: Compared, figures: ServiceFigures, direction: Direction) -> Observed:
    return _observed(FindingKind.EQUAL_SCORE, one, figures, direction, _what(one), one.label_mismatch)


def _mismatch(one: Compared, figures: ServiceFigures) -> Observed:
    what = f"{_what(one)}; not surely beyond what matters"
    return _observed(FindingKind.LABEL_MISMATCH, one, figures, None, what, True)


def _what(one: Compared) -> str:
    of_what = "need" if one.role is Role.NEED else "outcome"
    what = f"{one.ratio.value:.2f} times the {of_what} “{one.outcome}” of others with the same score"
    label = f"“{one.label}”, what the score was made to predict,"
    return f"{what}; {label} does not show as much of it" if one.shows_mismatch else what


def _observed(
    kind: FindingKind,
    one: Compared,
    figures: ServiceFigures,
    direction: Direction | None,
    what: str,
    label_mismatch: bool,
) -> Observed:
    ratio = one.ratio
    return Observed(
        kind=kind,
        group=one.group,
        outcome=one.outcome,
        direction=direction,
        since=figures.as_of,
        what=what,
        sure=f"interval {ratio.low:.2f} to {ratio.high:.2f} at the level of this review",
        detail={"ratio": round(ratio.value or 0.0, 3), "role": one.role.value},
        label_mismatch=label_mismatch,
    )


def _is_its_own(
    one: Compared, every: Sequence[Compared], figures: ServiceFigures, direction: Direction
) -> bool:
    """Whether it is this group's scores that err: by its own events, else by which side is too low."""
    errs = _errs(figures, one.group, direction) if one.role is Role.LABEL else None
    return not _is_the_other_side(one, every) if errs is None else errs


def _errs(figures: ServiceFigures, group: Group, direction: Direction) -> bool | None:
    """Whether the group's own O/E is surely on that side of 1, and farther from it than the rest's.

    None of a score that is no probability.
    """
    of_group = next((one for one in figures.groups if one.group == group), None)
    found = of_group.of(Measure.OE_RATIO) if of_group else None
    if found is not None and found.why_not is WhyNot.NOT_A_PROBABILITY:
        return None
    if of_group is None or found is None or found.low is None or found.high is None:
        return False
    if not (found.low > 1 if direction is Direction.SCORES_TOO_LOW else found.high < 1):
        return False
    beside = of_group.of(Measure.OE_RATIO_TO_REST)
    if not found.value or beside is None or not beside.value:
        return True
    return abs(math.log(found.value)) >= abs(math.log(found.value / beside.value))


def _is_the_other_side(one: Compared, every: Sequence[Compared]) -> bool:
    """Whether its rest is a single group that has more at equal score, and is found itself."""
    beside = [
        other
        for other in every
        if other.outcome == one.outcome
        and other.group.attribute == one.group.attribute
        and other.group.exclusive
        and other.group != one.group
        and other.n
        and not is_missing(other.group.level)
    ]
    if len(beside) != 1 or is_missing(one.group.level) or (beside[0].ratio.value or 0.0) <= 1:
        return False
    other = beside[0]
    if one.standing in _DIRECTIONS:
        return other.standing is Standing.SCORES_TOO_LOW
    return other.standing is Standing.SCORES_TOO_LOW or other.shows_mismatch
