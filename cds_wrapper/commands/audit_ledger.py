"""`check --ledger`: is every row of the ledger as it was written, and is every row still there?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from cds_wrapper.commands.problems import BROKEN_LEDGER_EXIT, CONFIGURATION_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.audit import Audit, ChainAudit, Erased, NotedHead, audit
from cds_wrapper.ledger.findings import Finding
from cds_wrapper.settings import read_settings


def audit_ledger(path: Path | None, heads: Path | None, as_json: bool) -> None:
    """Audit the ledger at `path`, else the one the settings name; ends the command unless it is whole."""
    try:
        ledger = path or read_settings().ledger_path
        noted = _noted(heads) if heads else ()
        seen = _with_progress(ledger, noted)
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except OSError as error:
        typer.echo(f"{heads} cannot be read ({type(error).__name__}).", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        typer.echo(f"{heads} is not what `check --ledger --json` printed.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    typer.echo(json.dumps(_document(ledger, seen), indent=2) if as_json else _in_words(ledger, seen, noted))
    if not seen.is_whole:
        raise typer.Exit(BROKEN_LEDGER_EXIT)


class _Heads(msgspec.Struct):
    """What of an earlier audit's document is read again."""

    heads: list[NotedHead]


def _noted(path: Path) -> tuple[NotedHead, ...]:
    return tuple(msgspec.json.decode(path.read_bytes(), type=_Heads).heads)


def _with_progress(ledger: Path, noted: tuple[NotedHead, ...]) -> Audit:
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("audit", total=None)
        return audit(
            ledger, noted, lambda done, total: progress.update(task, completed=done, total=max(done, total))
        )


def _document(ledger: Path, seen: Audit) -> dict[str, object]:
    return {
        "ledger": str(ledger),
        "whole": seen.is_whole,
        "heads": [asdict(chain) for chain in seen.chains],
        "erased": [asdict(one) for one in seen.erased],
        "findings": [{**finding.document(), "further": further} for finding, further in seen.findings],
    }


def _in_words(ledger: Path, seen: Audit, noted: tuple[NotedHead, ...]) -> str:
    lines = [f"Ledger {ledger}", *map(_chain, seen.chains), *map(_erased, seen.erased)]
    if noted:
        lines.append(f"Compared with {len(noted)} heads noted before.")
    lines += [_finding(finding, further) for finding, further in seen.findings]
    count = len(seen.findings)
    kinds = "1 kind of damage" if count == 1 else f"{count} kinds of damage"
    lines.append("The ledger is whole." if seen.is_whole else f"The ledger is NOT whole: {kinds}, see above.")
    return "\n".join(lines)


def _chain(chain: ChainAudit) -> str:
    erased = f" ({chain.erased} erased)" if chain.erased else ""
    return f"  {chain.chain} of {chain.writer}: {chain.rows} rows{erased}, head {chain.sequence} {chain.hash}"


def _erased(erased: Erased) -> str:
    return f"  erased {erased.chain}: {erased.rows} rows, reason {erased.reason}, the last {erased.last_at}"


def _finding(finding: Finding, further: int) -> str:
    more = f"; {further} more like it" if further else ""
    return f"BROKEN  {finding.where}: {finding.says}{more}"
