"""A vendor's links: to listed hosts only, and none that opens before the caveat was seen.

CDS Hooks 2.0.1, "Link" and "Trusting CDS Services".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cds_wrapper.caveats.passage import Changes, Passage
from cds_wrapper.cds import Link

MOST_LINKS: Final = 20

_MEMBERS: Final = frozenset({"label", "url", "type", "appContext", "autolaunchable", "extension"})
_SMART: Final = "smart"
_KINDS: Final = frozenset({"absolute", _SMART})


def vendor_links(
    links: tuple[Any, ...], passage: Passage, changes: Changes, *, caveat_is_due: bool
) -> list[Link]:
    """The links that may stand under the card, in the vendor's order."""
    if not links:
        return []
    if not passage.policy.link_hosts:
        changes.note("links", "held_back")
        return []
    if len(links) > MOST_LINKS:
        changes.note("links", f"more than {MOST_LINKS}, the others removed")
    numbered = enumerate(links[:MOST_LINKS])
    return list(_passing(numbered, passage, changes, caveat_is_due=caveat_is_due))


def _passing(
    numbered: enumerate[Any], passage: Passage, changes: Changes, *, caveat_is_due: bool
) -> Iterator[Link]:
    for number, link in numbered:
        member = f"links[{number}]"
        fault = _fault(link, passage)
        if fault is not None:
            changes.note(member, fault)
            continue
        label = changes.line(f"{member}.label", link["label"])
        if not label:
            changes.note(member, "without label, removed")
            continue
        if link.keys() - _MEMBERS:
            changes.note(member, "unknown members, held_back")
        yield Link(
            label=label,
            url=link["url"],
            type=link["type"],
            appContext=_app_context(member, link, changes),
            autolaunchable=_autolaunchable(member, link, changes, caveat_is_due=caveat_is_due),
            extension=_extension(member, link, changes),
        )


def _fault(link: object, passage: Passage) -> str | None:
    """Why a link may not stand there; None when it may."""
    if not isinstance(link, dict) or not isinstance(link.get("label"), str):
        return "without label, removed"
    kind, url, context = link.get("type"), link.get("url"), link.get("appContext")
    if not isinstance(kind, str) or kind not in _KINDS:
        return "of no known type, removed"
    if not isinstance(url, str) or not passage.opens(url):
        return "to no listed address, removed"
    if kind == _SMART and context is not None and not isinstance(context, str):
        return "with a context of another type, removed"
    return None


def _app_context(member: str, link: Mapping[str, Any], changes: Changes) -> str | None:
    context = link.get("appContext")
    if context and link["type"] != _SMART:
        changes.note(f"{member}.appContext", "on a link that launches nothing, removed")
        return None
    return context if context and context.strip() else None


def _autolaunchable(
    member: str, link: Mapping[str, Any], changes: Changes, *, caveat_is_due: bool
) -> bool | None:
    """A card whose link opens by itself may never be seen, and neither is its caveat."""
    launches = link.get("autolaunchable")
    if launches is None or launches is False:
        return launches
    if launches is not True:
        changes.note(f"{member}.autolaunchable", "of another type, removed")
    elif caveat_is_due:
        changes.note(f"{member}.autolaunchable", "the caveat would not be seen, removed")
    else:
        return True
    return None


def _extension(member: str, link: Mapping[str, Any], changes: Changes) -> dict[str, Any] | None:
    extension = link.get("extension")
    if isinstance(extension, dict):
        return changes.pruned(f"{member}.extension", extension)
    if extension:
        changes.note(f"{member}.extension", "of another type, held_back")
    return None
