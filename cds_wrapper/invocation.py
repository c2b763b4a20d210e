"""The heart: what happens to one request, from the EHR's call to the answer, in the order it happens.

`invoke` tells the life of a request; whatever its rooms expect to go wrong comes back from them as a value.
`answer` is the guard around it: what nobody foresaw still ends in a truthful card and in a record.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never
from uuid import uuid5

import msgspec

from cds_wrapper import log
from cds_wrapper.caveats.cards import (
    CardStamp,
    Composition,
    Passage,
    compose,
    shown_attributes,
    standing_cards,
    unavailable_card,
)
from cds_wrapper.caveats.caveat import Disposition
from cds_wrapper.caveats.evidence import GENERAL, EvidenceBook, evidence_token
from cds_wrapper.caveats.orders import Standing, stricter
from cds_wrapper.caveats.plan import OnError
from cds_wrapper.caveats.score_card import write_card
from cds_wrapper.caveats.wording import OwnCard, choose_words
from cds_wrapper.cds import (
    CDSRequest,
    Prefetch,
    PrefetchState,
)
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.ehr.fhir import beside_of, came_stripped, patient_view
from cds_wrapper.ehr.habits import in_our_keys
from cds_wrapper.ehr.reads import complete_prefetch
from cds_wrapper.ehr.suggested import ResourceJudge
from cds_wrapper.errors import LedgerUnavailable
from cds_wrapper.ledger.record import Decision, Life, Returned, record_of
from cds_wrapper.log import call_events
from cds_wrapper.metrics.table import UNRECORDED
from cds_wrapper.patient.demographics import FAILED_BESIDE, NoPatient, describe
from cds_wrapper.patient.subgroups import PatientSubgroups
from cds_wrapper.runtime import Call, HungUp, Reply, Runtime
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.telling import tell_operator
from cds_wrapper.vendors.base import (
    NoPrediction,
    Prediction,
    Status,
    VendorCall,
    made_of_nothing,
)
from cds_wrapper.vendors.features import NO_FEATURES, Features


async def invoke(
    request: CDSRequest, client: TrustedClient, service: ServiceDefinition, rt: Runtime, call: Call
) -> Reply:
    """One request's life; every line is one room of the house."""
    request = in_our_keys(request, service.id, service.patient_key, client.profile)
    prefetch = await complete_prefetch(
        request,
        service.prefetch,
        service.patient_key,
        None if call.is_over else rt.readers.get(client.name),
        call.deadline.earlier(service.ledger_reserve),
        call.elapsed,
        read_by(service, call.standing),
    )
    beside = beside_of(prefetch, service.beside_keys, request.encounter_id)
    demographics = describe(patient_view(prefetch), request.received_at, service.rules, beside)
    subgroups = service.scheme.assign(demographics)
    features = service.features.read(request, prefetch) if service.features else NO_FEATURES
    call.life = Life(
        call.prediction_id, request, client, service, prefetch, demographics, subgroups, beside, features
    )

    vendor = rt.vendor_for(service, call.standing, is_over=call.is_over)
    left = call.deadline.earlier(service.ledger_reserve)
    prediction = await vendor.predict(request, prefetch, features, left)
    prediction = made_of_nothing(prediction) if came_stripped(request, prefetch) else prediction
    call.vendor_has_answered()

    prediction = with_its_card(prediction, service, features, request, call)
    call.standing = stricter(call.standing, rt.standing(service, request.received_at))
    decision = decided(service, subgroups, prediction, call.standing, features)
    composition = compose_cards(service, prediction, decision, rt, call)
    reply = reply_with(service, prediction, composition, call.standing)

    returned = Returned(reply.http_status, reply.cards, len(reply.body), await call.hung_up())
    entry = record_of(
        call.life, prediction, decision, composition, returned, call.spent(), rt.pseudonyms, rt.namespace
    )
    await rt.ledger.append(entry, call.left, if_late=[unrecorded_card_id(call)])
    call.has_been_recorded()
    rt.afterwards.do(tell_operator, entry, call.life, prediction, decision, call, rt)
    return reply


