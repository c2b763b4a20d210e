"""`keys`: make and rotate the keys that sign our own calls."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, NOT_FOUND_EXIT
from cds_wrapper.signing import (
    ALGORITHMS,
    OwnKey,
    OwnKeys,
    UnusableSecret,
    algorithm_of,
    new_key,
    read_own_keys,
    write_own_keys,
)


class Action(enum.Enum):
    """What is to be done with a key file."""

    NEW = "new"
    LIST = "list"
    FIRST = "first"
    REMOVE = "remove"


def command(
    action: Annotated[Action, typer.Argument(help="new, list, first or remove.")],
    file: Annotated[Path, typer.Argument(help="The key file, as `vendor.authentication.key` names it.")],
    kid: Annotated[str | None, typer.Option(help="Which key: needed by `first` and `remove`.")] = None,
    algorithm: Annotated[str, typer.Option(help="ES384 or RS384, for a new key.")] = "ES384",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Make, list and rotate the keys that sign our calls to a vendor.

    The first key of the file signs; the public parts of all are published under /.well-known/jwks.json once
    the service is started again. To rotate: `new`, restart; a day later `first`, restart; a day later
    `remove` the old one, restart.

    \b
    Exit codes: 0 done, 2 the file cannot be used or written, 3 there is no key of that name.

    \b
    Example: python3 run.py keys new /etc/cds-wrapper/vendor-keys.json
    Example: python3 run.py keys first /etc/cds-wrapper/vendor-keys.json --kid 2027-03-1f0c22ab
    """
    if algorithm not in ALGORITHMS:
        _end(f"--algorithm {algorithm}: write one of {', '.join(ALGORITHMS)}.", CONFIGURATION_EXIT)
    try:
        keys = _kept(file, action)
        changed = _changed(keys, action, kid, algorithm)
        if changed != keys:
            write_own_keys(file, changed)
    except UnusableSecret as problem:
        _end(f"{file} {problem}.", CONFIGURATION_EXIT)
    except OSError as error:
        _end(f"{file} cannot be written ({type(error).__name__}).", CONFIGURATION_EXIT)
    _print(changed, as_json)


def _kept(file: Path, action: Action) -> tuple[OwnKey, ...]:
    """The keys that are there; a new file begins empty."""
    if action is Action.NEW and not file.exists():
        return ()
    return read_own_keys(str(file)).keys


def _changed(keys: tuple[OwnKey, ...], action: Action, kid: str | None, algorithm: str) -> tuple[OwnKey, ...]:
    match action:
        case Action.LIST:
            return keys
        case Action.NEW:
            return (*keys, new_key(algorithm, datetime.now(UTC)))
        case Action.FIRST | Action.REMOVE:
            chosen = [key for key in keys if key.kid == kid]
            others = tuple(key for key in keys if key.kid != kid)
            if not chosen:
                _end(f"--kid: there is no such key; there are: {', '.join(OwnKeys(keys).names)}.")
            if action is Action.REMOVE and not others:
                _end("This is the only key: make a new one first.")
            return (*chosen, *others) if action is Action.FIRST else others


def _end(problem: str, code: int = NOT_FOUND_EXIT) -> None:
    typer.echo(problem, err=True)
    raise typer.Exit(code)


def _print(keys: tuple[OwnKey, ...], as_json: bool) -> None:
    """Names and algorithms, the key that signs first; never a part of a key."""
    if as_json:
        shown = [{"kid": key.kid, "algorithm": algorithm_of(key)} for key in keys]
        typer.echo(json.dumps({"keys": shown}, indent=2))
        return
    for number, key in enumerate(keys):
        typer.echo(f"{key.kid}  {algorithm_of(key)}  {'signs' if number == 0 else 'published only'}")
