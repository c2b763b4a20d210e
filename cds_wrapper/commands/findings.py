"""`findings`: what reviews have found and nobody has closed; and to close one, which takes two roles."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cds_wrapper import log
from cds_wrapper.caveats.orders import is_same_role
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.ledger.editions import close_finding, findings_in
from cds_wrapper.log import edition_events
from cds_wrapper.monitoring.reviewed import finding_document
from cds_wrapper.settings import read_settings

LONGEST_ROLE = 100
LONGEST_WHY = 500


class Action(enum.Enum):
    """What to do."""

    LIST = "list"
    CLOSE = "close"


def command(
    action: Annotated[Action, typer.Argument(help="List them, or close one.")] = Action.LIST,
    finding: Annotated[str | None, typer.Argument(help="Id of the finding to close.")] = None,
    service: Annotated[str | None, typer.Option(help="List those of this service alone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List closed ones too.")] = False,
    by: Annotated[str | None, typer.Option(help="Role of who closes it, no name.")] = None,
    second: Annotated[str | None, typer.Option(help="Second, other role that agreed.")] = None,
    why: Annotated[str | None, typer.Option(help="Why; nothing of a patient, never on a card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """List findings that stand, or close one; a closed one leaves cards with the next review.

    \b
    A finding is never closed by figures that became better: two roles do it, on the record.
    Exit codes: 0 done, 2 an option or a setting is wrong or the ledger cannot be used, 3 no such finding.

    \b
    Example: python3 run.py findings close here-3 --by "clinical owner" --second "AI committee chair" \\
             --why "the coding of outcomes changed in May"
    """
    try:
        path = read_settings().ledger_path
        if action is Action.CLOSE:
            roles = _role(by, "--by"), _role(second, "--second")
            _close(path, finding, roles, _line(why, "--why", LONGEST_WHY))
            return
        found = [one for one in findings_in(path, service) if every or one.is_open]
    except (ConfigurationRefused, LedgerUnavailable) as error:
        tell(error)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if as_json:
        typer.echo(json.dumps({"findings": [_document(one) for one in found]}, indent=2))
        return
    for one in found:
        typer.echo(_in_words(one))
    if not found:
        typer.echo("No finding is open. That is no certificate: `review` says how long finding one takes.")


def _close(path: Path, finding: str | None, roles: tuple[str, str], why: str) -> None:
    by, second = roles
    if finding is None:
        _refuse("Name the finding to close: `findings` lists them.")
    if is_same_role(by, second):
        _refuse("--second names the same role as --by: closing loosens, and takes two.")
    closed = close_finding(path, finding, by, second, why)
    if closed is None:
        _refuse(f"There is no open finding `{finding}` in {path}.", NOT_FOUND_EXIT)
    log.OperatorLog("findings").emit(
        edition_events.FINDING_CLOSED,
        service_id=closed.subject.service_id,
        finding_id=finding,
        by=by,
        second=second,
    )
    typer.echo(f"{finding} is closed by {by} and {second}. Cards follow with the next `review`.")


def _role(text: str | None, option: str) -> str:
    return _line(text, option, LONGEST_ROLE)


def _line(text: str | None, option: str, longest: int) -> str:
    line = (text or "").strip()
    if not line or not line.isprintable() or len(line) > longest:
        _refuse(f"{option}: write one line of 1 to {longest} characters. Nothing was closed.")
    return line


def _refuse(sentence: str, code: int = CONFIGURATION_EXIT) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _document(one: StoredFinding) -> dict[str, object]:
    return {"service": one.subject.service_id, **finding_document(one), "closed_by": list(one.closed_by)}


def _in_words(one: StoredFinding) -> str:
    whom = ", ".join(f"{name} {'/'.join(levels)}" for name, levels in one.groups.items()) or "everybody"
    state = "open" if one.closed_at is None else f"closed on {one.closed_at:%Y-%m-%d}"
    said = f"{one.subject.service_id} {one.finding_id} ({state}), since {one.since}: {one.kind}, {whom}"
    return f"{said}\n    {one.detail.get('what')}\n    {one.detail.get('plan')}"
