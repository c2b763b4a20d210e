"""Simulated courses of daily counts, and the page on which their measured rates are printed.

Every rate is held to its bound plus the Monte Carlo error: three binomial standard errors of the bound
itself. The page of explanation shows what was measured; a run that measures something else fails, so that it
cannot go stale.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cds_wrapper.monitoring.formulas.sequences import Floats, Sides

PAGE = Path(__file__).resolve().parents[4] / "docs" / "explanation" / "how-sure-is-monitoring.md"
RUNS = 2_000
Hits = NDArray[np.bool_]


def standard_error(rate: float, runs: int) -> float:
    """Of a binomial rate."""
    return math.sqrt(rate * (1 - rate) / runs)


def holds(setting: str, hits: Hits, bound: float) -> None:
    """At most `bound` of the runs hit, Monte Carlo error allowed, and the page says how many did."""
    rate, runs = float(hits.mean()), hits.size
    assert rate <= bound + 3 * standard_error(bound, runs), f"{setting}: {rate:.4f} of {runs}, bound {bound}"
    printed(setting, f"at most {bound:g}", rate, runs)


def covers(setting: str, hits: Hits, low: float, high: float) -> None:
    """Between `low` and `high` of the intervals hold the truth, Monte Carlo error allowed."""
    rate, runs = float(hits.mean()), hits.size
    assert rate >= low - 3 * standard_error(low, runs), f"{setting}: {rate:.4f} of {runs}"
    assert rate <= high + 3 * standard_error(high, runs), f"{setting}: {rate:.4f} of {runs}"
    printed(setting, f"{low:g} to {high:g}", rate, runs)


def averages(setting: str, values: Floats, truth: float, room: float) -> None:
    """The mean over the runs is the truth, up to its own error and the small bias that a ratio may have."""
    mean, error = float(values.mean()), float(values.std()) / math.sqrt(values.size)
    assert abs(mean - truth) <= 3 * error + room, f"{setting}: {mean:.4f}, truth {truth}"
    printed(setting, f"{truth:g} on average", mean, values.size)


def compares(setting: str, hits: Hits) -> float:
    """A rate without a bound, to compare with: what happens when the rule is not kept."""
    printed(setting, "none", float(hits.mean()), hits.size)
    return float(hits.mean())


def takes(setting: str, days: Floats, known: float, tolerance: float = 0.15) -> None:
    """Half of the runs have rung by about the known day; infinite where a run never does."""
    median = float(np.median(days))
    assert abs(median - known) <= tolerance * known, f"{setting}: day {median}, known {known}"
    printed(setting, f"about day {known:g}", median, days.size)


def printed(setting: str, bound: str, measured: float, runs: int) -> None:
    """The page's row for this setting shows this figure, up to the Monte Carlo error."""
    is_day = measured > 2
    shown = f"{measured:.0f}" if is_day else f"{measured:.4f}"
    row = f"| {setting} | {bound} | {shown} | {runs:,} |"
    sys.stdout.write(f"\n{row}\n")
    rows = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {setting} |")
    ]
    assert len(rows) == 1, f"The page of simulations lacks this row:\n{row}"
    _, _, on_page, figure, of, _ = (cell.strip() for cell in rows[0].split("|"))
    rate = min(max(measured, 1 / runs), 1 - 1 / runs)
    error = 0.1 * measured if is_day else 3 * standard_error(rate, runs)
    assert (on_page, of) == (bound, f"{runs:,}"), row
    assert abs(float(figure) - measured) <= error + 5e-5, row


def first_days(log_e: Floats, error: float, days: ArrayLike | None = None) -> Floats:
    """The day on which each run first reaches 1/error, infinite if never: [runs, looks]."""
    reached = log_e >= -math.log(error)
    when = np.arange(1, log_e.shape[-1] + 1) if days is None else np.asarray(days)
    return np.where(reached.any(axis=-1), when[reached.argmax(axis=-1)], np.inf)


def ever(log_e: Floats, error: float) -> Hits:
    """Whether each run ever reaches 1/error: [runs, looks]."""
    hits: Hits = log_e.max(axis=-1) >= -math.log(error)
    return hits


def daily(
    rng: np.random.Generator, runs: int, days: int, events: float, risk: float, level: ArrayLike = 1.0
) -> tuple[Floats, Floats]:
    """Events and summed probabilities: patients come at random, each with this risk times the day's level."""
    patients = rng.poisson(events / risk, (runs, days))
    seen = rng.binomial(patients, np.minimum(risk * np.asarray(level), 1.0))
    return seen.astype(np.float64), (patients * risk).astype(np.float64)


def courses(
    rng: np.random.Generator,
    events: float,
    ratio: ArrayLike = 1.0,
    common: ArrayLike = 1.0,
    risks: tuple[float, float] = (0.1, 0.1),
    shape: tuple[int, int] = (RUNS, 365),
    times: float = 5.0,
) -> Sides:
    """A group with `events` a day and a rest with `times` as many: [runs, days]."""
    group, group_expected = daily(rng, *shape, events, risks[0], np.asarray(ratio) * np.asarray(common))
    rest, rest_expected = daily(rng, *shape, events * times, risks[1], common)
    return Sides(group, rest, group_expected, rest_expected)


def in_parts(sides: Sides, part: int = 200) -> list[Sides]:
    """The same runs, few enough at a time for the grid to fit into memory."""
    return [
        Sides(sides.group[few], sides.rest[few], sides.group_expected[few], sides.rest_expected[few])
        for few in (slice(start, start + part) for start in range(0, sides.group.shape[0], part))
    ]
