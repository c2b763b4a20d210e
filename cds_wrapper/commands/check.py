"""`check`: everything that is wrong with settings and hooks/, or with the ledger, at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cds_wrapper.commands.audit_ledger import audit_ledger
from cds_wrapper.commands.client_sheet import as_text, habits_shown, sheet_for
from cds_wrapper.commands.probe_vendors import probe_vendors
from cds_wrapper.commands.problems import CONFIGURATION_EXIT
from cds_wrapper.commands.review_notice import mistaken_receiver
from cds_wrapper.ehr.clients import KeyAddress, KnownClient
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.ledger.spool_report import SpoolReport, report_on
from cds_wrapper.production import (
    colliding_paths,
    mapped_to_nothing,
    misplaced_origins,
    unsafe,
    unusable_certificates,
)
from cds_wrapper.services import ExaminedClients, ServiceCatalog, examine_clients, load_services, warnings_of
from cds_wrapper.services.own_keys import OwnQuery
from cds_wrapper.settings import Settings, read_settings
from cds_wrapper.vendor_access import examine_access

PROBE_HELP = "Ask each vendor, over the network, for its list of services or a made patient's score."


def command(
    hooks: Annotated[
        Path | None,
        typer.Option(help="Folder with one folder per service; the setting CDS_WRAPPER_HOOKS otherwise."),
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Audit the ledger of CDS_WRAPPER_LEDGER, and nothing else.")
    ] = False,
    ledger_file: Annotated[Path | None, typer.Option(help="Audit this ledger, and nothing else.")] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            help="What an earlier audit printed with --json: are those rows still there, unchanged?"
        ),
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help=PROBE_HELP)] = False,
    client: Annotated[
        str | None,
        typer.Option(
            help="Print what this client's EHR has to be told, and nothing else; a profile's name will do."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Check settings and the hospital's files, or the ledger; print everything that is wrong.

    With --client the sheet for an EHR's analysts: addresses, prefetch keys and queries, tokens.
    With --ledger every row is compared with its hash and with the rows beside it, while the service runs.
    With --probe a model that answers with a bare score is asked about a patient who is nobody: inputs, answer
    and card are shown.

    \b
    Exit codes: 0 nothing is wrong, 2 a setting or a file is, 5 a vendor gives no list or no score, 6 the
                ledger is not whole, 8 a model gives a class where a probability is declared.

    \b
    Example: python3 run.py check --hooks hooks
    Example: python3 run.py check --client epic
    Example: python3 run.py check --probe
    Example: python3 run.py check --ledger --json > heads.json
    Example: python3 run.py check --ledger --heads heads.json
    """
    if ledger or ledger_file or heads:
        audit_ledger(ledger_file, heads, as_json)
    elif probe:
        probe_vendors(hooks, as_json)
    else:
        _check_files(hooks, client, as_json)


def _check_files(hooks: Path | None, client: str | None, as_json: bool) -> None:
    """The settings and the hospital's files, or one client's sheet out of them."""
    settings, mistakes = _settings()
    if settings is not None and hooks is not None:
        settings = settings.model_copy(update={"hooks": hooks})
    folder = hooks or (settings.hooks if settings else Path("hooks"))
    catalog, found = _services(folder)
    clients = examine_clients(folder)
    mistakes += (*found, *clients.mistakes, *(_disagreements(settings, catalog, clients) if settings else ()))
    mistakes = mistakes or _nothing_there(folder, catalog, clients)
    not_served = unsafe(settings, catalog, clients) if settings else ()
    if client is not None and settings is not None and not mistakes:
        sheet, mistakes = sheet_for(client, settings, catalog, clients.known)
        if sheet is not None:
            typer.echo(json.dumps(sheet, indent=2) if as_json else as_text(sheet))
            return
    spool = report_on(settings.ledger_path, settings.spool_path) if settings else None
    warnings = (*warnings_of(catalog), *clients.warnings, *(spool.warnings if spool else ()))
    if as_json:
        told = (*warnings, *not_served)
        typer.echo(json.dumps(_document(settings, spool, catalog, clients, mistakes, told), indent=2))
    else:
        _print(settings, spool, catalog, clients, mistakes, warnings)
        if not_served:
            typer.echo("`serve` will not start in production before this is done:")
            for refusal in not_served:
                typer.echo(f"  {refusal}")
    if mistakes:
        raise typer.Exit(CONFIGURATION_EXIT)


def _services(folder: Path) -> tuple[ServiceCatalog, tuple[Mistake, ...]]:
    try:
        return load_services(folder), ()
    except ConfigurationRefused as refused:
        return ServiceCatalog(), refused.mistakes


