"""Patient, evidence, plan -> how far the score may be relied on, why, what happens to the card, the words.

Every line of a table is one patient a clinician could meet. The model is PREVENT base as published.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_wrapper.caveats.evidence import Estimate, EvidenceSource, Metric, TrainingGroup
from cds_wrapper.caveats.plan import Disposition
from cds_wrapper.caveats.policy import CaveatLevel
from cds_wrapper.patient.demographics import Missing
from cds_wrapper.patient.subgroups import Display, PatientSubgroups, SubgroupScheme
from cds_wrapper.vendors.base import NoPrediction, Status, VendorCall
from tests.spec.prevent import (
    BLACK_YOUNG,
    CARD,
    MODEL,
    NOBODY,
    PLAN,
    PUBLISHED,
    SCHEME,
    book,
    decide,
    patient,
    policy,
    prediction,
    row,
)

VENDOR = "10-year cardiovascular risk 3.1 %"
HIGHER = " – true risk may be higher for this patient"
TOO_LOW = "Elsewhere, this score has been too low for similar patients. True risk may be higher than shown."
UNREPORTED = (
    "The developer gives no results for similar patients, and we have none yet. "
    "Use it as one sign among others."
)
NOT_ON_FILE = (
    "How well this score works for this patient could not be checked: details not on file. "
    "Use it as one sign among others."
)
UNCHECKED = "This score has not yet been checked on enough patients here. Use it as one sign among others."
ADVISED_AGAINST = (
    "The developer advises against this score for ages outside 30 to 79. Do not rely on it here."
)
KNOWN = "Not yet checked here. Known since March 2026; the hospital's plan: see link."
RULED = "Not yet checked here. The hospital's plan: see link."
NOT_YET = "Not yet checked here."
PAUSED = "10-year cardiovascular risk is paused; scores are being checked. They are calculated, not shown."


@pytest.mark.parametrize(
    ("who", "level", "reasons", "summary", "caveat", "checked"),
    [
        pytest.param(
            patient("30-39", race="black"), "reduced", ["known_gap:scores_too_low", "thin_evidence"],
            VENDOR + HIGHER, TOO_LOW, KNOWN, id="Black man, 35",
        ),
        pytest.param(
            patient("30-39", race="white"), "limited", ["thin_evidence"],
            VENDOR, UNCHECKED, NOT_YET, id="White man, 35",
        ),
        pytest.param(
            patient("50-59", race="white"), "limited", ["thin_evidence"],
            VENDOR, UNCHECKED, NOT_YET, id="White man, 55",
        ),
        pytest.param(
            patient("50-59", "female", race="aian"), "not_validated", ["not_reported", "thin_evidence"],
            VENDOR + " – no results for similar patients", UNREPORTED, "No local results yet.",
            id="American Indian woman, 50",
        ),
        pytest.param(
            patient("30-39", race=Missing.DECLINED), "not_assessed", ["thin_evidence", "group_unknown"],
            VENDOR, NOT_ON_FILE, NOT_YET, id="man, 35, declined to give his race",
        ),
        pytest.param(
            patient("50-59", race=Missing.UNKNOWN), "not_assessed", ["thin_evidence", "group_unknown"],
            VENDOR, NOT_ON_FILE, NOT_YET, id="man, 55, race recorded as unknown",
        ),
        pytest.param(
            NOBODY, "not_assessed", ["thin_evidence", "group_unknown"],
            VENDOR, NOT_ON_FILE, NOT_YET, id="no Patient came with the call",
        ),
        pytest.param(
            patient(Missing.IMPRECISE), "not_assessed", ["thin_evidence", "group_unknown"],
            VENDOR, NOT_ON_FILE, NOT_YET, id="age known only within two bands",
        ),
        pytest.param(
            patient("80+", "female"), "reduced", ["out_of_scope", "thin_evidence"],
            VENDOR + " – outside the developer's intended use", ADVISED_AGAINST, RULED, id="White woman, 81",
        ),
        pytest.param(
            patient("<30"), "reduced", ["out_of_scope", "thin_evidence"],
            VENDOR + " – outside the developer's intended use", ADVISED_AGAINST, RULED, id="White man, 26",
        ),
        pytest.param(
            patient("30-39", race=("black", "white")), "reduced",
            ["known_gap:scores_too_low", "thin_evidence"],
            VENDOR + HIGHER, TOO_LOW, KNOWN, id="Black and White man, 35",
        ),
        pytest.param(
            patient("40-49", race=("black", "white")), "limited", ["thin_evidence"],
            VENDOR, UNCHECKED, NOT_YET, id="Black and White man, 45",
        ),
        pytest.param(
            patient("60-69", race="black"), "limited", ["thin_evidence"],
            VENDOR, UNCHECKED, NOT_YET, id="Black man, 65",
        ),
        pytest.param(
            patient("50-59", language=Missing.ABSENT), "limited", ["thin_evidence"],
            VENDOR, UNCHECKED, NOT_YET, id="language not on file, on which nothing depends",
        ),
    ],
)  # fmt: skip
def test_the_patients_of_the_demonstration(
    who: PatientSubgroups, level: str, reasons: list[str], summary: str, caveat: str, checked: str
) -> None:
    answer = decide(who)
    assert answer.level.value == level
    assert list(answer.caveat.texts) == reasons
    assert answer.disposition is Disposition.ANNOTATE
    assert answer.summary == summary
    assert answer.detail.startswith(f"**{caveat}**\n\n{checked}\n\nCalculated by PREVENT base 2023.1")
    assert answer.composition.in_summary is (summary != VENDOR)


def test_two_men_of_35_with_one_score_get_different_cards_by_what_is_known_of_the_score() -> None:
    black, white = decide(patient("30-39", race="black")), decide(patient("30-39", race="white"))
    assert black.summary.startswith(white.summary)
    assert black.level > white.level


@pytest.mark.parametrize("reason", list(Missing))
def test_the_words_are_the_same_why_ever_a_detail_is_missing(reason: Missing) -> None:
    declined = decide(patient("30-39", race=Missing.DECLINED))
    assert decide(patient("30-39", race=reason)).words == declined.words


@pytest.mark.parametrize(
    ("score", "direction_row", "ids", "summary"),
    [
        # Observed over expected 1.85: too low, whatever the score.
        (0.03, BLACK_YOUNG, ("G5",), VENDOR + HIGHER),
        (0.30, BLACK_YOUNG, ("G5",), VENDOR + HIGHER),
        # Observed over expected 0.5: too high, and the words depend on the side of the threshold.
        (0.03, replace(BLACK_YOUNG, estimate=0.5, ci=(0.45, 0.55)), ("G6",),
         VENDOR + " – true risk may be lower for this patient"),
        (0.30, replace(BLACK_YOUNG, estimate=0.5, ci=(0.45, 0.55)), ("G7",),
         VENDOR + " – may be too high for similar patients; check patient"),
        (None, replace(BLACK_YOUNG, estimate=0.5, ci=(0.45, 0.55)), ("G6",),
         VENDOR + " – true risk may be lower for this patient"),
    ],
)  # fmt: skip
def test_the_direction_of_a_finding_and_the_side_of_the_score_choose_the_words(
    score: float | None, direction_row: Estimate, ids: tuple[str, ...], summary: str
) -> None:
    rows = tuple(direction_row if one is BLACK_YOUNG else one for one in PUBLISHED)
    edition = book(replace(CARD, estimates=rows))
    answer = decide(patient("30-39", race="black"), prediction(score), edition)
    assert answer.words.wording_ids == ids
    assert answer.summary == summary


@pytest.mark.parametrize(
    ("approved", "level", "reasons", "ids", "summary"),
    [
        (True, "reduced", ["known_gap:scores_too_low", "thin_evidence"], ("G5",), VENDOR + HIGHER),
        (False, "limited", ["under_review:scores_too_low", "thin_evidence"], ("U1",),
         VENDOR + " – under review: may be too low"),
    ],
)  # fmt: skip
def test_a_finding_waits_for_the_boards_signature(
    approved: bool, level: str, reasons: list[str], ids: tuple[str, ...], summary: str
) -> None:
    answer = decide(patient("30-39", race="black"), edition=book(approved=approved))
    assert (answer.level.value, list(answer.caveat.texts)) == (level, reasons)
    assert answer.words.wording_ids == ids
    assert answer.summary == summary


@pytest.mark.parametrize(
    ("respond", "disposition", "summary"),
    [
        ("annotate", Disposition.ANNOTATE, VENDOR + HIGHER),
        ("withhold", Disposition.WITHHOLD,
         "10-year cardiovascular risk: not shown for this patient. This does not mean low risk."),
        ("shadow", Disposition.SHADOW, PAUSED),
    ],
)  # fmt: skip
def test_the_plan_says_what_happens_to_the_card(respond: str, disposition: Disposition, summary: str) -> None:
    plan = replace(PLAN, respond={CaveatLevel.REDUCED: Disposition(respond)})
    answer = decide(patient("30-39", race="black"), plan=plan)
    assert answer.disposition is disposition
    assert answer.summary == summary
    assert ("3.1" in answer.detail) is (respond == "annotate")


def test_a_version_nobody_approved_is_paused_visibly() -> None:
    answer = decide(patient(), prediction(version="2024.1"))
    assert answer.disposition is Disposition.SHADOW
    assert "is paused" in answer.summary


@pytest.mark.parametrize("status", list(Status))
def test_a_vendor_that_gives_nothing_never_looks_like_low_risk(status: Status) -> None:
    failed = NoPrediction(status, MODEL, VendorCall(), missing_inputs=("HDL cholesterol",))
    answer = decide(patient(), failed)
    assert "This does not mean low risk." in answer.summary
    assert ("HDL cholesterol" in answer.summary) is (status is Status.MISSING_INPUT)


def shown(*names: str) -> SubgroupScheme:
    """The same scheme with these attributes' groups named on cards."""
    return replace(
        SCHEME,
        attributes={
            name: replace(attribute, display=Display.SHOW if name in names else attribute.display)
            for name, attribute in SCHEME.attributes.items()
        },
    )


