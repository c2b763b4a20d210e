"""The events about outcomes."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

OUTCOMES_IMPORTED = event(
    "outcomes_imported",
    Level.INFO,
    "A file of outcomes, or a search for some, was imported; its rows by what became of them.",
    "service_id outcome form read written same rejected seconds",
)
