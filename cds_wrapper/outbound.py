"""The only way out: one pooled HTTP session, one deadline, capped answers, foreign errors translated.

Nothing else in the service imports an HTTP client. No redirect is ever followed: patient data and tokens
would follow it. What may have reached a vendor is never sent a second time. No error raised here holds a URL
or a body.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import ContentEncodingError
from httpx_aiohttp import AiohttpTransport

from cds_wrapper.errors import OutboundTrouble, Trouble

# Shorter than the five seconds after which uvicorn closes an idle connection: a POST on a connection the
# peer has just closed is a failed call that nobody may repeat.
IDLE_EXPIRY_SECONDS = 4.0
CONNECTIONS = 128
MOST_ATTEMPTS: Final = 2
CONNECT_WITHIN: Final = 0.5
"""The part of what is left of a call's time that one attempt to connect may take."""

AGAIN_AFTER: Final = timedelta(milliseconds=25)
"""Between two attempts to connect."""


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
    """What a peer answered: the status and the whole body; `attempts` to connect that it took.

    `retry_after` is that header as it came with an answer to a read, None where there was none.
    """

    status: int
    body: bytes
    attempts: int = 1
    retry_after: str | None = None

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

    def __init__(
        self,
        ca_bundle: str | None = None,
        certificate: ClientCertificate | None = None,
        connections: int = CONNECTIONS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`ca_bundle` is a file of certificates to trust instead of the system's (a hospital's own CA).

        `certificate` is shown to every peer of this pool; `ssl.SSLError` or `OSError` when it is none.
        `connections` is the most at one time; a call beyond them would wait for one. `pause` waits so many
        seconds between two attempts to connect.
        """
        self._pause = pause
        self._connections = connections
        self._tls = ssl.create_default_context(cafile=ca_bundle)
        if certificate is not None:
            self._tls.load_cert_chain(certificate.certificate, certificate.key, password=_no_password)
        self._session: aiohttp.ClientSession | None = None
        self._reads: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Create the pool."""
        connector = aiohttp.TCPConnector(
            limit=self._connections, keepalive_timeout=IDLE_EXPIRY_SECONDS, ssl=self._tls
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
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            cookies=none,
            timeout=None,  # noqa: S113  the client's usual five seconds would end a call before its own deadline
        )

    async def close(self) -> None:
        """Close the pool and every idle connection."""
        if self._session is not None:
            await self._session.close()
            self._session = self._reads = None

    async def post_json(
        self,
        url: str,
        body: bytes,
        deadline: Deadline,
        size_limit: int,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST JSON, sent at most once; raises `OutboundTrouble` for every way in which no whole answer came.

        When no connection could be made, nothing was sent, and that is tried once more while there is time.
        `size_limit` caps the answer in bytes; a larger one is given up as soon as that is known. `headers`
        go beside our own.
        """
        return await self._sent("POST", url, body, deadline, size_limit, {**_JSON, **(headers or {})})

    async def get_json(
        self, url: str, deadline: Deadline, size_limit: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET an answer as `post_json` does: sent at most once."""
        return await self._sent("GET", url, None, deadline, size_limit, {**_UNPACKED, **(headers or {})})

    async def _sent(
        self,
        method: str,
        url: str,
        body: bytes | None,
        deadline: Deadline,
        size_limit: int,
        headers: Mapping[str, str],
    ) -> Answer:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                return await self._sent_once(method, url, body, deadline, size_limit, headers, attempt)
            except _SentOnceError as error:
                raise OutboundTrouble(translate(error.met), attempt) from None
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                kind = translate(error)
            is_last = attempt == MOST_ATTEMPTS or deadline.remaining <= AGAIN_AFTER
            if is_last or kind not in NOTHING_SENT:
                break
            await self._pause(AGAIN_AFTER.total_seconds())
        raise OutboundTrouble(kind, attempt)

    async def _sent_once(
        self,
        method: str,
        url: str,
        body: bytes | None,
        deadline: Deadline,
        size_limit: int,
        headers: Mapping[str, str],
        attempt: int,
    ) -> Answer:
        if self._session is None:
            raise RuntimeError("the pool is closed")
        left = deadline.remaining.total_seconds()
        if left <= 0:
            raise OutboundTrouble(Trouble.TIMED_OUT, attempt - 1)
        # Time-outs over five seconds would be rounded up to a whole second, past the deadline.
        timeout = aiohttp.ClientTimeout(
            total=left, sock_connect=left * CONNECT_WITHIN, ceil_threshold=math.inf
        )
        async with self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            middlewares=_NEVER_AGAIN if body is None else None,
        ) as response:
            return Answer(response.status, await _read(response, size_limit), attempt)

    async def get(
        self, url: str, deadline: Deadline, size_limit: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET a document, such as a key set or a FHIR resource; raises as `post_json` does.

        The library asks a second time when a connection was closed before anything came: so a read survives
        a server that closes connections sooner than we think.

        JSON unless `headers` say otherwise. The answer is asked for uncompressed: a small one that unpacks
        into a large one is no answer.
        """
        return await self._ask("GET", url, deadline, size_limit, {**_ACCEPT_JSON, **(headers or {})})

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        deadline: Deadline,
        size_limit: int,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST a form once, as a token is asked for (RFC 6749); raises as `post_json` does."""
        return await self._ask("POST", url, deadline, size_limit, {**_ACCEPT_JSON, **(headers or {})}, form)

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
                    body, later = await _read_raw(response, size_limit), response.headers.get("retry-after")
                    return Answer(response.status_code, body, retry_after=later)
        except _OF_READING as error:
            # The transport calls a refused connection a time-out; what it met itself says it better.
            met = error.__cause__
            known = met if isinstance(met, aiohttp.ClientError | OSError) else error
            raise OutboundTrouble(translate(known)) from None


_ACCEPT_JSON = {"accept": "application/json"}
_JSON = {"content-type": "application/json", **_ACCEPT_JSON}
_UNPACKED = {"accept-encoding": "identity", **_ACCEPT_JSON}
# The transport trips over the reason of a status line that is no UTF-8 (httpx-aiohttp 0.2).
_OF_READING = (TimeoutError, httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)


class _SentOnceError(aiohttp.ClientError):
    """A connection that ended before anything came; `met` is what the library calls it."""

    def __init__(self, met: aiohttp.ClientError) -> None:
        super().__init__()
        self.met = met


async def _never_again(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps the library from sending a GET again whose connection ended: it may have reached the peer."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _SentOnceError(error) from None


_NEVER_AGAIN: Final = (_never_again,)


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


NOTHING_SENT: Final = frozenset(
    {Trouble.DNS, Trouble.REFUSED_CONNECTION, Trouble.CONNECT_TIMED_OUT, Trouble.UNREACHABLE}
)
"""No connection was made, and another attempt may make one: a certificate stays what it is."""

_RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


def translate(error: BaseException) -> Trouble:
    """Say in our words what a client library's exception means for the caller."""
    match error:
        case aiohttp.ConnectionTimeoutError() | httpx.ConnectTimeout():
            return Trouble.CONNECT_TIMED_OUT
        case TimeoutError() | httpx.TimeoutException():  # aiohttp's own time-outs are TimeoutErrors too
            return Trouble.TIMED_OUT
        case aiohttp.ClientConnectorError() | aiohttp.ServerFingerprintMismatch() | aiohttp.InvalidURL():
            return _unconnected(error)
        case httpx.ConnectError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.ProxyError():
            return Trouble.UNREACHABLE
        case aiohttp.ClientPayloadError():
            return Trouble.NOT_HTTP if _is_garbled(error) else Trouble.CUT_OFF
        case aiohttp.ClientResponseError() | httpx.DecodingError() | UnicodeError():
            return Trouble.NOT_HTTP
        case aiohttp.ClientError() | OSError() | httpx.HTTPError():
            return _broken_off(error)
        case _:
            raise AssertionError(f"an exception nobody translates: {type(error).__name__}")


def _unconnected(error: BaseException) -> Trouble:
    """Why no connection was made."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Trouble.DNS
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return Trouble.TLS
        case OSError(errno=errno.ECONNREFUSED):
            return Trouble.REFUSED_CONNECTION
        case OSError(errno=errno.ETIMEDOUT):
            return Trouble.CONNECT_TIMED_OUT
        case _:
            return Trouble.UNREACHABLE


def _broken_off(error: BaseException) -> Trouble:
    """How a connection ended before anything of an answer came."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Trouble.TLS  # a client certificate is refused after the handshake (RFC 8446, 4.4.2.4)
    is_reset = isinstance(error, OSError) and error.errno in _RESET
    return Trouble.RESET if is_reset or isinstance(error, ConnectionResetError) else Trouble.CLOSED_EARLY


def _is_garbled(error: aiohttp.ClientPayloadError) -> bool:
    """Whether a body came whole and could not be unpacked; one that ended too soon has another cause."""
    return isinstance(error.__cause__, ContentEncodingError)