@pytest.mark.parametrize(
    ("scheme", "who"),
    [(SCHEME, "similar patients"), (shown("race"), "Aian people")],
)
def test_a_group_is_named_only_where_the_site_decided_so(scheme: SubgroupScheme, who: str) -> None:
    answer = decide(patient(race="aian"), scheme=scheme)
    assert f"gives no results for {who}, and" in answer.detail
    assert "similar patients" in answer.summary


def test_a_crossing_is_never_half_named() -> None:
    """The finding is about race and age; age alone may be shown, and is not."""
    assert "aged" not in decide(patient("30-39", race="black")).detail


def share_of(race: str, share: float) -> TrainingGroup:
    return TrainingGroup({"race": (race,)}, share=share)


@pytest.mark.parametrize(
    ("training", "level", "reasons"),
    [
        (share_of("white", 0.0), "not_validated", ["not_represented", "thin_evidence"]),
        (share_of("white", 0.6), "limited", ["thin_evidence"]),
        (share_of("black", 0.0), "limited", ["thin_evidence"]),
    ],
)
def test_a_group_the_model_was_not_built_on(training: TrainingGroup, level: str, reasons: list[str]) -> None:
    answer = decide(patient(), edition=book(replace(CARD, training=(training,))))
    assert (answer.level.value, list(answer.caveat.texts)) == (level, reasons)


