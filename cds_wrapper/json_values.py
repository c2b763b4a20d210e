"""Questions asked of any decoded JSON value, whoever sent it. Pure."""

from __future__ import annotations

from typing import Any

_NESTED = (dict, list, tuple)


def prune(value: Any) -> Any:
    """JSON without null, "", [] and {} at any depth; None when nothing is left ("Use of JSON")."""
    if isinstance(value, dict):
        members = {name: kept for name, member in value.items() if (kept := prune(member)) is not None}
        return members or None
    if isinstance(value, (list, tuple)):
        return [kept for item in value if (kept := prune(item)) is not None] or None
    return None if value == "" else value


def is_deeper(value: object, limit: int) -> bool:
    """Whether lists and objects are nested more than `limit` times; looks no deeper than that."""
    level = [value]
    for _ in range(limit):
        level = [
            item
            for outer in level
            if isinstance(outer, _NESTED)
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, _NESTED)
        ]
        if not level:
            return False
    return True
