"""The events about evidence: an edition swapped, rejected or unreadable; a review, and what it opened."""

from __future__ import annotations

from cds_wrapper.log_event import Level, event

EVIDENCE_SWAPPED = event(
    "evidence_swapped",
    Level.INFO,
    "An edition of evidence that was published is in force in this process; also told at the start.",
    "service_id edition digest as_of edition_id findings",
)
EVIDENCE_REJECTED = event(
    "evidence_rejected",
    Level.ERROR,
    "A published edition cannot be used; the last good one stays in force.",
    "service_id edition_id edition problem",
)
EVIDENCE_UNREADABLE = event(
    "evidence_unreadable",
    Level.ERROR,
    "Published editions cannot be read from the ledger; the last known ones stay in force.",
    "problem",
)
EVIDENCE_READABLE = event(
    "evidence_readable", Level.INFO, "Published editions can be read from the ledger again."
)

EDITION_EVENTS = (EVIDENCE_SWAPPED, EVIDENCE_REJECTED, EVIDENCE_UNREADABLE, EVIDENCE_READABLE)
