"""`check --probe`: ask each vendor, over the network, what it offers or what it makes of a made patient."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from cds_wrapper.commands.probe_models import ModelProbe, as_json, probe_models
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NO_PROBABILITY_EXIT, VENDOR_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.services import ServiceCatalog, load_services
from cds_wrapper.settings import Settings, read_settings
from cds_wrapper.vendor_access import VendorAccess, examine_access
from cds_wrapper.vendor_watch import Probe, probe


def probe_vendors(hooks: Path | None, json_wanted: bool) -> None:
    """Print what each vendor asks for or answers, and what to mend; ends with the command's code."""
    try:
        settings = read_settings()
        catalog = load_services(hooks or settings.hooks)
    except ConfigurationRefused as refused:
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    access = examine_access(catalog, settings)
    if access.mistakes:
        tell(ConfigurationRefused(access.mistakes))
        raise typer.Exit(CONFIGURATION_EXIT)
    try:
        lists, models = asyncio.run(_ask(catalog, access, settings))
    except ConfigurationRefused as refused:  # another package's adapter that refuses its options
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if json_wanted:
        typer.echo(as_json([one.plain() for one in lists], models))
    else:
        _print(lists, models)
    if any(one.gives_no_probability for one in models):
        raise typer.Exit(NO_PROBABILITY_EXIT)
    if any(one.reason is not None for one in lists) or not all(one.is_usable for one in models):
        raise typer.Exit(VENDOR_EXIT)


async def _ask(
    catalog: ServiceCatalog, access: VendorAccess, settings: Settings
) -> tuple[tuple[Probe, ...], tuple[ModelProbe, ...]]:
    return await probe(catalog, access, settings), await probe_models(catalog, access, settings)


def _print(lists: tuple[Probe, ...], models: tuple[ModelProbe, ...]) -> None:
    if not lists and not models:
        typer.echo("No service names a vendor's list: write its address under `vendor.discovery`.")
    for one in (*lists, *models):
        typer.echo(str(one))
    for model in models:
        if model.mistake is not None:
            typer.echo(str(model.mistake), err=True)
