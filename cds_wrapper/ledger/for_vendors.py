"""Feedback as its vendor may hear it: read from the ledger behind a place, in order, under the vendor's ids.

What is about a card that we wrote ourselves, or about one that the vendor gave no id, is nobody's business
but ours; a clinician's comment is not even in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from cds_wrapper.cds_answer import MOST_SUGGESTIONS
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.ledger.tail import Place, Places

_TABLE: Final = "feedback"
_START: Final = Place(0, "")

_WRITERS: Final = "SELECT writer, sequence FROM chain_heads WHERE chain = 'feedback' ORDER BY writer"
_ROWS: Final = """
SELECT f.writer, f.sequence, f.hash, f.card_uuid, f.outcome, f.outcome_at, f.accepted_suggestions,
       f.reason_code, f.reason_system, f.reason_display,
       p.service_id, p.hook, p.cards_returned, p.vendor_cards
FROM feedback f LEFT JOIN predictions p ON p.prediction_id = f.prediction_id
WHERE f.writer = ? AND f.sequence > ? AND f.sequence <= ? ORDER BY f.sequence LIMIT ?"""
_IS_THERE: Final = """
SELECT EXISTS (SELECT 1 FROM feedback WHERE writer = ? AND sequence = ? AND hash = ?)
    OR EXISTS (SELECT 1 FROM erasures WHERE chain = 'feedback' AND writer = ? AND sequence = ? AND hash = ?)
    AS found"""


@dataclass(frozen=True, slots=True, repr=False)
class FeedbackBatch:
    """What lies behind a place: the entries for the vendor, the place after them, whether that is all."""

    entries: tuple[Mapping[str, Any], ...]
    places: Places
    is_whole: bool

    def __repr__(self) -> str:
        return f"FeedbackBatch({len(self.entries)} entries)"


class FeedbackReader:
    """Reads the feedback on one service's cards; each call opens a connection of its own.

    Raises `LedgerUnavailable` when the ledger cannot be read.
    """

    def __init__(self, ledger: Path, service_id: str, hook: str) -> None:
        self._reader = LedgerReader(ledger)
        self._service = (service_id, hook)

    def after(self, places: Places, most: int) -> FeedbackBatch:
        """The next rows behind `places`, at most so many of them, writer by writer."""
        found: list[Mapping[str, Any]] = []
        for head in self._reader.rows(_WRITERS):
            after = places.get((_TABLE, head["writer"]), _START).sequence
            left = most - len(found)
            if after < head["sequence"] and left:
                found += self._reader.rows(_ROWS, head["writer"], after, head["sequence"], left)
        behind = {(_TABLE, row["writer"]): Place(row["sequence"], row["hash"]) for row in found}
        entries = (
            entry_for_vendor(row) for row in found if (row["service_id"], row["hook"]) == self._service
        )
        kept = tuple(entry for entry in entries if entry is not None)
        return FeedbackBatch(kept, {**places, **behind}, is_whole=len(found) < most)

    def holds(self, places: Places) -> bool:
        """Whether each place is one of this ledger: the row is there with that hash, or was erased."""
        return all(
            table == _TABLE and bool(self._reader.rows(_IS_THERE, writer, *place, writer, *place)[0]["found"])
            for (table, writer), place in places.items()
        )


def entry_for_vendor(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """One entry of a feedback call (CDS Hooks 2.0.1, "Feedback"), or None when it is not for the vendor."""
    theirs = dict(zip(row["cards_returned"] or (), row["vendor_cards"] or (), strict=False))
    card = theirs.get(row["card_uuid"])
    if not card or not card.strip():
        return None
    entry = {"card": card, "outcome": row["outcome"], "outcomeTimestamp": row["outcome_at"]}
    if row["outcome"] != "accepted":
        reason = _reason(row)
        return {**entry, "overrideReason": {"reason": reason}} if reason else entry
    accepted = _their_suggestions(row["card_uuid"], row["accepted_suggestions"] or ())
    return {**entry, "acceptedSuggestions": [{"id": one} for one in accepted]} if accepted else None


def _reason(row: Mapping[str, Any]) -> dict[str, str] | None:
    """The override reason, when all of it is there; half a Coding would be no CDS Hooks."""
    coding = {name: row[f"reason_{name}"] for name in ("code", "system", "display")}
    return coding if all(coding.values()) else None


def _their_suggestions(card: str, accepted: Sequence[str]) -> list[str]:
    """Without the ids that we gave to suggestions which had none."""
    try:
        ours = {str(uuid5(UUID(card), f"suggestion {number}")) for number in range(MOST_SUGGESTIONS)}
    except ValueError:
        return []
    return [one for one in accepted if one not in ours]
