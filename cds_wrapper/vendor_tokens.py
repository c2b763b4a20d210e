"""Tokens for vendors that want one of an authorisation server (OAuth 2.0): fetched beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cds_wrapper.log import OperatorLog, vendor_events
from cds_wrapper.outbound import Deadline, Outbound
from cds_wrapper.own_tokens import OwnTokens, TokenClient

START_WITHIN: Final = timedelta(seconds=3)
"""A server that gives no token in this time stops nobody's start."""

_BEARER: Final = "Bearer "


class FetchedToken:
    """Signs the calls to a vendor with the token of the day; a `Credential`."""

    def __init__(self, tokens: OwnTokens) -> None:
        self._tokens = tokens

    def __repr__(self) -> str:
        return "FetchedToken(...)"

    async def headers(self, _url: str, within: timedelta) -> Mapping[str, str] | None:
        """The token that is there already, as a rule; None when none can be had within that time."""
        token = await self._tokens.token(Deadline.after(within))
        return None if token is None else {"authorization": f"{_BEARER}{token}"}

    def refused(self, headers: Mapping[str, str]) -> None:
        """Fetch another for the calls to come; the one that was refused is not sent again."""
        self._tokens.forget(headers["authorization"].removeprefix(_BEARER))


@dataclass(frozen=True, slots=True)
class FetchedFor:
    """A client and the pool, not opened yet, over which its server is asked; `service_id` is for the log."""

    service_id: str
    client: TokenClient
    pool: Outbound


async def open_tokens(
    wanted: Iterable[FetchedFor], lines: OperatorLog, stack: AsyncExitStack
) -> list[FetchedToken]:
    """Start to fetch, for each of them in turn; return with the first tokens or without in time.

    `stack` ends it again.
    """
    kept = []
    for one in wanted:
        await one.pool.open()
        stack.push_async_callback(one.pool.close)
        tokens = OwnTokens(one.client, one.pool, _Telling(one.service_id, lines))
        stack.push_async_callback(tokens.close)
        kept.append(tokens)
    await asyncio.gather(*(tokens.keep(START_WITHIN) for tokens in kept))
    return [FetchedToken(tokens) for tokens in kept]


class _Telling:
    """Tells the operator of each kind of trouble once, until it is over."""

    def __init__(self, service_id: str, lines: OperatorLog) -> None:
        self._service_id = service_id
        self._log = lines
        self._trouble: str | None = None

    def __call__(self, reason: str | None) -> None:
        if reason is None:
            self._log.emit(vendor_events.VENDOR_TOKEN_READ, service_id=self._service_id)
        elif reason != self._trouble:
            self._log.emit(vendor_events.VENDOR_TOKEN_UNAVAILABLE, service_id=self._service_id, reason=reason)
        self._trouble = reason
