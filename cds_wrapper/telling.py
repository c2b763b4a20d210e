"""What the operator is told of a request: the canonical line, and what needs a look."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from cds_wrapper import log
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.cds import PrefetchState
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.record import Decision, Life
from cds_wrapper.ledger.store import Ledger
from cds_wrapper.runtime import Call, Runtime
from cds_wrapper.vendors.base import NoPrediction, Prediction

LOOK_AT_LEDGER_EVERY = timedelta(milliseconds=250)


def later(tell: Callable[..., None], *about: object) -> None:
    """Tell once the answer is on its way: what goes wrong in telling must not change a recorded answer."""
    asyncio.get_running_loop().call_soon(tell, *about)


async def watch_ledger(ledger: Ledger, lines: log.OperatorLog) -> None:
    """Say when records cannot be written, and when they can again; runs until it is cancelled."""
    was_available = True
    while True:
        health = ledger.health
        if health.available is not was_available:
            was_available = health.available
            event = log.LEDGER_AVAILABLE if was_available else log.LEDGER_UNAVAILABLE
            lines.emit(event, error=health.last_error, queue_depth=health.queue_depth)
        await asyncio.sleep(LOOK_AT_LEDGER_EVERY.total_seconds())


def tell_operator(
    entry: LedgerEntry,
    life: Life,
    prediction: Prediction | NoPrediction,
    decision: Decision | None,
    call: Call,
    rt: Runtime,
) -> None:
    """The canonical line, made from the record so that the two cannot disagree, and what needs a look."""
    columns = {name: entry[name] for name in _CANONICAL_LINE}
    service, states = life.service, life.prefetch.states
    known = service.plan.approves(prediction.model.version)
    # A version nobody approved is whatever the vendor wrote; it stays out of the operator's log.
    version = prediction.model.version if known else "other"
    rt.log.emit(
        log.INVOCATION_COMPLETED,
        **{**columns, "model_version": version},
        request_id=str(call.prediction_id),
        ledger_ms=round(call.elapsed_ms - float(entry["total_ms"] or 0), 3),
        cards=len(entry.card_uuids),
        prefetch=dict(Counter(state.value for state in states.values())),
    )
    about = {
        "service_id": service.id,
        "prediction_id": entry.prediction_id,
        "request_id": entry.prediction_id,
    }
    if PrefetchState.OTHER_PATIENT in states.values():
        keys = [key for key, state in states.items() if state is PrefetchState.OTHER_PATIENT]
        rt.log.emit(
            log.PATIENT_MISMATCH, hook=service.hook, client=life.client.name, prefetch_keys=keys, **about
        )
    if isinstance(prediction, NoPrediction):
        failed = {"status": prediction.status.value, "reason": prediction.reason}
        rt.log.emit(
            log.VENDOR_FAILED,
            vendor_ms=entry["vendor_ms"],
            http_status=entry["vendor_http_status"],
            **failed,
            **about,
        )
        if (prediction.reason or "").startswith("score_"):
            rt.log.emit(log.VENDOR_ANSWER_IMPLAUSIBLE, reason=prediction.reason, **about)
    if decision is not None and decision.disposition is Disposition.SHADOW and not known:
        rt.log.emit(log.MODEL_VERSION_UNKNOWN, model_id=prediction.model.id, **about)


_CANONICAL_LINE = (
    "prediction_id",
    "service_id",
    "hook",
    "trigger",
    "client",
    "environment",
    "status",
    "http_status",
    "delivery",
    "model_id",
    "evidence_edition",
    "plan_version",
    "trust_ms",
    "fhir_ms",
    "vendor_ms",
    "decide_ms",
    "total_ms",
    "budget_ms",
    "vendor_attempts",
    "bytes_in",
    "bytes_out",
)
