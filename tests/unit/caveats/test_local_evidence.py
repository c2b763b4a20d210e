"""What a review of this hospital puts into an edition, and what cards then say."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_wrapper.caveats.evidence import (
    Direction,
    EvidenceBook,
    EvidenceSource,
    Figures,
    Finding,
    Grade,
    LocalEvidence,
    LocalResult,
    Seen,
    TrainingGroup,
    Where,
    build_book,
)
from cds_wrapper.caveats.policy import key_of
from tests.spec.prevent import (
    AS_OF,
    CARD,
    HORIZON,
    MODEL,
    OUTCOME,
    QUESTION,
    SCHEME,
    decide,
    patient,
    prediction,
)

REVIEWED = date(2026, 9, 30)
BLACK: Where = {"race": ("black",)}
YOUNG_BLACK: Where = {"race": ("black",), "age_band": ("30-39",)}


def here(where: Where, direction: Direction | None, *, signed: bool = True, **more: Any) -> Finding:
    """A finding of this hospital."""
    return Finding(
        "here-1", where, False, direction, EvidenceSource.LOCAL, None, None, None, None, None, REVIEWED,
        signed, ("r",), **more,
    )  # fmt: skip


def result(where: Where, grade: Grade = Grade.ADEQUATE, **more: Any) -> LocalResult:
    seen = Seen(900, 900, 9000, 9000, grade is Grade.ADEQUATE)
    return LocalResult(where, False, grade, grade is Grade.ADEQUATE, 9_000, ("r",), **{"seen": seen, **more})


GOOD = tuple(
    result(where)
    for where in ({}, {"age_band": ("30-39",)}, {"age_band": ("50-59",)}, {"sex": ("male",)}, BLACK)
)


def review(*findings: Finding, results: tuple[LocalResult, ...] = GOOD, **more: Any) -> LocalEvidence:
    facts = {
        "service_id": QUESTION.service_id,
        "model_id": MODEL.id,
        "model_version": MODEL.version,
        "outcome": OUTCOME,
        "horizon": HORIZON,
        "threshold": QUESTION.thresholds[0] if QUESTION.thresholds else None,
        "as_of": REVIEWED,
        "period": (date(2026, 1, 1), date(2026, 8, 31)),
        "results": results,
        "findings": findings,
        **more,
    }
    return LocalEvidence(**facts)


def edition(local: LocalEvidence | None, **card: Any) -> EvidenceBook:
    signed = frozenset({CARD.digest})
    return build_book(replace(CARD, **card), SCHEME, QUESTION, signed, AS_OF, local=local)


def told(*findings: Finding, who: Any = None, **more: Any) -> tuple[str, list[str], str]:
    answer = decide(who or patient("50-59", race="black"), edition=edition(review(*findings, **more)))
    return answer.level.value, list(answer.caveat.texts), answer.detail


@pytest.mark.parametrize(
    ("direction", "text", "words"),
    [
        (Direction.SCORES_TOO_LOW, "known_gap:scores_too_low", "This score has been too low for similar"),
        (Direction.SCORES_TOO_HIGH, "known_gap:scores_too_high:low", "This score has been too high for sim"),
        (Direction.MISSES_MORE, "known_gap:misses_more:low", "This score has missed more"),
        (Direction.FALSE_ALARMS_MORE, "known_gap:false_alarms_more:low", "false alarms in similar patients"),
        (None, "known_gap", "less reliably in similar patients"),
    ],
)
def test_what_was_found_here_is_said_as_found_here_whatever_its_direction(
    direction: Direction | None, text: str, words: str
) -> None:
    level, texts, detail = told(here(BLACK, direction))
    assert (level, texts) == ("reduced", [text])
    assert words in detail
    assert "Elsewhere" not in detail and "elsewhere" not in detail


def test_a_finding_that_awaits_a_signature_is_under_review() -> None:
    level, texts, detail = told(here(BLACK, Direction.MISSES_MORE, signed=False))
    assert (level, texts) == ("limited", ["under_review:misses_more"])
    assert detail.startswith("**Early figures suggest missed cases")


def test_a_score_right_about_its_label_and_wrong_about_the_need_is_said_to_be_so() -> None:
    finding = here(BLACK, Direction.SCORES_TOO_LOW, signed=False, label_mismatch=True)
    level, texts, detail = told(finding)
    assert (level, texts) == ("limited", ["label_mismatch", "under_review:scores_too_low"])
    assert "It may understate need where care was hard to get." in detail


def test_a_finding_about_the_model_as_a_whole_concerns_everybody_and_no_summary() -> None:
    answer = decide(
        patient("50-59", race="black"), edition=edition(review(here({}, Direction.SCORES_TOO_LOW)))
    )
    assert (answer.level.value, answer.words.short) == ("reduced", None)
    assert answer.detail.startswith("**This score has been too low for patients here.")


def test_figures_of_this_hospital_are_given_as_such() -> None:
    _, _, detail = told(here(BLACK, Direction.SCORES_TOO_LOW, figures=Figures(25, 40)))
    assert detail.startswith("**For similar patients this score said 25 in 100 and 40 had")


def test_adequate_good_results_of_a_group_do_not_undo_a_finding_about_it() -> None:
    assert told(here(BLACK, Direction.SCORES_TOO_LOW))[0] == "reduced"


def test_an_adequate_crossing_replaces_what_was_found_about_its_parents() -> None:
    finding = here(BLACK, Direction.SCORES_TOO_LOW)
    young, old = patient("30-39", race="black"), patient("50-59", race="black")
    results = (*GOOD, result(YOUNG_BLACK))
    assert told(finding, who=young, results=results)[0] == "supported"
    assert told(finding, who=old, results=results)[0] == "reduced"
    thin = (*GOOD, result(YOUNG_BLACK, Grade.THIN))
    assert told(finding, who=young, results=thin)[0] == "reduced"


def test_a_crossing_without_enough_results_still_has_its_own_finding() -> None:
    young = patient("30-39", race="black")
    results = (*GOOD, result(YOUNG_BLACK, Grade.THIN))
    assert told(here(YOUNG_BLACK, Direction.SCORES_TOO_HIGH), who=young, results=results)[0] == "reduced"


@pytest.mark.parametrize(
    "other",
    [
        {"model_version": "2099.1"},
        {"model_id": "another"},
        {"outcome": "another"},
        {"horizon": "P1Y"},
        {"threshold": 0.999},
        {"service_id": "another"},
    ],
)
def test_evidence_about_another_model_outcome_or_threshold_is_not_used(other: dict[str, Any]) -> None:
    book = edition(review(here({}, Direction.SCORES_TOO_LOW), **other))
    assert book == edition(None)


def test_what_was_found_about_one_version_says_nothing_of_another_ones_answer() -> None:
    book = edition(review(here({}, Direction.SCORES_TOO_LOW)))
    assert [finding.id for finding in book.about(patient(), prediction()).findings] == ["here-1"]
    assert book.about(patient(), prediction(version="2024.1")).findings == ()


def test_an_edition_keeps_what_it_rests_on_and_can_be_read_again() -> None:
    local = review(here(BLACK, Direction.MISSES_MORE))
    book = edition(local)
    assert LocalEvidence.from_json(local.to_json()) == local
    assert EvidenceBook.from_json(book.to_json()) == book
    assert (book.as_of, book.contents.elsewhere_as_of) == (REVIEWED, AS_OF)
    assert book.edition.startswith("2026-09-30.")


def test_an_edition_of_an_earlier_release_keeps_its_name() -> None:
    kept = edition(None).to_json().replace(b',"here":null,"gathered":null', b"")
    kept = kept.replace(b',"label_mismatch":false', b"")
    assert b"label_mismatch" not in kept and b"gathered" not in kept
    book = EvidenceBook.from_json(kept)
    assert book.edition != edition(None).edition, "the bytes that were kept name it"
    assert book.contents == edition(None).contents


def test_a_finding_from_elsewhere_keeps_its_day_when_a_review_is_published() -> None:
    before, after = edition(None), edition(review())
    assert before.findings and [one.since for one in after.findings] == [one.since for one in before.findings]


def test_results_here_undo_a_finding_from_elsewhere_and_the_group_is_marked() -> None:
    quiet = result(YOUNG_BLACK, Grade.PARTIAL, seen=Seen(40, 40, 900, 900))
    book = edition(review(results=(*GOOD, quiet)))
    assert all(finding.where != YOUNG_BLACK for finding in book.findings)
    assert any(finding.where == YOUNG_BLACK for finding in edition(None).findings)
    adequate = result(YOUNG_BLACK, seen=Seen(400, 400, 9000, 9000, adequate=True))
    marked = edition(review(results=(*GOOD, adequate))).contents.local
    assert [one.where for one in marked if one.differs] == [YOUNG_BLACK]


@pytest.mark.parametrize(("share", "absent"), [(0.05, True), (0.07, False), (0.0, True)])
def test_a_group_far_rarer_in_training_than_here_counts_as_absent(share: float, absent: bool) -> None:
    training = (TrainingGroup({"race": ("black",)}, share=share),)
    book = edition(review(results=(result(BLACK, share=0.3),)), training=training)
    assert bool(book.contents.absent_from_training) is absent


def test_the_page_of_a_finding_is_found_by_its_link() -> None:
    book = edition(review(here(BLACK, Direction.MISSES_MORE)))
    answer = decide(patient("50-59", race="black"), edition=book)
    assert answer.caveat.key == "here-1"
    assert key_of(book, "unknown") == "general"
