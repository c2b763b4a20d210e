"""Bundles in pages: which link is the next one, when a result is whole, and pages put together. Pure.

Entries stay the bytes that came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

_NOT_RESULTS: Final = frozenset({"include", "outcome"})

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(float_hook=float)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def next_link(bundle: Mapping[str, Any]) -> str | None:
    """The address of the next page; None on the last one."""
    links = bundle.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next":
            url = link.get("url")
            return url.strip() or None if isinstance(url, str) else None
    return None


def results_in(bundle: Mapping[str, Any]) -> int:
    """How many results a page holds; what was included beside them does not count."""
    entries = bundle.get("entry")
    modes = [_mode(entry) for entry in entries] if isinstance(entries, list) else []
    return sum(1 for mode in modes if mode not in _NOT_RESULTS)


def _mode(entry: object) -> object:
    search = entry.get("search") if isinstance(entry, dict) else None
    mode = search.get("mode") if isinstance(search, dict) else None
    return mode if isinstance(mode, str) else None


def is_cut_short(bundle: Mapping[str, Any], most: int | None) -> bool:
    """Whether there is more than came: a further page, and fewer results here than were asked for.

    A query with `_count` asks for no more than that many, so a page that holds them is whole.
    """
    return next_link(bundle) is not None and (most is None or results_in(bundle) < most)


def page_of(body: bytes) -> Mapping[str, Any] | None:
    """A page as it can be looked at; None when it is no Bundle."""
    try:
        page = _anything.decode(body)
    except _UNREADABLE:
        return None
    return page if isinstance(page, dict) and page.get("resourceType") == "Bundle" else None


def merged(pages: Sequence[bytes]) -> bytes | None:
    """One Bundle with the entries of all pages, in order; the rest is the first page's, without its `next`.

    None when a page cannot be taken apart.
    """
    try:
        taken = [_members.decode(page) for page in pages]
        entries = [entry for page in taken for entry in _entries.decode(page.get("entry", _NONE))]
        links = _anything.decode(taken[0].get("link", _NONE))
    except _UNREADABLE:
        return None
    kept = [link for link in links if not (isinstance(link, dict) and link.get("relation") == "next")]
    whole: dict[str, Any] = {name: value for name, value in taken[0].items() if name not in ("link", "entry")}
    if kept:
        whole["link"] = kept
    if entries:
        whole["entry"] = entries
    return msgspec.json.encode(whole)


_NONE: Final = msgspec.Raw(b"[]")
