"""`demo --year`: a synthetic year of discharges, its outcomes and a report, before anybody looks.

The year is played through the program (`demo.year`); what follows are the commands a hospital runs itself,
each as a process of its own and printed as it would be typed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper import log
from cds_wrapper.app import DEVELOPMENT_CLIENT, create_app
from cds_wrapper.demo.readmission import load_model
from cds_wrapper.demo.supervisor import DemoFiles, Ports
from cds_wrapper.demo.year import SERVICE, play, runtime_of_the_year, write_records
from cds_wrapper.demo.year_lives import Year, live
from cds_wrapper.settings import Settings

SEED: Final = 20260630
ENVIRONMENT: Final = "environment.sh"
CHANGED: Final = "Example-Myrtle, Leroy"
"""The patient whose card the year changes: he is of the crossing in which scores were too low."""

_MONTH: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class YearFiles:
    """Where the year's things are, all below the demonstration's folder."""

    folder: Path

    @property
    def records(self) -> Path:
        """The hospital's own records, as a bulk export."""
        return self.folder / "records"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def begun(self) -> Path:
        """Written before the first call: a year that has this and no `done` was interrupted."""
        return self.folder / "begun"

    @property
    def done(self) -> Path:
        return self.folder / "done"


def live_the_year(settings: Settings, files: DemoFiles, lines: log.OperatorLog, ports: Ports) -> bool:
    """Play the year into the demonstration's ledger and look at it; False when a step did not succeed.

    A folder that holds the year already is left as it is.
    """
    there = YearFiles(files.folder / "year")
    environment = _environment(settings)
    write_environment(files.folder / ENVIRONMENT, environment)
    if there.done.exists():
        typer.echo("The year is there already.")
        _point_to(there)
        return True
    if there.begun.exists():
        typer.echo(
            f"The year in {there.folder} was interrupted: choose another folder with"
            f" --data, or remove {files.folder}.",
            err=True,
        )
        return False
    there.folder.mkdir(parents=True, exist_ok=True)
    there.begun.touch()
    year = live(load_model(), date.today(), seed=SEED)  # noqa: DTZ011 - the demonstration's own day
    asyncio.run(_play(year, settings, lines, ports))
    write_records(year, there.records)
    ok = all(_run(command, environment, files.operator_log) for command in steps(year, there))
    if ok:
        there.done.write_bytes(msgspec.json.encode({"calls": len(year.discharges), "ended": year.end}))
        _point_to(there)
    return ok


def _point_to(there: YearFiles) -> None:
    """What to look at, now that the year is over."""
    typer.echo(f"The report: open {there.report} in a browser.")
    typer.echo(f"The changed card: on the EHR screen, open {CHANGED} (at discharge).")


async def _play(year: Year, settings: Settings, lines: log.OperatorLog, ports: Ports) -> None:
    app = create_app(settings, lines)
    console = Console(stderr=True)
    typer.echo(f"A synthetic year: {len(year.discharges)} discharges, each asked about as an EHR would ask.")
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("discharges", total=len(year.discharges))
        async with app.router.lifespan_context(app):
            runtime = runtime_of_the_year(app.state.doors.runtime, load_model(), SEED)
            played = await play(
                year,
                runtime,
                DEVELOPMENT_CLIENT,
                ports.fhir_url,
                SEED,
                lambda more: progress.advance(task, more),
            )
    typer.echo(f"  recorded {played.calls} predictions and {played.feedback} entries of feedback")


def steps(year: Year, there: YearFiles) -> tuple[tuple[str, ...], ...]:
    """The commands a hospital would run: outcomes in, two monthly reviews, the report."""
    covers = f"{year.start.date().isoformat()}/{year.end.date().isoformat()}"
    files = [str(there.records / name) for name in ("Patient.ndjson", "Encounter.ndjson")]
    a_month_ago = (year.end.date() - _MONTH).isoformat()
    return (
        ("outcomes", "import", *files, "--service", SERVICE, "--covers", covers),
        ("review", "--service", SERVICE, "--as-of", a_month_ago),
        ("review", "--service", SERVICE),
        ("report", "--service", SERVICE, "--output", str(there.report)),
    )


def _run(command: Sequence[str], environment: Mapping[str, str], operator_log: Path) -> bool:
    """Run one command; what it tells the operator goes where the wrapper's own lines go."""
    typer.echo(f"$ python3 run.py {shlex.join(command)}")
    sys.stdout.flush()
    with operator_log.open("ab") as lines:
        result = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "-m", "cds_wrapper.cli", *command],
            env={**os.environ, **environment},
            stderr=lines,
            check=False,
        )
    if result.returncode:
        typer.echo(
            f"That ended with exit code {result.returncode}; the year is not whole. The end of {operator_log}"
            " says why.",
            err=True,
        )
    return result.returncode == 0


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "CDS_WRAPPER_PROFILE": settings.profile.value,
        "CDS_WRAPPER_HOOKS": str(settings.hooks),
        "CDS_WRAPPER_LEDGER": settings.ledger,
        "CDS_WRAPPER_PSEUDONYM_KEYS": str(settings.pseudonym_keys),
        "CDS_WRAPPER_NAMESPACE": settings.namespace,
        "CDS_WRAPPER_PUBLIC_URL": settings.public_url,
    }


def write_environment(path: Path, environment: Mapping[str, str]) -> None:
    """Write the settings of this demonstration for a shell, so that other commands can be pointed at it."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    head = (
        "# The settings of this demonstration: `source` it in a shell, and every command is about its ledger."
    )
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
