"""A vendor's suggestions, each passed whole or not at all.

The actions of one suggestion are one transaction (CDS Hooks 2.0.1, "Suggestion"): none is split off,
reordered or dropped, and what cannot be judged takes its whole suggestion with it.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from cds_wrapper.caveats.actions import Refused, read_action
from cds_wrapper.caveats.passage import Changes, Passage
from cds_wrapper.cds import Action, Suggestion
from cds_wrapper.cds_answer import MOST_SUGGESTIONS, VendorCard, VendorSuggestion

MOST_ACTIONS: Final = 10
"""Actions of one suggestion; nobody could check more before accepting them."""

_ALL: Final = "all"
_ACTION_BEHAVIOURS: Final = frozenset({_ALL, "any", "at-most-one"})


def suggestions_of(
    vendor: VendorCard, card_uuid: str, passage: Passage, changes: Changes
) -> list[Suggestion] | None:
    """The suggestions that may be offered, in the vendor's order; None without any."""
    if not vendor.suggestions:
        return None
    if vendor.selection_behavior is None:
        changes.note("suggestions", "without selectionBehavior, removed")
        return None
    if vendor.left_out:
        changes.note("suggestions", f"more than {MOST_SUGGESTIONS}, the others removed")
    read = (_read(number, one, card_uuid, passage, changes) for number, one in enumerate(vendor.suggestions))
    return [suggestion for suggestion in read if suggestion is not None] or None


def _read(
    number: int, theirs: VendorSuggestion, card_uuid: str, passage: Passage, changes: Changes
) -> Suggestion | None:
    member = f"suggestions[{number}]"
    if theirs.label is None:
        changes.note(member, "without label, removed")
        return None
    label = changes.line(f"{member}.label", theirs.label)
    if not label:
        changes.note(member, "without label, removed")
        return None
    if not _may_be_chosen_whole(member, theirs, passage, changes):
        return None
    actions = _actions(member, theirs, passage, changes)
    if actions is None:
        return None
    if theirs.unknown:
        changes.note(member, f"{theirs.unknown} unknown members, held_back")
    uuid = (theirs.uuid or "").strip() and theirs.uuid
    if not uuid:
        changes.note(f"{member}.uuid", "missing, added")
    return Suggestion(
        label=label,
        uuid=uuid or str(uuid5(UUID(card_uuid), f"suggestion {number}")),
        isRecommended=theirs.is_recommended,
        actions=actions or None,
        actionSelectionBehavior=_action_behaviour(theirs, passage),
    )


def _may_be_chosen_whole(member: str, theirs: VendorSuggestion, passage: Passage, changes: Changes) -> bool:
    """Whether its actions may be taken as one: a client that knows no other way would take all of them."""
    behaviour = theirs.action_behavior
    if behaviour is None:
        return True
    known = isinstance(behaviour, str) and behaviour in _ACTION_BEHAVIOURS
    if known and passage.profile.partial_acceptance:
        return True
    if behaviour != _ALL:
        changes.note(member, "actionSelectionBehavior the EHR does not know, removed")
        return False
    changes.note(f"{member}.actionSelectionBehavior", "removed")
    return True


def _action_behaviour(theirs: VendorSuggestion, passage: Passage) -> str | None:
    behaviour = theirs.action_behavior
    return behaviour if isinstance(behaviour, str) and passage.profile.partial_acceptance else None


def _actions(
    member: str, theirs: VendorSuggestion, passage: Passage, changes: Changes
) -> list[Action] | None:
    """Every action of a suggestion, or None when one of them cannot pass; empty when it has none."""
    if not theirs.actions:
        return []
    if not passage.policy.suggestions:
        changes.note(member, "actions_held_back")
        return None
    if len(theirs.actions) > MOST_ACTIONS:
        changes.note(member, f"more than {MOST_ACTIONS} actions, removed")
        return None
    passed: list[Action] = []
    noted: list[tuple[str, str]] = []
    for number, members in enumerate(theirs.actions):
        read = read_action(members, passage)
        if isinstance(read, Refused):
            changes.note(f"{member}.actions[{number}]", f"{read.why}, suggestion removed")
            return None
        passed.append(read.action)
        noted += ((f"{member}.actions[{number}].{name}", why) for name, why in read.changed)
    for name, why in noted:
        changes.note(name, why)
    return passed
