"""The command line: one command of the table, with only its own modules loaded."""

from __future__ import annotations

import sys

from cds_wrapper.commands.table import COMMANDS, build, listing


def main() -> None:
    """Run the command that was named; without one, or with an unknown one, show them all."""
    named = [name for name in sys.argv[1:2] if name in COMMANDS]
    (build(named) if named else listing())(prog_name="cds-wrapper")


if __name__ == "__main__":
    main()
