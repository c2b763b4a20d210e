"""Keeps every EHR's published keys at hand: fetched ahead of time, by one fetch at a time, kept on failure.

A call never waits for a key set that is merely old. It waits only when it names a key nobody has seen, and
then for a moment: whoever waits longer than `WAIT` is refused, and the fetch goes on for the next call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cds_wrapper import log
from cds_wrapper.ehr.clients import KeyAddress, KnownClient
from cds_wrapper.ehr.key_sets import KeySet, UnreadableKeySet, read_key_set
from cds_wrapper.errors import OutboundTrouble
from cds_wrapper.log import caller_events
from cds_wrapper.outbound import Deadline, Outbound

LARGEST_KEY_SET: Final = 256 * 1024
FETCH_WITHIN: Final = timedelta(seconds=5)
START_WITHIN: Final = timedelta(seconds=3)
WAIT: Final = timedelta(milliseconds=200)
FLOOR: Final = timedelta(seconds=30)
"""Between two fetches of one set, however many unknown keys are named: a flood must not reach the EHR."""

Clock = Callable[[], float]


@dataclass(slots=True)
class _Shelf:
    """One client's keys: the last good set, when it came, and the fetch that is under way."""

    client: str
    address: KeyAddress
    keys: KeySet | None = None
    came_at: float = 0.0
    tried_at: float | None = None
    fetch: asyncio.Task[None] | None = None
    told: bool = field(default=False)


class KeyRing:
    """The keys of every client; open it in the event loop that serves."""

    def __init__(
        self,
        clients: Iterable[KnownClient],
        outbound: Outbound,
        lines: log.OperatorLog,
        *,
        floor: timedelta = FLOOR,
        wait: timedelta = WAIT,
        clock: Clock = time.monotonic,
    ) -> None:
        """`floor` is the least time between two fetches of one set, `wait` how long a call waits for one."""
        listed = list(clients)
        self._fixed: Mapping[str, KeySet] = {
            one.name: one.keys for one in listed if isinstance(one.keys, KeySet)
        }
        self._shelves = {
            one.name: _Shelf(one.name, one.keys) for one in listed if isinstance(one.keys, KeyAddress)
        }
        self._outbound = outbound
        self._log = lines
        self._floor = floor.total_seconds()
        self._wait = wait.total_seconds()
        self._clock = clock
        self._rounds: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Fetch every set; one that does not come in time is said, tried again and stops nobody's start."""
        self._rounds = [asyncio.create_task(self._keep_fresh(shelf)) for shelf in self._shelves.values()]
        fetches = [self._fetch_of(shelf) for shelf in self._shelves.values()]
        if fetches:
            await asyncio.wait(fetches, timeout=START_WITHIN.total_seconds())

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [*self._rounds, *(shelf.fetch for shelf in self._shelves.values() if shelf.fetch)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, client: KnownClient) -> KeySet | None:
        """The keys a client's tokens are verified with; None when there are none to be trusted any more."""
        shelf = self._shelves.get(client.name)
        if shelf is None:
            return self._fixed.get(client.name)
        longest = shelf.address.refresh_after + shelf.address.kept_while_unreachable
        return shelf.keys if self._clock() - shelf.came_at <= longest.total_seconds() else None

    async def renewed(self, client: KnownClient) -> KeySet | None:
        """The keys after a fetch, for a call that names one we do not have; waits a moment at most."""
        shelf = self._shelves.get(client.name)
        if shelf is not None and (shelf.fetch is not None or self._may_fetch(shelf)):
            await asyncio.wait([self._fetch_of(shelf)], timeout=self._wait)
        return self.of(client)

    def _may_fetch(self, shelf: _Shelf) -> bool:
        return shelf.tried_at is None or self._clock() - shelf.tried_at >= self._floor

    def _fetch_of(self, shelf: _Shelf) -> asyncio.Task[None]:
        """The fetch that is under way, or a new one: everybody waits for the same."""
        if shelf.fetch is None:
            shelf.tried_at = self._clock()
            shelf.fetch = asyncio.create_task(self._fetch(shelf))
        return shelf.fetch

    async def _keep_fresh(self, shelf: _Shelf) -> None:
        """Fetch whenever the set grows old, so that a withdrawn key stops working though nobody calls."""
        while True:
            age = self._clock() - shelf.came_at
            is_fresh = shelf.keys is not None and age < shelf.address.refresh_after.total_seconds()
            if not is_fresh and self._may_fetch(shelf):
                await asyncio.wait([self._fetch_of(shelf)])
            else:
                left = shelf.address.refresh_after.total_seconds() - age if is_fresh else self._floor
                await asyncio.sleep(max(0.01, min(left, self._floor)))

    async def _fetch(self, shelf: _Shelf) -> None:
        try:
            problem = await self._read(shelf)
            self._tell(shelf, problem)
        finally:
            shelf.fetch = None

    async def _read(self, shelf: _Shelf) -> str | None:
        """Replace the set, whole; or say in a word why the last one stays."""
        deadline = Deadline.after(FETCH_WITHIN)
        try:
            answer = await self._outbound.get(shelf.address.url, deadline, LARGEST_KEY_SET)
        except OutboundTrouble as trouble:
            return trouble.kind.value
        if answer.status != 200:
            return f"http_{answer.status}"
        try:
            shelf.keys = read_key_set(answer.body)
        except UnreadableKeySet:
            return "unreadable"
        shelf.came_at = self._clock()
        return None

    def _tell(self, shelf: _Shelf, problem: str | None) -> None:
        if problem is not None:
            age = round(self._clock() - shelf.came_at) if shelf.keys is not None else None
            self._log.emit(
                caller_events.CLIENT_KEYS_UNAVAILABLE,
                client=shelf.client,
                reason=problem,
                keys_age_seconds=age,
            )
            shelf.told = True
        elif shelf.keys is not None and (shelf.told or not shelf.keys.keys or shelf.keys.private):
            counts = {"unusable": shelf.keys.unusable, "private": shelf.keys.private}
            self._log.emit(
                caller_events.CLIENT_KEYS_READ, client=shelf.client, keys=len(shelf.keys.names), **counts
            )
            shelf.told = False
