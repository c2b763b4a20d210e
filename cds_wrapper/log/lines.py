"""Writes the operator log: structlog JSON lines with the fields that their event may carry."""

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

from cds_wrapper import __version__
from cds_wrapper.log.event import Event
from cds_wrapper.log.process_events import LIBRARY_WARNING
from cds_wrapper.log.stream import Detached

LONGEST_VALUE = 300
_PACKAGE = Path(__file__).parent.parent


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
