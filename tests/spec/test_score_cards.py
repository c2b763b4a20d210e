"""Score, band, missing inputs, doubtful inputs -> how far the score may be relied on, the words, the card.

Every line of a table is one patient a clinician could meet. The model is NEWS2 as a vendor serves it: it
gives a number of points and no card, and counts nothing for a measurement that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cds_wrapper.caveats.cards import compose, shown_attributes
from cds_wrapper.caveats.evidence import EvidenceBook, MeasuredLessWell, ModelInput, Question, build_book
from cds_wrapper.caveats.model_inputs import PersonalInputs
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.caveats.plan import Disposition, ResponsePlan
from cds_wrapper.caveats.policy import Caveat, CaveatPolicy
from cds_wrapper.caveats.score_card import BandCard, ScoreCard, Speaks, write_card
from cds_wrapper.caveats.score_number import NumberForm, ScoreNumber
from cds_wrapper.caveats.wording import CaveatWords, ServiceWords, choose_words
from cds_wrapper.cds import Card, CDSRequest
from cds_wrapper.patient.subgroups import Display, PatientSubgroups, SubgroupScheme
from cds_wrapper.services.definitions import Band
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    Status,
    VendorCall,
    VersionSource,
)
from cds_wrapper.vendors.features import Features, IfMissing, Input, Lack
from tests.spec.prevent import AS_OF, CARD, PLAN, SCHEME, VENDOR_CARD, WORDING, patient, stamp

MODEL = ModelVersion("news2", "2017", VersionSource.RESPONSE)
OXIMETRY = MeasuredLessWell(
    id="measured_less_well:oxygen saturation:1",
    input="oxygen saturation",
    where={"race": ("black",)},
    direction="scores_too_low",
    recheck="Readings may be too high: confirm with a blood gas.",
    source="Sjoding et al., N Engl J Med 2020;383:2477",
)
NEWS2 = replace(
    CARD,
    id="news2",
    version="2017",
    name="NEWS2",
    developer="Royal College of Physicians",
    inputs=(ModelInput("age", True), ModelInput("oxygen saturation", False)),
    measured_less_well=(OXIMETRY,),
    estimates=(),
    out_of_scope=(),
    training=(),
)
WORDS = ServiceWords(
    title="Deterioration (NEWS2)",
    contact="the outreach team",
    outcome="deterioration",
    developer="Royal College of Physicians",
    model_name="NEWS2",
    oldest_score=timedelta(hours=24),
)
BANDS = (Band("low", 5.0), Band("medium", 7.0, frozenset({"single"})), Band("high", None))
SCORE_CARD = ScoreCard(
    summary="NEWS2 score {score} ({band})",
    detail=("The score is {score} of 20, band {band}.", "{flags}.", "Not on file: {missing}."),
    number=ScoreNumber(NumberForm.PLAIN, 0, (5.0, 7.0)),
    threshold="5",
    bands={
        "low": BandCard("low", "info", Speaks.IF_INCOMPLETE),
        "medium": BandCard("medium", "warning"),
        "high": BandCard("high", "critical"),
    },
    flags={"single": "One measurement alone scores 3"},
    clock=Clock(WORDING.terms),
    personal=PersonalInputs.of(NEWS2.inputs),
)
PLAN_OF_NEWS2 = replace(PLAN, approved_versions=frozenset({"2017"}))
REQUEST = CDSRequest(
    "encounter-start", "h", {}, "p", "e", None, {}, None, None, {}, datetime(2026, 9, 30, tzinfo=UTC), 0
)

NAMES = ("respiratory rate", "oxygen saturation", "supplemental oxygen", "temperature", "systolic pressure",
         "pulse", "level of consciousness")  # fmt: skip


def measured(*, missing: str = "", doubtful: str = "", omitted: str = "") -> Features:
    """All seven measurements, but for those named as missing (letters begin a name), doubtful or omitted."""

    def one(name: str) -> Input:
        is_missing = name in (*missing.split(", "), *omitted.split(", "))
        return Input(
            name=name.replace(" ", "_"),
            label=name,
            path="Observation",
            if_missing=IfMissing.OMITTED if name in omitted.split(", ") else IfMissing.COUNTED_AS_NORMAL,
            value=None if is_missing else 1.0,
            lack=Lack.NOT_RECORDED if is_missing else None,
            doubtful=name in doubtful.split(", "),
        )

    names = [name for name in (*NAMES, "age", "lactate") if name in NAMES or name in (missing + omitted)]
    return Features(tuple(map(one, names)))


@dataclass(frozen=True)
class Answer:
    """Everything decided about one score."""

    caveat: Caveat
    disposition: Disposition
    words: CaveatWords
    cards: tuple[Card, ...]


def edition(scheme: SubgroupScheme) -> EvidenceBook:
    question = Question("deterioration", "deterioration", "PT24H", (5.0,))
    return build_book(NEWS2, scheme, question, frozenset({NEWS2.digest}), AS_OF)


def band_of(score: float, flags: tuple[str, ...]) -> str:
    falls = next(place for place, band in enumerate(BANDS) if band.below is None or score < band.below)
    lifted = (place for place, band in enumerate(BANDS) if not band.lifted_by.isdisjoint(flags))
    return BANDS[max((falls, *lifted))].id


def decide(
    answered: Prediction | NoPrediction,
    features: Features,
    who: PatientSubgroups | None = None,
    scheme: SubgroupScheme = SCHEME,
    plan: ResponsePlan = PLAN_OF_NEWS2,
) -> Answer:
    """One score's whole way from a number to a card, as a request takes it."""
    subgroups = who or patient()
    book = edition(scheme)
    prediction = answered
    if isinstance(answered, Prediction) and answered.score is not None:
        band = band_of(answered.score, answered.flags)
        prediction = write_card(
            answered, SCORE_CARD, band, features, REQUEST, UUID("0190a000-0000-7000-8000-000000000001")
        )
    evidence = book.about(subgroups, prediction)
    caveat = CaveatPolicy(scheme, PersonalInputs.of(NEWS2.inputs)).weigh(evidence, prediction, features)
    disposition = plan.settle(caveat, prediction)
    words = choose_words(caveat, disposition, prediction, evidence, scheme, WORDING, WORDS)
    mark = replace(
        stamp(caveat, book, scheme),
        own_label="NEWS2 (Royal College of Physicians)",
        shown=shown_attributes(scheme),
    )
    composition = compose(prediction, words, caveat, disposition, mark)
    assert set(composition.changes) <= {f"cards: {disposition.value}"}
    return Answer(caveat, disposition, words, composition.cards)