def _disagreements(
    settings: Settings, catalog: ServiceCatalog, clients: ExaminedClients
) -> tuple[Mistake, ...]:
    """What is right by itself and does not go together."""
    known = clients.known
    return (
        *examine_access(catalog, settings).mistakes,
        *colliding_paths(settings),
        *unusable_certificates(settings, known),
        *misplaced_origins(settings, known),
        *mistaken_receiver(settings),
    )


def _nothing_there(folder: Path, catalog: ServiceCatalog, clients: ExaminedClients) -> tuple[Mistake, ...]:
    """A folder without a service, or clients that speak of none that is there."""
    if not len(catalog):
        problem = "holds no service: it needs one folder per service, with service.yaml in it."
        return (Mistake(str(folder), None, None, "", problem),)
    return mapped_to_nothing(catalog, clients.known)


def _settings() -> tuple[Settings | None, tuple[Mistake, ...]]:
    try:
        return read_settings(), ()
    except ConfigurationRefused as refused:
        return None, refused.mistakes


def _document(
    settings: Settings | None,
    spool: SpoolReport | None,
    catalog: ServiceCatalog,
    clients: ExaminedClients,
    mistakes: tuple[Mistake, ...],
    warnings: tuple[Mistake, ...],
) -> dict[str, object]:
    return {
        "settings": settings.shown() if settings else None,
        "spool": spool.plain() if spool else None,
        "services": [
            {
                "id": service.id,
                "hook": service.hook,
                "edition": service.book.edition,
                "own_queries": [_asked(query) for query in service.own_queries],
            }
            for service in catalog
        ],
        "clients": [_shown(client) for client in clients.known.clients] if clients.known else None,
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


def _asked(query: OwnQuery) -> dict[str, object]:
    """A key the wrapper reads for itself, and what for (minimum necessary, CDS Hooks 2.0.1)."""
    return {
        "key": query.key,
        "query": query.template,
        "for": list(query.purposes),
        "vendor_asks_too": query.shared,
    }


def _shown(client: KnownClient) -> dict[str, object]:
    """A client for people and scripts; an absent limit is null."""
    keys = client.keys
    return {
        "name": client.name,
        "environment": client.environment,
        "issuer": client.issuer,
        "keys": keys.url if isinstance(keys, KeyAddress) else sorted(keys.names) if keys else None,
        "algorithms": sorted(client.algorithms) if client.issuer else None,
        "longest_lifetime_seconds": client.longest_lifetime.total_seconds() if client.issuer else None,
        "certificate": client.certificate,
        "tenants": sorted(client.tenants) if client.tenants is not None else None,
        "services": sorted(client.services) if client.services is not None else None,
        "profile": client.profile.name,
        "origins": sorted(client.origins) or None,
        "most_at_once": client.most_at_once,
        **habits_shown(client),
        "fhir": list(client.fhir.servers) if client.fhir is not None else None,
        "fhir_access": client.fhir.mode.value if client.fhir is not None else None,
    }


def _print(
    settings: Settings | None,
    spool: SpoolReport | None,
    catalog: ServiceCatalog,
    clients: ExaminedClients,
    mistakes: tuple[Mistake, ...],
    warnings: tuple[Mistake, ...],
) -> None:
    if settings is not None:
        typer.echo("Settings")
        for name, value in settings.shown().items():
            typer.echo(f"  CDS_WRAPPER_{name.upper():<18} {value}")
    if spool is not None:
        typer.echo(str(spool))
    for service in catalog:
        typer.echo(f"Service {service.id} on {service.hook}: evidence edition {service.book.edition}")
        for query in service.own_queries:
            whose = "the vendor's own key" if query.shared else "asked by the wrapper alone"
            typer.echo(f"  {query.key} ({whose}) for {' and '.join(query.purposes)}: {query.template}")
    for client in clients.known.clients if clients.known else ():
        limits = {name: value for name, value in _shown(client).items() if value is not None}
        typer.echo("Client " + ", ".join(f"{name} {_in_words(value)}" for name, value in limits.items()))
    for warning in warnings:
        typer.echo(f"Warning: {warning}")
    for mistake in mistakes:
        typer.echo(str(mistake), err=True)
    count = len(mistakes)
    typer.echo(
        "No mistakes." if not count else f"{count} mistake{'s' if count > 1 else ''}.", err=bool(count)
    )


def _in_words(value: object) -> str:
    match value:
        case list():
            return " ".join(map(str, value))
        case dict():
            return " ".join(f"{key}:{_in_words(one)}" for key, one in value.items())
        case _:
            return str(value)
