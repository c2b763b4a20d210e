"""When two addresses are the same, and which one is a page of a server we know. Pure.

Whoever names an address never has it called: what is called is built from the hospital's own text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What may stand in an address as it is; everything else is percent-encoded once.
_PLAIN: Final = "/?:@!$&'()*+,;=~%"


@lru_cache(256)
def normal_address(text: str) -> str:
    """An address without what makes no difference: case of the host, default port, slash at the end.

    What is no plain http(s) address stays as it is, and so equals only itself.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return text
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or parts.query or parts.fragment:
        return text
    place = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def page_address(link: str, base: str) -> str | None:
    """The address of a further page on a configured server; None when the link leads anywhere else.

    `base` is the configured text, and the address begins with it. A page lies on the server's own base or
    below: a neighbour on the same host may be another hospital. A relative link is taken from the base.
    """
    if any(character <= " " or character in "\\\x7f" for character in link):
        return None
    try:
        parts, home = urlsplit(link), urlsplit(base)
    except ValueError:
        return None
    root = home.path.rstrip("/")
    if parts.scheme or parts.netloc:
        origin = normal_address(f"{home.scheme}://{home.netloc}")
        if normal_address(f"{parts.scheme.lower()}://{parts.netloc}") != origin:
            return None
    below = parts.path
    if parts.scheme or parts.netloc or below.startswith("/"):
        if not f"{below}/".startswith(f"{root}/"):
            return None
        below = below.removeprefix(root)
    elif below:
        below = f"/{below}"
    if _climbs(below) or not (below.strip("/") or parts.query):
        return None
    query = f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else ""
    return f"{base.rstrip('/')}{quote(below, safe=_PLAIN)}{query}"


_MOST_ENCODINGS: Final = 4


def _climbs(path: str) -> bool:
    """Whether a path could lead out of where it begins, however often it is decoded on its way."""
    for _ in range(_MOST_ENCODINGS):
        if any(part in (".", "..") for part in path.replace("\\", "/").split("/")):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True
