"""Asks an authorisation server for a token of our own: SMART Backend Services, client credentials.

One fetch at a time, kept until shortly before its end. A call waits for the fetch under way as long as its
own time allows; the fetch goes on for the next call. (SMART App Launch 2, "Backend Services"; RFC 7523.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import uuid4

import msgspec

from cds_wrapper import log, log_reads
from cds_wrapper.ehr.access import BackendClient
from cds_wrapper.errors import OutboundTrouble
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.signing import signed, token_header

FETCH_WITHIN: Final = timedelta(seconds=5)
AGAIN_AFTER: Final = timedelta(seconds=5)
"""Between two fetches that failed: a server in trouble is not asked by every call."""

LONGEST_KEPT: Final = timedelta(hours=1)
ASSERTION_LIVES: Final = timedelta(minutes=5)
_EARLY: Final = 30.0
_LARGEST_ANSWER: Final = 64 * 1024
_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True, repr=False)
class OwnToken:
    """A token that was given to us, good until `until` on the monotonic clock, in seconds."""

    value: str
    until: float
    renew_at: float

    def __repr__(self) -> str:
        return "OwnToken(...)"


class BackendTokens:
    """The token of one client's authorisation server; used in the event loop that serves."""

    def __init__(
        self,
        client: str,
        backend: BackendClient,
        outbound: Outbound,
        lines: log.OperatorLog,
        *,
        clock: Callable[[], float] = time.monotonic,
        again_after: timedelta = AGAIN_AFTER,
    ) -> None:
        """`client` is its name in the operator log.

        `again_after` is the pause after a fetch that failed, and after a token that was refused.
        """
        self._client = client
        self._backend = backend
        self._outbound = outbound
        self._log = lines
        self._clock = clock
        self._again_after = again_after.total_seconds()
        self._token: OwnToken | None = None
        self._failed_at: float | None = None
        self._forgotten_at: float | None = None
        self._fetch: asyncio.Task[None] | None = None

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

    def forget(self, value: str) -> None:
        """Give up a token that the FHIR server refuses: it was withdrawn before its time.

        A server that refuses the next one at once refuses us: that one is kept for a while.
        """
        if self._token is None or self._token.value != value or self._is_fresh(self._forgotten_at):
            return
        self._token, self._forgotten_at = None, self._clock()

    async def close(self) -> None:
        """Give up a fetch under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

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

    async def _renew(self) -> None:
        backend = self._backend
        try:
            form = token_request(backend, int(time.time()))
            answer = await self._outbound.post_form(
                backend.token_url, form, Deadline.after(FETCH_WITHIN), _LARGEST_ANSWER
            )
        except OutboundTrouble as trouble:
            self._fail(trouble.kind.value)
            return
        token = read_token(answer, self._clock())
        if token is None:
            self._fail(f"http_{answer.status}" if answer.status != 200 else "no_token")
            return
        if self._failed_at is not None:
            self._log.emit(log_reads.FHIR_TOKEN_READ, client=self._client)
        self._token, self._failed_at = token, None

    def _fail(self, reason: str) -> None:
        self._failed_at = self._clock()
        self._log.emit(log_reads.FHIR_TOKEN_UNAVAILABLE, client=self._client, reason=reason)


def token_request(backend: BackendClient, now: int) -> Mapping[str, str]:
    """The form that asks for a token, its assertion signed for this one use; `now` in seconds since 1970."""
    claims = {
        "iss": backend.client_id,
        "sub": backend.client_id,
        "aud": backend.token_url,
        "iat": now,
        "exp": now + int(ASSERTION_LIVES.total_seconds()),
        "jti": str(uuid4()),
    }
    return {
        "grant_type": "client_credentials",
        "scope": backend.scope,
        "client_assertion_type": _JWT_BEARER,
        "client_assertion": signed(backend.key, token_header(backend.key), claims),
    }


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
    if not is_usable(given.access_token) or given.token_type.casefold() != "bearer" or not lives > 0:
        return None
    return OwnToken(given.access_token, now + lives, now + lives - min(_EARLY, lives / 2))


def is_usable(token: str) -> bool:
    """Whether a token can stand in a header as it is: visible ASCII without blanks."""
    return 0 < len(token) <= _LONGEST_TOKEN and all("!" <= character <= "~" for character in token)


_LONGEST_TOKEN: Final = 16 * 1024
