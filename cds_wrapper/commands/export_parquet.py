"""`export --format parquet`: predictions, episodes and outcomes as tables for analysis."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.episode_store import make_episodes
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.ledger.parquet import Exported, export_rows, export_snapshot
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.settings import Settings

NOT_WRITTEN_EXIT: Final = 1
STREAMS: Final = {
    "predictions": ("predictions", "corrections"),
    "corrections": ("corrections",),
    "feedback": ("feedback",),
    "prediction-subgroups": ("prediction_subgroups",),
}
SNAPSHOTS: Final = {
    "episodes": ("episodes", "episode_outcomes"),
    "outcomes": ("outcomes", "follow_up"),
}
"""What is asked for -> the datasets that are written."""


def export_parquet(
    what: str, folder: Path, settings: Settings, since: int, service: str | None, as_of: date | None
) -> dict[str, Exported]:
    """Write the datasets that belong to what is asked for; ends the command with what is in the way."""
    try:
        if what in STREAMS:
            return {
                dataset: _appended(settings.ledger_path, folder, dataset, since) for dataset in STREAMS[what]
            }
        return _replaced(what, folder, settings, _services(settings, service), as_of)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except OSError as error:
        _refuse(f"{folder} cannot be written ({error.strerror}).", NOT_WRITTEN_EXIT)


def say(written: dict[str, Exported], folder: Path, as_json: bool) -> None:
    """What was written, in words or as one JSON object."""
    if as_json:
        typer.echo(json.dumps({dataset: asdict(one) for dataset, one in written.items()}))
        return
    for dataset, one in written.items():
        typer.echo(f"{folder / dataset}: {one.rows} rows in {one.parts} parts")


def _appended(ledger: Path, folder: Path, dataset: str, since: int) -> Exported:
    with _progress() as progress:
        task = progress.add_task(dataset, total=None)
        return export_rows(ledger, folder, dataset, since, lambda rows: progress.advance(task, rows))


def _replaced(
    what: str, folder: Path, settings: Settings, services: Sequence[ServiceDefinition], as_of: date | None
) -> dict[str, Exported]:
    outcomes = beside(settings.ledger_path)
    total = dict.fromkeys(SNAPSHOTS[what], Exported(0, 0, {}))
    for one in services:
        if what == "episodes":
            with _progress() as progress:
                task = progress.add_task(f"episodes of {one.id}", total=None)
                make_episodes(
                    settings.ledger_path,
                    outcomes,
                    one,
                    as_of or datetime.now(UTC).date(),
                    lambda patients, task=task, progress=progress: progress.advance(task, patients),
                )
        elif not outcomes.exists():
            _refuse(f"{outcomes} is not there: no outcomes have been imported (`outcomes import`).")
        for dataset in total:
            written = export_snapshot(outcomes, folder, dataset, one.id)
            before = total[dataset]
            total[dataset] = Exported(before.rows + written.rows, before.parts + written.parts, {})
    return total


def _services(settings: Settings, wanted: str | None) -> list[ServiceDefinition]:
    catalog = list(load_services(settings.hooks))
    found = [one for one in catalog if wanted in {None, one.id}]
    if not found:
        names = ", ".join(sorted({one.id for one in catalog}))
        _refuse(f"There is no service {wanted!r}. There are: {names}.", NOT_FOUND_EXIT)
    return found


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _refuse(sentence: str, code: int = CONFIGURATION_EXIT) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)
