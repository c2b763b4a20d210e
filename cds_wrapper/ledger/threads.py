"""A thread that takes one step after the other and outlives every step that fails."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Worker:
    """`wait` returns true for the next step and false when the thread may end, which it does after `end`.

    A step that raises is told to `failed`, and the thread goes on.
    """

    name: str
    wait: Callable[[], bool]
    step: Callable[[], None]
    failed: Callable[[Exception], None]
    end: Callable[[], None]
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Start it, in the event loop that will wait for its end."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    async def ended(self) -> None:
        """Return when it has ended; at once when it was never started."""
        if self._thread is not None:
            await self._ended.wait()
            self._thread.join()

    def _run(self) -> None:
        while self.wait():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001  a dead thread would hang every caller
                self.failed(error)
        try:
            self.end()
        finally:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop ended without closing the ledger
                    self._loop.call_soon_threadsafe(self._ended.set)
