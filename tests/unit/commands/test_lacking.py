"""A machine that only serves has no library of analysis: its command line works, and says what is lacking."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from cds_wrapper.commands.table import COMMANDS, OF_ANALYSIS, command_of, summary_of

WITHOUT_ANALYSIS = """
import importlib, sys

LIBRARIES = {"altair", "duckdb", "ibis", "numpy", "pandas", "pyarrow", "scipy", "statsmodels", "vl_convert"}


class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LIBRARIES:
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Lacking())
from cds_wrapper.commands.table import COMMANDS, OF_ANALYSIS

for name in COMMANDS.keys() - OF_ANALYSIS:
    try:
        importlib.import_module(COMMANDS[name])
    except ModuleNotFoundError as lacking:
        print(name, "needs", lacking)
"""


@pytest.mark.parametrize("name", sorted(OF_ANALYSIS))
def test_a_command_of_analysis_says_what_to_install_where_it_is_not(name: str) -> None:
    line = typer.Typer()
    line.command(name)(command_of(name, lambda: False))
    done = CliRunner().invoke(line, [])
    assert done.exit_code == 2
    assert "cds-wrapper[monitor]" in done.output


def test_every_other_command_is_there_without_analysis() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ANALYSIS], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_command_of_analysis_is_itself_where_it_is_installed() -> None:
    for name in OF_ANALYSIS:
        assert command_of(name, lambda: True).__module__ == COMMANDS[name]


def test_the_list_of_commands_shows_each_with_its_own_first_words_and_loads_none() -> None:
    for name in COMMANDS:
        told = inspect.getdoc(command_of(name)) or ""
        assert summary_of(name) == told.partition("\n\n")[0] != ""
    loaded = "import sys; from cds_wrapper.commands.table import listing; listing(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert not set(COMMANDS.values()) & set(done.stdout.split())
