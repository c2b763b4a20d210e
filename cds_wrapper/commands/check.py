"""`check`: everything that is wrong with settings and hooks/, at once, before anybody is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cds_wrapper.app import unsafe
from cds_wrapper.commands.problems import CONFIGURATION_EXIT
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.services import ServiceCatalog, load_services, warnings_of
from cds_wrapper.settings import Settings, read_settings


def command(
    hooks: Annotated[
        Path | None,
        typer.Option(help="Folder with one folder per service; the setting CDS_WRAPPER_HOOKS otherwise."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Check settings and the files of every service; print every mistake with its file and line.

    \b
    Exit codes: 0 nothing is wrong, 2 something is.

    \b
    Example: python3 run.py check --hooks hooks
    """
    settings, mistakes = _settings()
    if settings is not None and hooks is not None:
        settings = settings.model_copy(update={"hooks": hooks})
    catalog = ServiceCatalog()
    folder = hooks or (settings.hooks if settings else Path("hooks"))
    try:
        catalog = load_services(folder)
    except ConfigurationRefused as refused:
        mistakes += refused.mistakes
    if not mistakes and not len(catalog):
        problem = "holds no service: it needs one folder per service, with service.yaml in it."
        mistakes = (Mistake(str(folder), None, None, "", problem),)
    warnings = (*warnings_of(catalog), *(unsafe(settings) if settings else ()))
    if as_json:
        typer.echo(json.dumps(_document(settings, catalog, mistakes, warnings), indent=2))
    else:
        _print(settings, catalog, mistakes, warnings)
    if mistakes:
        raise typer.Exit(CONFIGURATION_EXIT)


def _settings() -> tuple[Settings | None, tuple[Mistake, ...]]:
    try:
        return read_settings(), ()
    except ConfigurationRefused as refused:
        return None, refused.mistakes


def _document(
    settings: Settings | None,
    catalog: ServiceCatalog,
    mistakes: tuple[Mistake, ...],
    warnings: tuple[Mistake, ...],
) -> dict[str, object]:
    return {
        "settings": settings.shown() if settings else None,
        "services": [
            {"id": service.id, "hook": service.hook, "edition": service.book.edition} for service in catalog
        ],
        "mistakes": [
            {
                "file": mistake.file,
                "line": mistake.line,
                "column": mistake.column,
                "key": mistake.key,
                "problem": mistake.problem,
                "suggestion": mistake.suggestion,
            }
            for mistake in mistakes
        ],
        "warnings": [str(warning) for warning in warnings],
    }


def _print(
    settings: Settings | None,
    catalog: ServiceCatalog,
    mistakes: tuple[Mistake, ...],
    warnings: tuple[Mistake, ...],
) -> None:
    if settings is not None:
        typer.echo("Settings")
        for name, value in settings.shown().items():
            typer.echo(f"  CDS_WRAPPER_{name.upper():<18} {value}")
    for service in catalog:
        typer.echo(f"Service {service.id} on {service.hook}: evidence edition {service.book.edition}")
    for warning in warnings:
        typer.echo(f"Warning: {warning}")
    for mistake in mistakes:
        typer.echo(str(mistake), err=True)
    count = len(mistakes)
    typer.echo(
        "No mistakes." if not count else f"{count} mistake{'s' if count > 1 else ''}.", err=bool(count)
    )
