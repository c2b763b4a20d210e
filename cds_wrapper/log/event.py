"""What an event of the operator log is: its name, its level, what it means and what it may carry."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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


def event(name: str, level: Level, meaning: str, fields: str = "") -> Event:
    """One event; `fields` are names with blanks between."""
    return Event(name, level, meaning, frozenset(fields.split()))
