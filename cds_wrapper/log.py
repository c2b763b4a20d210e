"""The operator log: structlog JSON lines, event names from one list, fields by allow-list.

An operator log holds no patient data. That is kept by construction: an event may carry only the fields its
row in `EVENTS` names, values are short scalars, and exceptions leave only their class and our own frames.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec
import structlog

from cds_wrapper import __version__, log_event
from cds_wrapper.log_editions import EDITION_EVENTS
from cds_wrapper.log_orders import ORDER_EVENTS
from cds_wrapper.log_outcomes import OUTCOME_EVENTS
from cds_wrapper.log_reads import READ_EVENTS
from cds_wrapper.log_stream import Detached
from cds_wrapper.log_vendors import VENDOR_EVENTS

LONGEST_VALUE = 300
_PACKAGE = Path(__file__).parent

Event = log_event.Event
Level = log_event.Level

_OWN_MODULES = (*READ_EVENTS, *VENDOR_EVENTS, *ORDER_EVENTS, *EDITION_EVENTS, *OUTCOME_EVENTS)
_events: dict[str, Event] = {event.name: event for event in _OWN_MODULES}
EVENTS: Mapping[str, Event] = _events
"""Every event by its name: those of the list below, and those that have a module of their own."""


def _event(name: str, level: Level, meaning: str, fields: str = "") -> Event:
    assert name not in _events, "an event is declared once"  # noqa: S101  a mistake of ours, found at import
    _events[name] = log_event.event(name, level, meaning, fields)
    return _events[name]


PROCESS_STARTED = _event("process_started", Level.INFO, "The process begins.", "settings_digest profile")
PROCESS_READY = _event(
    "process_ready", Level.INFO, "Requests are served from now on.", "settings_digest services editions"
)
PROCESS_DRAINING = _event(
    "process_draining", Level.INFO, "A stop was asked for; `/readyz` fails from now on."
)
PROCESS_STOPPED = _event("process_stopped", Level.INFO, "Every answer begun was given and recorded.")
SETTINGS_REFUSED = _event(
    "settings_refused",
    Level.CRITICAL,
    "The process will not start: which setting, why, what to do.",
    "problem",
)
DEVELOPMENT_PROFILE = _event(
    "development_profile",
    Level.WARNING,
    "Plain http and keys that end with the process are allowed: never use this profile with patients.",
)
CALLERS_NOT_AUTHENTICATED = _event(
    "callers_not_authenticated",
    Level.WARNING,
    "There is no `clients.yaml`, so anybody may call: development only, never with patients.",
)
CLIENTS_LOADED = _event(
    "clients_loaded", Level.INFO, "Only the EHRs of `clients.yaml` may call.", "clients digest discovery"
)
CLIENT_KEYS_UNAVAILABLE = _event(
    "client_keys_unavailable",
    Level.WARNING,
    "An EHR's key set could not be read; its last good one, of this age, serves until it is too old.",
    "client reason keys_age_seconds",
)
CLIENT_KEYS_READ = _event(
    "client_keys_read",
    Level.INFO,
    "An EHR's key set was read again after a failure, holds no usable key, or holds a private one.",
    "client keys unusable private",
)
TOKEN_REPLAYED = _event(
    "token_replayed",
    Level.ERROR,
    "A valid token was used a second time and refused: a copied token, or a proxy that sends calls twice.",
    "client",
)
REPLAY_MEMORY_UNAVAILABLE = _event(
    "replay_memory_unavailable",
    Level.ERROR,
    "Used tokens cannot be written to `CDS_WRAPPER_REPLAY`; this process remembers them by itself.",
    "error",
)
REPLAY_MEMORY_AVAILABLE = _event(
    "replay_memory_available", Level.INFO, "Used tokens are written to `CDS_WRAPPER_REPLAY` again."
)
CONFIGURATION_LOADED = _event(
    "configuration_loaded", Level.INFO, "The files of a service are in force.", "service_id digest edition"
)
INVOCATION_COMPLETED = _event(
    "invocation_completed",
    Level.INFO,
    "The canonical line of one call, made from its record; `context_missing` and `context_invalid` name what"
    " its hook requires and the EHR did not send, or sent in another shape; `prefetch_absent` names the keys"
    " nothing came for, `prefetch_unasked` counts those that came beside them under names of the EHR's own.",
    "request_id prediction_id service_id hook trigger client environment status http_status delivery cards"
    " model_id model_version evidence_edition plan_version prefetch prefetch_absent prefetch_unasked"
    " context_missing context_invalid trust_ms fhir_ms vendor_ms decide_ms ledger_ms total_ms budget_ms"
    " vendor_attempts bytes_in bytes_out",
)
INVOCATION_FAILED = _event(
    "invocation_failed",
    Level.ERROR,
    "Our own unforeseen error; the plan's answer was given.",
    "request_id prediction_id service_id hook error frames",
)
ANSWERED_WITHOUT_LEDGER = _event(
    "answered_without_ledger",
    Level.ERROR,
    "A record could not be made durable in time; the plan's answer for that case was given.",
    "request_id service_id hook",
)
PATIENT_MISMATCH = _event(
    "patient_mismatch",
    Level.ERROR,
    "A prefetch value belongs to another patient; it was withheld from everybody.",
    "request_id prediction_id service_id hook client prefetch_keys",
)
REQUEST_STRIPPED = _event(
    "request_stripped",
    Level.ERROR,
    "A call came with neither prefetch nor token: the address or the registration in the EHR does not match.",
    "request_id prediction_id service_id hook client",
)
LEDGER_SLOW = _event(
    "ledger_slow",
    Level.WARNING,
    "A record took more than half of the time kept for it.",
    "request_id prediction_id service_id ledger_ms",
)
FEEDBACK_RECEIVED = _event(
    "feedback_received", Level.INFO, "Feedback was stored.", "service_id entries unmatched rejected"
)
REQUEST_REFUSED = _event(
    "request_refused",
    Level.WARNING,
    "A call was refused before a service and a context were known.",
    "request_id http_status reason service_id client",
)
VENDOR_FAILED = _event(
    "vendor_failed",
    Level.WARNING,
    "The vendor gave nothing usable.",
    "request_id prediction_id service_id status reason http_status vendor_ms",
)
VENDOR_ANSWER_IMPLAUSIBLE = _event(
    "vendor_answer_implausible",
    Level.ERROR,
    "The vendor's score is not where it was declared, has another type, or lies outside its range.",
    "request_id prediction_id service_id reason",
)
MODEL_VERSION_UNKNOWN = _event(
    "model_version_unknown",
    Level.ERROR,
    "The model's version is not in the plan; its scores are recorded and not shown.",
    "request_id prediction_id service_id model_id",
)
_STORES = "error spool_error queue_depth records"
LEDGER_UNAVAILABLE = _event(
    "ledger_unavailable",
    Level.CRITICAL,
    "The ledger cannot be written, or does not answer in time; the spool stands in for it while it can.",
    _STORES,
)
LEDGER_AVAILABLE = _event("ledger_available", Level.INFO, "The ledger is written again.", _STORES)
SPOOL_UNAVAILABLE = _event(
    "spool_unavailable",
    Level.ERROR,
    "The spool cannot be written: nothing would stand in for the ledger.",
    _STORES,
)
SPOOL_AVAILABLE = _event("spool_available", Level.INFO, "The spool can be written again.", _STORES)
RECORDS_UNAVAILABLE = _event(
    "records_unavailable",
    Level.CRITICAL,
    "Neither the ledger nor the spool can be written: scores are withheld as the plan decided for that case.",
    _STORES,
)
RECORDS_AVAILABLE = _event("records_available", Level.INFO, "Records can be made durable again.", _STORES)
SPOOL_STARTED = _event(
    "spool_started",
    Level.ERROR,
    "Records become durable in the spool from now on; cards go out as ever.",
    "error records",
)
SPOOL_REPLAYED = _event(
    "spool_replayed",
    Level.INFO,
    "What the spool held is in the ledger, which is used again; `oldest` is when it was first written to.",
    "records seconds oldest",
)
RECORD_LOST = _event(
    "record_lost",
    Level.CRITICAL,
    "Lines of the spool were damaged or are missing; what is left of them is in `damaged.jsonl` beside it.",
    "records",
)
SPOOL_OUT_OF_ORDER = _event(
    "spool_out_of_order",
    Level.ERROR,
    "Lines of the spool stood where others had been written; all of them were moved to the ledger.",
    "records",
)
CHAIN_BROKEN = _event(
    "chain_broken",
    Level.CRITICAL,
    "The end of this writer's rows is not what was written last: somebody changed the ledger; audit it.",
    "problems",
)
STREAM_INTERRUPTED = _event(
    "stream_interrupted",
    Level.ERROR,
    "Lines of the prediction stream cannot be written; no record and no answer is affected.",
    "stream error problem lag_rows",
)
STREAM_RESUMED = _event(
    "stream_resumed", Level.INFO, "The prediction stream goes on from where it stopped.", "stream lag_rows"
)
STREAM_RESTARTED = _event(
    "stream_restarted",
    Level.WARNING,
    "The stream's cursor does not fit this ledger: it is written from the ledger's beginning.",
    "stream reason",
)
_OFFERED = "service_id joins shared additional colliding unusable unusual unasked unreadable"
VENDOR_DISCOVERY_READ = _event(
    "vendor_discovery_read",
    Level.INFO,
    "A vendor's own list of services was read; its prefetch keys are named, held against `service.yaml`.",
    _OFFERED,
)
VENDOR_DISCOVERY_CHANGED = _event(
    "vendor_discovery_changed",
    Level.WARNING,
    "A vendor asks for something else than at the start; taken at the next start, where its templates join.",
    _OFFERED,
)
VENDOR_DISCOVERY_UNAVAILABLE = _event(
    "vendor_discovery_unavailable",
    Level.WARNING,
    "A vendor's list of services could not be read, or does not list ours; what was read last holds.",
    "service_id reason",
)
VENDOR_FEEDBACK_SENT = _event(
    "vendor_feedback_sent", Level.INFO, "A vendor took feedback on its cards.", "service_id entries"
)
VENDOR_FEEDBACK_FAILED = _event(
    "vendor_feedback_failed",
    Level.WARNING,
    "Feedback cannot be passed on to a vendor; it is kept and tried again until it can.",
    "service_id reason",
)
VENDOR_FEEDBACK_REFUSED = _event(
    "vendor_feedback_refused",
    Level.ERROR,
    "A vendor calls entries of feedback wrong (HTTP 400, 413, 422); each was tried alone, and given up.",
    "service_id entries refused",
)
VENDOR_FEEDBACK_RESTARTED = _event(
    "vendor_feedback_restarted",
    Level.WARNING,
    "The place up to which a vendor has heard does not fit this ledger: it is told from the beginning.",
    "service_id reason",
)
LIBRARY_WARNING = _event(
    "library_warning",
    Level.WARNING,
    "A library reported something; its words are left out, since they may hold data.",
    "logger library_level error frames",
)


class OperatorLog:
    """Writes events of the list, each with the fields it may carry and no others."""

    def __init__(self, writer: str, stream: TextIO | Detached | None = None) -> None:
        """`writer` names host and process; lines go to `stream` (standard error by default)."""
        self._bound = {"writer": writer, "version": __version__}
        self._lost = 0
        # Its processors are left out: what they would do to each line is done here in one go, for every call.
        self._lines = structlog.WriteLogger(stream or sys.stderr)  # type: ignore[arg-type]  # it writes and flushes, no more

    def emit(self, event: Event, **fields: object) -> None:
        """Write one line; a field the event does not name is dropped and counted in `dropped`."""
        line: dict[str, object] = {"ts": timestamp(datetime.now(UTC)), "level": event.level.value}
        line |= {"event": event.name, **self._bound}
        for name, value in fields.items():
            if name in event.fields:
                line[name] = value if type(value) in _SHORT else _short(value)
        dropped = len(fields) - sum(map(event.fields.__contains__, fields))
        if dropped:
            line["dropped"] = dropped
        if self._lost:
            line["lost_before"] = self._lost
        try:
            self._lines.msg(_as_json(line))
        except OSError:
            # A full disk under the operator log must not take an answer with it; the next line says how many.
            self._lost += 1
        else:
            self._lost = 0


_encoder = json.JSONEncoder()
_SHORT = frozenset({int, float, bool, type(None)})


def _as_json(line: Mapping[str, object]) -> str:
    """One line of JSON in ASCII; `_short` has left nothing in it that JSON does not know."""
    try:
        text = msgspec.json.encode(line)
    except UnicodeEncodeError:
        return _encoder.encode(line)
    return text.decode() if text.isascii() else _encoder.encode(line)


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> object:
    """Scalars as they are, long text cut, collections item by item, anything else by its type only."""
    match value:
        case str():
            return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_short(item) for item in value[:20]]
        case dict():
            return {str(key): _short(item) for key, item in list(value.items())[:40]}
        case _:
            return type(value).__name__


def frames_of(error: BaseException) -> list[str]:
    """Where an exception passed through our own code: `module:line function`, innermost last; no values."""
    return [
        f"{Path(frame.filename).relative_to(_PACKAGE).as_posix()}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ][-8:]


class _LibraryMessages(logging.Handler):
    """Standard logging of libraries, reduced to who, how bad and which exception class."""

    def __init__(self, log: OperatorLog) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a `library_warning`; the message itself may hold an address or a value and is left out."""
        error = record.exc_info[1] if record.exc_info else None
        self._log.emit(
            LIBRARY_WARNING,
            logger=record.name,
            library_level=record.levelname.lower(),
            error=type(error).__name__ if error else None,
            frames=frames_of(error) if error else [],
        )


def quieten_libraries(log: OperatorLog) -> None:
    """Send what libraries log through the one door."""
    root = logging.getLogger()
    root.handlers[:] = [_LibraryMessages(log)]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "aiohttp", "httpx"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)
