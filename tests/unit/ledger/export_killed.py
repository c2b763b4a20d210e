"""An export that kills itself (SIGKILL) before its n-th call to the system that makes something durable."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cds_wrapper.ledger import parquet
from cds_wrapper.ledger.columns import COLUMNS

STRETCH = 15
"""Sequences in a part here, so that an export has several; another one each turn, so that names differ."""


def killing(before: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """The function, and death in place of the call after so many."""
    left = [calls]

    def called(*arguments: Any, **named: Any) -> Any:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return before(*arguments, **named)

    return called


def main(ledger: str, folder: str, turn: int) -> None:
    """Even turns die in writing a part's name, odd ones in writing the manifest."""
    parquet.STREAMS["predictions"] = parquet.Stream(  # type: ignore[index]  # shorter, for this process
        "predictions", "predictions", COLUMNS, "occurred_at", STRETCH + turn
    )
    if turn % 2:
        parquet.keep = killing(parquet.keep, turn // 2)
    else:
        parquet.sync = killing(parquet.sync, turn // 2)
    parquet.export_rows(Path(ledger), Path(folder))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
