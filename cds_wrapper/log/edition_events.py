"""The events about evidence: an edition swapped, rejected or unreadable; a review, and what it opened."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

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

REVIEW_COMPLETED = event(
    "review_completed",
    Level.INFO,
    "A review is over and recorded; `dated` is its number where it was a dated one.",
    "service_id as_of episodes opened findings dated",
)
REVIEW_FAILED = event(
    "review_failed",
    Level.ERROR,
    "A service could not be reviewed; its last edition stays in force, and other services are looked at.",
    "service_id problem error frames",
)
EVIDENCE_PUBLISHED = event(
    "evidence_published",
    Level.INFO,
    "A review published an edition of evidence; serving processes follow.",
    "service_id edition digest as_of",
)
FINDING_OPENED = event(
    "finding_opened",
    Level.WARNING,
    "A review found something; `findings` says what and what the plan says.",
    "service_id finding_id kind direction since",
)
FINDINGS_TOLD = event(
    "findings_told",
    Level.INFO,
    "The owner's address has taken findings that are open.",
    "service_id findings",
)
FINDINGS_NOT_TOLD = event(
    "findings_not_told",
    Level.ERROR,
    "The owner's address did not take findings that are open; the next review tells them again.",
    "service_id findings reason",
)
REVIEW_OVERDUE = event(
    "review_overdue",
    Level.WARNING,
    "No `review` of a service was recorded for twice the time that its plan allows; told once.",
    "service_id since owner",
)
OUTCOMES_OVERDUE = event(
    "outcomes_overdue",
    Level.WARNING,
    "No outcomes of a service were imported for twice the time that its plan allows; told once.",
    "service_id since owner",
)
EVIDENCE_EXPIRED = event(
    "evidence_expired",
    Level.WARNING,
    "The edition in force is older than twice the time between two dated reviews; told once.",
    "service_id since owner",
)
FINDING_CLOSED = event(
    "finding_closed", Level.WARNING, "Two roles closed a finding.", "service_id finding_id by second"
)
