"""The events of the process itself: it begins, is ready, drains, ends; its settings and files."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

PROCESS_STARTED = event("process_started", Level.INFO, "The process begins.", "settings_digest profile")
PROCESS_READY = event(
    "process_ready", Level.INFO, "Requests are served from now on.", "settings_digest services editions"
)
PROCESS_DRAINING = event("process_draining", Level.INFO, "A stop was asked for; `/readyz` fails from now on.")
PROCESS_STOPPED = event("process_stopped", Level.INFO, "Every answer begun was given and recorded.")
SETTINGS_REFUSED = event(
    "settings_refused",
    Level.CRITICAL,
    "The process will not start: which setting, why, what to do.",
    "problem",
)
DEVELOPMENT_PROFILE = event(
    "development_profile",
    Level.WARNING,
    "Plain http and keys that end with the process are allowed: never use this profile with patients.",
)
CONFIGURATION_LOADED = event(
    "configuration_loaded", Level.INFO, "The files of a service are in force.", "service_id digest edition"
)
LIBRARY_WARNING = event(
    "library_warning",
    Level.WARNING,
    "A library reported something; its words are left out, since they may hold data.",
    "logger library_level error frames",
)