def test_a_developer_who_reports_no_groups_at_all_is_said_once_for_everybody() -> None:
    overall = row("all", Metric.AUROC, {}, estimate=0.79)
    answer = decide(patient("30-39", race="black"), edition=book(replace(CARD, estimates=(overall,))))
    assert (answer.level.value, answer.words.wording_ids) == ("limited", ("N2",))
    assert answer.summary == VENDOR


def own(name: str, n: int = 20_000, events: int = 1_000, ratio: float = 1.0, **where: list[str]) -> Estimate:
    """A result of this hospital."""
    measured = {"estimate": ratio, "ci": (ratio * 0.94, ratio * 1.06), "n": n, "positives": events}
    return row(name, Metric.OE_RATIO, where, source=EvidenceSource.LOCAL, **measured)


HERE = (own("all"), own("age", age_band=["50-59"]), own("sex", sex=["male"]), own("race", race=["white"]))


@pytest.mark.parametrize(
    ("local", "level", "reasons"),
    [
        (HERE, "supported", []),
        (HERE[:3], "limited", ["thin_evidence"]),
        ((*HERE[:3], own("race", 900, 40, race=["white"])), "limited", ["thin_evidence"]),
        ((*HERE[:3], own("race", ratio=1.45, race=["white"])), "limited", ["thin_evidence"]),
        (HERE[1:], "limited", ["thin_evidence"]),
    ],
)
def test_results_of_this_hospital_lift_the_caveat_when_there_are_enough_and_they_hold(
    local: tuple[Estimate, ...], level: str, reasons: list[str]
) -> None:
    rows = (*PUBLISHED, *local)
    answer = decide(patient(), edition=book(replace(CARD, estimates=rows)))
    assert (answer.level.value, list(answer.caveat.texts)) == (level, reasons)
    if level == "supported":
        assert answer.disposition is Disposition.SHOW
        assert answer.summary == VENDOR
        assert answer.detail.startswith(
            "Last checked here March 2026: results for similar patients were about as expected."
        )


def test_an_old_finding_fades_as_the_edition_grows_older() -> None:
    """The young adults' study ended in 2019: after ten years it no longer makes a finding by itself."""
    for year, level in ((2026, "reduced"), (2028, "reduced"), (2029, "limited"), (2035, "limited")):
        edition = book(as_of=book().as_of.replace(year=year))
        assert decide(patient("30-39", race="black"), edition=edition).level.value == level, year


def test_policies_beside_those_of_the_demonstration_change_nothing_for_its_patients() -> None:
    wider = replace(
        SCHEME, attributes={**SCHEME.attributes, "payer": policy("payer", {}, Display.NEVER, core=False)}
    )
    assert decide(patient("30-39", race="black"), scheme=wider).level is CaveatLevel.REDUCED
