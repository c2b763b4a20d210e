"""Sends traces to an OpenTelemetry collector; loaded only where `CDS_WRAPPER_OTEL_ENDPOINT` is set."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, set_span_in_context

from cds_wrapper import __version__
from cds_wrapper.ledger.entries import LedgerEntry
from cds_wrapper.traces.pieces import Piece, began_at, pieces_of

SEND_WITHIN_SECONDS: Final = 2.0
"""A collector that does not answer costs traces, and a stop this much."""

_KINDS: Final = {"hook call": SpanKind.SERVER, "vendor": SpanKind.CLIENT, "fhir reads": SpanKind.CLIENT}


class OTelTracer:
    """One provider of its own, never the library's global one: no other library's spans come this way."""

    def __init__(self, exporter: SpanExporter) -> None:
        """`exporter` is called in a thread of the library's; what it cannot take in time is dropped."""
        # Not `Resource.create`, which would add what the environment says and look at the machine.
        resource = Resource({"service.name": "cds-wrapper", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("cds_wrapper", __version__)

    def tell(self, entry: LedgerEntry, version: str, ledger_ms: float) -> None:
        """As `Tracer.tell`."""
        whole, *parts = pieces_of(entry, version, ledger_ms)
        began = began_at(entry)
        span = self._tracer.start_span(
            whole.name, None, _KINDS[whole.name], dict(whole.attributes), start_time=_nanoseconds(began, 0.0)
        )
        context = set_span_in_context(span)
        for part in parts:
            self._part(part, began, context)
        span.end(_nanoseconds(began, whole.ends))

    def _part(self, part: Piece, began: float, context: Context) -> None:
        kind = _KINDS.get(part.name, SpanKind.INTERNAL)
        starts = _nanoseconds(began, part.begins)
        span = self._tracer.start_span(part.name, context, kind, dict(part.attributes), start_time=starts)
        span.end(_nanoseconds(began, part.ends))

    def close(self) -> None:
        """As `Tracer.close`."""
        self._provider.shutdown()


def tracer_to(endpoint: str) -> OTelTracer:
    """A tracer that sends to a collector over HTTP (OTLP), at the address as it stands there."""
    return OTelTracer(OTLPSpanExporter(endpoint=endpoint, timeout=SEND_WITHIN_SECONDS))


def _nanoseconds(began: float, milliseconds: float) -> int:
    return int(began * 1_000_000_000 + milliseconds * 1_000_000)
