"""What one recorded call adds to the counts: what stands in its record, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds_wrapper.cds import NotRead, Reading
from cds_wrapper.ledger.work import Committed, Receipt
from cds_wrapper.metrics import table
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.metrics.samples import Distribution, Labels
from cds_wrapper.metrics.table import Metric
from tests.unit.ledger.examples import NOON, entry

NOW = 1_800_000_000.0


def counted(
    total_ms: float = 100.0, cards: int = 1, budget_ms: int = 500, **columns: Any
) -> dict[tuple[str, Labels], float]:
    """The samples after one call whose record has these columns; of a distribution its sum."""
    metrics = Metrics(clock=lambda: NOW)
    metrics.recorded(entry(budget_ms=budget_ms, **columns), "3.2.1", cards, ledger_ms=4.0, total_ms=total_ms)
    return found_in(metrics)


def found_in(metrics: Metrics) -> dict[tuple[str, Labels], float]:
    return {
        (metric.name, labels): round(value.total, 9) if isinstance(value, Distribution) else value
        for metric, labels, value in metrics.samples()
    }


def labelled(samples: dict[tuple[str, Labels], float], metric: Metric) -> dict[Labels, float]:
    return {labels: value for (name, labels), value in samples.items() if name == metric.name}


def test_an_answered_call_is_counted_once_in_each_way() -> None:
    found = counted(service_id="s", status="answered", caveat_level="reduced", caveat_in_summary=True)
    assert labelled(found, table.PREDICTIONS) == {("s", "3.2.1", "answered"): 1}
    assert labelled(found, table.CAVEATS) == {("s", "reduced", "true"): 1}
    assert labelled(found, table.LAST_REQUEST) == {("s",): NOW}
    assert labelled(found, table.ABANDONED) == labelled(found, table.BUDGET_EXCEEDED) == {}


def test_cards_are_counted_and_not_calls() -> None:
    assert labelled(counted(cards=3, disposition="annotate"), table.CARDS).popitem()[1] == 3
    assert labelled(counted(cards=0, disposition="annotate"), table.CARDS).popitem()[1] == 0


def test_an_error_of_our_own_has_no_caveat_to_be_counted() -> None:
    found = counted(status="error", caveat_level=None, caveat_in_summary=None, disposition=None)
    assert labelled(found, table.CAVEATS) == {}
    assert [labels[1] for labels in labelled(found, table.CARDS)] == ["none"]


@pytest.mark.parametrize(("attempts", "asked"), [(0, False), (1, True), (2, True)])
def test_a_vendor_that_was_not_asked_has_no_request_and_no_time(attempts: int, asked: bool) -> None:
    found = counted(service_id="s", status="timed_out", vendor_attempts=attempts, vendor_ms=30.0)
    assert labelled(found, table.VENDOR_REQUESTS) == ({("s", "timed_out"): 1} if asked else {})
    assert labelled(found, table.VENDOR_DURATION) == {("s",): 0.03 if asked else 0.0}


def test_our_own_share_is_what_neither_the_vendor_nor_the_fhir_server_took() -> None:
    found = counted(service_id="s", fhir_ms=20.0, vendor_ms=50.0, trust_ms=1.0, decide_ms=2.0, total_ms=90.0)
    assert labelled(found, table.OVERHEAD) == {("s",): 0.02}
    assert labelled(found, table.REQUEST_DURATION) == {("s",): 0.09}
    stages = {"trust": 0.001, "fhir": 0.02, "vendor": 0.05, "decide": 0.002, "ledger": 0.004}
    assert labelled(found, table.STAGE_DURATION) == {("s", stage): spent for stage, spent in stages.items()}


@pytest.mark.parametrize(("total_ms", "exceeded"), [(500.0, {}), (500.1, {("s",): 1})])
def test_the_budget_is_exceeded_when_the_record_came_after_it(
    total_ms: float, exceeded: dict[Labels, float]
) -> None:
    found = counted(service_id="s", budget_ms=500, total_ms=total_ms)
    assert labelled(found, table.BUDGET_EXCEEDED) == exceeded


def test_a_call_nobody_waits_for_any_more_is_counted() -> None:
    assert labelled(counted(service_id="s", delivery="abandoned"), table.ABANDONED) == {("s",): 1}


def test_a_missing_attribute_is_counted_by_its_reason_and_a_known_one_is_not() -> None:
    found = counted(service_id="s", race="missing:not_fetched", sex="female", payer=None)
    missing = labelled(found, table.DEMOGRAPHICS_MISSING)
    assert missing["s", "race", "not_fetched"] == 1
    assert not [labels for labels in missing if labels[1] in {"sex", "payer"}]


def test_reads_are_counted_by_key_and_of_a_status_only_the_class() -> None:
    metrics = Metrics()
    metrics.read("epic", Reading({"a": NOON, "b": NOON}, {"b": "most_pages", "c": "http_418"}))
    metrics.read("epic", Reading({}, {"a": "no_token", "b": "no_token"}, NotRead.NO_TOKEN))
    assert labelled(found_in(metrics), table.FHIR_READS) == {
        ("epic", "read"): 1,
        ("epic", "most_pages"): 1,
        ("epic", "http_4xx"): 1,
        ("epic", "no_token"): 2,
    }


def test_what_came_into_the_ledger_is_counted_by_whether_its_answer_went_out() -> None:
    metrics = Metrics()
    receipt = Receipt("w", 1, datetime.now(UTC), timedelta(milliseconds=3))
    late = Committed(entry(service_id="s"), receipt, in_time=False)
    metrics.committed([Committed(entry(service_id="s"), receipt, in_time=True), late])
    found = found_in(metrics)
    assert labelled(found, table.RECORDS) == {("s", "returned"): 1, ("s", "late"): 1}
    assert found["ledger_batch_records", ()] == 2
    assert found["ledger_append_duration_seconds", ()] == 0.006
