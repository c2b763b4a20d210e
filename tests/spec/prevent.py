"""The PREVENT base model as published, patients of the demonstration, and everything between them and a card.

The figures are those of the sources named in `cite`; P/O (predicted over observed) is stored inverted as O/E.
The patients are synthetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from ruamel.yaml import YAML

from cds_wrapper.caveats.cards import CardStamp, Composition, compose, shown_attributes
from cds_wrapper.caveats.evidence import (
    Estimate,
    EvidenceBook,
    EvidenceSource,
    IntervalKind,
    Limits,
    Metric,
    ModelCard,
    OutOfScopeRule,
    Question,
    State,
    TrainingGroup,
    build_book,
    evidence_token,
)
from cds_wrapper.caveats.orders import Standing
from cds_wrapper.caveats.plan import Disposition, ResponsePlan
from cds_wrapper.caveats.policy import Caveat, CaveatLevel, CaveatPolicy
from cds_wrapper.caveats.wording import CaveatWords, ServiceWords, Wording, choose_words
from cds_wrapper.cds_answer import VendorCard, VendorSource
from cds_wrapper.patient.demographics import Attribute, Demographics, Missing
from cds_wrapper.patient.subgroups import AttributePolicy, Display, PatientSubgroups, SubgroupScheme
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    VendorCall,
    VersionSource,
)

AS_OF = date(2026, 3, 1)
DIGEST = "sha256:" + "ab" * 32
OUTCOME = "cardiovascular event"
HORIZON = "P10Y"
WORDING_FILE = Path(__file__).parents[2] / "cds_wrapper" / "caveats" / "wording.en.yaml"

BANDS = ("<30", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
INTENDED_AGES = BANDS[1:-1]
RACES = ("aian", "asian", "black", "nhpi", "white", "other", "multiple")


def load_wording() -> Wording:
    """The shipped words."""
    content = WORDING_FILE.read_bytes()
    return Wording.read(YAML(typ="safe", pure=True).load(content), "sha256:wording")


WORDING = load_wording()
SERVICE = ServiceWords(
    title="10-year cardiovascular risk",
    contact="the model steward",
    outcome=OUTCOME,
    developer="American Heart Association",
    model_name="PREVENT base",
)


def policy(name: str, labels: dict[str, str], display: Display, *, core: bool = True) -> AttributePolicy:
    return AttributePolicy(name=name, core=core, monitor=True, display=display, labels=labels)


SCHEME = SubgroupScheme(
    attributes={
        "age_band": policy(
            "age_band",
            {
                "<30": "people under 30",
                **{band: f"people aged {band.replace('-', ' to ')}" for band in INTENDED_AGES},
                "80+": "people aged 80 and over",
            },
            Display.SHOW,
        ),
        "sex": policy(
            "sex", {"female": "women", "male": "men", "other": "people of another sex"}, Display.SHOW
        ),
        "race": policy("race", {race: f"{race.title()} people" for race in RACES}, Display.GENERIC),
        "language": policy("language", {}, Display.GENERIC, core=False),
        "tribal_affiliation": policy("tribal_affiliation", {}, Display.NEVER, core=False),
    },
    crossings=(("race", "age_band"),),
)


def row(name: str, metric: Metric, where: Mapping[str, Sequence[str]], **values: Any) -> Estimate:
    """One external figure for the service's own outcome, unless told otherwise."""
    base = Estimate(
        id=name,
        metric=metric,
        source=EvidenceSource.EXTERNAL,
        outcome=OUTCOME,
        horizon=HORIZON,
        where={key: tuple(levels) for key, levels in where.items()},
    )
    return replace(base, **values)


def inverted(predicted_over_observed: float) -> float:
    return 1 / predicted_over_observed


KHAN = "Khan et al., Circulation 2024;149:430"
YOUNG_ADULTS = "PREVENT Equations in Young Adults: Fairness, Calibration, and Performance (abstract)"
ASIAN = "JAMA Netw Open 2026;9(2):e2556915"
VETERANS = "Mathew et al., Nature Medicine 2025, doi 10.1038/s41591-025-03789-2"

BLACK_YOUNG = row(
    "young-adults-black",
    Metric.OE_RATIO,
    {"race": ["black"], "age_band": ["30-39"]},
    estimate=inverted(0.54),
    ci=(inverted(0.65), inverted(0.48)),
    reference="rest",
    data_ended=2019,
    as_reported="Black",
    cite=YOUNG_ADULTS,
)
IQR = IntervalKind.INTERQUARTILE
PUBLISHED = (
    row("ages", Metric.AUROC, {"age_band": INTENDED_AGES}, estimate=0.65, n=2_500_291, cite=VETERANS),
    row("women", Metric.AUROC, {"sex": ["female"], "age_band": INTENDED_AGES}, estimate=0.794,
        ci=(0.763, 0.809), interval_kind=IQR, source=EvidenceSource.DEVELOPMENT, cite=KHAN),
    row("men", Metric.AUROC, {"sex": ["male"], "age_band": INTENDED_AGES}, estimate=0.757,
        ci=(0.727, 0.778), interval_kind=IQR, source=EvidenceSource.DEVELOPMENT, cite=KHAN),
    BLACK_YOUNG,
    row("young", Metric.AUROC, {"age_band": ["30-39"]}, estimate=0.70, n=161_202, cite=YOUNG_ADULTS),
    *(
        row(f"veterans-{race}", Metric.AUROC, {"race": [race], "age_band": INTENDED_AGES},
            estimate=estimate, ci=ci, cite=VETERANS)
        for race, estimate, ci in (
            ("asian", 0.70, (0.69, 0.71)),
            ("black", 0.68, (0.68, 0.69)),
            ("white", 0.65, (0.64, 0.65)),
        )
    ),
    row("nhpi", Metric.AUROC, {"race": ["nhpi"], "age_band": INTENDED_AGES}, estimate=0.757, cite=ASIAN),
    row("no-aian", Metric.AUROC, {"race": ["aian"]}, state=State.NOT_REPORTED),
)  # fmt: skip

