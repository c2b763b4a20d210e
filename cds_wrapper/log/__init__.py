"""The operator log: structlog JSON lines, event names from one list, fields by allow-list.

An operator log holds no patient data. That is kept by construction: an event may carry only the fields its
row in `EVENTS` names, values are short scalars, and exceptions leave only their class and our own frames.
"""

from cds_wrapper.log.event import Event, Level
from cds_wrapper.log.every_event import EVENTS
from cds_wrapper.log.lines import LONGEST_VALUE, OperatorLog, frames_of, quieten_libraries, timestamp

__all__ = [
    "EVENTS",
    "LONGEST_VALUE",
    "Event",
    "Level",
    "OperatorLog",
    "frames_of",
    "quieten_libraries",
    "timestamp",
]
