"""The operator log: structlog JSON lines, event names from one list, fields by allow-list.

An operator log holds no patient data. That is kept by construction: an event may carry only the fields its
row in `EVENTS` names, values are short scalars, and exceptions leave only their class and our own frames.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import logging
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import structlog

from cds_wrapper import __version__

LONGEST_VALUE = 300
_PACKAGE = Path(__file__).parent


class Level(enum.Enum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the list of events: stable name, level, meaning and the fields it may carry."""

    name: str
    level: Level
    meaning: str
    fields: frozenset[str]


def _event(name: str, level: Level, meaning: str, fields: str = "") -> Event:
    return Event(name, level, meaning, frozenset(fields.split()))


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
    "Callers are not authenticated and plain http is allowed: never use this profile with patients.",
)
CONFIGURATION_LOADED = _event(
    "configuration_loaded", Level.INFO, "The files of a service are in force.", "service_id digest edition"
)
INVOCATION_COMPLETED = _event(
    "invocation_completed",
    Level.INFO,
    "The canonical line of one call, made from its record.",
    "request_id prediction_id service_id hook trigger client environment status http_status delivery cards"
    " model_id model_version evidence_edition plan_version prefetch trust_ms fhir_ms vendor_ms decide_ms"
    " ledger_ms total_ms budget_ms vendor_attempts bytes_in bytes_out",
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
    "request_id http_status reason service_id",
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
LEDGER_UNAVAILABLE = _event(
    "ledger_unavailable", Level.CRITICAL, "Records cannot be written.", "error queue_depth"
)
LEDGER_AVAILABLE = _event("ledger_available", Level.INFO, "Records are written again.", "error queue_depth")
LIBRARY_WARNING = _event(
    "library_warning",
    Level.WARNING,
    "A library reported something; its words are left out, since they may hold data.",
    "logger library_level error frames",
)

EVENTS: Mapping[str, Event] = {
    event.name: event
    for event in (
        PROCESS_STARTED,
        PROCESS_READY,
        PROCESS_DRAINING,
        PROCESS_STOPPED,
        SETTINGS_REFUSED,
        DEVELOPMENT_PROFILE,
        CONFIGURATION_LOADED,
        INVOCATION_COMPLETED,
        INVOCATION_FAILED,
        ANSWERED_WITHOUT_LEDGER,
        PATIENT_MISMATCH,
        REQUEST_STRIPPED,
        LEDGER_SLOW,
        FEEDBACK_RECEIVED,
        REQUEST_REFUSED,
        VENDOR_FAILED,
        VENDOR_ANSWER_IMPLAUSIBLE,
        MODEL_VERSION_UNKNOWN,
        LEDGER_UNAVAILABLE,
        LEDGER_AVAILABLE,
        LIBRARY_WARNING,
    )
}


class Detached:
    """A stream written by a thread of its own: a reader that stalls must not stop an answer.

    What it cannot take any more is refused with `OSError`, which costs that line and nothing else.
    """

    MOST_LINES = 10_000

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(self.MOST_LINES)
        threading.Thread(target=self._write_on, name="operator-log", daemon=True).start()
        atexit.register(self._flush_at_exit)

    def write(self, text: str) -> int:
        """Hand a line over; `OSError` when too many are waiting."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            raise OSError("the operator log's reader has stalled") from None
        return len(text)

    def flush(self) -> None:
        """The thread flushes after every line."""

    def _write_on(self) -> None:
        while True:
            text = self._lines.get()
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()
            self._lines.task_done()

    def _flush_at_exit(self) -> None:
        """Wait for the lines that are waiting, but not for a reader that is not there."""
        give_up = time.monotonic() + 1
        while self._lines.unfinished_tasks and time.monotonic() < give_up:
            time.sleep(0.01)


class OperatorLog:
    """Writes events of the list, each with the fields it may carry and no others."""

    def __init__(self, writer: str, stream: TextIO | Detached | None = None) -> None:
        """`writer` names host and process; lines go to `stream` (standard error by default)."""
        self._bound = {"writer": writer, "version": __version__}
        self._lost = 0
        self._lines = structlog.wrap_logger(
            structlog.WriteLogger(stream or sys.stderr),  # type: ignore[arg-type]  # it writes and flushes, no more
            processors=[_in_order, structlog.processors.JSONRenderer()],
        )

    def emit(self, event: Event, **fields: object) -> None:
        """Write one line; a field the event does not name is dropped and counted in `dropped`."""
        allowed = {key: _short(value) for key, value in fields.items() if key in event.fields}
        dropped = len(fields) - len(allowed)
        line: dict[str, Any] = {**self._bound, **allowed}
        if dropped:
            line["dropped"] = dropped
        if self._lost:
            line["lost_before"] = self._lost
        try:
            self._lines.msg(event.name, ts=timestamp(datetime.now(UTC)), level=event.level.value, **line)
        except OSError:
            # A full disk under the operator log must not take an answer with it; the next line says how many.
            self._lost += 1
        else:
            self._lost = 0


def _in_order(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level and event stand first in every line."""
    first = {name: line[name] for name in ("ts", "level", "event")}
    return {**first, **line}


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> object:
    """Scalars as they are, long text cut, collections item by item, anything else by its type only."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
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
