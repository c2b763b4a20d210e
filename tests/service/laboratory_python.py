"""The rows of the fault table that only a callable of the site's own can bring about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cds_wrapper.vendors.base import Status
from cds_wrapper.vendors.reasons import Reason
from tests.service.laboratory_acts import Does
from tests.service.laboratory_adapters import Adapter, Place
from tests.service.laboratory_table import Card, Cell, Fault, Never, Outcome, cells, unreadable

_NO_CALLABLE: Final = Never("it is asked over HTTP: no code of the site's own runs")
_RAISED: Final = Cell(Status.FAILED, Reason.CALLABLE_RAISED)
_ENDED: Final = Cell(Status.FAILED, Reason.WORKER_ENDED)
_OWN: Final = "The callable is the site's own: run it by hand with the same inputs."
_PROCESS: Final = (
    "The callable's process ended, as when memory is short; another is started after a pause. Look for"
    " `worker_ended` in the log."
)


def _of_callable(cell: Cell) -> Mapping[Adapter, Outcome]:
    return cells(_NO_CALLABLE, python=cell)


def _row(name: str, do: str, deed: str, cell: Cell, place: Place = Place.USUAL) -> Fault:
    waits = cell.status is Status.TIMED_OUT
    return Fault(name, do, Does(deed), _of_callable(cell), place, waits=waits)


CALLABLES: Final = (
    _row("raises an exception", _OWN, "raises", _RAISED),
    _row("calls `sys.exit`", _OWN, "exits", _RAISED),
    _row("returns what JSON cannot hold", _OWN, "object", _RAISED),
    _row("returns None", _OWN, "nothing", unreadable(Reason.SCORE_NOT_FOUND)),
    _row(
        "prints",
        "Nothing: what it prints goes nowhere.",
        "prints",
        Cell(Status.ANSWERED, card=Card.SCORE, score=0.031),
    ),
    _row("sleeps on", _OWN, "sleeps", Cell(Status.TIMED_OUT), Place.SLEEPS),
    _row("works without end", _OWN, "loops", Cell(Status.TIMED_OUT), Place.LOOPS),
    _row("ends its process (`os._exit`)", _PROCESS, "ends", _ENDED, Place.ENDS),
    _row("is killed", _PROCESS, "kills", _ENDED, Place.KILLED),
    _row(
        "cannot be imported",
        "See `python.call` and `python.folder`, and `worker_ended` in the log for the kind of error.",
        "gives",
        Cell(Status.UNREACHABLE, Reason.WORKER_NOT_READY, attempts=0),
        Place.NO_IMPORT,
    ),
)
