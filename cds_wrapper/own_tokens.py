"""Asks an authorisation server for a token of our own, by client credentials, and keeps it.

One fetch at a time, kept until shortly before its end. A call waits for the fetch under way as long as its
own time allows; the fetch goes on for the next call. (RFC 6749, 4.4; RFC 7523; SMART App Launch 2, "Backend
Services".)
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import quote_plus
from uuid import uuid4

import msgspec

from cds_wrapper.errors import OutboundTrouble
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.signing import OwnKey, is_printable, signed, token_header

FETCH_WITHIN: Final = timedelta(seconds=5)
AGAIN_AFTER: Final = timedelta(seconds=5)
"""Between two fetches that failed: a server in trouble is not asked by every call."""

LONGEST_KEPT: Final = timedelta(hours=1)
ASSERTION_LIVES: Final = timedelta(minutes=5)
_EARLY: Final = 30.0
_SHORTEST_ROUND: Final = 1.0
_LARGEST_ANSWER: Final = 64 * 1024
_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Tell = Callable[[str | None], None]
"""Hears why there is no token, each time that a fetch failed, and None when there is one again."""


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Who we are to an authorisation server; `proof` is our key, or the secret it gave us."""

    token_url: str
    client_id: str
    proof: OwnKey | str = field(repr=False)
    scope: str | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class TokenRequest:
    """What a token is asked for with."""

    form: Mapping[str, str]
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return "TokenRequest(...)"


@dataclass(frozen=True, slots=True, repr=False)
class OwnToken:
    """A token that was given to us, good until `until` on the monotonic clock, in seconds."""

    value: str
    until: float
    renew_at: float

    def __repr__(self) -> str:
        return "OwnToken(...)"


class OwnTokens:
    """The token of one client; used in the event loop that serves."""

    def __init__(
        self,
        client: TokenClient,
        outbound: Outbound,
        tell: Tell,
        *,
        clock: Callable[[], float] = time.monotonic,
        again_after: timedelta = AGAIN_AFTER,
    ) -> None:
        """`again_after` is the pause after a fetch that failed, and after a token that was refused."""
        self._client = client
        self._outbound = outbound
        self._tell = tell
        self._clock = clock
        self._again_after = again_after.total_seconds()
        self._token: OwnToken | None = None
        self._failed_at: float | None = None
        self._forgotten_at: float | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def token(self, deadline: Deadline) -> str | None:
        """A token that lives beyond the deadline; None when none can be had by then."""
        if self._holds_until(deadline):
            if self._token is not None and self._clock() >= self._token.renew_at:
                self._begin()
        else:
            fetch = self._begin()
            if fetch is not None:
                await asyncio.wait([fetch], timeout=deadline.remaining.total_seconds())
        return self._token.value if self._token is not None and self._holds_until(deadline) else None

    async def keep(self, first_within: timedelta) -> None:
        """Have a token from now on, whether or not anybody asks; returns with the first, or in that time."""
        self._keeper = asyncio.create_task(self._go_on())
        await self.token(Deadline.after(first_within))

    def forget(self, value: str) -> None:
        """Give up a token that is refused: it was withdrawn before its time.

        A server that refuses the next one at once refuses us: that one is kept for a while.
        """
        if self._token is None or self._token.value != value or self._is_fresh(self._forgotten_at):
            return
        self._token, self._forgotten_at = None, self._clock()
        if self._keeper is not None:
            self._begin()

    async def close(self) -> None:
        """Give up a fetch under way."""
        running = [task for task in (self._keeper, self._fetch) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _holds_until(self, deadline: Deadline) -> bool:
        left = deadline.remaining.total_seconds()
        return self._token is not None and self._clock() + left < self._token.until

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch under way, or a new one; None while a failure is too fresh."""
        if self._fetch is not None and not self._fetch.done():
            return self._fetch
        if self._is_fresh(self._failed_at):
            return None
        self._fetch = asyncio.create_task(self._renew())
        return self._fetch

    def _is_fresh(self, trouble: float | None) -> bool:
        return trouble is not None and self._clock() - trouble < self._again_after

    async def _go_on(self) -> None:
        while True:
            fetch = self._begin()
            if fetch is not None:
                await asyncio.wait([fetch])
            due = self._again_after if self._token is None else self._token.renew_at - self._clock()
            await asyncio.sleep(max(due, _SHORTEST_ROUND))

    async def _renew(self) -> None:
        asked = token_request(self._client, int(time.time()))
        deadline = Deadline.after(FETCH_WITHIN)
        try:
            answer = await self._outbound.post_form(
                self._client.token_url, asked.form, deadline, _LARGEST_ANSWER, asked.headers
            )
        except OutboundTrouble as trouble:
            self._fail(trouble.kind.value)
            return
        token = read_token(answer, self._clock())
        if token is None:
            self._fail(f"http_{answer.status}" if answer.status != 200 else "no_token")
            return
        if self._failed_at is not None:
            self._tell(None)
        self._token, self._failed_at = token, None

    def _fail(self, reason: str) -> None:
        self._failed_at = self._clock()
        self._tell(reason)


def token_request(client: TokenClient, now: int) -> TokenRequest:
    """What asks for a token; an assertion is signed for this one use. `now` in seconds since 1970."""
    wanted = {"scope": client.scope, "audience": client.audience}
    form = {"grant_type": "client_credentials"} | {name: text for name, text in wanted.items() if text}
    if isinstance(client.proof, str):
        return TokenRequest(form, {"authorization": _basic(client.client_id, client.proof)})
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.token_url,
        "iat": now,
        "exp": now + int(ASSERTION_LIVES.total_seconds()),
        "jti": str(uuid4()),
    }
    assertion = signed(client.proof, token_header(client.proof), claims)
    return TokenRequest({**form, "client_assertion_type": _JWT_BEARER, "client_assertion": assertion}, {})


def _basic(client_id: str, secret: str) -> str:
    """Both are written as in a form before they are put together (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


class _Given(msgspec.Struct):
    access_token: str
    token_type: str = "bearer"  # noqa: S105  a type
    expires_in: float | str = 60


_given = msgspec.json.Decoder(_Given)


def read_token(answer: Answer, now: float) -> OwnToken | None:
    """The token of an answer; None when it holds none that can stand in a header and lives a while.

    One without a lifetime is kept a minute, one that lives long an hour. `now` is on the monotonic clock.
    """
    if answer.status != 200:
        return None
    try:
        given = _given.decode(answer.body)
        lives = min(float(given.expires_in), LONGEST_KEPT.total_seconds())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    if not is_printable(given.access_token) or given.token_type.casefold() != "bearer" or not lives > 0:
        return None
    return OwnToken(given.access_token, now + lives, now + lives - min(_EARLY, lives / 2))
