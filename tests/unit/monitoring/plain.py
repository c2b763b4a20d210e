"""The figures by group in plain Python, row by row: slow, short, and nothing shared with the cube."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log, sqrt
from typing import Any

from cds_wrapper.monitoring.values import Measure

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Plain:
    """What is known of a group: values, clustered standard errors, patients, daily sums."""

    counts: dict[str, int]
    values: dict[Measure, float]
    errors: dict[Measure, float]
    patients: int
    days: dict[dt.date, tuple[int, float]]


def plain(rows: Iterable[Row], threshold: float) -> Plain:
    """Of rows with `state`, `score`, `patient_key`, `due_on`."""
    every = list(rows)
    counts: dict[str, int] = defaultdict(int)
    for row in every:
        counts[row["state"]] += 1
    mature = [row for row in every if row["state"] in ("event", "no_event")]
    days: dict[dt.date, tuple[int, float]] = {}
    for row in mature:
        events, expected = days.get(row["due_on"], (0, 0.0))
        days[row["due_on"]] = (events + _y(row), expected + row["score"])
    people = {row["patient_key"] for row in mature}
    values, errors = {}, {}
    for measure, (x, y) in _ratios(threshold).items():
        bottom = sum(map(y, mature))
        if bottom:
            values[measure] = sum(map(x, mature)) / bottom
            parts = [(x(row) - values[measure] * y(row)) / bottom for row in mature]
            errors[measure] = _of_parts(mature, parts)
    area = _area(mature)
    if area is not None:
        values[Measure.AUROC], parts = area
        errors[Measure.AUROC] = _of_parts(mature, parts)
    return Plain(dict(counts), values, errors, len(people), days)


def _ratios(t: float) -> dict[Measure, tuple[Callable[[Row], float], Callable[[Row], float]]]:
    return {
        Measure.EVENT_RATE: (_y, lambda r: 1),
        Measure.FLAG_RATE: (lambda r: r["score"] >= t, lambda r: 1),
        Measure.SENSITIVITY: (lambda r: _y(r) * (r["score"] >= t), _y),
        Measure.SPECIFICITY: (lambda r: (1 - _y(r)) * (r["score"] < t), lambda r: 1 - _y(r)),
        Measure.PPV: (lambda r: _y(r) * (r["score"] >= t), lambda r: r["score"] >= t),
        Measure.NPV: (lambda r: (1 - _y(r)) * (r["score"] < t), lambda r: r["score"] < t),
        Measure.OE_RATIO: (_y, lambda r: r["score"]),
        Measure.OE_FLAGGED: (
            lambda r: _y(r) * (r["score"] >= t),
            lambda r: r["score"] * (r["score"] >= t),
        ),
        Measure.OE_UNFLAGGED: (
            lambda r: _y(r) * (r["score"] < t),
            lambda r: r["score"] * (r["score"] < t),
        ),
        Measure.NET_BENEFIT: (
            lambda r: (r["score"] >= t) * (_y(r) - t / (1 - t) * (1 - _y(r))),
            lambda r: 1,
        ),
        Measure.BRIER: (lambda r: (r["score"] - _y(r)) ** 2, lambda r: 1),
    }


def _y(row: Row) -> int:
    return int(row["state"] == "event")


def _of_parts(rows: Sequence[Row], parts: Sequence[float]) -> float:
    sums: dict[str, float] = defaultdict(float)
    for row, part in zip(rows, parts, strict=True):
        sums[row["patient_key"]] += part
    g = len(sums)
    return sqrt(g / (g - 1) * sum(one * one for one in sums.values())) if g > 1 else 0.0


def bin_of(score: float) -> int:
    """The bin of a probability, by the definition alone."""
    p = min(max(score, 1e-6), 1 - 1e-6)
    return min(max(floor((log(p / (1 - p)) + 12) / 24 * 1000), 0), 999)


def _area(rows: Sequence[Row]) -> tuple[float, list[float]] | None:
    """By pairs of bins, and what each row adds to it."""
    up = sorted(bin_of(r["score"]) for r in rows if _y(r))
    down = sorted(bin_of(r["score"]) for r in rows if not _y(r))
    if not up or not down:
        return None

    def below(among: Sequence[int], b: int) -> float:
        return (bisect_left(among, b) + bisect_right(among, b)) / 2 / len(among)

    area = sum(below(down, b) for b in up) / len(up)
    parts = [
        (below(down, bin_of(r["score"])) - area) / len(up)
        if _y(r)
        else (1 - below(up, bin_of(r["score"])) - area) / len(down)
        for r in rows
    ]
    return area, parts
