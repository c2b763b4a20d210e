"""Counts and distributions, as Prometheus is given them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from cds_wrapper.metrics import table
from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.metrics.door import registry_of
from cds_wrapper.metrics.samples import Distribution, families
from cds_wrapper.metrics.table import METRICS, Kind


def test_a_value_is_counted_at_its_bound_and_at_every_higher_one() -> None:
    times = Distribution((0.1, 0.5))
    for value in (0.1, 0.100001, 0.5, 7.0):
        times.add(value)
    assert times.cumulative() == [("0.1", 1), ("0.5", 3), ("+Inf", 4)]
    assert times.total == 0.1 + 0.100001 + 0.5 + 7.0


def test_every_metric_is_told_also_before_there_is_anything_to_tell() -> None:
    told = [family.name for family in families([])]
    assert told == [metric.full_name.removesuffix("_total") for metric in METRICS.values()]


def test_the_library_takes_every_metric_with_its_labels() -> None:
    class All(Collector):
        def collect(self) -> object:  # type: ignore[override]  # the library says Iterable of its Metric
            return families(
                (
                    metric,
                    tuple(f"a {label}" for label in metric.labels),
                    Distribution(metric.bounds) if metric.kind is Kind.HISTOGRAM else 1.0,
                )
                for metric in METRICS.values()
            )

    registry = CollectorRegistry()
    registry.register(All())
    text = generate_latest(registry).decode()
    for metric in METRICS.values():
        assert f"# TYPE {metric.full_name} {metric.kind.value}\n" in text
        assert all(f'{label}="a {label}"' in text for label in metric.labels)


def test_names_say_what_they_count_and_in_which_unit() -> None:
    for metric in METRICS.values():
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
        assert not metric.name.endswith(("_ms", "_milliseconds", "_kb"))
        assert bool(metric.bounds) is (metric.kind is Kind.HISTOGRAM)
        assert list(metric.bounds) == sorted(set(metric.bounds))


def test_what_raises_an_alarm_begins_at_nought_so_that_its_first_rise_is_seen() -> None:
    metrics = Metrics()
    metrics.expect(["sepsis"], ["epic"])
    text = generate_latest(registry_of(metrics)).decode()
    for line in (
        'stripped_requests_total{client="epic"} 0.0',
        'patient_mismatch_total{client="epic"} 0.0',
        'unrecorded_answers_total{service="sepsis"} 0.0',
        'predictions_total{model_version="other",service="sepsis",status="answered"} 0.0',
    ):
        assert f"cds_wrapper_{line}" in text


def test_a_count_goes_up_by_as_much_as_is_said() -> None:
    metrics = Metrics()
    metrics.count(table.FEEDBACK, "sepsis", "stored", by=3)
    metrics.count(table.FEEDBACK, "sepsis", "stored")
    assert (table.FEEDBACK, ("sepsis", "stored"), 4) in list(metrics.samples())
