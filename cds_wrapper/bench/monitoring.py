"""What monitoring costs: every figure of every group, beside pandas and scikit-learn on the same files."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cds_wrapper.bench.machine import Machine, this_machine
from cds_wrapper.bench.monitoring_population import THRESHOLD, Population
from cds_wrapper.bench.parts import NotMeasured

LONGEST_S: Final = 3600
"""After this a measurement has failed."""

RATIO: Final = 0.15
PEAK_MIB: Final = 400.0
"""What is aimed at: a share of the time of pandas and scikit-learn, and memory with the most rows."""


@dataclass(frozen=True, slots=True)
class MonitoringOptions:
    """So many predictions in turn, in so many groups; cost by groups is looked at with the first number."""

    rows: tuple[int, ...] = (1_000_000, 10_000_000)
    groups: int = 30
    seed: int = 1

    @property
    def other_groups(self) -> tuple[int, ...]:
        """Numbers of groups that the same rows are measured with, to see what a group costs."""
        return tuple(sorted({max(5, self.groups // 3), self.groups + 10} - {self.groups}))

    @property
    def steps(self) -> int:
        """How often something is told."""
        return 3 * len(self.rows) + len(self.other_groups)


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: seconds, peak memory, groups it measured, and seconds by part where it told them."""

    seconds: float
    peak_mib: float
    groups: int
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class MonitoringCase:
    """So many rows: the cube, and pandas unless it is not compared here."""

    rows: int
    groups: int
    cube: Cost
    pandas: Cost | None

    @property
    def ratio(self) -> float | None:
        """The time of the cube over that of the same figures by pandas and scikit-learn."""
        return self.cube.seconds / self.pandas.seconds if self.pandas else None

    @property
    def ratio_without_rest(self) -> float | None:
        """The same, had pandas not compared any group with everybody else; the cube still does."""
        if self.pandas is None:
            return None
        return self.cube.seconds / (self.pandas.seconds - self.pandas.parts["rest"])


@dataclass(frozen=True, slots=True)
class MonitoringRun:
    """Every case, and the machine it was measured on."""

    machine: Machine
    options: MonitoringOptions
    cases: tuple[MonitoringCase, ...]


def measure_monitoring(
    folder: Path, options: MonitoringOptions, step: Callable[[str], None]
) -> MonitoringRun:
    """Make the rows, measure each size with both, and the first size with other numbers of groups.

    `NotMeasured` when a process fails, or scikit-learn is not installed.
    """
    lacking = [name for name in ("ibis", "sklearn") if importlib.util.find_spec(name) is None]
    if lacking:
        raise NotMeasured(
            f"{' and '.join(lacking)} not installed: the extras `monitor` and `test` have them."
        )
    cases = []
    for place, rows in enumerate(options.rows):
        most = max(options.groups, *options.other_groups) if place == 0 else options.groups
        population = Population(rows, most, seed=options.seed)
        step(f"making {rows:,} episodes")
        there = _made(folder / str(rows), population)
        wanted = Population(rows, options.groups).attributes
        step(f"measuring {rows:,} episodes")
        cube = _cost("cds_wrapper.bench.monitoring_cube", there, wanted)
        step(f"the same by pandas and scikit-learn, {rows:,} episodes")
        cases.append(
            MonitoringCase(
                rows, options.groups, cube, _cost("cds_wrapper.bench.monitoring_pandas", there, wanted)
            )
        )
        for groups in options.other_groups if place == 0 else ():
            step(f"measuring {rows:,} episodes in {groups} groups")
            other = _cost("cds_wrapper.bench.monitoring_cube", there, Population(rows, groups).attributes)
            cases.append(MonitoringCase(rows, groups, other, None))
    return MonitoringRun(this_machine(folder), options, tuple(cases))


def _made(folder: Path, population: Population) -> Path:
    """The rows, written by another process; the folder of the episodes."""
    numbers = (population.rows, population.groups, population.seed)
    _ended("cds_wrapper.bench.monitoring_data", [str(folder), *map(str, numbers)])
    return folder / "episodes"


def _cost(module: str, episodes: Path, attributes: tuple[str, ...]) -> Cost:
    """What one process says of itself; its seconds are without what it imports."""
    said = _ended(module, [str(episodes), str(THRESHOLD), *attributes])
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return Cost(answer["seconds"], answer["peak_mib"], answer["groups"], answer.get("parts", {}))


def _ended(module: str, arguments: list[str]) -> str:
    """What a module of ours wrote, run as a program; `NotMeasured` when it fails or takes too long."""
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)  # noqa: S603  our own module
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"{module} took longer than {LONGEST_S} s.") from None
    if ended.returncode:
        raise NotMeasured(f"{module} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    return ended.stdout
