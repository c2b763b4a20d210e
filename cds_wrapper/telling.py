"""What the operator is told of a request: the canonical line, what needs a look, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from cds_wrapper import log
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.cds import NOTHING_READ, NotRead, PrefetchState
from cds_wrapper.ehr.fhir import came_stripped
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.record import Decision, Life
from cds_wrapper.ledger.store import Ledger
from cds_wrapper.ledger.work import LedgerHealth, Replay
from cds_wrapper.log import call_events, ledger_events, read_events, vendor_events
from cds_wrapper.metrics.table import MISMATCH, OTHER, STRIPPED
from cds_wrapper.runtime import Call, Runtime
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status

LOOK_AT_LEDGER_EVERY = timedelta(milliseconds=250)
SLOW_SHARE = 0.5
"""A record that takes more than this part of the time kept for it is worth an operator's look."""


async def watch_ledger(ledger: Ledger, lines: log.OperatorLog) -> None:
    """Say when records cannot be written, and when they can again; runs until it is cancelled."""
    before = LedgerHealth(spool_available=True)
    while True:
        now = ledger.health
        for event, fields in changes(before, now):
            lines.emit(event, **fields)
        before = now
        await asyncio.sleep(LOOK_AT_LEDGER_EVERY.total_seconds())


def changes(before: LedgerHealth, now: LedgerHealth) -> Iterator[tuple[log.Event, dict[str, object]]]:
    """What an operator is told of the difference between two looks at the ledger, the worst first."""
    if now.lost_total > before.lost_total:
        yield ledger_events.RECORD_LOST, {"records": now.lost_total - before.lost_total}
    if now.chain_problems and now.chain_problems != before.chain_problems:
        yield ledger_events.CHAIN_BROKEN, {"problems": now.chain_problems}
    stores: dict[str, object] = {
        "error": now.last_error,
        "spool_error": now.spool_error,
        "queue_depth": now.queue_depth,
        "records": now.spool_records,
    }
    for was, is_now, gone, back in (
        (before.available, now.available, ledger_events.RECORDS_UNAVAILABLE, ledger_events.RECORDS_AVAILABLE),
        (
            before.ledger_available,
            now.ledger_available,
            ledger_events.LEDGER_UNAVAILABLE,
            ledger_events.LEDGER_AVAILABLE,
        ),
        (
            before.spool_available,
            now.spool_available,
            ledger_events.SPOOL_UNAVAILABLE,
            ledger_events.SPOOL_AVAILABLE,
        ),
    ):
        if was is not is_now:
            yield (back if is_now else gone), stores
    if now.spool_starts_total > before.spool_starts_total:
        yield ledger_events.SPOOL_STARTED, {"error": now.last_error, "records": now.spool_records}
    if now.replays_total > before.replays_total and now.last_replay is not None:
        yield ledger_events.SPOOL_REPLAYED, _replayed(now.last_replay)
    if now.out_of_place_total > before.out_of_place_total:
        yield (
            ledger_events.SPOOL_OUT_OF_ORDER,
            {"records": now.out_of_place_total - before.out_of_place_total},
        )


def _replayed(replay: Replay) -> dict[str, object]:
    return {
        "records": replay.records,
        "seconds": round(replay.took.total_seconds(), 3),
        "oldest": log.timestamp(replay.oldest) if replay.oldest else None,
    }


def tell_operator(
    entry: LedgerEntry,
    life: Life,
    prediction: Prediction | NoPrediction,
    decision: Decision | None,
    call: Call,
    rt: Runtime,
) -> None:
    """The canonical line, made from the record so that the two cannot disagree, and what needs a look."""
    known = life.service.plan.approves(prediction.model.version)
    name = call.name
    # A version nobody approved is whatever the vendor wrote; log and metrics do not repeat it.
    version = prediction.model.version if known else OTHER
    waited = round(call.elapsed_ms - float(entry["total_ms"] or 0), 3)
    cards = len(entry.card_uuids)
    rt.metrics.recorded(entry, version, cards, waited, call.elapsed_ms)
    if rt.tracer is not None:
        rt.tracer.tell(entry, version, waited)
    rt.log.emit(
        call_events.INVOCATION_COMPLETED,
        **entry.some(_CANONICAL_LINE),
        model_version=version,
        ledger_ms=waited,
        cards=cards,
        prefetch=_counted(life.prefetch.states.values()),
        **_absent_prefetch(life),
        **_odd_context(life),
        **name,
    )
    named = {"service_id": life.service.id, "prediction_id": entry.prediction_id, **name}
    if waited > life.service.ledger_reserve.total_seconds() * 1000 * SLOW_SHARE:
        rt.log.emit(ledger_events.LEDGER_SLOW, ledger_ms=waited, **named)
    _tell_of_the_call(life, rt, named)
    if isinstance(prediction, NoPrediction) and not _is_nobodys_failure(prediction):
        _tell_of_the_vendor(entry, prediction, rt.log, named)
    if (prediction.reason or "").startswith("score_"):
        rt.log.emit(vendor_events.VENDOR_ANSWER_IMPLAUSIBLE, reason=prediction.reason, **named)
    if decision is not None and decision.disposition is Disposition.SHADOW and not known:
        rt.log.emit(vendor_events.MODEL_VERSION_UNKNOWN, model_id=prediction.model.id, **named)


