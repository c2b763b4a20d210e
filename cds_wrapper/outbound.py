"""The only way out: one pooled HTTP session, one deadline, capped answers, foreign errors translated.

Nothing else in the service imports an HTTP client. No redirect is ever followed: patient data and tokens
would follow it. No error raised here holds a URL or a body.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from cds_wrapper.errors import OutboundTrouble, Trouble

# Shorter than the five seconds after which uvicorn closes an idle connection: a POST on a connection the
# peer has just closed is a failed call that nobody may repeat.
IDLE_EXPIRY_SECONDS = 4.0
CONNECTIONS = 128


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time by which something must have ended, on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, budget: timedelta) -> Deadline:
        """The deadline that lies `budget` from now."""
        return cls(time.monotonic() + budget.total_seconds())

    def earlier(self, by: timedelta) -> Deadline:
        """A deadline `by` before this one: what is left for somebody else's work."""
        return Deadline(self.at - by.total_seconds())

    @property
    def remaining(self) -> timedelta:
        """What is left, never negative."""
        return timedelta(seconds=max(0.0, self.at - time.monotonic()))


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What a peer answered: the status and the whole body."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, bytes={len(self.body)})"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Files that say who we are to a peer (mutual TLS): certificate chain and private key, both PEM."""

    certificate: str
    key: str


def _no_password() -> str:
    """A key that wants a password is no key: nobody is there to type it when a server starts."""
    return ""


class Outbound:
    """One pooled session towards every peer; open it in the event loop that uses it."""

    def __init__(self, ca_bundle: str | None = None, certificate: ClientCertificate | None = None) -> None:
        """`ca_bundle` is a file of certificates to trust instead of the system's (a hospital's own CA).

        `certificate` is shown to every peer of this pool; `ssl.SSLError` or `OSError` when it is none.
        """
        self._tls = ssl.create_default_context(cafile=ca_bundle)
        if certificate is not None:
            self._tls.load_cert_chain(certificate.certificate, certificate.key, password=_no_password)
        self._session: aiohttp.ClientSession | None = None
        self._reads: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Create the pool."""
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS, keepalive_timeout=IDLE_EXPIRY_SECONDS, ssl=self._tls
        )
        # No cookies: what one patient's answer sets must not travel with the next patient's request.
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )
        # It would write every address with its query, and so the patient's id.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        transport = AiohttpTransport(verify=self._tls, client=self._session)
        # It has a jar of its own beside the session's, and keeps for good what it cannot send again.
        none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self._reads = httpx.AsyncClient(
            transport=transport, follow_redirects=False, trust_env=False, cookies=none
        )

    async def close(self) -> None:
        """Close the pool and every idle connection."""
        if self._session is not None:
            await self._session.close()
            self._session = self._reads = None

    async def post_json(
        self, url: str, body: bytes, deadline: Deadline, size_limit: int, authorization: str | None = None
    ) -> Answer:
        """POST JSON once; raises `OutboundTrouble` for every way in which no whole answer came.

        `size_limit` caps the answer in bytes; a larger one is given up as soon as that is known.
        `authorization` is the value of that header, ours for this peer.
        """
        if self._session is None:
            raise RuntimeError("the pool is closed")
        # Time-outs over five seconds would be rounded up to a whole second, past the deadline.
        left = deadline.remaining.total_seconds()
        if left <= 0:
            raise OutboundTrouble(Trouble.TIMED_OUT)
        try:
            async with self._session.post(
                url,
                data=body,
                headers=_JSON if authorization is None else {**_JSON, "authorization": authorization},
                timeout=aiohttp.ClientTimeout(total=left, ceil_threshold=math.inf),
                allow_redirects=False,
            ) as response:
                return Answer(response.status, await _read(response, size_limit))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutboundTrouble(translate(error)) from None

    async def get(
        self,
        url: str,
        deadline: Deadline,
        size_limit: int,
        authorization: str | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """GET a document once, such as a key set or a FHIR resource; raises as `post_json` does.

        The answer is asked for uncompressed: a small one that unpacks into a large one is no answer.
        """
        headers = {"accept": accept, **({} if authorization is None else {"authorization": authorization})}
        return await self._ask("GET", url, deadline, size_limit, headers)

    async def post_form(
        self, url: str, form: Mapping[str, str], deadline: Deadline, size_limit: int
    ) -> Answer:
        """POST a form once, as a token is asked for (RFC 6749); raises as `post_json` does."""
        return await self._ask("POST", url, deadline, size_limit, {"accept": "application/json"}, form)

    async def _ask(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        size_limit: int,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        if self._reads is None:
            raise RuntimeError("the pool is closed")
        try:
            async with asyncio.timeout(deadline.remaining.total_seconds()):
                sent = {"accept-encoding": "identity", **headers}
                async with self._reads.stream(method, url, headers=sent, data=form) as response:
                    return Answer(response.status_code, await _read_raw(response, size_limit))
        except _OF_READING as error:
            # The transport calls a refused connection a time-out; what it met itself says it better.
            met = error.__cause__
            known = met if isinstance(met, aiohttp.ClientError | OSError) else error
            raise OutboundTrouble(translate(known)) from None


_JSON = {"content-type": "application/json", "accept": "application/json"}
# The transport trips over the reason of a status line that is no UTF-8 (httpx-aiohttp 0.2).
_OF_READING = (TimeoutError, httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)


async def _read_raw(response: httpx.Response, size_limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > size_limit:
            raise OutboundTrouble(Trouble.TOO_LARGE)
        chunks.append(chunk)
    return b"".join(chunks)


async def _read(response: aiohttp.ClientResponse, size_limit: int) -> bytes:
    if response.content_length is not None and response.content_length > size_limit:
        response.close()
        raise OutboundTrouble(Trouble.TOO_LARGE)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > size_limit:
            response.close()
            raise OutboundTrouble(Trouble.TOO_LARGE)
        chunks.append(chunk)
    return b"".join(chunks)


def translate(error: BaseException) -> Trouble:
    """Say in our words what a client library's exception means for the caller."""
    match error:
        case TimeoutError():  # aiohttp's own time-outs are TimeoutErrors too
            return Trouble.TIMED_OUT
        case httpx.TimeoutException():
            return Trouble.TIMED_OUT
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return Trouble.UNREACHABLE
        case httpx.ConnectError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.ProxyError():
            return Trouble.UNREACHABLE
        case aiohttp.ServerFingerprintMismatch():
            return Trouble.UNREACHABLE
        case aiohttp.ClientError() | OSError() | httpx.HTTPError() | UnicodeError():
            return Trouble.CLOSED_EARLY
        case _:
            raise AssertionError(f"an exception nobody translates: {type(error).__name__}")
