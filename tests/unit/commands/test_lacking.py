"""A machine that only serves has no library of analysis: its command line works, and says what is lacking."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from cds_wrapper.commands.table import COMMANDS, OF_ANALYSIS, command_of


@pytest.mark.parametrize("name", sorted(OF_ANALYSIS))
def test_a_command_of_analysis_says_what_to_install_where_it_is_not(name: str) -> None:
    line = typer.Typer()
    line.command(name)(command_of(name, lambda: False))
    done = CliRunner().invoke(line, [])
    assert done.exit_code == 2
    assert "cds-wrapper[monitor]" in done.output


def test_every_other_command_is_there_without_analysis() -> None:
    for name in COMMANDS.keys() - OF_ANALYSIS:
        assert command_of(name, lambda: False).__module__ == COMMANDS[name]


def test_a_command_of_analysis_is_itself_where_it_is_installed() -> None:
    for name in OF_ANALYSIS:
        assert command_of(name, lambda: True).__module__ == COMMANDS[name]
