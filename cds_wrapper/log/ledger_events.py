"""The events of the ledger: written or not, the spool beside it, its chain and its stream."""

from __future__ import annotations

from cds_wrapper.log.event import Level, event

LEDGER_SLOW = event(
    "ledger_slow",
    Level.WARNING,
    "A record took more than half of the time kept for it.",
    "request_id prediction_id service_id ledger_ms",
)
_STORES = "error spool_error queue_depth records"
LEDGER_UNAVAILABLE = event(
    "ledger_unavailable",
    Level.CRITICAL,
    "The ledger cannot be written, or does not answer in time; the spool stands in for it while it can.",
    _STORES,
)
LEDGER_AVAILABLE = event("ledger_available", Level.INFO, "The ledger is written again.", _STORES)
SPOOL_UNAVAILABLE = event(
    "spool_unavailable",
    Level.ERROR,
    "The spool cannot be written: nothing would stand in for the ledger.",
    _STORES,
)
SPOOL_AVAILABLE = event("spool_available", Level.INFO, "The spool can be written again.", _STORES)
RECORDS_UNAVAILABLE = event(
    "records_unavailable",
    Level.CRITICAL,
    "Neither the ledger nor the spool can be written: scores are withheld as the plan decided for that case.",
    _STORES,
)
RECORDS_AVAILABLE = event("records_available", Level.INFO, "Records can be made durable again.", _STORES)
SPOOL_STARTED = event(
    "spool_started",
    Level.ERROR,
    "Records become durable in the spool from now on; cards go out as ever.",
    "error records",
)
SPOOL_REPLAYED = event(
    "spool_replayed",
    Level.INFO,
    "What the spool held is in the ledger, which is used again; `oldest` is when it was first written to.",
    "records seconds oldest",
)
RECORD_LOST = event(
    "record_lost",
    Level.CRITICAL,
    "Lines of the spool were damaged or are missing; what is left of them is in `damaged.jsonl` beside it.",
    "records",
)
SPOOL_OUT_OF_ORDER = event(
    "spool_out_of_order",
    Level.ERROR,
    "Lines of the spool stood where others had been written; all of them were moved to the ledger.",
    "records",
)
CHAIN_BROKEN = event(
    "chain_broken",
    Level.CRITICAL,
    "The end of this writer's rows is not what was written last: somebody changed the ledger; audit it.",
    "problems",
)
STREAM_INTERRUPTED = event(
    "stream_interrupted",
    Level.ERROR,
    "Lines of the prediction stream cannot be written; no record and no answer is affected.",
    "stream error problem lag_rows",
)
STREAM_RESUMED = event(
    "stream_resumed", Level.INFO, "The prediction stream goes on from where it stopped.", "stream lag_rows"
)
STREAM_RESTARTED = event(
    "stream_restarted",
    Level.WARNING,
    "The stream's cursor does not fit this ledger: it is written from the ledger's beginning.",
    "stream reason",
)
