"""Everything that happened to one request, gathered into the row that is written down. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cds_wrapper import __version__
from cds_wrapper.caveats.cards import Composition, card_uuid
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.caveats.policy import Caveat, Reason
from cds_wrapper.caveats.wording import CaveatWords
from cds_wrapper.cds import Card, CDSRequest, Prefetch
from cds_wrapper.cds_client import TrustedClient
from cds_wrapper.ehr.fhir import carries_test_label
from cds_wrapper.ehr.habits import is_test_patient, trigger_of
from cds_wrapper.ledger.entries import (
    LedgerEntry,
    demographic_columns,
    input_columns,
    keys_of,
    prediction_columns,
)
from cds_wrapper.ledger.pseudonyms import Pseudonyms
from cds_wrapper.ledger.values import json_text_of_texts, milliseconds
from cds_wrapper.patient.demographics import NOTHING_BESIDE, NOWHERE, Beside, Demographics, place_of
from cds_wrapper.patient.subgroups import PatientSubgroups
from cds_wrapper.services import ServiceDefinition
from cds_wrapper.services.definitions import short
from cds_wrapper.vendors.base import NoPrediction, Prediction
from cds_wrapper.vendors.features import NO_FEATURES, Features

_LONGEST_CARD_ID = 256


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """What was decided about one prediction: pure functions of what the record and the kept files hold.

    `decision_id` names the order it was decided under, if one was in force. `columns` are its columns of the
    record, made with it, since it mostly is about many patients alike.
    """

    edition: str
    edition_digest: str
    caveat: Caveat
    disposition: Disposition
    words: CaveatWords
    decision_id: str | None = None
    columns: Mapping[str, object] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _columns_of(self))

    def __repr__(self) -> str:
        return f"Decision({self.disposition.value})"


@dataclass(frozen=True, slots=True)
class Returned:
    """What goes back to the EHR: status, cards and bytes; `abandoned` when the EHR had hung up by then.

    `ordered` is the id of the order whose card goes back when nothing could be decided.
    """

    http_status: int
    cards: tuple[Card, ...]
    bytes_out: int
    abandoned: bool
    ordered: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds from the call's arrival to now, and those of them spent on deciding."""

    total_ms: float
    decide_ms: float


@dataclass(frozen=True, slots=True, repr=False)
class Life:
    """Who called, about whom, what was known of the patient, and the model's inputs that were found."""

    prediction_id: UUID
    request: CDSRequest
    client: TrustedClient
    service: ServiceDefinition
    prefetch: Prefetch
    demographics: Demographics
    subgroups: PatientSubgroups
    beside: Beside = NOTHING_BESIDE
    features: Features = NO_FEATURES

    def __repr__(self) -> str:
        return f"Life({self.prediction_id})"


def record_of(
    life: Life,
    prediction: Prediction | NoPrediction,
    decision: Decision | None,
    composition: Composition | None,
    returned: Returned,
    spent: Spent,
    pseudonyms: Pseudonyms,
    namespace: str,
) -> LedgerEntry:
    """The row of `predictions_v1` for one request, whatever became of it.

    `namespace` is the system of the ids in a context whose client has none of its own. `decision` and
    `composition` are None when the life ended in an error of our own before they were made.
    """
    service = life.service
    systems = {"patient": service.identifiers.patient, "encounter": service.identifiers.encounter}
    encounter = life.beside.encounter if isinstance(life.beside.encounter, bytes) else None
    first = service.thresholds[0] if service.thresholds else None
    return LedgerEntry(
        {
            "prediction_id": str(life.prediction_id),
            "service_id": service.id,
            **_call_columns(life),
            **keys_of(
                life.request,
                pseudonyms,
                life.client.namespace or namespace,
                systems,
                life.prefetch.patient,
                encounter,
            ),
            **demographic_columns(life.demographics, life.subgroups),
            **input_columns(
                life.request,
                life.prefetch,
                prediction,
                service.own_keys,
                life.features,
                _doubtful(life.features, decision),
            ),
            **prediction_columns(prediction, first.id if first else None, first.at if first else None),
            "band": _band(service, prediction),
            **_decision_columns(decision, composition, returned.ordered),
            **_version_columns(service),
            **_returned_columns(life, returned, spent),
            "vendor_cards": _vendor_cards(life, prediction, composition, returned),
            "fhir_ms": life.prefetch.reading.took_ms,
            "bytes_in": life.request.body_bytes,
        }
    )


