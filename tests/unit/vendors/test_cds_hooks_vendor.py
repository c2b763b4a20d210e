"""Every answer of a CDS Hooks vendor becomes a prediction or a named reason why there is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jmespath
import pytest

from cds_wrapper.cds import CDSRequest, Prefetch, PrefetchState, read_request
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.vendors.base import NoPrediction, Prediction, ScoreKind, Status, VendorCall, VersionSource
from cds_wrapper.vendors.cds_hooks import CDSHooksVendor, MissingInputs
from cds_wrapper.vendors.features import NO_FEATURES
from cds_wrapper.vendors.peer import VendorPeer
from cds_wrapper.vendors.question import Forwarding
from cds_wrapper.vendors.score import ModelPath, ScorePath
from tests import fakes

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
PATH = 'cards[0].extension."org.example.prevent"'


def vendor(
    url: str = "http://127.0.0.1:1/x", outbound: Outbound | None = None, **score: Any
) -> CDSHooksVendor:
    return CDSHooksVendor(
        peer=VendorPeer(url, 100_000, outbound or Outbound()),
        forwarding=Forwarding("patient-view", frozenset({"patient", "lipids"})),
        score=ScorePath(
            jmespath.compile(f"{PATH}.probability"),
            ScoreKind.PROBABILITY,
            score.get("percent", False),
            score.get("lowest", 0.0),
            score.get("highest", 1.0),
        ),
        model=ModelPath("prevent-base", "2023.1", jmespath.compile(f"{PATH}.version")),
        missing=MissingInputs(jmespath.compile("issue[].details.coding[].code"), {"hdl": "HDL cholesterol"}),
        threshold=0.075,
    )


def question() -> CDSRequest:
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {"access_token": "secret-token"},
        "context": {"patientId": "p1", "userId": "Practitioner/1", "encounterId": None},
        "extension": {"com.example.staff": "1234"},
    }
    return read_request(json.dumps(body).encode(), NOW)


def sent(**values: bytes) -> Prefetch:
    return Prefetch(
        values, dict.fromkeys(values, PrefetchState.PRESENT), values.get("patient"), PrefetchState.PRESENT
    )


def read(document: object, status: int = 200, **score: Any) -> Prediction | NoPrediction:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return vendor(**score).read(Answer(status, body), VendorCall())


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (200, fakes.card_answer(), Status.ANSWERED, None),
        (200, {"cards": []}, Status.NO_CARDS, None),
        (200, {}, Status.UNREADABLE, "not_cds_hooks"),
        (200, [], Status.UNREADABLE, "not_cds_hooks"),
        (200, {"cards": {}}, Status.UNREADABLE, "not_cds_hooks"),
        (200, {"cards": ["x"]}, Status.UNREADABLE, "not_cds_hooks"),
        (200, b"<html>Sorry</html>", Status.UNREADABLE, "not_cds_hooks"),
        (200, b'{"cards": [', Status.UNREADABLE, "not_cds_hooks"),
        (200, b'{"cards": [' + b"[" * 5000, Status.UNREADABLE, "not_cds_hooks"),
        (204, b"", Status.UNREADABLE, "not_200"),
        (302, b"", Status.UNREADABLE, "not_200"),
        (400, b"", Status.REFUSED, None),
        (401, b"", Status.REFUSED, None),
        (412, b"", Status.MISSING_INPUT, None),
        (429, b"", Status.REFUSED, None),
        (500, b"Traceback", Status.FAILED, None),
        (503, b"", Status.FAILED, None),
        (200, fakes.card_answer(score=1.2), Status.UNREADABLE, "score_may_be_percent"),
        (200, fakes.card_answer(score=-0.1), Status.UNREADABLE, "score_out_of_range"),
        (200, fakes.card_answer(score="high"), Status.UNREADABLE, "score_not_a_number"),
        (200, fakes.card_answer(score=True), Status.UNREADABLE, "score_not_a_number"),
        (200, fakes.card_answer(extension={}), Status.ANSWERED, "score_not_found"),
    ],
)
def test_whatever_comes_back_has_one_status(
    status: int, body: Any, expected: Status, reason: str | None
) -> None:
    outcome = read(body, status)
    assert (outcome.status, outcome.reason) == (expected, reason)


def test_a_score_at_the_threshold_is_flagged_and_one_below_is_not() -> None:
    at, below = read(fakes.card_answer(score=0.075)), read(fakes.card_answer(score=0.0749))
    assert isinstance(at, Prediction) and isinstance(below, Prediction)
    assert (at.flagged, below.flagged) == (True, False)


def test_a_per_cent_is_divided_by_a_hundred_once() -> None:
    outcome = read(fakes.card_answer(score=3.1), percent=True, highest=100.0)
    assert isinstance(outcome, Prediction) and outcome.score == pytest.approx(0.031)


def test_without_a_score_nothing_is_flagged_or_unflagged() -> None:
    outcome = read(fakes.card_answer(extension={}))
    assert isinstance(outcome, Prediction) and outcome.score is None and outcome.flagged is None


@pytest.mark.parametrize(
    ("named", "version", "source"),
    [
        ("2024.2", "2024.2", VersionSource.RESPONSE),
        (None, "2023.1", VersionSource.CONFIGURATION),
        (7, "unreadable", VersionSource.RESPONSE),
        ("x" * 65, "unreadable", VersionSource.RESPONSE),
        ("1\n2", "unreadable", VersionSource.RESPONSE),
    ],
)
def test_the_model_version_is_the_answers_own_and_an_odd_one_is_not_taken_for_ours(
    named: Any, version: str, source: VersionSource
) -> None:
    outcome = read(fakes.card_answer(version=named))
    assert (outcome.model.version, outcome.model.source) == (version, source)


def test_missing_inputs_are_named_from_our_own_table_only() -> None:
    issues = [{"details": {"coding": [{"code": "hdl"}]}}, {"details": {"coding": [{"code": "Jane Doe"}]}}]
    outcome = read({"resourceType": "OperationOutcome", "issue": issues}, 412)
    assert isinstance(outcome, NoPrediction) and outcome.missing_inputs == ("HDL cholesterol",)


def test_system_actions_are_kept_as_the_bytes_that_came_for_whoever_judges_them() -> None:
    outcome = read({**fakes.card_answer(), "systemActions": [{"type": "create"}]})
    assert isinstance(outcome, Prediction) and outcome.system_actions == ({"type": b'"create"'},)


async def test_the_vendor_gets_the_keys_it_asked_for_byte_for_byte_and_no_token() -> None:
    outbound = Outbound()
    await outbound.open()
    raw = b'{"resourceType":"Patient","id":"p1","x":1.10,"y":[ 1 ]}'
    prefetch = sent(patient=raw, coverage=b'{"resourceType":"Coverage"}')
    async with fakes.running(fakes.answers(fakes.card_answer())) as peer:
        outcome = await vendor(peer.url, outbound).predict(
            question(), prefetch, NO_FEATURES, Deadline.after(timedelta(seconds=5))
        )
        body, head = peer.asked[0], peer.heads[0]
    await outbound.close()
    assert outcome.status is Status.ANSWERED
    assert set(body) == {"hook", "hookInstance", "context", "prefetch"}
    assert set(body["prefetch"]) == {"patient"}
    assert body["context"] == {"patientId": "p1", "userId": "Practitioner/1"}
    assert body["hookInstance"] != question().hook_instance
    assert "authorization" not in head.lower()
    assert b'"patient":' + raw in peer.bodies[0], "the bytes themselves, not their meaning"


@pytest.mark.parametrize(
    ("behaviour", "expected", "reason"),
    [
        (fakes.says_nothing_for(60), Status.TIMED_OUT, None),
        (fakes.drips(0.05), Status.TIMED_OUT, None),
        (fakes.stops_in_the_middle(), Status.UNREADABLE, "cut_off"),
        (fakes.closes_at_once(), Status.UNREADABLE, "closed_early"),
        (fakes.answers(body=b" " * 200_000), Status.UNREADABLE, "too_large"),
        (fakes.answers(body=b"<html>", kind="text/html"), Status.UNREADABLE, "not_cds_hooks"),
        (fakes.answers(status=301, body=b""), Status.UNREADABLE, "not_200"),
    ],
)
async def test_a_vendor_in_trouble_gives_a_reason_and_never_an_exception(
    behaviour: fakes.Behaviour, expected: Status, reason: str | None
) -> None:
    outbound = Outbound()
    await outbound.open()
    patience = timedelta(milliseconds=300) if expected is Status.TIMED_OUT else timedelta(seconds=30)
    async with fakes.running(behaviour) as peer:
        outcome = await vendor(peer.url, outbound).predict(
            question(), sent(), NO_FEATURES, Deadline.after(patience)
        )
    await outbound.close()
    assert (outcome.status, outcome.reason) == (expected, reason)


async def test_a_vendor_that_does_not_listen_is_unreachable() -> None:
    outbound = Outbound()
    await outbound.open()
    outcome = await vendor("http://127.0.0.1:9/x", outbound).predict(
        question(), sent(), NO_FEATURES, Deadline.after(timedelta(seconds=30))
    )
    await outbound.close()
    assert (outcome.status, outcome.reason) == (Status.UNREACHABLE, "refused_connection")
    assert outcome.call.attempts == 2, "nothing was sent, so that it was tried once more"
