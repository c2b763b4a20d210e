"""What CDS Hooks allows in a prefetch template: tokens (a SHALL) and the recommended queries (a SHOULD).

CDS Hooks 2.0.1, "Prefetch tokens" and "Prefetch query restrictions"; of the 3.0 ballot the dates relative to
today, where a service's EHRs read it, and `_maxresults`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

from cds_wrapper.cds_library import HOOKS, USER_TOKENS
from cds_wrapper.ehr.templates import is_date

_TOKEN: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_FIELD: Final = re.compile(r"context\.[A-Za-z][A-Za-z0-9]*")
_READ_OR_SEARCH: Final = re.compile(r"[A-Z][A-Za-z]+(/[^/?]+|\?.+)")
_PREFIXED: Final = re.compile(r"([a-z]{2})\d")
_ALLOWED_PREFIXES: Final = frozenset({"eq", "lt", "gt", "ge", "le"})
_ALLOWED_CONTROLS: Final = frozenset({"_count", "_sort", "_id", "_maxresults"})


def _tokens(hook: str) -> frozenset[str]:
    known = HOOKS.get(hook)
    return known.tokens if known else frozenset()


def allowed_tokens(hook: str) -> tuple[str, ...]:
    """Every token a template for a known hook may hold."""
    return (*(f"context.{name}" for name in sorted(_tokens(hook))), *USER_TOKENS)


def wrong_tokens(template: str, hook: str, *, ballot: bool = False) -> Iterator[str]:
    """The tokens that this hook cannot fill, as written; a local hook's own context fields are believed.

    With `ballot` a date relative to today is one that an EHR can fill.
    """
    known = allowed_tokens(hook)
    for token in _TOKEN.findall(template):
        believed = hook not in HOOKS and _FIELD.fullmatch(token)
        if token not in known and not believed and not (ballot and is_date(token)):
            yield token


def has_stray_braces(template: str) -> bool:
    """Whether braces stand outside a whole `{{token}}`."""
    rest = _TOKEN.sub("", template)
    return "{" in rest or "}" in rest


def beyond_the_subset(template: str) -> Iterator[str]:
    """What in a template goes beyond the queries every client is asked to answer, in words."""
    plain = _TOKEN.sub("token", template)
    if not _READ_OR_SEARCH.fullmatch(plain):
        yield "is neither a read (`Patient/...`) nor a search (`Observation?...`)"
        return
    for name, value in parse_qsl(plain.partition("?")[2], keep_blank_values=True):
        base, _, modifier = name.partition(":")
        if modifier not in ("", "in"):
            yield f"uses the modifier `:{modifier}`"
        if base.startswith("_") and base not in _ALLOWED_CONTROLS:
            yield f"uses the parameter `{base}`"
        if "." in base:
            yield f"uses the chained parameter `{base}`"
        prefix = _PREFIXED.match(value)
        if prefix and prefix[1] not in _ALLOWED_PREFIXES:
            yield f"uses the prefix `{prefix[1]}`"
