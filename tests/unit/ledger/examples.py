"""Synthetic records for the ledger's tests: a whole row, and what each test needs to differ in it."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cds_wrapper.ledger.columns import COLUMNS, COMMITTED
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.ledger.store import LedgerReader, SQLiteLedger

LONG_ENOUGH = timedelta(seconds=30)
NOON = datetime(2027, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)


def attribute(value: str | None, *members: str, missing: str | None = None) -> dict[str, Any]:
    """One attribute as the demographics column holds it."""
    return {
        "value": value,
        "missing": missing,
        "members": list(members) or ([value] if value else []),
        "raw_codes": [],
        "source": None,
        "dq": [],
        "scheme": "example-1",
    }


SENT = {"source": "prefetch", "read_at": "2026-06-30T12:00:00.000Z"}
DEMOGRAPHICS = {
    "age_band": attribute("30-39"),
    "race": attribute("multiple", "black", "asian"),
    "language": attribute(None, missing="declined"),
}
SUBGROUPS = [
    "age_band=30-39",
    "race=multiple",
    "language=missing:declined",
    "payer=missing:not_fetched",
    "race*age_band=multiple*30-39",
]


def columns(**differences: Any) -> dict[str, Any]:
    """Every column a caller sets: a whole and ordinary prediction, but for the differences."""
    prediction_id = str(differences.pop("prediction_id", uuid.uuid4()))
    given = {
        "prediction_id": prediction_id,
        "service_id": "cvd-risk",
        "hook": "patient-view",
        "hook_instance": "7c1f0f62-88b1-4a55-9a53-0f4f9a1c2b3d",
        "hook_instance_valid": True,
        "client": "demonstration",
        "environment": "development",
        "is_test": False,
        "occurred_at": NOON,
        "patient_fhir_key": "p1:51aa07c3e9d24411",
        "user_key": "u1:77d0a91b64c2e833",
        "user_kind": "Practitioner",
        "key_id": "example",
        "model_id": "prevent-base",
        "model_version": "2023.1",
        "model_version_source": "response",
        "status": "answered",
        "score": 0.12,
        "score_kind": "probability",
        "threshold_id": "treat",
        "threshold": 0.075,
        "flagged": True,
        "age_band": "30-39",
        "race": "multiple",
        "language": "missing:declined",
        "demographics": DEMOGRAPHICS,
        "subgroups": SUBGROUPS,
        "inputs": {"patient": {"state": "present", **SENT}, "lipids": {"state": "empty", **SENT}},
        "inputs_used": 1,
        "inputs_missing": ["lipids"],
        "caveat_level": "limited",
        "caveat_reasons": ["thin_evidence"],
        "caveat_scope": "patient",
        "caveat_in_summary": False,
        "wording_ids": ["L1"],
        "disposition": "annotate",
        "displayed": "unknown",
        "delivery": "sent",
        "http_status": 200,
        "cards_returned": [card_of(prediction_id)],
        "changes_made": [],
        "vendor_ms": 41.5,
        "total_ms": 44.0,
        "wrapper_version": "0.0.0",
    }
    nothing = dict.fromkeys(column.name for column in COLUMNS if column.name not in COMMITTED)
    return {**nothing, **given, **differences}


def entry(**differences: Any) -> LedgerEntry:
    return LedgerEntry(columns(**differences))


def card_of(prediction_id: str) -> str:
    """The one card of an example prediction."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, prediction_id))


def count(path: Path, table: str = "predictions") -> int:
    """How many rows a table of a ledger has."""
    return int(LedgerReader(path).rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])


async def opened(path: Path, **options: Any) -> SQLiteLedger:
    """A ledger that has been opened; the caller closes it."""
    ledger = SQLiteLedger(path, **options)
    await ledger.open()
    return ledger


def feedback(
    card: str, outcome: str = "overridden", suggestions: Sequence[str] = (), service: str = "cvd-risk"
) -> FeedbackEntry:
    """Feedback on a card, as it is read from a call."""
    raw = {
        "card": card,
        "outcome": outcome,
        "outcomeTimestamp": "2027-03-04T12:05:00Z",
        "acceptedSuggestions": [{"id": one} for one in suggestions],
    }
    read = read_feedback_entry(raw, service, "demonstration", NOON)
    assert isinstance(read, FeedbackEntry)
    return read


class Locked:
    """Another connection that holds the write lock."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")
        self._connection.close()
