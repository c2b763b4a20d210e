"""Answers that are remembered: made once, not too many of them, and the same as if they were made anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from cds_wrapper.bench.scored_calls import scored_calls
from cds_wrapper.cds import read_request
from cds_wrapper.cds_answer import read_card
from cds_wrapper.ehr.fhir import patient_view, sort_prefetch
from cds_wrapper.invocation import decide, decided
from cds_wrapper.patient.demographics import describe
from cds_wrapper.patient.subgroups import PatientSubgroups
from cds_wrapper.remembered import Remembered
from cds_wrapper.services import ServiceDefinition, load_services
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    Status,
    VendorCall,
    VersionSource,
)
from tests.service.harness import ROOT


def test_an_answer_is_made_once_and_forgotten_when_there_are_too_many() -> None:
    asked: list[int] = []
    remembered: Remembered[int] = Remembered(most=2)

    def made(question: int) -> int:
        asked.append(question)
        return question * 2

    def answer(question: int) -> int:
        return remembered.of(question, partial(made, question))

    assert [answer(one) for one in (1, 2, 1, 2)] == [2, 4, 2, 4]
    assert asked == [1, 2]
    assert answer(3) == 6 and len(remembered) == 1
    assert answer(1) == 2 and asked == [1, 2, 3, 1]


@pytest.fixture(scope="module")
def service() -> ServiceDefinition:
    return next(iter(load_services(ROOT / "hooks")))


@pytest.fixture(scope="module")
def patients(service: ServiceDefinition) -> list[PatientSubgroups]:
    found = []
    for call in scored_calls():
        request = read_request(call.body, datetime(2026, 6, 1, tzinfo=UTC))
        prefetch = sort_prefetch(request, service.prefetch, service.patient_key)
        view = patient_view(prefetch)
        found.append(service.scheme.assign(describe(view, request.received_at, service.rules)))
    return found


def predictions(service: ServiceDefinition) -> list[Prediction | NoPrediction]:
    """A high and a low score, another version, no card, and the ways in which there is none."""
    approved = ModelVersion(
        service.vendor.model.id, service.vendor.model.version, VersionSource.CONFIGURATION
    )
    call = VendorCall(1.0, 200, 1, 10, 10)
    card = read_card({"summary": "Risk 30 %", "indicator": "info", "source": {"label": "Vendor"}})
    high = Prediction((card,), 0.3, ScoreKind.PROBABILITY, True, approved, call)
    other = replace(approved, version="9.9")
    return [
        high,
        replace(high, score=0.01, flagged=False),
        replace(high, model=other),
        replace(high, cards=()),
        replace(high, score=None, score_kind=None, flagged=None),
        NoPrediction(Status.TIMED_OUT, approved, call),
        NoPrediction(Status.MISSING_INPUT, approved, call),
        NoPrediction(Status.MISSING_INPUT, approved, call, missing_inputs=("blood pressure",)),
        NoPrediction(Status.MISSING_INPUT, approved, call, reason="nothing_to_ask_with"),
        NoPrediction(Status.UNREADABLE, approved, call, reason="not_json"),
    ]


def test_what_is_remembered_is_what_would_be_decided_anew(
    service: ServiceDefinition, patients: list[PatientSubgroups]
) -> None:
    for _ in range(2):
        for subgroups in patients:
            for prediction in predictions(service):
                anew = decide(service, service.book, subgroups, prediction)
                assert decided(service, subgroups, prediction) == anew


def test_no_call_is_made_of_what_was_remembered_for_another_edition(service: ServiceDefinition) -> None:
    service.remembered.of("x", lambda: 1)
    assert len(service.with_book(service.book).remembered) == 0