def _counted(states: Collection[PrefetchState]) -> dict[str, int]:
    """How many keys are in each state; of the few there are, most calls have one."""
    found = list(states)
    return {state.value: found.count(state) for state in dict.fromkeys(found)}


def _absent_prefetch(life: Life) -> dict[str, object]:
    """Our keys that nothing came for, and how many came that are not ours: often the same, misspelt.

    Theirs are counted and not named: a name of the EHR's own is text from outside.
    """
    states = life.prefetch.states
    absent = [key for key, state in states.items() if state is PrefetchState.ABSENT]
    if not absent:
        return {}
    unasked = sum(key not in states for key in life.request.prefetch)
    return {"prefetch_absent": absent, **({"prefetch_unasked": unasked} if unasked else {})}


def _odd_context(life: Life) -> dict[str, object]:
    """Members that the hook requires and the EHR did not send as they should be; the call went on without."""
    request = life.request
    found = {"context_missing": request.context_missing, "context_invalid": request.context_invalid}
    return {name: list(members) for name, members in found.items() if members}


def _tell_of_the_call(life: Life, rt: Runtime, named: Mapping[str, str]) -> None:
    """What is wrong with what the EHR sent."""
    about = {"hook": life.service.hook, "client": life.client.name, **named}
    states = life.prefetch.states
    others = [key for key, state in states.items() if state is PrefetchState.OTHER_PATIENT]
    if others:
        rt.metrics.count(MISMATCH, life.client.name)
        _alarm(rt, call_events.PATIENT_MISMATCH, prefetch_keys=others, **about)
    # Where we read with a token of our own, a call needs to bring nothing: then it is our token that lacks.
    reads_by_itself = life.prefetch.reading.not_read is NotRead.TOKEN_UNAVAILABLE
    if came_stripped(life.request, life.prefetch) and not reads_by_itself:
        rt.metrics.count(STRIPPED, life.client.name)
        _alarm(rt, call_events.REQUEST_STRIPPED, **about)
    if life.request.token is not None and life.request.fhir_server is None:
        rt.log.emit(read_events.FHIR_SERVER_NOT_NAMED, **about)
    if life.prefetch.reading is not NOTHING_READ:
        rt.metrics.read(life.client.name, life.prefetch.reading)
    if life.prefetch.reading.troubles:
        _tell_of_the_reading(life, rt, about)


def _tell_of_the_reading(life: Life, rt: Runtime, about: Mapping[str, str]) -> None:
    """What was missing and could not be read from the EHR's FHIR server."""
    reading = life.prefetch.reading
    match reading.not_read:
        case None:
            # A call without an encounter leaves a template for it unfilled: that is no failure.
            failed = {key: why for key, why in reading.troubles.items() if why != "template"}
            if failed:
                took = round(reading.took_ms, 3)
                rt.log.emit(read_events.FHIR_READ_FAILED, troubles=failed, fhir_ms=took, **about)
        case NotRead.HOST_REFUSED:
            _alarm(rt, read_events.HOST_REFUSED, **about)
        case why:
            keys = list(reading.troubles)
            rt.log.emit(read_events.FHIR_NOT_READ, reason=why.value, prefetch_keys=keys, **about)


def _alarm(rt: Runtime, event: log.Event, **fields: object) -> None:
    rt.alarms[event.name] += 1
    rt.log.emit(event, **fields)


def _is_nobodys_failure(prediction: NoPrediction) -> bool:
    """Stopped by order, or never asked since the chart lacks an input: nothing an operator could mend."""
    was_asked = prediction.call.attempts > 0
    return prediction.status is Status.STOPPED or (
        prediction.status is Status.MISSING_INPUT and not was_asked and prediction.reason is None
    )


def _tell_of_the_vendor(
    entry: LedgerEntry, prediction: NoPrediction, lines: log.OperatorLog, named: Mapping[str, str]
) -> None:
    """What is wrong with what the vendor answered; never its words."""
    took = {"vendor_ms": entry["vendor_ms"], "http_status": entry["vendor_http_status"]}
    lines.emit(
        vendor_events.VENDOR_FAILED, status=prediction.status.value, reason=prediction.reason, **took, **named
    )


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
