"""The benchmark of monitoring: the same rows from the same seed, both processes, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cds_wrapper.bench.machine import this_machine
from cds_wrapper.bench.monitoring import (
    Cost,
    MonitoringCase,
    MonitoringOptions,
    MonitoringRun,
    measure_monitoring,
)
from cds_wrapper.bench.monitoring_data import write_episodes
from cds_wrapper.bench.monitoring_population import Population
from cds_wrapper.bench.monitoring_report import document, text


def test_the_same_population_has_the_same_rows(tmp_path: Path) -> None:
    one, other, third = (
        pq.read_table(
            write_episodes(tmp_path / name, Population(20_000, seed=seed)) / "service_id=readmission"
        )
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.equals(other)
    assert not one.equals(third)
    assert one.num_rows == 20_000


def run_of(seconds: float, peak: float, folder: Path) -> MonitoringRun:
    pandas = Cost(100.0, 9000.0, 31, {"rest": 40.0})
    small = MonitoringCase(
        1_000_000, 30, Cost(seconds / 8, peak / 2, 31, {}), Cost(9.0, 900.0, 31, {"rest": 4.0})
    )
    few = MonitoringCase(1_000_000, 10, Cost(seconds / 16, peak / 2, 11, {}), None)
    large = MonitoringCase(10_000_000, 30, Cost(seconds, peak, 31, {}), pandas)
    return MonitoringRun(this_machine(folder), MonitoringOptions(), (small, few, large))


@pytest.mark.parametrize(
    ("seconds", "peak", "said"),
    [
        (14.0, 390.0, "time ratio 0.140 (aim 0.15: met), peak 390 MiB (aim 400: met)"),
        (16.0, 401.0, "time ratio 0.160 (aim 0.15: not met), peak 401 MiB (aim 400: not met)"),
    ],
)
def test_it_says_whether_the_aims_were_met(tmp_path: Path, seconds: float, peak: float, said: str) -> None:
    found = text(run_of(seconds, peak, tmp_path))
    assert said in found
    assert "10.0 times the episodes: 8.0 times the time, 2.00 times the memory" in found
    assert "3.0 times the groups: 2.0 times the time, 1.00 times the memory" in found


def test_the_document_has_both_ratios(tmp_path: Path) -> None:
    last = document(run_of(12.0, 380.0, tmp_path))["cases"][-1]
    assert last["time_ratio"] == pytest.approx(0.12)
    assert last["time_ratio_without_rest"] == pytest.approx(0.2)


@pytest.mark.slow
def test_both_processes_measure_the_same_groups(tmp_path: Path) -> None:
    told: list[str] = []
    run = measure_monitoring(tmp_path, MonitoringOptions((10_000,), groups=10), told.append)
    compared = run.cases[0]
    assert compared.pandas is not None
    assert compared.cube.groups == compared.pandas.groups == 11
    assert len(told) == run.options.steps
    assert {case.groups for case in run.cases} == {5, 10, 20}
