"""What `stop`, `shadow` and `resume` share: who may order what, into which ledgers, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cds_wrapper.app import new_prediction_id
from cds_wrapper.caveats.orders import Ordered, is_same_role
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.decisions import Given, NewOrder, Outcome, give, has_served
from cds_wrapper.services import ServiceDefinition, examine_services
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.folders import read_folders
from cds_wrapper.settings import read_settings

LONGEST_ROLE = 100
LONGEST_WHY = 500
IN_FORCE_WITHIN_SECONDS = 5
"""A serving process looks at its ledger every second; this is what is promised."""

Service: TypeAlias = Annotated[str, typer.Argument(help="Id of the service, as its folder is called.")]
By: TypeAlias = Annotated[
    str, typer.Option(help=f"Role of who decided it, no name; at most {LONGEST_ROLE} characters.")
]
Second: TypeAlias = Annotated[
    str | None, typer.Option(help="Second, other role that agreed: loosening an order takes two.")
]
Why: TypeAlias = Annotated[
    str,
    typer.Option(
        help=f"Why, at most {LONGEST_WHY} characters: for the record, never on a card. Nothing of a patient."
    ),
]
Ledgers: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--ledger",
        help="Ledger file instead of that of CDS_WRAPPER_LEDGER; once more for each further serving process.",
    ),
]
AsJSON: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for on the command line."""

    decision: Ordered
    service_id: str
    by: str
    second: str | None
    why: str
    ledgers: Sequence[Path] | None
    as_json: bool


def order(
    decision: Ordered,
    service_id: str,
    by: str,
    second: str | None,
    why: str,
    ledgers: list[Path] | None,
    as_json: bool,
) -> None:
    """Give an order to every ledger and say what became of it; ends the command unless all took it."""
    wanted = _Wanted(
        decision,
        service_id,
        _one_line(by, "--by", LONGEST_ROLE),
        None if second is None else _one_line(second, "--second", LONGEST_ROLE),
        _one_line(why, "--why", LONGEST_WHY),
        ledgers,
        as_json,
    )
    if wanted.second is not None and is_same_role(wanted.second, wanted.by):
        _refuse("--second names the same role as --by: loosening takes two.")
    try:
        settings = read_settings()
    except ConfigurationRefused as refused:
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    paths = list(dict.fromkeys(ledgers or [settings.ledger_path]))
    definition = _known(service_id, settings.hooks, paths)
    plan_version = definition.plan.version if definition else None
    new = NewOrder(
        str(new_prediction_id()), service_id, decision, wanted.by, wanted.second, wanted.why, plan_version
    )
    given = {path: _given(path, new) for path in paths}
    _tell(wanted, given)
    if not all(_is_in_force(one) for one in given.values()):
        raise typer.Exit(CONFIGURATION_EXIT)


def known_services(hooks: Path) -> dict[str, ServiceDefinition | None]:
    """The services of a folder by id; None for one with a mistake in a file, which can be stopped too."""
    folders, _ = read_folders(hooks)
    found: dict[str, ServiceDefinition | None] = dict.fromkeys(folder.path.name for folder in folders)
    return found | {service.id: service for service in examine_services(hooks).services}


def moment(at: datetime) -> str:
    """A moment for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _one_line(text: str, option: str, longest: int) -> str:
    line = text.strip()
    if not line or not line.isprintable() or len(line) > longest:
        _refuse(f"{option}: write one line of 1 to {longest} characters.")
    return line


def _refuse(problem: str) -> None:
    typer.echo(f"{problem} Nothing was ordered.", err=True)
    raise typer.Exit(CONFIGURATION_EXIT)


def _known(service_id: str, hooks: Path, ledgers: Sequence[Path]) -> ServiceDefinition | None:
    """The service's definition, None where its files are gone or wrong; an unknown one ends the command."""
    known = known_services(hooks)
    if service_id in known or any(has_served(path, service_id) for path in ledgers):
        return known.get(service_id)
    near = nearest(service_id, known)
    hint = f" Did you mean `{near}`?" if near else f" There are: {', '.join(known) or 'none'}."
    typer.echo(
        f"There is no service `{service_id}` in {hooks}.{hint} Nothing was ordered.",
        err=True,
    )
    raise typer.Exit(NOT_FOUND_EXIT)


def _given(path: Path, new: NewOrder) -> Given | str:
    """What became of the order in one ledger; a sentence when it could not be given."""
    try:
        return give(path, new)
    except (LedgerUnavailable, ConfigurationRefused) as error:
        return error.sentence


def _is_in_force(given: Given | str) -> bool:
    return isinstance(given, Given) and given.outcome is not Outcome.SECOND_ROLE_NEEDED


# What is said of it -----------------------------------------------------------------------------------------


def _tell(wanted: _Wanted, given: Mapping[Path, Given | str]) -> None:
    if wanted.as_json:
        document = {
            "service": wanted.service_id,
            "decision": wanted.decision.value,
            "by": wanted.by,
            "second": wanted.second,
            "why": wanted.why,
            "ledgers": [_document(path, one) for path, one in given.items()],
        }
        typer.echo(json.dumps(document, indent=2))
        return
    for path, one in given.items():
        for line in _in_words(wanted, path, one):
            typer.echo(line, err=not _is_in_force(one))


def _document(path: Path, given: Given | str) -> dict[str, object]:
    if isinstance(given, str):
        return {"ledger": str(path), "outcome": "failed", "problem": given}
    order = given.order
    return {
        "ledger": str(path),
        "outcome": given.outcome.value,
        "decision_id": order.decision_id if order else None,
        "since": order.since.isoformat(timespec="milliseconds") if order else None,
        "earlier_decisions": given.problem.trouble.value if given.problem else "whole",
    }


def _in_words(wanted: _Wanted, path: Path, given: Given | str) -> list[str]:
    if isinstance(given, str):
        return [given, "What to do now: docs/how-to/stop-a-model.md, `When the order cannot be given`."]
    state = f"{wanted.service_id} {in_words(wanted.decision)}"
    match given.outcome:
        case Outcome.SECOND_ROLE_NEEDED:
            now = in_words(given.order.decision) if given.order else ""
            return [
                f"{wanted.service_id} {now} still: loosening takes two roles. Add --second ROLE. ({path})",
            ]
        case Outcome.ALREADY:
            since = f", since {moment(given.order.since)} by order of {given.order.by}" if given.order else ""
            return [f"{state} already{since}; nothing was written. ({path})"]
        case Outcome.WRITTEN:
            return [*_written(state, wanted, path, given)]


def _written(state: str, wanted: _Wanted, path: Path, given: Given) -> list[str]:
    order = given.order
    assert order is not None  # noqa: S101  it was written just now
    roles = wanted.by if wanted.second is None else f"{wanted.by} and {wanted.second}"
    lines = [
        f"{state} from {moment(order.since)}, by order of {roles}.",
        f"Decision {order.decision_id} is recorded in {path}.",
        f"The process that serves with this ledger follows within {IN_FORCE_WITHIN_SECONDS} seconds.",
    ]
    if given.problem:
        lines.append("The record of earlier decisions was altered: run `check --ledger`.")
    return lines


def in_words(decision: Ordered) -> str:
    """What a service is under an order, as the end of a sentence."""
    match decision:
        case Ordered.STOP:
            return "is switched off"
        case Ordered.SHADOW:
            return "is in shadow (asked and recorded, not shown)"
        case Ordered.LIVE:
            return "is live"
