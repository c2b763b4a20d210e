"""What `/readyz` tells of records and services beside its checks."""

from __future__ import annotations

from datetime import datetime

from cds_wrapper.runtime import Runtime


def written(runtime: Runtime | None, now: datetime) -> dict[str, object]:
    """Where records can be made durable, how many came into the ledger so far, what the spool holds."""
    if runtime is None:
        return {}
    health = runtime.ledger.health
    oldest = health.spool_oldest
    return {
        "ledger": health.ledger_available,
        "records": health.records_total,
        "batches": health.batches_total,
        "spool": health.spool_available,
        "spool_stands_in": health.spool_stands_in,
        "spool_records": health.spool_records,
        "spool_bytes": health.spool_bytes,
        "spool_oldest_seconds": max(0, int((now - oldest).total_seconds())) if oldest else None,
    }


def streamed(runtime: Runtime | None) -> dict[str, object]:
    """Whether lines are written, and how many rows wait for theirs; no reason not to answer."""
    if runtime is None or runtime.stream is None:
        return {}
    health = runtime.stream.health
    return {"stream": {"available": health.available, "lag_rows": health.lag_rows}}


def in_force(runtime: Runtime | None, now: datetime) -> dict[str, object]:
    """Whether each service is live, in shadow or stopped; none of it is a reason not to answer."""
    if runtime is None:
        return {}
    states = runtime.orders.states(runtime.services.catalog, now)
    return {"services": {name: state.value for name, state in states.items()}}
