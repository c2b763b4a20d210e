"""`retention`: erase the predictions whose time is over; what keeps the chain whole stays."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_EMPTIED_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.outcome_file import beside, erase_before
from cds_wrapper.ledger.retention import Due, due, erase
from cds_wrapper.settings import read_settings

SHORTEST_MONTHS = 6
"""Regulation (EU) 2024/1689, Article 26(6): so long at least the logs of a high-risk system are kept."""

_DURATION = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?")


def command(
    older_than: Annotated[
        str, typer.Option(help="ISO 8601 duration in years, months, weeks and days; younger ones stay.")
    ] = "P25M",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is due and erase nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Erase predictions older than a duration, their cards, corrections, feedback, outcomes and episodes.

    Beside the running service. Of each row its place in the chain stays, without patient data; the audit
    (`check --ledger`) stays whole and counts what was erased. Exports and rotated prediction streams are
    files of their own and are not touched.

    \b
    Exit codes: 0 erased, 2 a setting or the duration is wrong or the ledger cannot be written,
                7 erased, but a reader kept an older copy in the write-ahead log: run it again.

    \b
    Example: python3 run.py retention --older-than P25M --dry-run
    """
    before = _before(older_than, datetime.now(UTC))
    try:
        ledger = read_settings().ledger_path
        waiting = due(ledger, before)
        if dry_run:
            _print_due(waiting, before, as_json)
            return
        _erase(ledger, before, older_than, waiting, as_json)
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None


def _before(duration: str, now: datetime) -> datetime:
    """The moment that lies a duration back, by the calendar; ends the command when it is none."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        typer.echo(f"--older-than {duration}: write an ISO 8601 duration such as P25M or P2Y6M.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT)
    years, months, weeks, days = (int(text or 0) for text in found.groups())
    try:
        before = _months_back(now, 12 * years + months) - timedelta(weeks=weeks, days=days)
    except (ValueError, OverflowError):
        typer.echo(f"--older-than {duration}: lies before the calendar begins.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if before > _months_back(now, SHORTEST_MONTHS):
        problem = f"shorter than {SHORTEST_MONTHS} months, for which logs have to be kept (EU AI Act, 26(6))"
        typer.echo(f"--older-than {duration}: {problem}.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT)
    return before


def _months_back(now: datetime, months: int) -> datetime:
    """The same day that many months ago; the first of the next month where there is no such day."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    try:
        return now.replace(year=year, month=month + 1)
    except ValueError:
        year, month = divmod(year * 12 + month + 1, 12)
        return now.replace(year=year, month=month + 1, day=1)


def _print_due(waiting: Due, before: datetime, as_json: bool) -> None:
    at = before.isoformat(timespec="seconds")
    if as_json:
        typer.echo(json.dumps({"before": at, "due": asdict(waiting)}))
        return
    typer.echo(f"Due, from before {at}: {waiting.predictions} predictions with what belongs to them,")
    typer.echo(f"{waiting.unmatched_feedback} feedback entries that belong to none. Nothing was erased.")


def _erase(ledger: Path, before: datetime, older_than: str, waiting: Due, as_json: bool) -> None:
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("erase", total=waiting.predictions)
        gone = erase(
            ledger, before, f"retention {older_than}", passed=lambda count: progress.advance(task, count)
        )
    outcomes = beside(ledger)
    episodes, reports = erase_before(outcomes, before) if outcomes.exists() else (0, 0)
    at = before.isoformat(timespec="seconds")
    if as_json:
        erased = {**asdict(gone), "episodes": episodes, "outcomes": reports}
        typer.echo(json.dumps({"before": at, "erased": erased}))
    else:
        typer.echo(
            f"Erased, from before {at}: {gone.predictions} predictions, {gone.corrections} corrections, "
            f"{gone.feedback} feedback entries."
        )
        typer.echo(f"Beside the ledger: {reports} outcomes, {episodes} episodes.")
    if not gone.log_is_empty:
        typer.echo("A reader keeps an older copy in the write-ahead log: run this again later.", err=True)
        raise typer.Exit(NOT_EMPTIED_EXIT)