CARD = ModelCard(
    id="prevent-base",
    version="2023.1",
    name="PREVENT base",
    developer="American Heart Association",
    digest=DIGEST,
    out_of_scope=(OutOfScopeRule({"age_band": ("<30", "80+")}, "ages outside 30 to 79"),),
    training=(TrainingGroup({"sex": ("female",)}, share=0.56),),
    estimates=PUBLISHED,
)
QUESTION = Question("cvd-risk", OUTCOME, HORIZON, (0.075,))
PLAN = ResponsePlan(
    version="1",
    digest="sha256:plan",
    approved_versions=frozenset({"2023.1"}),
    approved_cards=frozenset({DIGEST}),
)


def patient(
    age: str | Missing = "50-59",
    sex: str | Missing = "male",
    race: str | Missing | tuple[str, ...] = "white",
    language: str | Missing = "en",
) -> PatientSubgroups:
    """A synthetic patient's groups; several races make `multiple`."""
    found = {
        "age_band": attribute(age),
        "sex": attribute(sex),
        "race": attribute(race),
        "language": attribute(language),
        "tribal_affiliation": attribute(Missing.ABSENT),
    }
    return SCHEME.assign(Demographics(found))


def attribute(value: str | Missing | tuple[str, ...]) -> Attribute:
    if isinstance(value, Missing):
        return Attribute(None, value)
    if isinstance(value, tuple):
        return Attribute("multiple", None, members=value)
    return Attribute(value, None, members=(value,))


NOBODY = patient(Missing.NOT_FETCHED, Missing.NOT_FETCHED, Missing.NOT_FETCHED, Missing.NOT_FETCHED)
VENDOR_CARD = VendorCard(
    summary="10-year cardiovascular risk 3.1 %",
    indicator="info",
    detail="**Risk within 10 years**\n\n- Cardiovascular disease: 3.1 %",
    uuid="3b2f6e0e-6d2c-4b53-9d8f-000000000001",
    source=VendorSource(label="Demonstration model (PREVENT base equations)"),
    extension={"org.example.prevent": {"probability": 0.031}},
)
MODEL = ModelVersion("prevent-base", "2023.1", VersionSource.RESPONSE)


def prediction(
    score: float | None = 0.031, *cards: VendorCard, version: str = "2023.1", changes: tuple[str, ...] = ()
) -> Prediction:
    """The vendor's answer; flagged from 7.5 %."""
    return Prediction(
        cards=cards or (VENDOR_CARD,),
        score=score,
        score_kind=ScoreKind.PROBABILITY if score is not None else None,
        flagged=score >= 0.075 if score is not None else None,
        model=replace(MODEL, version=version),
        call=VendorCall(),
        changes=changes,
    )


@dataclass(frozen=True)
class Answer:
    """Everything decided about one patient."""

    caveat: Caveat
    disposition: Disposition
    words: CaveatWords
    composition: Composition

    @property
    def level(self) -> CaveatLevel:
        return self.caveat.level

    @property
    def summary(self) -> str:
        return self.composition.cards[0].summary

    @property
    def detail(self) -> str:
        return self.composition.cards[0].detail or ""


def book(card: ModelCard = CARD, *, approved: bool = True, scheme: SubgroupScheme = SCHEME,
         as_of: date = AS_OF, limits: Limits | None = None) -> EvidenceBook:  # fmt: skip
    """The edition a service starts with."""
    approved_cards = frozenset({card.digest}) if approved else frozenset()
    return build_book(card, scheme, QUESTION, approved_cards, as_of, limits or Limits())


def stamp(caveat: Caveat, edition: EvidenceBook, scheme: SubgroupScheme = SCHEME) -> CardStamp:
    base = "https://cds.hospital.example/evidence/cvd-risk"
    return CardStamp(
        prediction_id=UUID("0190a000-0000-7000-8000-000000000001"),
        edition=edition.edition,
        plan_version="1",
        wording_version=WORDING.version,
        extension_key="org.cds-wrapper",
        own_label="PREVENT base (American Heart Association)",
        vendor_label="Demonstration vendor",
        link_url=f"{base}/{edition.edition}/{evidence_token(edition.edition, caveat.key)}",
        general_url=base,
        shown=shown_attributes(scheme),
    )


def decide(
    subgroups: PatientSubgroups,
    answered: Prediction | NoPrediction | None = None,
    edition: EvidenceBook | None = None,
    plan: ResponsePlan = PLAN,
    scheme: SubgroupScheme = SCHEME,
    wording: Wording = WORDING,
    standing: Standing | None = None,
) -> Answer:
    """One patient's whole way from groups to cards, as a request takes it."""
    vendor = answered if answered is not None else prediction()
    edition = edition or book(scheme=scheme)
    evidence = edition.about(subgroups, vendor)
    caveat = CaveatPolicy(scheme).weigh(evidence, vendor)
    disposition = plan.settle(caveat, vendor, standing)
    words = choose_words(caveat, disposition, vendor, evidence, scheme, wording, SERVICE, standing)
    composition = compose(vendor, words, caveat, disposition, stamp(caveat, edition, scheme))
    return Answer(caveat, disposition, words, composition)
