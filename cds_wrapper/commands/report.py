"""`report`: one printable page about a service that answers what leaders ask, and its figures."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from cds_wrapper.caveats.evidence import Direction
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.ledger.outcome_file import folder_beside
from cds_wrapper.monitoring.findings import FindingKind
from cds_wrapper.monitoring.past import past_of
from cds_wrapper.monitoring.report.gather import gather
from cds_wrapper.monitoring.report.known import NO_REVIEWS, Found, Known, Reviews
from cds_wrapper.monitoring.report.page import csv_of, html_of, json_of, report_of
from cds_wrapper.monitoring.values import Group
from cds_wrapper.patient.rules import RACE
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.settings import read_settings

NOT_WRITTEN_EXIT = 1
MODE = 0o600


def command(
    service: Annotated[str, typer.Option(help="Id of the service.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `export --format parquet` wrote `predictions` and `episodes` into; else the one"
            " beside the ledger, which each `review` brings up to date."
        ),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day the report is about, as 2026-10-31; today (UTC) without it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write, mode 0600, whole or not at all; else standard output.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON instead of HTML: answers, figures, tables.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Folder to write every table and `figures.csv` into as well.")
    ] = None,
) -> None:
    """Write the report of one service: one HTML file that loads nothing, prints on A4 and needs no network.

    \b
    It answers four questions in words first: how was it trained and on whom, and are our patients like them;
    how has it done by group since go-live; who can interpret that; what is the plan when a problem is found.
    Counts from 1 to 10, and what would give them away, are not shown. It names groups: for those who answer
    for the model, and no card.
    Exit codes: 0 written, 1 the output cannot be written, 2 a setting, a file or the day is wrong, 3 no such
    service.

    \b
    Example: python3 run.py report --service readmission --output readmission.html
    """
    made = report_of(_known(service, data, as_of))
    text = json.dumps(json_of(made), indent=2) if as_json else html_of(made.page)
    try:
        if csv is not None:
            _write_tables(csv, csv_of(made))
        if output is not None:
            _write(output, text)
    except OSError as error:
        typer.echo(f"The report cannot be written: {error.strerror}. Name another place.", err=True)
        raise typer.Exit(NOT_WRITTEN_EXIT) from None
    if output is None:
        typer.echo(text)
    else:
        typer.echo(f"{output}: {_in_words(made.known)}")


def _known(service: str, data: Path | None, as_of: str | None) -> Known:
    try:
        settings = read_settings()
        catalog = load_services(settings.hooks)
    except ConfigurationRefused as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    definition: ServiceDefinition | None = next(iter(catalog.of(service)), None)
    if definition is None:
        names = ", ".join(sorted({one.id for one in catalog}))
        typer.echo(f"There is no service {service!r}. There are: {names}.", err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    day = _day(as_of)
    folder = data or folder_beside(settings.ledger_path)
    if not folder.is_dir():
        typer.echo(
            f"There is no folder {folder}: run `review` first, or `export` and name its folder with --data.",
            err=True,
        )
        raise typer.Exit(CONFIGURATION_EXIT)
    try:
        return gather(definition, folder, day, reviews_of(settings.ledger_path, definition, day))
    except LedgerUnavailable as error:
        tell(error)
        typer.echo("Run `review` again, which writes it anew, or name a whole copy with --data.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None


def reviews_of(ledger: Path, service: ServiceDefinition, day: date) -> Reviews:
    """What reviews up to a day have found and published; nothing where there is no ledger."""
    try:
        past = past_of(ledger, service, day)
    except LedgerUnavailable:
        return NO_REVIEWS
    return Reviews(tuple(_found(one, service) for one in past.findings), past)


def _found(one: StoredFinding, service: ServiceDefinition) -> Found:
    order = next((parts for parts in service.scheme.crossings if set(parts) == set(one.groups)), one.groups)
    in_combination = RACE in one.groups and not one.exclusive
    due = one.detail.get("due")
    return Found(
        id=one.finding_id,
        group=Group(tuple((name, one.groups[name][0]) for name in order), not in_combination),
        what=f"{one.detail.get('what')}.",
        direction=Direction(one.direction) if one.direction else None,
        since=one.since,
        sure=str(one.detail.get("sure")),
        plan=str(one.detail.get("plan")),
        owner=service.plan.monitoring.owner,
        due=date.fromisoformat(due) if due else None,
        closed=one.closed_at.date() if one.closed_at else None,
        kind=FindingKind(one.kind),
    )


def _day(text: str | None) -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        typer.echo(f"--as-of {text}: is no day; write it as 2026-10-31.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None


def _in_words(known: Known) -> str:
    if known.figures is None:
        return "nothing has been measured yet; the report says so."
    return f"{len(known.figures.groups) - 1} groups, as of {known.as_of.isoformat()}."


def _write_tables(folder: Path, tables: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        _write(folder / name, text)


def _write(path: Path, text: str) -> None:
    """The whole file or none: under another name first."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as draft:
        place = Path(draft.name)
        try:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
        except OSError:
            place.unlink(missing_ok=True)
            raise
    place.chmod(MODE)
    place.replace(path)
