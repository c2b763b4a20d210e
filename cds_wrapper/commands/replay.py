"""Computes a recorded decision again from the record and the kept files, and names every difference.

Nothing of the vendor's text is needed: groups, evidence, level, reasons, disposition and our words are pure
functions of what is kept. Here they are computed a second time and held against what was stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

import msgspec

from cds_wrapper.caveats.evidence import Direction, EvidenceBook
from cds_wrapper.caveats.orders import Order
from cds_wrapper.caveats.policy import CaveatReason, Reason, Scope
from cds_wrapper.caveats.wording import CaveatWords
from cds_wrapper.cds_answer import VendorCard
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.invocation import decide
from cds_wrapper.ledger.decisions import order_of
from cds_wrapper.ledger.entries import FEATURES, demographic_columns, named_as_missing
from cds_wrapper.ledger.record import Decision
from cds_wrapper.ledger.values import JSONText
from cds_wrapper.patient.demographics import Demographics
from cds_wrapper.patient.subgroups import PatientSubgroups
from cds_wrapper.services import ServiceDefinition, definition_from_files
from cds_wrapper.services.definitions import EDITION
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    Status,
    VendorCall,
    VersionSource,
)
from cds_wrapper.vendors.features import NO_FEATURES, Features

_NOT_CALLED = VendorCall()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a card looked as it did: `story` in sentences, `mismatches` where record and replay differ."""

    prediction_id: str
    title: str
    story: tuple[str, ...]
    mismatches: tuple[str, ...]


