"""Which pages in a browser may call, and what they are told (CORS). Pure.

CDS Hooks 2.0.1, "Cross-Origin Resource Sharing". An origin is compared letter for letter with those that
were listed; there is no pattern and no `*`, and credentials (cookies) are never allowed: a call brings its
token in `Authorization`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REMEMBERED_SECONDS: Final = 600


def an_origin(text: str) -> str:
    """An origin letter for letter as browsers send it (RFC 6454, 6.2); `ValueError` says what is wrong."""
    parts = urlsplit(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.netloc.rpartition("@")[0]:
        raise ValueError("is no origin: write one page's, such as https://ehr.example.org; `*` is none.")
    port = parts.port
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    sent = f"{parts.scheme}://{place}"
    if text != sent or not text.isascii() or "*" in text:
        raise ValueError(f"is not written as browsers send it: `{sent}`, without path or default port.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("is plain http: whoever sits between could put a page of their own there.")
    return text


@dataclass(frozen=True, slots=True)
class Origins:
    """The pages that may call, by origin, and as which clients; `None` as any client.

    Without a single one nothing is said of origins at all.
    """

    clients: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.clients)

    def answer_headers(self, sent: Sequence[str], client: str | None = None) -> dict[str, str]:
        """The headers of an answer to a call with these `Origin` headers, by this client once it is known.

        A page may read what was answered to its own clients. That answers differ by origin is said always, so
        that a cache in between keeps them apart.
        """
        origin = sent[0] if len(sent) == 1 else None
        if origin is None or not self._may_read(origin, client):
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin}

    def preflight_headers(self, sent: Sequence[str], method: str) -> dict[str, str] | None:
        """The headers of the answer to whether a page may call with the method; None when it may not.

        See the Fetch standard, "CORS-preflight request".
        """
        headers = self.answer_headers(sent)
        if "Access-Control-Allow-Origin" not in headers:
            return None
        return {
            **headers,
            "Access-Control-Allow-Methods": method,
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": str(_REMEMBERED_SECONDS),
        }

    def _may_read(self, origin: str, client: str | None) -> bool:
        if origin not in self.clients:
            return False
        named = self.clients[origin]
        return client is None or named is None or client in named
