"""`check --probe`: ask each vendor, over the network, what it says of its own services."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, VENDOR_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.services import load_services
from cds_wrapper.settings import read_settings
from cds_wrapper.vendor_access import examine_access
from cds_wrapper.vendor_watch import probe


def probe_vendors(hooks: Path | None, as_json: bool) -> None:
    """Print what each vendor asks for and what `service.yaml` covers of it; ends with the command's code."""
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
    found = asyncio.run(probe(catalog, access, settings))
    if as_json:
        typer.echo(json.dumps({"vendors": [one.plain() for one in found]}, indent=2))
    elif not found:
        typer.echo("No service names a vendor's list: write its address under `vendor.discovery`.")
    else:
        typer.echo("\n".join(map(str, found)))
    if any(one.reason is not None for one in found):
        raise typer.Exit(VENDOR_EXIT)
