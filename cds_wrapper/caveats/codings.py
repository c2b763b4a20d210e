"""The codings on a card: the topic that EHRs remember overrides by, and the reasons for dismissing a card.

CDS Hooks 2.0.1, "Coding": `code` and `system` are required, `display` too where a person reads it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cds_wrapper.caveats.caveat import Caveat, CaveatLevel
from cds_wrapper.caveats.passage import Changes, Passage
from cds_wrapper.caveats.vendor_text import clean_line
from cds_wrapper.json_values import prune

LONGEST_CODE: Final = 100
"""Characters of a topic's code that an EHR which keeps overrides by it can hold."""

MOST_REASONS: Final = 20

NON_ADHERENCE: Final = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
NON_ADHERENCE_REASONS: Final[tuple[Mapping[str, str], ...]] = tuple(
    {"code": code, "system": NON_ADHERENCE, "display": display}
    for code, display in (
        ("recipient-does-not-trust", "I do not trust this score"),
        ("does-not-align-latest-evidence", "It does not agree with the latest evidence"),
        ("patient-ineligible", "It does not apply to this patient"),
        ("inappropriate-recipient", "I am not the right person to see this"),
        ("wrong-time-workflow", "It comes at the wrong time"),
        ("need-more-info", "I need more information"),
        ("risk-benefit-ratio", "The risks outweigh the benefit here"),
        ("cultural-religious-reason", "Cultural or religious reasons"),
    )
)
"""Reasons of the 3.0 ballot's code system that say something about a model; the displays are ours.

Their order and codes are part of what a hospital maps in its EHR: none is renamed, new ones go to the end.
"""

_TEXTS: Final = frozenset({"code", "system", "display", "version", "id"})
_NOT_A_LETTER: Final = re.compile(r"[^A-Za-z0-9]")


def topic_of(
    theirs: Mapping[str, Any] | None, caveat: Caveat, passage: Passage, changes: Changes
) -> dict[str, Any] | None:
    """The vendor's topic as it came where it is right, else the site's; None without either."""
    topic = _coding("source.topic", theirs, changes) if theirs is not None else None
    if topic is None and passage.policy.topic is not None:
        changes.note("source.topic", "missing, added")
        topic = dict(passage.policy.topic)
    return _with_state(topic, caveat, passage, changes)


def own_topic(caveat: Caveat, passage: Passage, changes: Changes) -> dict[str, Any] | None:
    """The site's topic, for a card that the site words itself; None where it has none."""
    topic = dict(passage.policy.topic) if passage.policy.topic is not None else None
    return _with_state(topic, caveat, passage, changes)


def _with_state(
    topic: dict[str, Any] | None, caveat: Caveat, passage: Passage, changes: Changes
) -> dict[str, Any] | None:
    """With the caveat's state in its code, for an EHR that remembers overrides by it."""
    if topic is None or not passage.profile.topic_state:
        return topic
    code = code_with_state(topic["code"], caveat)
    if code != topic["code"]:
        changes.note("source.topic.code", "caveat state appended")
    return {**topic, "code": code}


def code_with_state(code: str, caveat: Caveat) -> str:
    """A topic's code with the caveat's state behind it: an override of one state does not silence another.

    Nothing is appended to a score that is supported. Else the level and eight hex digits of its first reason
    follow, so that one state has one code through every edition. Letters and digits only, at most
    `LONGEST_CODE`; a code that had to be changed for that carries eight digits of its own.
    """
    if caveat.level is CaveatLevel.SUPPORTED:
        return code
    state: str = caveat.level.value.title().replace("_", "") + _digits(caveat.key)
    letters = _NOT_A_LETTER.sub("", code)
    if letters != code or len(code) + len(state) > LONGEST_CODE:
        letters = letters[: LONGEST_CODE - len(state) - 8] + _digits(code)
    return letters + state


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def override_reasons_of(
    theirs: tuple[Any, ...], passage: Passage, changes: Changes
) -> list[dict[str, Any]] | None:
    """The vendor's reasons as far as they are right, then the site's, each once; None without any."""
    if not theirs and not passage.policy.override_reasons:
        return None
    reasons: dict[tuple[str, str], dict[str, Any]] = {}
    for reason in (*_right_reasons(theirs, changes), *passage.policy.override_reasons):
        reasons.setdefault((reason["system"], reason["code"]), dict(reason))
    if len(reasons) > MOST_REASONS:
        changes.note("overrideReasons", f"more than {MOST_REASONS}, the others removed")
    return list(reasons.values())[:MOST_REASONS] or None


def _right_reasons(theirs: Iterable[Any], changes: Changes) -> Iterator[dict[str, Any]]:
    seen: set[tuple[str, str]] = set()
    for number, reason in enumerate(theirs):
        member = f"overrideReasons[{number}]"
        coding = _coding(member, reason, changes) if isinstance(reason, dict) else None
        if not isinstance(reason, dict):
            changes.note(member, "of another type, removed")
        if coding is None:
            continue
        display = changes.line(f"{member}.display", coding.get("display", ""))
        if not display:
            changes.note(member, "without display, removed")
        elif (coding["system"], coding["code"]) in seen:
            changes.note(member, "a second time, removed")
        else:
            seen.add((coding["system"], coding["code"]))
            yield {**coding, "display": display}


def _coding(member: str, theirs: Mapping[str, Any], changes: Changes) -> dict[str, Any] | None:
    """A coding without the members that are wrong; None without a code or a system."""
    kept = {name: value for name, value in theirs.items() if _fits(name, value)}
    if not {"code", "system"} <= kept.keys():
        changes.note(member, "without code or system, removed")
        return None
    if kept.keys() != theirs.keys():
        changes.note(member, "empty, unknown or wrongly typed members removed")
    return kept


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str) and bool(clean_line(value))
    if name == "userSelected":
        return isinstance(value, bool)
    return name == "extension" and isinstance(value, list) and bool(value) and prune(value) == value
