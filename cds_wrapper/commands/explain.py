"""`explain`: replay one record and say, in words, why its card looked as it did."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cds_wrapper.commands.problems import CONFIGURATION_EXIT, MISMATCH_EXIT, NOT_FOUND_EXIT, tell
from cds_wrapper.commands.replay import Explanation, replay
from cds_wrapper.errors import ConfigurationRefused, LedgerUnavailable
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.settings import read_settings


def command(
    prediction_id: Annotated[
        str, typer.Argument(help="Id of a prediction, as the record and the operator log hold it.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Compute a recorded card's decision again, from the record and the kept files, and say what led to it.

    \b
    Exit codes: 0 everything agrees, 2 a setting is wrong, 3 no such prediction, 4 record and replay differ.

    \b
    Example: python3 run.py explain 0195604f-2d14-7c3a-9b1e-5f0c6a7d8e90
    """
    try:
        ledger = read_settings().ledger_path
    except ConfigurationRefused as refused:
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    try:
        reader = LedgerReader(ledger)
        row = reader.prediction(prediction_id)
    except LedgerUnavailable as unavailable:
        tell(unavailable)
        typer.echo(f"The setting CDS_WRAPPER_LEDGER names {ledger}.", err=True)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    if row is None:
        typer.echo(f"The ledger {ledger} holds no prediction of that id.", err=True)
        raise typer.Exit(NOT_FOUND_EXIT)
    explanation = replay(row, reader.kept_file, reader.decision)
    typer.echo(json.dumps(asdict(explanation), indent=2) if as_json else _in_words(explanation))
    if explanation.mismatches:
        raise typer.Exit(MISMATCH_EXIT)


def _in_words(explanation: Explanation) -> str:
    parts = [explanation.title, "", *explanation.story]
    if explanation.mismatches:
        parts += [
            "",
            "The record and its replay differ:",
            *(f"  - {line}" for line in explanation.mismatches),
        ]
    else:
        parts += ["", "Computed again from the record and the kept files: everything agrees."]
    return "\n".join(parts)
