"""What `bench monitoring` says: time and memory by size, and how they grow. Pure."""

from __future__ import annotations

from typing import Any

from cds_wrapper.bench.monitoring import PEAK_MIB, RATIO, MonitoringCase, MonitoringRun
from cds_wrapper.bench.text_table import text_table

HEAD = ("episodes", "groups", "s", "peak MiB", "pandas s", "pandas MiB", "time ratio", "without rest")
WHAT = """Both count the same groups on the same files. pandas and scikit-learn: area, confusion matrix, Brier
score and calibration fit, the errors of patients who come again for six ratios and the area, and of the rest
area and confusion matrix. The cube: all of that, every interval, gap, expected figure and daily sum. "Without
rest" leaves the rest out for pandas alone. Seconds are without imports; memory is with them."""


def text(run: MonitoringRun) -> str:
    """For people."""
    rows = [
        (
            f"{case.rows:,}",
            str(case.cube.groups),
            f"{case.cube.seconds:.1f}",
            f"{case.cube.peak_mib:.0f}",
            f"{case.pandas.seconds:.1f}" if case.pandas else "-",
            f"{case.pandas.peak_mib:.0f}" if case.pandas else "-",
            _ratio(case.ratio),
            _ratio(case.ratio_without_rest),
        )
        for case in run.cases
    ]
    return "\n\n".join((text_table(HEAD, rows), *growth(run), aims(run), WHAT, run.machine.sentence()))


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def growth(run: MonitoringRun) -> list[str]:
    """How cost grows with rows and with groups, in words."""
    compared = [case for case in run.cases if case.pandas]
    first, last = compared[0], compared[-1]
    said = []
    if last.rows != first.rows:
        said.append(f"{last.rows / first.rows:.1f} times the episodes: {_times(last, first)}")
    sized = sorted((case for case in run.cases if case.rows == first.rows), key=lambda case: case.groups)
    if len(sized) > 1:
        few, many = sized[0], sized[-1]
        said.append(f"{many.groups / few.groups:.1f} times the groups: {_times(many, few)}")
    return said


def _times(more: MonitoringCase, less: MonitoringCase) -> str:
    time, memory = more.cube.seconds / less.cube.seconds, more.cube.peak_mib / less.cube.peak_mib
    return f"{time:.1f} times the time, {memory:.2f} times the memory."


def aims(run: MonitoringRun) -> str:
    """Whether what is aimed at was reached with the most episodes."""
    last: MonitoringCase = [case for case in run.cases if case.pandas][-1]
    ratio, peak = last.ratio or 0.0, last.cube.peak_mib
    return (
        f"With {last.rows:,} episodes: time ratio {ratio:.3f} (aim {RATIO}: {_met(ratio <= RATIO)}), peak"
        f" {peak:.0f} MiB (aim {PEAK_MIB:.0f}: {_met(peak <= PEAK_MIB)})."
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


def document(run: MonitoringRun) -> dict[str, Any]:
    """For scripts."""
    return {
        "machine": run.machine.plain(),
        "aims": {"time_ratio": RATIO, "peak_mib": PEAK_MIB},
        "cases": [
            {
                "episodes": case.rows,
                "groups": case.cube.groups,
                "seconds": case.cube.seconds,
                "peak_mib": case.cube.peak_mib,
                "pandas_seconds": case.pandas.seconds if case.pandas else None,
                "pandas_peak_mib": case.pandas.peak_mib if case.pandas else None,
                "pandas_parts": case.pandas.parts if case.pandas else None,
                "time_ratio": case.ratio,
                "time_ratio_without_rest": case.ratio_without_rest,
            }
            for case in run.cases
        ],
    }
