"""The card of a vendor that speaks no cards: the site's own words, filled with the score. Pure.

The score is described and not ordered; what may be done about it are suggestions, which a clinician takes up
or leaves. What is written here goes the way of a vendor's card from then on: the caveat in front, the stamp,
the list of changes, the record.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from cds_wrapper.caveats.inputs import listed_in_full
from cds_wrapper.caveats.machine_copy import card_uuid
from cds_wrapper.caveats.model_inputs import PersonalInputs
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.caveats.score_number import ScoreNumber
from cds_wrapper.caveats.texts import fill, placeholders
from cds_wrapper.cds import CDSRequest
from cds_wrapper.cds_answer import Members, VendorCard, VendorSuggestion
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status
from cds_wrapper.vendors.features import Features, IfMissing, Input
from cds_wrapper.vendors.score import NOT_FOUND

IN_SUMMARY: Final = frozenset({"score", "band", "threshold"})
"""What a summary may be filled with."""

IN_DETAIL: Final = IN_SUMMARY | {"missing", "score_at", "flags"}
"""What a paragraph of the detail may be filled with; one whose value is not there is left out."""

CONTEXT: Final = re.compile(r"\{\{context\.(patientId|encounterId|userId)\}\}")
"""What a suggested resource may hold of the call's context."""


class Speaks(enum.Enum):
    """Whether scores of a band have a card."""

    SHOWN = "shown"
    NONE = "none"
    IF_INCOMPLETE = "if_incomplete"
    """Only where an input was missing: silence would look like a low score that is known."""


@dataclass(frozen=True, slots=True)
class SuggestedAction:
    """Something a clinician may have created in the chart; `resource` may hold `CONTEXT` in its texts."""

    description: str
    resource: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Suggested:
    """A suggestion of the site's; without actions it is no more than an answer to choose."""

    label: str
    actions: tuple[SuggestedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class BandCard:
    """What a card says of the scores of one band, and how loudly."""

    say: str
    indicator: str
    speaks: Speaks = Speaks.SHOWN
    suggestions: tuple[Suggested, ...] = ()
    selection: str = "any"
    links: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreCard:
    """How the score of one service is put on a card.

    `detail` are paragraphs, each left out where what it names is not there. `threshold` is the first one in
    words, `flags` what is said of each flag that the vendor's answer may carry.
    """

    summary: str
    detail: tuple[str, ...]
    number: ScoreNumber
    threshold: str
    bands: Mapping[str, BandCard]
    flags: Mapping[str, str]
    clock: Clock
    personal: PersonalInputs

    def has_a_card(self, band: str | None, features: Features) -> bool:
        """Whether a score of this band is shown; a score of no band has nothing to be called by."""
        if band is None:
            return False
        match self.bands[band].speaks:
            case Speaks.SHOWN:
                return True
            case Speaks.NONE:
                return False
            case Speaks.IF_INCOMPLETE:
                return bool(features.missing)


def write_card(
    prediction: Prediction,
    score_card: ScoreCard,
    band: str | None,
    features: Features,
    request: CDSRequest,
    prediction_id: UUID,
) -> Prediction | NoPrediction:
    """The prediction with the card of its score; with none where the band is silent.

    A prediction whose vendor speaks cards is left as it is. An answer without a score is none: no card would
    look like no risk.
    """
    if not prediction.score_only or prediction.cards:
        return prediction
    if prediction.score is None:
        return NoPrediction(Status.UNREADABLE, prediction.model, prediction.call, NOT_FOUND)
    if band is None or not score_card.has_a_card(band, features):
        return prediction
    values = _values(prediction, prediction.score, score_card, score_card.bands[band], features)
    card = _card(score_card, score_card.bands[band], values, request, card_uuid(prediction_id, 0))
    return replace(prediction, cards=(card,))


def filled_paragraphs(detail: Iterable[str], values: Mapping[str, str]) -> str:
    """The paragraphs whose values are all there, filled."""
    kept = (part for part in detail if all(values[name] for name in placeholders(part)))
    return "\n\n".join(fill(part, values) for part in kept)


def _values(
    prediction: Prediction, score: float, card: ScoreCard, band: BandCard, features: Features
) -> Mapping[str, str]:
    at = prediction.score_at
    return {
        "score": card.number.text(score),
        "band": band.say,
        "threshold": card.threshold,
        "missing": listed_in_full(card.personal.labels(_left_out(features)), card.clock.terms.personal),
        "score_at": card.clock.moment(at) if at else "",
        "flags": "; ".join(card.flags[name] for name in prediction.flags if name in card.flags),
    }


def _left_out(features: Features) -> tuple[Input, ...]:
    """The inputs the score was calculated without."""
    return tuple(one for one in features.missing if one.if_missing is not IfMissing.REQUIRED)


def _card(
    card: ScoreCard, band: BandCard, values: Mapping[str, str], request: CDSRequest, uuid: str
) -> VendorCard:
    suggestions = tuple(_suggestions(band.suggestions, request, UUID(uuid)))
    return VendorCard(
        summary=fill(card.summary, values),
        indicator=band.indicator,
        detail=filled_paragraphs(card.detail, values),
        suggestions=suggestions,
        selection_behavior=band.selection if suggestions else None,
        links=tuple({**link, "type": "absolute"} for link in band.links),
    )


# Suggestions ------------------------------------------------------------------------------------------------


def _suggestions(
    suggested: Iterable[Suggested], request: CDSRequest, card: UUID
) -> Iterator[VendorSuggestion]:
    """Those whose resources can be filled; one that needs an encounter has no place where there is none."""
    context = {
        "patientId": request.patient_id,
        "encounterId": request.encounter_id,
        "userId": request.user_id,
    }
    for number, one in enumerate(suggested):
        actions = [_action(action, context) for action in one.actions]
        if None in actions:
            continue
        uuid = str(uuid5(card, f"suggestion {number}"))
        whole = tuple(action for action in actions if action is not None)
        yield VendorSuggestion(one.label, uuid, is_recommended=False, actions=whole)


def _action(action: SuggestedAction, context: Mapping[str, str | None]) -> Members | None:
    missing: list[str] = []

    def of_context(found: re.Match[str]) -> str:
        value = context[found[1]]
        if not value:
            missing.append(found[1])
        return value or ""

    resource = _in_every_text(action.resource, lambda text: CONTEXT.sub(of_context, text))
    if missing:
        return None
    return {
        "type": b'"create"',
        "description": msgspec.json.encode(action.description),
        "resource": msgspec.json.encode(resource),
    }


def _in_every_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _in_every_text(member, change) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_every_text(item, change) for item in value]
    return value
