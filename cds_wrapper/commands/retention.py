"""`retention`: erase the predictions whose time is over; what keeps the chain whole stays."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper import log
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_EMPTIED_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.outcome_file import beside, erase_before, folder_beside
from cds_wrapper.ledger.retention import Due, due, erase
from cds_wrapper.settings import Settings, read_settings

SHORTEST_MONTHS = 6
"""Regulation (EU) 2024/1689, Article 26(6): so long at least the logs of a high-risk system are kept."""

MANIFEST: Final = "manifest.json"
"""What a folder of exported Parquet is known by; its own module needs a library that may not be there."""

_DURATION = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?")


def command(
    older_than: Annotated[
        str, typer.Option(help="ISO 8601 duration in years, months, weeks and days; younger ones stay.")
    ] = "P25M",
    exported: Annotated[
        list[Path] | None,
        typer.Option(
            "--exported",
            help="Folder of `export --format parquet`, once for each; that of `review` beside the ledger is"
            " always among them.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is due and erase nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Erase predictions older than a duration, their cards, corrections, feedback, outcomes and episodes.

    Beside the running service. Of each row its place in the chain stays, without patient data; the audit
    (`check --ledger`) stays whole and counts what was erased. Parquet in the folders it is told of follows
    the ledger. Files of the prediction stream that still hold such rows are named and not touched; lines
    exported elsewhere, what was loaded from them, and backups it knows nothing of.

    \b
    Exit codes: 0 erased, 2 a setting or the duration is wrong or the ledger cannot be written,
                7 erased, but a copy is left in the write-ahead log or in a folder of Parquet: it is said why;
                run it again.

    \b
    Example: python3 run.py retention --older-than P25M --dry-run
    """
    before = _before(older_than, datetime.now(UTC))
    try:
        settings = read_settings()
        folders = _folders(settings.ledger_path, exported or ())
        waiting = due(settings.ledger_path, before)
        if dry_run:
            _print_due(waiting, before, folders, as_json)
            return
        _erase(settings, before, older_than, waiting, folders, as_json)
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


def _folders(ledger: Path, named: Sequence[Path]) -> list[Path]:
    """Folders that hold exported rows; one that was named and is none ends the command before it begins."""
    for folder in named:
        if not (folder / MANIFEST).is_file():
            typer.echo(f"--exported {folder}: no `export` wrote into it, it has no {MANIFEST}.", err=True)
            raise typer.Exit(CONFIGURATION_EXIT)
    own = folder_beside(ledger)
    return list(dict.fromkeys([*([own] if (own / MANIFEST).is_file() else []), *named]))


def _print_due(waiting: Due, before: datetime, folders: Sequence[Path], as_json: bool) -> None:
    at = before.isoformat(timespec="seconds")
    if as_json:
        exported = [str(folder) for folder in folders]
        typer.echo(json.dumps({"before": at, "due": asdict(waiting), "exported": exported}))
        return
    typer.echo(f"Due, from before {at}: {waiting.predictions} predictions with what belongs to them,")
    typer.echo(f"{waiting.unmatched_feedback} feedback entries that belong to none. Nothing was erased.")
    for folder in folders:
        typer.echo(f"They would be taken out of the Parquet in {folder} too.")


def _erase(
    settings: Settings,
    before: datetime,
    older_than: str,
    waiting: Due,
    folders: Sequence[Path],
    as_json: bool,
) -> None:
    ledger = settings.ledger_path
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("erase", total=waiting.predictions)
        gone = erase(
            ledger, before, f"retention {older_than}", passed=lambda count: progress.advance(task, count)
        )
    outcomes = beside(ledger)
    episodes, reports = erase_before(outcomes, before) if outcomes.exists() else (0, 0)
    taken = {str(folder): _taken_out(ledger, folder) for folder in folders}
    streams = [str(file) for file in old_streams(settings, before)]
    at = before.isoformat(timespec="seconds")
    if as_json:
        erased = {**asdict(gone), "episodes": episodes, "outcomes": reports}
        typer.echo(json.dumps({"before": at, "erased": erased, "exported": taken, "streams_left": streams}))
    else:
        typer.echo(
            f"Erased, from before {at}: {gone.predictions} predictions, {gone.corrections} corrections, "
            f"{gone.feedback} feedback entries."
        )
        typer.echo(f"Beside the ledger: {reports} outcomes, {episodes} episodes.")
        for line in _left_behind(taken, streams):
            typer.echo(line)
    if not gone.log_is_empty:
        typer.echo("A reader keeps an older copy in the write-ahead log: run this again later.", err=True)
    if not gone.log_is_empty or None in taken.values():
        raise typer.Exit(NOT_EMPTIED_EXIT)


def _taken_out(ledger: Path, folder: Path) -> dict[str, Any] | None:
    """What went out of a folder of Parquet; None, and why on standard error, when it could not be done."""
    try:
        erasure = importlib.import_module("cds_wrapper.ledger.parquet_erasure")
        return asdict(erasure.erase_exported(ledger, beside(ledger), folder))
    except ModuleNotFoundError as lacking:
        why = f"this needs {lacking.name}: pip install 'cds-wrapper[monitor]'"
    except LedgerUnavailable as error:
        why = error.sentence
    except OSError as error:
        why = str(error.strerror)
    typer.echo(f"{folder} STILL HOLDS rows that were erased from the ledger ({why}).", err=True)
    typer.echo(
        "Run this again where it can, or delete the folder: the next `review` writes it anew.", err=True
    )
    return None


def old_streams(settings: Settings, before: datetime) -> Iterator[Path]:
    """The files of the prediction stream whose first line is from before a moment, rotated ones too."""
    if settings.stream.lower() == "off" or "://" in settings.stream:
        return
    path = settings.stream_path
    for file in sorted(path.parent.glob(f"{path.name}*")):
        if file != path and not file.name.removeprefix(f"{path.name}.").isdigit():
            continue
        with file.open("rb") as lines:
            found = _WRITTEN_AT.match(lines.readline(100))
        if found and found[1].decode() < log.timestamp(before):
            yield file


_WRITTEN_AT = re.compile(rb'\{"ts":"([0-9TZ:.-]+)"')


def _left_behind(taken: Mapping[str, dict[str, Any] | None], streams: Sequence[str]) -> Iterator[str]:
    for folder, one in taken.items():
        if one is not None:
            gone, again = len(one["gone"]), len(one["rewritten"])
            yield f"{folder}: {one['rows']} rows taken out; {gone} parts gone, {again} written again."
    if taken:
        yield "Whoever loaded these parts elsewhere compares with the manifest and lets the same rows go."
    if streams:
        yield "These files of the prediction stream hold lines from before that; delete them once shipped:"
        yield from (f"  {file}" for file in streams)
    yield "Not reached: folders not named by --exported, lines exported elsewhere, backups."
