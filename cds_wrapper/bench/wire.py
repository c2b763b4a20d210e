"""As much of HTTP/1.1 as the benchmark's own two ends need: messages with a Content-Length, kept alive.

The load generator and the vendor share the machine with what is measured: a full HTTP library at both ends
would take more of it than the wrapper does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


class NotUnderstood(ValueError):
    """A message of another form than these two ends speak."""


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One request or answer: its first line and its body."""

    first_line: bytes
    body: bytes

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.first_line.split(b" ", 2)[1])


class Messages:
    """Cuts the bytes of one connection into messages, in whatever pieces they come."""

    def __init__(self, *, answers: bool) -> None:
        """`answers`: an answer must say how long it is; a request that does not has no body."""
        self._answers = answers
        self._buffer = bytearray()
        self._body_at = 0
        self._end = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now; `NotUnderstood` for a form these ends do not speak."""
        self._buffer += data
        whole: list[Message] = []
        while self._head_is_there() and len(self._buffer) >= self._end:
            first_line = bytes(self._buffer[: self._buffer.index(b"\r\n")])
            whole.append(Message(first_line, bytes(self._buffer[self._body_at : self._end])))
            del self._buffer[: self._end]
            self._end = 0
        return whole

    def _head_is_there(self) -> bool:
        if self._end:
            return True
        found = self._buffer.find(_END)
        if found < 0:
            return False
        self._body_at = found + len(_END)
        self._end = self._body_at + self._length(bytes(self._buffer[: found + 2]).lower())
        return True

    def _length(self, head: bytes) -> int:
        found = head.find(_LENGTH)
        if found < 0 and self._answers:
            raise NotUnderstood("an answer that does not say how long it is")
        if found < 0:
            return 0
        value = head[found + len(_LENGTH) : head.index(b"\r\n", found + 2)].strip()
        if not value.isdigit():
            raise NotUnderstood("a length that is no number")
        return int(value)


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON over a connection that stays open."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"accept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def with_token(call: bytes, token: str) -> bytes:
    """The same call with an `Authorization` header behind its first line."""
    return call.replace(b"\r\n", f"\r\nauthorization: Bearer {token}\r\n".encode("ascii"), 1)


def answer(status: str, body: bytes) -> bytes:
    """An answer in JSON; `status` is code and reason, such as `200 OK`."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
