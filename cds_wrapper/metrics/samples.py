"""The values behind the metrics: counts, distributions, and what is looked at when somebody scrapes.

Each is written by one thread and read by another, under the interpreter's lock: a copy of a dictionary or a
list is of one moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from cds_wrapper.metrics.table import METRICS, Kind, Metric

Labels: TypeAlias = tuple[str, ...]
Counts: TypeAlias = Counter[Labels]


class Distribution:
    """How many values lie at or below each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """`bounds` grow; what lies above the last one is counted too."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def total(self) -> float:
        """The sum of all values."""
        return self._sum

    def cumulative(self) -> list[tuple[str, float]]:
        """Each bound as text with the number of values at or below it, `+Inf` last."""
        below, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts.copy(), strict=True):
            below += count
            buckets.append((bound, float(below)))
        return buckets


Sample: TypeAlias = tuple[Metric, Labels, float | Distribution]
"""One value of a metric, with the values of its labels in their order."""

Look: TypeAlias = Callable[[], Iterable[Sample]]
"""Asked at every scrape, in the event loop: it must not wait for anything."""


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """What Prometheus is given: every metric of the table, those without a sample too."""
    found: dict[str, list[tuple[Labels, float | Distribution]]] = {name: [] for name in METRICS}
    for metric, labels, value in samples:
        found[metric.name].append((labels, value))
    for metric in METRICS.values():
        yield _family(metric, found[metric.name])


def _family(metric: Metric, samples: Iterable[tuple[Labels, float | Distribution]]) -> Family:
    match metric.kind:
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.full_name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                if isinstance(value, Distribution):
                    histogram.add_metric(labels, value.cumulative(), value.total)
            return histogram
        case Kind.COUNTER | Kind.GAUGE:
            kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = kind(metric.full_name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                if not isinstance(value, Distribution):
                    family.add_metric(labels, value)
            return family