async def answer(
    request: CDSRequest,
    client: TrustedClient,
    service: ServiceDefinition,
    rt: Runtime,
    hung_up: HungUp,
    *,
    is_over: bool = False,
) -> Reply:
    """The guard: what `invoke` did not foresee becomes the answer that the service's plan decided ahead.

    An error is recorded too; if even that cannot be done, there is no record, and so no score. A call that
    `is_over` the most that this process serves in full is told so at once.
    """
    call = Call.begun(rt.new_id(), service.time_budget, client.trust_ms or 0.0, hung_up)
    call.standing, call.is_over = rt.standing(service, request.received_at), is_over
    for attempt in (invoke, own_error):
        try:
            return await attempt(request, client, service, rt, call)
        except LedgerUnavailable:
            break
        except Exception as error:  # noqa: BLE001  what nobody foresaw must still end in a card and a record
            where = {"error": type(error).__name__, "frames": log.frames_of(error)}
            rt.log.emit(
                call_events.INVOCATION_FAILED, service_id=service.id, hook=service.hook, **where, **call.name
            )
    rt.metrics.count(UNRECORDED, service.id)
    rt.log.emit(call_events.ANSWERED_WITHOUT_LEDGER, service_id=service.id, hook=service.hook, **call.name)
    return without_ledger(service, rt, call)


def read_by(service: ServiceDefinition, standing: Standing | None) -> Collection[str] | None:
    """The keys that may be read from the EHR's FHIR server: of a stopped service's, those for the record."""
    is_stopped = standing is not None and standing.disposition is Disposition.STOP
    return service.record_keys if is_stopped else None


def with_its_card(
    prediction: Prediction | NoPrediction,
    service: ServiceDefinition,
    features: Features,
    request: CDSRequest,
    call: Call,
) -> Prediction | NoPrediction:
    """A score whose vendor speaks no cards on the card that the site wrote for it."""
    if service.score_card is None or not isinstance(prediction, Prediction):
        return prediction
    band = service.band_of(prediction.score, prediction.flags)
    return write_card(prediction, service.score_card, band, features, request, call.prediction_id)


def decided(
    service: ServiceDefinition,
    subgroups: PatientSubgroups,
    prediction: Prediction | NoPrediction,
    standing: Standing | None = None,
    features: Features = NO_FEATURES,
) -> Decision:
    """What `decide` says with the edition in force, which is the same for patients of the same groups.

    Of a prediction it depends on no more than stands in the question here: not on the score itself, nor on
    what the cards say; of the inputs, on which are missing and which are in doubt. The time of a score that
    is too old is one patient's own, and is not remembered.
    """
    if prediction.status is Status.STALE:
        return decide(service, service.book, subgroups, prediction, standing, features)
    told = (
        (prediction.flagged, bool(prediction.cards))
        if isinstance(prediction, Prediction)
        else prediction.missing_inputs
    )
    version, inputs = prediction.model.version, features.condition if features.inputs else ()
    question = subgroups.groups, prediction.status, prediction.reason, version, told, standing, inputs
    decision: Decision = service.remembered.of(
        question, lambda: decide(service, service.book, subgroups, prediction, standing, features)
    )
    return decision


def decide(
    service: ServiceDefinition,
    book: EvidenceBook,
    subgroups: PatientSubgroups,
    prediction: Prediction | NoPrediction,
    standing: Standing | None = None,
    features: Features = NO_FEATURES,
) -> Decision:
    """Evidence, caveat, disposition and words for one prediction: a pure function of what the record keeps.

    Evidence is asked after the prediction, because a high score and a low one need different figures.
    """
    evidence = book.about(subgroups, prediction)
    caveat = service.policy.weigh(evidence, prediction, features)
    disposition = service.plan.settle(caveat, prediction, standing)
    words = choose_words(
        caveat, disposition, prediction, evidence, service.scheme, service.wording, service.words, standing
    )
    ordered = standing.decision_id if standing else None
    return Decision(book.edition, book.digest, caveat, disposition, words, ordered)


def compose_cards(
    service: ServiceDefinition,
    prediction: Prediction | NoPrediction,
    decision: Decision,
    rt: Runtime,
    call: Call,
) -> Composition:
    """The decision put on the vendor's cards, or one card in their stead."""
    stamp = stamp_of(service, decision.edition, decision.caveat.key, rt, call)
    passage = passage_of(service, rt, call)
    return compose(prediction, decision.words, decision.caveat, decision.disposition, stamp, passage)


def reply_with(
    service: ServiceDefinition,
    prediction: Prediction | NoPrediction,
    composition: Composition,
    standing: Standing | None = None,
) -> Reply:
    """The cards; or what the site wants in place of a card when the vendor gave nothing.

    While an order stands it alone says what is shown: what a site wants of a failure is no part of it.
    """
    if isinstance(prediction, Prediction) or standing is not None:
        return Reply.with_cards(composition.cards, composition.system_actions)
    match service.on_vendor_failure:
        case OnError.CARD:
            return Reply.with_cards(composition.cards)
        case OnError.EMPTY:
            return Reply.with_cards(())
        case OnError.ERROR:
            status = _FAILURE_STATUS.get(prediction.status, 502)
            return Reply.with_problem(status, "The model gave no result. This does not mean low risk.")
        case _:
            assert_never(service.on_vendor_failure)


