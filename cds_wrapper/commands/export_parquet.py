"""`export --format parquet`: a folder for analysis, and the episodes as of a day."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import typer

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.episode_store import make_episodes
from cds_wrapper.ledger.outcome_file import beside
from cds_wrapper.services import examine_services
from cds_wrapper.settings import Settings, read_settings

NO_LIBRARY = "Parquet needs the libraries of analysis: pip install 'cds-wrapper[monitor]'."


def write(what: str, folder: Path | None, since: int, *, as_json: bool) -> None:
    """Append what is new of a dataset below a folder; `episodes` are made anew as of today and replaced."""
    if folder is None:
        typer.echo("Name a folder with --output, and --format parquet.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT)
    try:
        parquet = importlib.import_module("cds_wrapper.ledger.parquet")
    except ImportError:
        typer.echo(NO_LIBRARY, err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    try:
        settings = read_settings()
        told = (
            _episodes(parquet, settings, folder)
            if what == "episodes"
            else _rows(parquet, settings, folder, what, since)
        )
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except OSError as error:
        typer.echo(f"{folder} cannot be written ({error.strerror}).", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(told) if as_json else f"{folder / what}: {told['rows']} rows")


def _rows(parquet: Any, settings: Settings, folder: Path, what: str, since: int) -> dict[str, Any]:
    written = parquet.export_rows(settings.ledger_path, folder, what, since)
    last = dict(written.last_sequence)
    return {"what": what, "rows": written.rows, "parts": written.parts, "last_sequence": last}


def _episodes(parquet: Any, settings: Settings, folder: Path) -> dict[str, Any]:
    services = examine_services(settings.hooks).services
    if not services:
        typer.echo(f"There is no service in {settings.hooks}: see `check`.", err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    outcomes, today = beside(settings.ledger_path), _today()
    rows = 0
    for service in services:
        rows += make_episodes(settings.ledger_path, outcomes, service, today)
        for dataset in ("episodes", "episode_outcomes"):
            parquet.export_snapshot(outcomes, folder, dataset, service.id)
    return {"what": "episodes", "rows": rows, "as_of": today.isoformat()}


def _today() -> date:
    return datetime.now(UTC).date()
