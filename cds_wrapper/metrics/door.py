"""The door for `/metrics`: an application of its own, for a port of its own.

It is served by the loop that serves the calls. So all counts of one scrape are of one moment, and a loop that
does not turn is seen as what it is: a target that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_wrapper.metrics.counted import Metrics
from cds_wrapper.metrics.samples import families

PATH = "/metrics"


class _Ours(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Family]:
        return families(self._metrics.samples())


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """Our metrics, and what the kernel knows of the process (`process_...`: memory, descriptors, time)."""
    registry = CollectorRegistry()
    registry.register(_Ours(metrics))
    ProcessCollector(registry=registry)
    return registry


def metrics_app(metrics: Metrics) -> Starlette:
    """Answers `/metrics` in the text format, or in OpenMetrics to whoever asks for that."""
    registry = registry_of(metrics)

    async def scrape(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": kind})

    return Starlette(routes=[Route(PATH, scrape, methods=["GET"])])
