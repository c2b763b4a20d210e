"""Results of this hospital on the page behind a card: whose, and none that is small or gives one away."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cds_wrapper.caveats.evidence import (
    GENERAL,
    Direction,
    Estimate,
    EvidenceSource,
    Finding,
    Grade,
    LocalEvidence,
    LocalResult,
    Metric,
    Seen,
    Where,
)
from cds_wrapper.pages.evidence import evidence_page
from cds_wrapper.pages.here import ResultHere, results_here
from cds_wrapper.pages.page import page
from cds_wrapper.pages.published import NOT_SHOWN
from cds_wrapper.services import ServiceDefinition
from tests.unit.pages.test_evidence_page import SERVICE

REVIEWED = date(2026, 9, 30)
BLACK: Where = {"race": ("black",)}


def figure(where: Where, n: int, positives: int, ratio: float = 1.5) -> Estimate:
    outcome = SERVICE.outcome
    return Estimate(
        "r",
        Metric.OE_RATIO,
        EvidenceSource.LOCAL,
        outcome.name,
        outcome.horizon,
        where,
        estimate=ratio,
        ci=(ratio - 0.1, ratio + 0.1),
        n=n,
        positives=positives,
    )


def about(where: Where) -> Finding:
    local = EvidenceSource.LOCAL
    nothing = (None, None, None, None, None)
    return Finding("here-1", where, False, Direction.SCORES_TOO_LOW, local, *nothing, REVIEWED, True, ("r",))


def reviewed(*estimates: Estimate, where: Where = BLACK) -> ServiceDefinition:
    model = SERVICE.card
    seen = Seen(300, 100, 1000, 1000, adequate=True)
    overall = LocalResult({}, False, Grade.ADEQUATE, True, 4_000, ("r",))
    local = LocalEvidence(
        service_id=SERVICE.id,
        model_id=model.id,
        model_version=model.version,
        outcome=SERVICE.outcome.name,
        horizon=SERVICE.outcome.horizon,
        threshold=SERVICE.threshold,
        as_of=REVIEWED,
        period=(date(2026, 1, 1), date(2026, 8, 31)),
        estimates=(figure({}, 4_000, 400, 1.0), *estimates),
        results=(overall, LocalResult(where, False, Grade.ADEQUATE, True, 500, ("r",), seen)),
        findings=(about(where),),
    )
    return SERVICE.with_book(SERVICE.edition_with(local))


def shown(service: ServiceDefinition, key: str = "here-1") -> tuple[ResultHere, ...]:
    return results_here(service, key).rows


def test_the_group_stands_beside_everybody_without_its_name() -> None:
    everybody, group = shown(reviewed(figure(BLACK, 500, 75)))
    assert everybody == ResultHere(
        "all patients here", "4,000", "10 in 100", "10 in 100", "1.00 (0.90 to 1.10)"
    )
    assert group == ResultHere("similar patients", "500", "15 in 100", "10 in 100", "1.50 (1.40 to 1.60)")


def test_a_page_about_no_group_gives_figures_for_everybody_alone() -> None:
    service = reviewed(figure(BLACK, 500, 75))
    assert [row.who for row in shown(service, GENERAL)] == ["all patients here"]


@pytest.mark.parametrize(("n", "positives"), [(10, 5), (500, 10), (500, 490), (3_995, 300)])
def test_small_counts_and_what_would_give_them_away_are_not_shown(n: int, positives: int) -> None:
    _, group = shown(reviewed(figure(BLACK, n, positives)))
    assert {group.n, group.happened, group.foretold, group.ratio} == {NOT_SHOWN}


def test_the_next_smallest_sibling_is_hidden_with_a_small_one() -> None:
    few, next_one = figure({"race": ("asian",)}, 9, 1), figure(BLACK, 500, 75)
    largest = figure({"race": ("white",)}, 3_491, 324)
    _, group = shown(reviewed(few, next_one, largest))
    assert group.n == NOT_SHOWN


def test_a_group_that_may_never_be_told_of_has_no_figures() -> None:
    where: Where = {"tribal_affiliation": ("any",)}
    assert [row.who for row in shown(reviewed(figure(where, 500, 75), where=where))] == ["all patients here"]


def test_the_page_gives_the_days_and_says_where_elsewhere_something_else_was_found() -> None:
    service = reviewed(figure(BLACK, 500, 75))
    marked = tuple(replace(one, differs=True) for one in service.book.contents.local)
    differing = service.with_book(service.book.of(replace(service.book.contents, local=marked)))
    words = bytes(page("evidence.html", **evidence_page(differing, "here-1")).body).decode()
    assert "from 1 January 2026 to 31 August 2026" in words
    assert "differs from the published result" in words
    assert "results known up to 2026-09-30" in words
    assert (
        "differs from the published result"
        not in bytes(page("evidence.html", **evidence_page(service, "here-1")).body).decode()
    )