def _doubtful(features: Features, decision: Decision | None) -> tuple[str, ...]:
    """Labels of the inputs in doubt: by their code, and by the group this patient is of."""
    if not features.inputs:
        return ()
    reasons = decision.caveat.reasons if decision else ()
    by_group = {name for one in reasons if one.reason is Reason.DOUBTFUL_INPUT for name, _ in one.inputs}
    return tuple(one.label for one in features.inputs if one in features.doubtful or one.name in by_group)


def _band(service: ServiceDefinition, prediction: Prediction | NoPrediction) -> str | None:
    if not isinstance(prediction, Prediction):
        return None
    return service.band_of(prediction.score, prediction.flags)


def _call_columns(life: Life) -> dict[str, object]:
    request, client, patient = life.request, life.client, life.prefetch.patient
    place = NOWHERE
    if life.service.places is not None:
        place = place_of(life.beside.encounter, request.received_at.date(), life.service.places)
    return {
        "hook": request.hook,
        "trigger": trigger_of(request, client.profile),
        "hook_instance": request.hook_instance,
        "hook_instance_valid": request.hook_instance_is_uuid,
        "client": client.name,
        "environment": client.environment,
        "is_test": carries_test_label(patient) or is_test_patient(patient, client.profile),
        "tenant": client.tenant,
        "issuer": client.issuer,
        "trust_ms": client.trust_ms,
        "occurred_at": request.received_at,
        "site": place.site,
        "unit": place.unit,
        "care_setting": place.care_setting,
    }


_UNDECIDED: Mapping[str, object] = {
    "caveat_level": None,
    "caveat_reasons": None,
    "caveat_scope": None,
    "wording_ids": None,
    "words_digest": None,
    "evidence_edition": None,
    "disposition": None,
    "decision_id": None,
    "caveat_in_summary": None,
    "changes_made": None,
}


def _columns_of(decision: Decision) -> Mapping[str, object]:
    """The columns that are the same for every record of this decision."""
    return {
        "caveat_level": decision.caveat.level.value,
        "caveat_reasons": json_text_of_texts(decision.caveat.texts),
        "caveat_scope": decision.caveat.scope.value if decision.caveat.scope else None,
        "wording_ids": json_text_of_texts(decision.words.wording_ids),
        "words_digest": decision.words.digest,
        "evidence_edition": decision.edition,
        "disposition": decision.disposition.value,
        "decision_id": decision.decision_id,
    }


def _decision_columns(
    decision: Decision | None, composition: Composition | None, ordered: str | None
) -> Mapping[str, object]:
    if decision is None or composition is None:
        return {**_UNDECIDED, "decision_id": ordered}
    changes = json_text_of_texts(composition.changes)
    return {**decision.columns, "caveat_in_summary": composition.in_summary, "changes_made": changes}


def _version_columns(service: ServiceDefinition) -> Mapping[str, object]:
    columns: Mapping[str, object] = service.remembered.of("versions", lambda: _versions(service))
    return columns


def _versions(service: ServiceDefinition) -> Mapping[str, object]:
    return {
        "file_digests": json_text_of_texts({file.kind: file.digest for file in service.files}),
        "wording_version": service.wording.version,
        "plan_version": str(service.plan.version),
        "service_version": short(service.versions.service),
        "card_version": short(service.versions.card),
        "subgroups_version": short(service.versions.subgroups),
        "wrapper_version": __version__,
    }


def _vendor_cards(
    life: Life, prediction: Prediction | NoPrediction, composition: Composition | None, returned: Returned
) -> list[str | None]:
    """The vendor's id of each card that goes back: what feedback to the vendor has to name.

    A card of our own has none; nor has one whose id is so long that no vendor would know it again.
    """
    theirs: dict[str, str | None] = {}
    if isinstance(prediction, Prediction) and composition is not None and not composition.is_our_own:
        theirs = {
            card_uuid(life.prediction_id, position): card.uuid
            for position, card in enumerate(prediction.cards)
        }
    found = [theirs.get(card.uuid) for card in returned.cards]
    return [one if one and len(one) <= _LONGEST_CARD_ID else None for one in found]


def _returned_columns(life: Life, returned: Returned, spent: Spent) -> dict[str, object]:
    return {
        "displayed": life.client.profile.displayed or life.service.displayed,
        "delivery": "abandoned" if returned.abandoned else "sent",
        "http_status": returned.http_status,
        "cards_returned": [card.uuid for card in returned.cards],
        "decide_ms": spent.decide_ms,
        "total_ms": spent.total_ms,
        "budget_ms": milliseconds(life.service.time_budget),
        "bytes_out": returned.bytes_out,
    }
