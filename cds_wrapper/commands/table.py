"""The commands as a table of name and module; a module is loaded when its command is wanted."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from cds_wrapper import __version__
from cds_wrapper.commands.problems import CONFIGURATION_EXIT

COMMANDS: Mapping[str, str] = {
    "demo": "cds_wrapper.commands.demo",
    "serve": "cds_wrapper.commands.serve",
    "check": "cds_wrapper.commands.check",
    "try": "cds_wrapper.commands.try_request",
    "stop": "cds_wrapper.commands.stop",
    "shadow": "cds_wrapper.commands.shadow",
    "resume": "cds_wrapper.commands.resume",
    "orders": "cds_wrapper.commands.orders",
    "explain": "cds_wrapper.commands.explain",
    "keys": "cds_wrapper.commands.keys",
    "retention": "cds_wrapper.commands.retention",
    "export": "cds_wrapper.commands.export",
    "outcomes": "cds_wrapper.commands.outcomes",
    "review": "cds_wrapper.commands.review",
    "findings": "cds_wrapper.commands.findings",
    "measure": "cds_wrapper.commands.measure",
    "report": "cds_wrapper.commands.report",
    "bench": "cds_wrapper.commands.bench",
    "reference": "cds_wrapper.commands.reference",
}

OF_ANALYSIS = frozenset({"review", "findings", "measure", "report"})
"""Commands that need the libraries of analysis, which a machine that only serves does not have."""

SUMMARY = "A CDS Hooks gateway that records every prediction and says how far a model has been shown to work."


def build(names: Iterable[str]) -> typer.Typer:
    """A command line with these commands; their modules are imported now."""
    commands = _bare()
    for name in names:
        commands.command(name)(command_of(name))
    return commands


def listing() -> typer.Typer:
    """A command line that lists every command and runs none; no command's module is imported for it."""
    commands = _bare()
    for name in COMMANDS:
        commands.command(name, help=summary_of(name))(_listed)
    return commands


def summary_of(name: str) -> str:
    """A command's first paragraph, read from its module's text, as importing all modules takes seconds."""
    found = importlib.util.find_spec(COMMANDS[name])
    text = Path(found.origin).read_text(encoding="utf-8") if found and found.origin else ""
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    described = next((ast.get_docstring(each) for each in functions if each.name == "command"), None)
    return (described or "").partition("\n\n")[0]


def _bare() -> typer.Typer:
    commands = typer.Typer(
        name="cds-wrapper",
        help=SUMMARY,
        no_args_is_help=True,
        add_completion=False,
        # Its tracebacks print local variables, and those may hold patient data.
        pretty_exceptions_enable=False,
    )
    commands.callback(help=SUMMARY)(version)
    return commands


def _listed() -> None:
    raise typer.Exit  # A known name never comes here: the program loads that command alone.


def has_analysis() -> bool:
    """Whether the libraries of analysis are installed."""
    return all(importlib.util.find_spec(library) for library in ("altair", "ibis", "statsmodels"))


def command_of(name: str, is_installed: Callable[[], bool] = has_analysis) -> Callable[..., None]:
    """A command's function; one that says what to install in place of a command that lacks it."""
    if name in OF_ANALYSIS and not is_installed():
        return _lacking
    command: Callable[..., None] = importlib.import_module(COMMANDS[name]).command
    return command


def _lacking() -> None:
    """Needs the libraries of analysis, which are not installed here: pip install 'cds-wrapper[monitor]'."""
    typer.echo("This needs the libraries of analysis: pip install 'cds-wrapper[monitor]'.", err=True)
    raise typer.Exit(CONFIGURATION_EXIT)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cds-wrapper {__version__}")
        raise typer.Exit


def version(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Options that belong to no command."""
