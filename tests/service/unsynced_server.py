"""The server with a ledger that does not sync: what the trace test must be able to tell from the real one."""

from __future__ import annotations

from cds_wrapper import app
from cds_wrapper.cli import main
from cds_wrapper.ledger.database import Synchronous
from cds_wrapper.ledger.store import SQLiteLedger


class UnsyncedLedger(SQLiteLedger):
    """The same ledger with `synchronous=OFF`."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "synchronous": Synchronous.OFF})  # type: ignore[arg-type]  # passed through


if __name__ == "__main__":
    vars(app)["SQLiteLedger"] = UnsyncedLedger  # the one change under test
    main()