def replay(
    row: Mapping[str, Any],
    kept_file: Callable[[str], bytes | None],
    decision_of: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
) -> Explanation:
    """Explain one row of `predictions_v1`; `kept_file` gives a kept file by its digest.

    `decision_of` gives the row of `decisions_v1` by its id.
    """
    title = f"Prediction {row['prediction_id']} of service {row['service_id']}, {row['occurred_at']}"
    files, lost = _files(row, kept_file)
    if lost:
        return Explanation(row["prediction_id"], title, (), tuple(lost))
    try:
        deciding = {kind: text for kind, text in files.items() if kind != EDITION}
        service = definition_from_files(deciding, row["hook"])
        book = EvidenceBook.from_json(files[EDITION])
        demographics = Demographics.from_record(row["demographics"])
        features = recorded_features(row, service)
        prediction = recorded_prediction(row, service, features)
        order = _order(row, decision_of)
    except (ConfigurationRefused, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        problem = f"the record or a kept file cannot be read as what it was ({type(error).__name__})"
        return Explanation(row["prediction_id"], title, (), (problem,))
    subgroups = service.scheme.assign(demographics)
    mismatches = list(_people_mismatches(row, demographics, subgroups, prediction, service))
    if row["caveat_level"] is None:
        return Explanation(
            row["prediction_id"], title, (*_error_story(row), *_ordered(order)), tuple(mismatches)
        )
    standing = service.plan.standing(order, datetime.fromisoformat(row["occurred_at"]))
    decision = decide(service, book, subgroups, prediction, standing, features)
    mismatches += _decision_mismatches(row, decision)
    story = (*_story(row, service, decision), *_ordered(order))
    return Explanation(row["prediction_id"], title, story, tuple(mismatches))


def _order(row: Mapping[str, Any], decision_of: Callable[[str], Mapping[str, Any] | None]) -> Order | None:
    """The order a prediction was under; without it the replay differs by its id. Errors as in `order_of`."""
    held = decision_of(row["decision_id"]) if row["decision_id"] else None
    return order_of(held) if held else None


def _ordered(order: Order | None) -> Iterator[str]:
    if order is not None:
        roles = order.by if order.second is None else f"{order.by} and {order.second}"
        yield f"It was under the order {order.decision.value} of {order.since:%Y-%m-%d %H:%M} UTC by {roles}."


def _files(
    row: Mapping[str, Any], kept_file: Callable[[str], bytes | None]
) -> tuple[dict[str, bytes], list[str]]:
    """Every file that decided, its digest checked; and what is wrong with those that cannot be used."""
    files: dict[str, bytes] = {}
    lost = []
    for kind, digest in row["file_digests"].items():
        content = kept_file(digest)
        if content is None:
            lost.append(f"{kind}: the ledger does not hold the file {digest}")
        elif f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            lost.append(f"{kind}: the kept file is not the one that decided; its digest differs")
        else:
            files[kind] = content
    return files, lost


def recorded_features(row: Mapping[str, Any], service: ServiceDefinition) -> Features:
    """The model's inputs as far as the record keeps them: everything but their values."""
    recorded = (row["inputs"] or {}).get(FEATURES)
    if service.features is None or recorded is None:
        return NO_FEATURES
    return Features.from_record(recorded, service.features.declared)


def recorded_prediction(
    row: Mapping[str, Any], service: ServiceDefinition, features: Features = NO_FEATURES
) -> Prediction | NoPrediction:
    """The vendor's answer as far as the record keeps it: everything but the vendor's words."""
    status = Status(row["status"])
    score_at = datetime.fromisoformat(row["score_at"]) if row["score_at"] else None
    model = ModelVersion(row["model_id"], row["model_version"], VersionSource(row["model_version_source"]))
    if status not in {Status.ANSWERED, Status.NO_CARDS}:
        missing = named_as_missing(row, features)
        return NoPrediction(status, model, _NOT_CALLED, row["reason"], missing, score_at)
    score, threshold, own = row["score"], service.threshold, service.score_card
    has_a_card = status is Status.ANSWERED and (own is None or own.has_a_card(row["band"], features))
    return Prediction(
        cards=(VendorCard(),) if has_a_card else (),
        score=score,
        score_kind=ScoreKind(row["score_kind"]) if row["score_kind"] else None,
        flagged=None if score is None or threshold is None else score >= threshold,
        model=model,
        call=_NOT_CALLED,
        reason=row["reason"],
        score_only=own is not None,
        score_at=score_at,
    )


def _people_mismatches(
    row: Mapping[str, Any],
    demographics: Demographics,
    subgroups: PatientSubgroups,
    prediction: Prediction | NoPrediction,
    service: ServiceDefinition,
) -> Iterator[str]:
    for name, computed in demographic_columns(demographics, subgroups).items():
        as_read = json.loads(computed) if isinstance(computed, JSONText) else computed
        if row[name] != as_read:
            yield f"{name}: the record's differs from what its demographics give"
    if isinstance(prediction, Prediction):
        if row["flagged"] != prediction.flagged:
            yield "flagged: the record's differs from what its score and the threshold give"
        if not service.may_lie_in(row["band"], prediction.score):
            yield "band: the record's differs from what its score gives"


def _decision_mismatches(row: Mapping[str, Any], decision: Decision) -> Iterator[str]:
    if row["file_digests"][EDITION] != decision.edition_digest:
        yield "evidence_edition: the kept edition is not the one the record names by its digest"
    computed = {
        "evidence_edition": decision.edition,
        "caveat_level": decision.caveat.level.value,
        "caveat_reasons": list(decision.caveat.texts),
        "caveat_scope": decision.caveat.scope.value if decision.caveat.scope else None,
        "disposition": decision.disposition.value,
        "decision_id": decision.decision_id,
        "wording_ids": list(decision.words.wording_ids),
        "words_digest": decision.words.digest,
    }
    for name, value in computed.items():
        if row[name] != value:
            yield f"{name}: recorded {row[name]}, computed {value}"


def _error_story(row: Mapping[str, Any]) -> tuple[str, ...]:
    ended = f"The call ended with the status {row['status']} before anything was decided"
    return (f"{ended}; the plan's answer was given.",)


def _story(row: Mapping[str, Any], service: ServiceDefinition, decision: Decision) -> tuple[str, ...]:
    caveat = decision.caveat
    learnt = "named in its answer" if row["model_version_source"] == "response" else "taken from service.yaml"
    lines = [
        (
            f"The vendor's answer had the status {row['status']};"
            f" model {row['model_id']} {row['model_version']} ({learnt})."
        ),
        (
            f"It was judged by evidence edition {decision.edition}, plan version {row['plan_version']}"
            f" and the approved words of version {row['wording_version']}."
        ),
        f"The level is {caveat.level.value}, because:",
        *(f"  - {_why(reason, service)}" for reason in caveat.reasons),
        f"The plan answers this with {decision.disposition.value}.",
        "The wrapper's own words on the card:",
        *(f"  {line}" for line in _spoken(decision.words) or ["none"]),
    ]
    if row["changes_made"]:
        lines.append("Changed or held back of the vendor's answer: " + "; ".join(row["changes_made"]) + ".")
    lines.append(f"Delivery: {row['delivery']}; cards returned: {len(row['cards_returned'] or [])}.")
    return tuple(lines)


def _why(reason: CaveatReason, service: ServiceDefinition) -> str:
    """One reason in words, with the figures' source; names attributes, never the patient's group."""
    about = " and ".join(reason.attributes)
    match reason.reason:
        case Reason.KNOWN_GAP | Reason.UNDER_REVIEW:
            kind = "a finding" if reason.reason is Reason.KNOWN_GAP else "a finding nobody has signed yet"
            where = "elsewhere" if reason.external else "at this hospital"
            said = f"{kind} {where} concerns this patient's {about}: {_direction(reason)}"
            return f"{said} ({_source(reason, service)})"
        case Reason.OUT_OF_SCOPE:
            return f"the developer advises against the score for {reason.rule_say}"
        case Reason.NOT_REPRESENTED:
            return f"the training data had nobody of this patient's {about}"
        case Reason.NOT_REPORTED if reason.scope is Scope.PATIENT:
            return f"no results are given for this patient's {about}, while others have some"
        case Reason.NOT_REPORTED:
            return "the developer gives no results by patient group, and there are none here"
        case Reason.THIN_EVIDENCE if reason.scope is Scope.PATIENT:
            return f"too few patients of this {about} have been checked here"
        case Reason.THIN_EVIDENCE:
            return "the score has not been checked on enough patients here"
        case Reason.GROUP_UNKNOWN:
            return f"this patient's {about} is not known, and knowing it could change the card"
        case Reason.MISSING_INPUT | Reason.DOUBTFUL_INPUT | Reason.LABEL_MISMATCH:
            return _why_input(reason, service)
        case _:
            assert_never(reason.reason)


def _why_input(reason: CaveatReason, service: ServiceDefinition) -> str:
    named = ", ".join(name for name, _ in reason.inputs)
    if reason.reason is Reason.LABEL_MISMATCH:
        about = " and ".join(reason.attributes)
        return f"for this patient's {about} the score is right about its label and wrong about the need"
    if reason.reason is Reason.MISSING_INPUT:
        meant = "; the model counts them as normal" if reason.direction else ""
        return f"the score was calculated without {named}{meant}"
    rule = next(
        (one for one in service.book.contents.measured_less_well if one.id == reason.finding_id), None
    )
    if rule is None:
        return f"{named} came under a code that the model card says it was not made for"
    about = " and ".join(reason.attributes)
    errs = f": {_direction(reason)}" if reason.direction else ""
    return f"{named} is measured less accurately in patients of this {about}{errs} ({rule.source})"


def _direction(reason: CaveatReason) -> str:
    match reason.direction:
        case Direction.MISSES_MORE:
            return "more cases are missed"
        case Direction.FALSE_ALARMS_MORE:
            return "more alarms are false"
        case Direction.SCORES_TOO_LOW:
            return "the score is too low"
        case Direction.SCORES_TOO_HIGH:
            return "the score is too high"
        case None:
            return "the score is less reliable, either way"
        case _:
            assert_never(reason.direction)


def _source(reason: CaveatReason, service: ServiceDefinition) -> str:
    """Where the finding's figures were published."""
    finding = next((one for one in service.book.findings if one.id == reason.finding_id), None)
    ids = finding.estimate_ids if finding else ()
    cites = [row.cite for row in service.book.estimates if row.id in ids and row.cite]
    return "; ".join(dict.fromkeys(cites)) or f"finding {reason.finding_id}"


def _spoken(words: CaveatWords) -> list[str]:
    """Everything we said, in the order of the card."""
    said = [
        words.short and f"(in the summary) {words.short}",
        *words.lines,
        words.evidence_line,
        words.ai_line,
    ]
    return [line for line in (*said, *(words.replacement or ())) if line]
