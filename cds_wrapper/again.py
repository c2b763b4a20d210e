"""Does something again and again in a thread of its own: what hangs there holds up nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta


class Again:
    """Calls `look` now and every so often until it is stopped; `look` raises nothing."""

    def __init__(self, look: Callable[[], None], every: timedelta, name: str) -> None:
        self._look = look
        self._every = every
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Look now, and again and again until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; nobody waits for a look that is under way."""
        self._is_over.set()

    def join(self) -> None:
        """Wait for a look that is under way, after `stop`."""
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._look()
            self._is_over.wait(self._every.total_seconds())