def points(score: float, *flags: str) -> Prediction:
    return Prediction(
        (), score, ScoreKind.INDEX, score >= 5, MODEL, VendorCall(), score_only=True, flags=flags
    )


TOO_LOW = " – true risk may be higher for this patient"
M2 = "Calculated without {}, counted as normal. The true score may be higher."
D1 = (
    "Oxygen saturation is measured less accurately in similar patients. "
    "Readings may be too high: confirm with a blood gas."
)
D2 = (
    "Temperature came from an older formula this score does not expect. Recalculate it if the result matters."
)
AS_NORMAL, OMITTED = "missing_input:scores_too_low", "missing_input"
BLACK = patient(race="black")
NONE = measured()


@pytest.mark.parametrize(
    ("score", "flags", "features", "who", "reasons", "summary", "indicator", "caveats"),
    [
        pytest.param(
            8, (), NONE, None, [], "NEWS2 score 8 (high)", "critical", [],
            id="high, everything measured",
        ),
        pytest.param(
            5, (), NONE, None, [], "NEWS2 score 5 (medium)", "warning", [],
            id="medium, everything measured",
        ),
        pytest.param(
            2, (), NONE, None, [], None, None, [],
            id="low, everything measured: no card, as the band says",
        ),
        pytest.param(
            3, ("single",), NONE, None, [], "NEWS2 score 3 (medium)", "warning", [],
            id="low in all, one measurement alone scores 3: at least medium",
        ),
        pytest.param(
            8, ("single",), NONE, None, [], "NEWS2 score 8 (high)", "critical", [],
            id="high, one measurement alone scores 3: stays high",
        ),
        pytest.param(
            0, (), measured(missing="respiratory rate"), None, [AS_NORMAL],
            "NEWS2 score 0 (low) – true score may be higher: no respiratory rate", "info",
            [M2.format("respiratory rate")],
            id="nothing but a missing rate: no silence, since silence would say 0",
        ),
        pytest.param(
            5, (), measured(missing="pulse, temperature, level of consciousness"), None, [AS_NORMAL],
            "NEWS2 score 5 (medium) – true score may be higher: no temperature, 2 more", "warning",
            [M2.format("temperature, pulse, level of consciousness")],
            id="medium, three missing",
        ),
        pytest.param(
            5, (), measured(omitted="lactate"), None, [OMITTED],
            "NEWS2 score 5 (medium) – calculated without lactate", "warning",
            ["Calculated without lactate. The score may change once recorded."],
            id="medium, one left out with which the model copes",
        ),
        pytest.param(
            5, (), measured(missing="age"), None, [AS_NORMAL],
            "NEWS2 score 5 (medium) – true score may be higher: no personal detail", "warning",
            [M2.format("a personal detail")],
            id="medium, what is missing describes the person: it is not named",
        ),
        pytest.param(
            5, (), NONE, BLACK, ["doubtful_input:scores_too_low"],
            "NEWS2 score 5 (medium)" + TOO_LOW, "warning", [D1],
            id="medium, a group in which oximeters read too high",
        ),
        pytest.param(
            2, (), NONE, BLACK, ["doubtful_input:scores_too_low"], None, None, [],
            id="low, the same group: a caveat creates no card",
        ),
        pytest.param(
            5, (), measured(missing="oxygen saturation"), BLACK, [AS_NORMAL],
            "NEWS2 score 5 (medium) – true score may be higher: no oxygen saturation", "warning",
            [M2.format("oxygen saturation")],
            id="medium, the same group, saturation was not measured",
        ),
        pytest.param(
            5, (), measured(doubtful="temperature"), None, ["doubtful_input"],
            "NEWS2 score 5 (medium) – temperature from an older formula", "warning", [D2],
            id="medium, a code the model card doubts",
        ),
        pytest.param(
            8, (), measured(missing="pulse", doubtful="temperature"), BLACK,
            ["doubtful_input:scores_too_low", "doubtful_input", AS_NORMAL],
            "NEWS2 score 8 (high)" + TOO_LOW, "critical", [D1, D2],
            id="high, all at once: two are said, the others stand behind the link",
        ),
    ],
)  # fmt: skip
def test_a_score_its_inputs_and_its_card(
    score: float, flags: tuple[str, ...], features: Features, who: PatientSubgroups | None,
    reasons: list[str], summary: str | None, indicator: str | None, caveats: list[str],
) -> None:  # fmt: skip
    answer = decide(points(score, *flags), features, who)
    of_inputs = [text for text in answer.caveat.texts if text not in ("thin_evidence", "not_reported")]
    assert of_inputs == reasons
    assert answer.disposition is Disposition.ANNOTATE
    assert answer.caveat.level.value == "limited"
    if summary is None:
        assert answer.cards == ()
        return
    (card,) = answer.cards
    assert (card.summary, card.indicator) == (summary, indicator)
    for number, caveat in enumerate(caveats):
        assert (card.detail or "").split("\n\n")[number] == f"**{caveat}**"


