"""Records for the ledger's benchmark: every column of the contract, made in the corridor from whole calls."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid5

import msgspec

from cds_wrapper.app import DEVELOPMENT_CLIENT
from cds_wrapper.bench.calls import HookCall
from cds_wrapper.caveats.cards import Composition
from cds_wrapper.cds import read_request
from cds_wrapper.ehr.fhir import beside_of, patient_view, sort_prefetch
from cds_wrapper.invocation import compose_cards, decide, reply_with
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.ledger.record import Decision, Life, Returned, Spent, record_of
from cds_wrapper.outbound import Answer, Deadline
from cds_wrapper.patient.demographics import describe
from cds_wrapper.runtime import Call, Runtime
from cds_wrapper.vendors.base import NoPrediction, Prediction, VendorCall
from cds_wrapper.vendors.cds_hooks import CDSHooksVendor
from cds_wrapper.vendors.guard import Guarded

_SPENT = Spent(total_ms=52.5, decide_ms=0.6)
_VENDOR_MS = 50.2


@dataclass(frozen=True, slots=True)
class Lived:
    """Everything `record_of` is given at the end of one request's life."""

    life: Life
    prediction: Prediction | NoPrediction
    decision: Decision
    composition: Composition
    returned: Returned

    def as_another(self, prediction_id: UUID) -> Lived:
        """The same once more, with a prediction and cards of its own."""
        cards = tuple(
            msgspec.structs.replace(card, uuid=str(uuid5(prediction_id, str(place))))
            for place, card in enumerate(self.returned.cards)
        )
        life = replace(self.life, prediction_id=prediction_id)
        return replace(self, life=life, returned=replace(self.returned, cards=cards))


def lived(call: HookCall, rt: Runtime) -> Lived:
    """The corridor from the request to the reply, with the vendor's answer as it is known beforehand."""
    request = read_request(call.body, datetime.now(UTC))
    service = next(iter(rt.services.catalog))
    prefetch = sort_prefetch(request, service.prefetch, service.patient_key)
    beside = beside_of(prefetch, service.beside_keys, request.encounter_id)
    demographics = describe(patient_view(prefetch), request.received_at, service.rules, beside)
    subgroups = service.scheme.assign(demographics)
    this_call = Call(rt.new_id(), Deadline.after(service.time_budget), _still_there)
    life = Life(
        this_call.prediction_id,
        request,
        DEVELOPMENT_CLIENT,
        service,
        prefetch,
        demographics,
        subgroups,
        beside,
    )
    prediction = _read(rt.vendors[service.id, service.hook], call)
    decision = decide(service, service.book, subgroups, prediction)
    composition = compose_cards(service, prediction, decision, rt, this_call)
    reply = reply_with(service, prediction, composition)
    returned = Returned(reply.http_status, reply.cards, len(reply.body), abandoned=False)
    return Lived(life, prediction, decision, composition, returned)


def _read(vendor: object, call: HookCall) -> Prediction | NoPrediction:
    asked = vendor.vendor if isinstance(vendor, Guarded) else vendor
    if not isinstance(asked, CDSHooksVendor):
        raise TypeError("the benchmark's service has a vendor that speaks CDS Hooks")
    cost = VendorCall(_VENDOR_MS, 200, 1, len(call.body), len(call.answer))
    return asked.read(Answer(200, call.answer), cost)


async def _still_there() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Made:
    """Entries, and the processor time that `record_of` took for each of them in us."""

    entries: Sequence[LedgerEntry]
    cpu_us: float


def make_entries(calls: Sequence[HookCall], rt: Runtime, count: int) -> Made:
    """So many entries, the patients in turn; only the making of the entry itself is timed."""
    lives = [lived(call, rt) for call in calls]
    prepared = list(itertools.islice(_others(lives, rt), count))
    before = time.thread_time()
    entries = [_record(one, rt) for one in prepared]
    return Made(entries, (time.thread_time() - before) / count * 1e6)


def _others(lives: Sequence[Lived], rt: Runtime) -> Iterator[Lived]:
    for one in itertools.cycle(lives):
        yield one.as_another(rt.new_id())


def _record(one: Lived, rt: Runtime) -> LedgerEntry:
    return record_of(
        one.life,
        one.prediction,
        one.decision,
        one.composition,
        one.returned,
        _SPENT,
        rt.pseudonyms,
        rt.namespace,
    )
