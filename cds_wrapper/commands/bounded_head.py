"""The server's side of a connection, with what uvicorn has no setting for: limits on what is no body.

Its parser takes a head of any length and waits for its end for ever, and takes the fields behind a chunked
body (trailers, RFC 9112, 7.1.2) for fields of the head: they could say who calls to a proxy's face.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD_BYTES: Final = 64 * 1024
HEAD_WITHIN_SECONDS: Final = 20.0
REST_WITHIN_SECONDS: Final = 20.0
"""From the end of a head to the end of its body, whether anybody reads it or not."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHead(HttpToolsProtocol):
    """Closes a connection whose next head is too large, and one whose message does not come to its end.

    A head that is too large but arrives in one read is let through: what a read takes is bounded too. What
    stands between the parts of a body (chunk extensions) and behind it is bounded like a head, and dropped.
    Between two requests the keep-alive limit holds, not this one.
    """

    _idle_bytes = 0
    _has_moved = False
    _in_head = True
    _in_message = True
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait(HEAD_WITHIN_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head has come to its end; a field behind the body goes into a list that nobody reads."""
        self._in_head, self._has_moved = False, True
        self._wait_no_more()
        super().on_headers_complete()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._has_moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A message has come to its end."""
        self._in_message, self._has_moved = False, True
        self._wait_no_more()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Hand the bytes on, then look whether a message is still open and how much of this was no body."""
        self._has_moved = False
        super().data_received(data)
        if self._has_moved:
            self._idle_bytes = 0
        if not self._in_message or self.transport.is_closing():
            return
        if not self._has_moved:
            self._idle_bytes += len(data)
        if self._idle_bytes > LONGEST_HEAD_BYTES:
            if self._in_head:
                self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._patience is None:
            self._wait(HEAD_WITHIN_SECONDS if self._in_head else REST_WITHIN_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._patience = self.loop.call_later(seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