# HTTP statuses of a site that wants errors (CDS Hooks 2.0.1, "HTTP Status Codes").
_FAILURE_STATUS = {Status.MISSING_INPUT: 412, Status.TIMED_OUT: 504}


def stamp_of(service: ServiceDefinition, edition: str, key: str, rt: Runtime, call: Call) -> CardStamp:
    """What every card of this answer carries of its record, and the addresses of the pages behind it."""
    pages = f"{rt.public_url}/evidence/{service.id}/{edition}"
    return CardStamp(
        prediction_id=call.prediction_id,
        edition=edition,
        plan_version=str(service.plan.version),
        wording_version=service.wording.version,
        extension_key=rt.extension_key,
        own_label=f"{service.words.model_name} ({service.words.developer})",
        vendor_label=service.vendor.developer,
        link_url=f"{pages}/{evidence_token(edition, key)}",
        general_url=f"{pages}/{evidence_token(edition, GENERAL)}",
        shown=shown_attributes(service.scheme),
    )


def passage_of(service: ServiceDefinition, rt: Runtime, call: Call) -> Passage:
    """What of the vendor's cards may pass: what the site lets through, and what this EHR understands."""
    if call.life is None:
        return Passage(service.cards, https_only=rt.https_only)
    judge = None
    if rt.check_resource is not None and service.cards.lets_actions_through:
        judge = ResourceJudge(call.life.request.patient_id, rt.check_resource)
    return Passage(service.cards, call.life.client.profile, rt.https_only, judge)


# When it goes wrong -----------------------------------------------------------------------------------------


def without_ledger(service: ServiceDefinition, rt: Runtime, call: Call) -> Reply:
    """No record, no score: one card that says so. Its id is its own, since no prediction stands behind it."""
    stamp = stamp_of(service, service.book.edition, GENERAL, rt, call)
    if call.standing is not None:
        cards = standing_cards(call.standing, service.wording, service.words, stamp)
    else:
        cards = (unavailable_card(OwnCard.NOT_RECORDED, service.wording, service.words, stamp),)
    own_id = unrecorded_card_id(call)
    return Reply.with_cards(tuple(msgspec.structs.replace(card, uuid=own_id) for card in cards))


def unrecorded_card_id(call: Call) -> str:
    """The id of the card that is returned when the record is not durable in time; a late record names it."""
    return str(uuid5(call.prediction_id, "not recorded"))


async def own_error(
    request: CDSRequest, client: TrustedClient, service: ServiceDefinition, rt: Runtime, call: Call
) -> Reply:
    """Record that we failed, with what is certain about the call, and give the plan's answer for it."""
    reply = error_reply(service, rt, call)
    life = call.life or nothing_known(request, client, service, call)
    prediction = NoPrediction(Status.ERROR, service.vendor.model.configured, VendorCall())
    ordered = call.standing.decision_id if call.standing else None
    returned = Returned(reply.http_status, reply.cards, len(reply.body), abandoned=False, ordered=ordered)
    entry = record_of(life, prediction, None, None, returned, call.spent(), rt.pseudonyms, rt.namespace)
    await rt.ledger.append(entry, call.left, if_late=[unrecorded_card_id(call)])
    call.has_been_recorded()
    rt.afterwards.do(tell_operator, entry, life, prediction, None, call, rt)
    return reply


def nothing_known(request: CDSRequest, client: TrustedClient, service: ServiceDefinition, call: Call) -> Life:
    """A life whose patient could not be read because of us: every detail is missing, its flag says why."""
    demographics = describe(NoPatient.ERROR, request.received_at, service.rules, FAILED_BESIDE)
    prefetch = Prefetch({}, {}, None, PrefetchState.ERROR)
    subgroups = service.scheme.assign(demographics)
    return Life(call.prediction_id, request, client, service, prefetch, demographics, subgroups)


def error_reply(service: ServiceDefinition, rt: Runtime, call: Call) -> Reply:
    """What the plan decided ahead for an error of our own; where an order stands, what it shows."""
    if call.standing is not None:
        stamp = stamp_of(service, service.book.edition, GENERAL, rt, call)
        return Reply.with_cards(standing_cards(call.standing, service.wording, service.words, stamp))
    match service.plan.on_error:
        case OnError.EMPTY:
            return Reply.with_cards(())
        case OnError.ERROR:
            return Reply.with_problem(
                500, "The service met an error of its own. This does not mean low risk."
            )
        case OnError.CARD:
            stamp = stamp_of(service, service.book.edition, GENERAL, rt, call)
            card = unavailable_card(OwnCard.NO_RESULT, service.wording, service.words, stamp)
            return Reply.with_cards((card,))
        case _:
            assert_never(service.plan.on_error)
