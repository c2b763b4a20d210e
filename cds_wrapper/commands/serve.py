"""`serve`: run the service."""

from __future__ import annotations

import typer

from cds_wrapper.app import create_app
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, tell
from cds_wrapper.commands.serving import operator_log, run
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.log import process_events
from cds_wrapper.settings import read_settings


def command() -> None:
    """Serve the CDS services of the hooks folder until SIGTERM or Ctrl-C.

    \b
    Settings come from the environment (CDS_WRAPPER_*, see docs/reference/settings.md).
    Exit codes: 0 stopped, 1 did not start, 2 a setting or a file in hooks/ is wrong.

    \b
    Example: CDS_WRAPPER_PROFILE=development python3 run.py serve
    """
    lines = operator_log()
    try:
        settings = read_settings()
        app = create_app(settings, lines)
    except ConfigurationRefused as refused:
        lines.emit(process_events.SETTINGS_REFUSED, problem=str(refused.mistakes[0]))
        tell(refused)
        raise typer.Exit(CONFIGURATION_EXIT) from None
    raise typer.Exit(run(app, settings, lines))
