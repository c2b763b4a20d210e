"""`bench`: measure what the wrapper costs on this machine, beside what it is compared with."""

from __future__ import annotations

import contextlib
import enum
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cds_wrapper.bench import ledger_report, monitoring_report, serving_report, soak_report
from cds_wrapper.bench.ledger import LedgerOptions, measure_ledger
from cds_wrapper.bench.monitoring import MonitoringOptions, measure_monitoring
from cds_wrapper.bench.parts import NotMeasured
from cds_wrapper.bench.serving import ServingOptions, measure_serving
from cds_wrapper.bench.soak import SoakOptions, measure_soak
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, MISMATCH_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.settings import read_settings

DATA = Path("bench-data")
NOT_MEASURED_EXIT = 1


class What(enum.Enum):
    """What can be measured."""

    SERVING = "serving"
    LEDGER = "ledger"
    SOAK = "soak"
    MONITORING = "monitoring"


def command(  # noqa: PLR0913, PLR0917  each is an option of the command line
    what: Annotated[
        What, typer.Argument(help="`serving` (whole calls), `ledger` (records), `soak` or `monitoring`.")
    ],
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="How often each measurement is made.")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="`serving`: length of one measurement in seconds.")
    ] = 3.0,
    vendor_ms: Annotated[
        float, typer.Option(min=0, max=400, help="How long the vendor takes, in milliseconds.")
    ] = 50.0,
    records: Annotated[
        int, typer.Option(min=32, max=1_000_000, help="`ledger`: records of one measurement at 32 writers.")
    ] = 8000,
    requests: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="`soak`: calls of the measured service.")
    ] = 100_000,
    hanging: Annotated[
        bool,
        typer.Option("--hanging", help="`soak`: call a second service too, whose vendor hangs at times."),
    ] = False,
    episodes: Annotated[
        list[int] | None,
        typer.Option(
            min=10_000, help="`monitoring`: how many predictions; may be given again. 1 and 10 million else."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Orders the calls; the same seed, the same order.")] = 1,
    data: Annotated[
        Path,
        typer.Option(help="Folder for this run's files, on the disk to be measured; emptied afterwards."),
    ] = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Measure what the wrapper costs, beside a vendor alone, bare forwarders and plain SQLite, in one run.

    `soak` looks at memory, open connections and totals over many calls; `monitoring` at time and memory of
    the figures by group, beside pandas and scikit-learn.

    \b
    Everything is synthetic and stays on this machine; Linux only. Nothing is asserted about times.
    Exit codes: 0 measured, 1 not measured, 2 a setting or file is wrong, 4 an answer or record is missing.

    \b
    Example: python3 run.py bench serving --rounds 5
    """
    if sys.platform != "linux":
        typer.echo("The benchmark reads processor times as Linux gives them: run it on Linux.", err=True)
        raise typer.Exit(NOT_MEASURED_EXIT)
    serving = ServingOptions(rounds=rounds, seconds=seconds, vendor_milliseconds=vendor_ms, seed=seed)
    try:
        hooks = read_settings().hooks
        with run_folder(data) as folder:
            match what:
                case What.SERVING:
                    right = _serving(hooks, folder, serving, as_json)
                case What.LEDGER:
                    right = _ledger(hooks, folder, LedgerOptions(rounds=rounds, records=records), as_json)
                case What.SOAK:
                    right = _soak(hooks, folder, SoakOptions(requests, vendor_ms, hanging, seed), as_json)
                case What.MONITORING:
                    right = _monitoring(folder, episodes, seed, as_json)
            if not right:
                raise typer.Exit(MISMATCH_EXIT)
    except ConfigurationRefused as refused:
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except (NotMeasured, OSError) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(NOT_MEASURED_EXIT) from None


@contextlib.contextmanager
def run_folder(data: Path) -> Iterator[Path]:
    """A new folder for one run below `data`; taken away afterwards, unless it shows what went wrong."""
    data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=data)).resolve()
    is_evidence = False
    try:
        yield folder
    except (NotMeasured, typer.Exit):
        is_evidence = True
        raise
    finally:
        if not is_evidence:
            shutil.rmtree(folder)
            with contextlib.suppress(OSError):  # another run's files, or somebody's own
                data.rmdir()


def _serving(hooks: Path, folder: Path, options: ServingOptions, as_json: bool) -> bool:
    """Measure and report; whether every answer was right and recorded."""
    with _progress(options.steps) as step:
        run = measure_serving(hooks, folder, options, step)
    typer.echo(json.dumps(serving_report.document(run)) if as_json else serving_report.text(run))
    return not serving_report.mistakes(run)


def _ledger(hooks: Path, folder: Path, options: LedgerOptions, as_json: bool) -> bool:
    """Measure and report; whether every record that was confirmed is there."""
    with _progress(options.steps) as step:
        run = measure_ledger(hooks, folder, options, step)
    typer.echo(json.dumps(ledger_report.document(run)) if as_json else ledger_report.text(run))
    return not run.mistakes


def _soak(hooks: Path, folder: Path, options: SoakOptions, as_json: bool) -> bool:
    """Measure and report; whether load generator, metrics and ledger agree to the last call."""
    with _progress(options.steps) as step:
        run = measure_soak(hooks, folder, options, step)
    typer.echo(json.dumps(soak_report.document(run)) if as_json else soak_report.text(run))
    return not soak_report.disagreements(run)


def _monitoring(folder: Path, episodes: list[int] | None, seed: int, as_json: bool) -> bool:
    """Measure and report; nothing can be wrong that would not have ended it."""
    options = MonitoringOptions(seed=seed)
    options = replace(options, rows=tuple(sorted(episodes))) if episodes else options
    with _progress(options.steps) as step:
        run = measure_monitoring(folder, options, step)
    typer.echo(json.dumps(monitoring_report.document(run)) if as_json else monitoring_report.text(run))
    return True


@contextlib.contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, on standard error, and nothing elsewhere.

    It is drawn when something is told, not by a thread of its own, which would take its share of a core.
    """
    columns = (BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TextColumn("{task.description}"),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("starting", total=steps)

        def step(what: str) -> None:
            progress.update(task, description=what, advance=1, refresh=True)

        yield step