def test_the_card_says_who_calculated_it_and_leads_to_how_it_was_checked() -> None:
    (card,) = decide(points(5), measured(missing="pulse")).cards
    assert card.source.label == "NEWS2 (Royal College of Physicians)"
    assert card.source.url == "https://cds.hospital.example/evidence/cvd-risk"
    first, *middle = (card.detail or "").split("\n\n")
    assert first == f"**{M2.format('pulse')}**"
    assert middle[1] == "Calculated by NEWS2 2017 (Royal College of Physicians). Not reviewed by a person."
    assert middle[2:] == ["---", "The score is 5 of 20, band medium.", "Not on file: pulse."]


@pytest.mark.parametrize(
    ("display", "who"),
    [
        (Display.GENERIC, "similar patients"),
        (Display.NEVER, "similar patients"),
        (Display.SHOW, "Black people"),
    ],
)
def test_the_group_of_a_doubtful_input_is_named_only_where_the_site_decided_so(
    display: Display, who: str
) -> None:
    race = replace(SCHEME.attributes["race"], display=display)
    scheme = replace(SCHEME, attributes={**SCHEME.attributes, "race": race})
    (card,) = decide(points(5), NONE, BLACK, scheme).cards
    assert f"measured less accurately in {who}." in (card.detail or "")
    assert card.summary.endswith(TOO_LOW)


def test_a_rule_without_a_direction_names_the_input_in_the_summary() -> None:
    either_way = replace(OXIMETRY, direction=None, recheck=None)
    book = build_book(
        replace(NEWS2, measured_less_well=(either_way,)), SCHEME,
        Question("deterioration", "deterioration", "PT24H", (5.0,)), frozenset({NEWS2.digest}), AS_OF,
    )  # fmt: skip
    prediction = replace(points(5), cards=(VENDOR_CARD,))
    caveat = CaveatPolicy(SCHEME).weigh(book.about(BLACK, prediction), prediction, NONE)
    words = choose_words(
        caveat, Disposition.ANNOTATE, prediction, book.about(BLACK, prediction), SCHEME, WORDING, WORDS
    )
    assert words.short == "relies on a less accurate oxygen saturation"
    assert words.lines[0].endswith("Recheck another way if the result matters.")


@pytest.mark.parametrize("disposition", [Disposition.WITHHOLD, Disposition.SHADOW])
def test_a_score_that_is_not_to_be_seen_stands_on_no_card(disposition: Disposition) -> None:
    plan = replace(PLAN_OF_NEWS2, respond=dict.fromkeys([decide(points(5), NONE).caveat.level], disposition))
    (card,) = decide(points(5), measured(missing="pulse"), plan=plan).cards
    assert "5" not in card.summary + (card.detail or "")
    assert "pulse" not in card.summary + (card.detail or "")


def test_a_score_that_is_too_old_says_from_when_it_is_and_not_what_it_was() -> None:
    at = datetime(2026, 9, 29, 9, 59, tzinfo=UTC)
    stale = NoPrediction(Status.STALE, MODEL, VendorCall(), score_at=at)
    (card,) = decide(stale, NONE).cards
    assert card.summary == (
        "Deterioration (NEWS2): last score is from 09:59 UTC on 29 September 2026."
        " This does not mean low risk."
    )
    assert (card.detail or "").startswith("The latest score is older than 24 hours and is not shown.")


def test_a_score_for_which_an_input_must_be_there_names_it() -> None:
    lacking = NoPrediction(Status.MISSING_INPUT, MODEL, VendorCall(), missing_inputs=("respiratory rate",))
    (card,) = decide(lacking, NONE).cards
    assert card.summary == (
        "Deterioration (NEWS2): not calculated, respiratory rate missing. This does not mean low risk."
    )
