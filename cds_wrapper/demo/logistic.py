"""Logistic regression with the standard library alone: Newton's steps, exact sums, errors by person.

No linear algebra library and no random number: the same data give the same digits on every machine, in
whatever order the rows come, because every sum is `math.fsum`, which rounds once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Row = tuple[float, ...]
"""One observation's inputs, the constant 1 in front."""

_STEPS: Final = 50
_SMALL: Final = 1e-10


class NoFit(ValueError):
    """The data do not determine the coefficients; the message says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A row, whether the event came, and the person it belongs to: people come again."""

    row: Row
    event: bool
    person: Hashable


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients in the order of the row, and their standard errors with persons as the unit."""

    coefficients: Row
    errors: Row


def expit(value: float) -> float:
    """1 / (1 + exp(-value)), without overflow on either side."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))


def linear(coefficients: Sequence[float], row: Sequence[float]) -> float:
    """Sum of coefficient times input."""
    return math.fsum(map(float.__mul__, map(float, coefficients), map(float, row)))


def fit_logistic(observations: Sequence[Observation]) -> Fit:
    """Maximum likelihood without a penalty; `NoFit` when it has no single finite solution.

    The standard errors are the sandwich with one sum of scores a person and the factor G/(G-1).
    """
    patterns = _patterns(observations)
    if not patterns:
        raise NoFit("there is no row")
    coefficients: Row = (0.0,) * len(next(iter(patterns)))
    for _ in range(_STEPS):
        score, information = _derivatives(patterns, coefficients)
        step = solve(information, score)
        coefficients = tuple(one + more for one, more in zip(coefficients, step, strict=True))
        if max(map(abs, step)) < _SMALL:
            return Fit(coefficients, _errors(observations, coefficients, information))
    raise NoFit("the steps do not come to rest: the inputs may separate the events from the rest")


def _patterns(observations: Iterable[Observation]) -> dict[Row, tuple[int, int]]:
    """Row -> how often it occurs, how often with the event: whole numbers repeat a lot."""
    rows = Counter(one.row for one in observations)
    events = Counter(one.row for one in observations if one.event)
    return {row: (count, events[row]) for row, count in rows.items()}


def _derivatives(
    patterns: Mapping[Row, tuple[int, int]], coefficients: Row
) -> tuple[list[float], list[list[float]]]:
    """First derivatives of the log likelihood, and its second ones with the sign turned."""
    size = range(len(coefficients))
    weighted = []
    for row, (count, events) in patterns.items():
        probability = expit(linear(coefficients, row))
        weighted.append((row, events - count * probability, count * probability * (1 - probability)))
    score = [math.fsum(row[i] * residual for row, residual, _ in weighted) for i in size]
    information = [[math.fsum(row[i] * row[j] * w for row, _, w in weighted) for j in size] for i in size]
    return score, information


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve a linear system by elimination with pivots; `NoFit` when it is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = max(range(i, len(rows)), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        if abs(rows[i][i]) < _SMALL:
            raise NoFit("an input does not vary, or follows from the others")
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def _errors(
    observations: Iterable[Observation], coefficients: Row, information: Sequence[Sequence[float]]
) -> Row:
    size = range(len(coefficients))
    parts: dict[Hashable, list[Row]] = {}
    for one in observations:
        residual = one.event - expit(linear(coefficients, one.row))
        parts.setdefault(one.person, []).append(tuple(value * residual for value in one.row))
    sums = [tuple(math.fsum(column) for column in zip(*rows, strict=True)) for rows in parts.values()]
    factor = len(sums) / (len(sums) - 1) if len(sums) > 1 else math.nan
    middle = [[factor * math.fsum(one[i] * one[j] for one in sums) for j in size] for i in size]
    inverse = [solve(information, [float(i == j) for j in size]) for i in size]
    variances = [
        math.fsum(inverse[k][i] * middle[i][j] * inverse[k][j] for i in size for j in size) for k in size
    ]
    return tuple(math.sqrt(variance) for variance in variances)
