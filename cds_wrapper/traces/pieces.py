"""A call's trace, made from its record once its answer is on its way: what took how long, nothing of whom.

Attributes come from a closed list of columns that hold no identifier. An address, a query or a text of
anybody cannot stand in a trace, since none is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cds_wrapper.ledger.entries import LedgerEntry

Attribute = str | bool | int | float

ATTRIBUTES: Final = (
    "service_id",
    "hook",
    "client",
    "environment",
    "status",
    "http_status",
    "delivery",
    "model_id",
    "vendor_attempts",
    "vendor_http_status",
    "budget_ms",
    "bytes_in",
    "bytes_out",
)
"""Columns of the record that a trace may hold: what is configured, closed lists and counts."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One span: its name, its begin and end in milliseconds since the call came in, what is said of it."""

    name: str
    begins: float
    ends: float
    attributes: Mapping[str, Attribute]


class Tracer(Protocol):
    """Whoever sends traces on."""

    def tell(self, entry: LedgerEntry, version: str, ledger_ms: float) -> None:
        """A call is recorded; `version` is the model's as the plan names it, or `other`."""
        ...

    def close(self) -> None:
        """Send what waits; waits for the collector a moment at most."""
        ...


def pieces_of(entry: LedgerEntry, version: str, ledger_ms: float) -> tuple[Piece, ...]:
    """The whole call first, and then its parts in their order; a part that took no time is left out.

    What the record does not say, it does not guess: a vendor was asked until the deciding began, and the
    ledger's wait came last.
    """
    row = entry.some(("trust_ms", "fhir_ms", "vendor_ms", "decide_ms", "total_ms"))
    trust, fhir, vendor, decide, total = (float(value or 0.0) for value in row.values())
    decided_from = total - decide
    parts = (
        Piece("trust", 0.0, trust, {}),
        Piece("fhir reads", trust, trust + fhir, {}),
        Piece(
            "vendor",
            decided_from - vendor,
            decided_from,
            _said(entry, "vendor_attempts", "vendor_http_status"),
        ),
        Piece("decide", decided_from, total, {}),
        Piece("ledger", total, total + ledger_ms, {}),
    )
    whole = Piece(
        "hook call", 0.0, total + ledger_ms, {**_said(entry, *ATTRIBUTES), "model_version": version}
    )
    return (whole, *(part for part in parts if part.ends > part.begins))


def began_at(entry: LedgerEntry) -> float:
    """When the call came in, in seconds since 1970: its body was there once its caller was known."""
    occurred = datetime.fromisoformat(str(entry["occurred_at"]))
    return occurred.timestamp() - float(entry["trust_ms"] or 0.0) / 1000


def _said(entry: LedgerEntry, *names: str) -> dict[str, Attribute]:
    return {name: value for name, value in entry.some(names).items() if value is not None}
