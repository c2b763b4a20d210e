"""Runs one part of the demonstration as a process that ends when its parent does, however that happens.

    python -m cds_wrapper.demo.child vendor --port 8081 --allow-faults

Standard input is a pipe whose other end only the parent holds. The kernel closes it when the parent is gone,
also after kill -9, on every system alike.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from cds_wrapper.demo import fhir_server, vendor

PARTS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "vendor": vendor.main,
    "fhir": fhir_server.main,
}
_GRACE: Final = timedelta(seconds=5)


def end_with_parent() -> None:
    """Wait for the end of standard input, then stop this process: politely, after a while for certain."""
    # Not `sys.stdin.read`: a thread inside it when the interpreter ends is a fatal error.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE.total_seconds())
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run the named part with the arguments that follow."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    return PARTS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
