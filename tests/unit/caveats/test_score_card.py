"""The card of a vendor without cards: what it says of a score, when there is none, what it offers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cds_wrapper.caveats.model_inputs import PersonalInputs
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.caveats.score_card import (
    BandCard,
    ScoreCard,
    Speaks,
    Suggested,
    SuggestedAction,
    write_card,
)
from cds_wrapper.caveats.score_number import NumberForm, ScoreNumber
from cds_wrapper.cds import CDSRequest
from cds_wrapper.cds_answer import VendorCard
from cds_wrapper.vendors.base import NoPrediction, Prediction, ScoreKind, Status, VendorCall
from cds_wrapper.vendors.features import NO_FEATURES, Features, IfMissing, Input, Lack
from tests.spec.prevent import MODEL, VENDOR_CARD, WORDING

ID = UUID("0190a000-0000-7000-8000-000000000001")
LINK = {"label": "How NEWS2 is used here", "url": "https://guidelines.hospital.example/news2"}
ORDER = SuggestedAction(
    "Order: lactate",
    {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": "Patient/{{context.patientId}}"},
        "encounter": {"reference": "Encounter/{{context.encounterId}}"},
    },
)
CARD = ScoreCard(
    summary="NEWS2 score {score} ({band})",
    detail=(
        "The score is {score}; from {threshold} on a patient is flagged.",
        "{flags}.",
        "Not on file and counted as normal: {missing}.",
        "The score is from {score_at}.",
    ),
    number=ScoreNumber(NumberForm.PLAIN, 0, (5.0, 7.0)),
    threshold="5",
    bands={
        "low": BandCard("low", "info", Speaks.IF_INCOMPLETE),
        "medium": BandCard("medium", "warning"),
        "high": BandCard("high", "critical", Speaks.SHOWN, (Suggested("Lactate", (ORDER,)),), "any", (LINK,)),
        "silent": BandCard("silent", "info", Speaks.NONE),
    },
    flags={"single": "One measurement alone scores 3"},
    clock=Clock(WORDING.terms),
    personal=PersonalInputs(frozenset({"age"})),
)


def request(encounter_id: str | None = "e1", patient_id: str = "p1") -> CDSRequest:
    return CDSRequest(
        "encounter-start", "h", {}, patient_id, encounter_id, None, {}, None, None, {},
        datetime(2026, 9, 30, tzinfo=UTC), 0,
    )  # fmt: skip


def answered(score: float | None = 5.0, **members: Any) -> Prediction:
    kind = ScoreKind.INDEX if score is not None else None
    return Prediction((), score, kind, None, MODEL, VendorCall(), score_only=True, **members)


def an_input(name: str, lack: Lack | None = Lack.NOT_RECORDED) -> Input:
    value = None if lack else 1.0
    return Input(name, name, "Observation", IfMissing.COUNTED_AS_NORMAL, value=value, lack=lack)


def card(
    band: str,
    prediction: Prediction | None = None,
    features: Features = NO_FEATURES,
    asked: CDSRequest | None = None,
    score_card: ScoreCard = CARD,
) -> VendorCard | None:
    written = write_card(prediction or answered(), score_card, band, features, asked or request(), ID)
    assert isinstance(written, Prediction)
    assert written.status is Status.ANSWERED
    return written.cards[0] if written.cards else None


def test_a_score_is_said_with_its_band_and_its_threshold() -> None:
    found = card("medium")
    assert found is not None
    assert (found.summary, found.indicator) == ("NEWS2 score 5 (medium)", "warning")
    assert found.detail == "The score is 5; from 5 on a patient is flagged."


def test_what_is_missing_what_is_flagged_and_when_stand_only_where_there_is_something_to_say() -> None:
    at = datetime(2026, 9, 30, 9, 59, tzinfo=UTC)
    features = Features((an_input("pulse"), an_input("age"), an_input("lactate", None)))
    found = card("medium", answered(score_at=at, flags=("single",)), features)
    assert found is not None
    assert (found.detail or "").split("\n\n")[1:] == [
        "One measurement alone scores 3.",
        "Not on file and counted as normal: pulse, a personal detail.",
        "The score is from 09:59 UTC on 30 September 2026.",
    ]


def test_a_flag_the_site_says_nothing_about_is_left_out() -> None:
    found = card("medium", answered(flags=("other",)))
    assert found is not None
    assert "\n\n" not in (found.detail or "")


@pytest.mark.parametrize(
    ("band", "missing", "has_a_card"),
    [
        ("medium", False, True),
        ("medium", True, True),
        ("low", False, False),
        ("low", True, True),
        ("silent", False, False),
        ("silent", True, False),
    ],
)
def test_a_band_may_be_silent_and_says_whether_it_is_when_an_input_was_missing(
    band: str, missing: bool, has_a_card: bool
) -> None:
    features = Features((an_input("pulse", Lack.NOT_RECORDED if missing else None),))
    assert (card(band, features=features) is not None) is has_a_card


def test_an_answer_without_a_score_is_no_silence() -> None:
    written = write_card(answered(None), CARD, None, NO_FEATURES, request(), ID)
    assert isinstance(written, NoPrediction)
    assert (written.status, written.reason) == (Status.UNREADABLE, "score_not_found")


def test_the_cards_of_a_vendor_that_speaks_them_stay_as_they_are() -> None:
    theirs = replace(answered(), cards=(VENDOR_CARD,), score_only=False)
    assert write_card(theirs, CARD, "medium", NO_FEATURES, request(), ID) is theirs


def test_a_suggestion_is_about_the_patient_and_the_encounter_of_the_call() -> None:
    found = card("high", asked=request(patient_id='p"1'))
    assert found is not None
    (suggestion,) = found.suggestions
    assert (suggestion.label, suggestion.is_recommended) == ("Lactate", False)
    assert UUID(suggestion.uuid or "").version == 5
    resource = msgspec.json.decode(suggestion.actions[0]["resource"])
    assert resource["subject"] == {"reference": 'Patient/p"1'}
    assert resource["encounter"] == {"reference": "Encounter/e1"}
    assert found.selection_behavior == "any"
    assert found.links == ({**LINK, "type": "absolute"},)


def test_a_suggestion_that_needs_an_encounter_is_not_made_where_there_is_none() -> None:
    found = card("high", asked=request(encounter_id=None))
    assert found is not None
    assert (found.suggestions, found.selection_behavior) == ((), None)


def test_no_text_of_a_score_card_is_filled_twice() -> None:
    """What stands in a value is a value: braces in it open nothing."""
    odd = replace(CARD, bands={**CARD.bands, "medium": BandCard("{score}", "info")})
    found = card("medium", score_card=odd)
    assert found is not None
    assert found.summary == "NEWS2 score 5 ({score})"
