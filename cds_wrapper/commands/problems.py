"""How a command says what is wrong, and the numbers it exits with; a retired number is never used again."""

from __future__ import annotations

import typer

from cds_wrapper.errors import WrapperError

CONFIGURATION_EXIT = 2
NOT_FOUND_EXIT = 3
MISMATCH_EXIT = 4
VENDOR_EXIT = 5
BROKEN_LEDGER_EXIT = 6
NOT_EMPTIED_EXIT = 7
NO_PROBABILITY_EXIT = 8


def tell(error: WrapperError) -> None:
    """Print what happened, to which setting or file, and what to do next, on standard error."""
    typer.echo(error.sentence, err=True)
