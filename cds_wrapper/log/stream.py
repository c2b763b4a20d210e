"""Where the operator log's lines go without keeping anybody waiting."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
from typing import TextIO


class Detached:
    """A stream written by a thread of its own: a reader that stalls must not stop an answer.

    What it cannot take any more is refused with `OSError`, which costs that line and nothing else. Lines that
    are waiting together are written together.
    """

    MOST_LINES = 10_000
    AT_ONCE = 100

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._write_on, name="operator-log", daemon=True).start()
        atexit.register(self.write_out)

    def write(self, text: str) -> int:
        """Hand a line over; `OSError` when too many are waiting."""
        if self._lines.qsize() >= self.MOST_LINES:
            raise OSError("the operator log's reader has stalled")
        self._lines.put(text)
        return len(text)

    def flush(self) -> None:
        """The thread flushes whenever it has written."""

    def _write_on(self) -> None:
        while True:
            waiting = [self._lines.get()]
            with contextlib.suppress(queue.Empty):
                while len(waiting) < self.AT_ONCE:
                    waiting.append(self._lines.get_nowait())
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("".join([text for text in waiting if isinstance(text, str)]))
                self._stream.flush()
            for reached in waiting:
                if isinstance(reached, threading.Event):
                    reached.set()

    def write_out(self) -> None:
        """Wait for the lines that are waiting, but not for a reader that is not there."""
        reached = threading.Event()
        self._lines.put(reached)
        reached.wait(timeout=1)
