"""Whether the EHR has gone is asked of the server without waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from cds_wrapper.routes import has_hung_up

Message = MutableMapping[str, Any]


class Connection:
    """A server's side of one connection: it gives what has come, and waits for what has not."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self._more = asyncio.Event()
        self.waiting = 0

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        self.waiting += 1
        try:
            await self._more.wait()
        finally:
            self.waiting -= 1
        return {"type": "http.disconnect"}


async def test_a_connection_that_has_gone_is_known() -> None:
    assert await has_hung_up(Connection({"type": "http.disconnect"}).receive)


async def test_anything_else_that_came_is_no_hanging_up() -> None:
    assert not await has_hung_up(Connection({"type": "http.request"}).receive)


async def test_an_open_connection_is_not_waited_for_and_nothing_is_left_waiting() -> None:
    connection = Connection()
    assert not await has_hung_up(connection.receive)
    assert connection.waiting == 0
