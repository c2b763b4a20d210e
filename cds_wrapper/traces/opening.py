"""Opens the way to a collector of traces, where there is one."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import AsyncExitStack

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.traces.pieces import Tracer


def open_tracer(endpoint: str | None, stack: AsyncExitStack) -> Tracer | None:
    """Whoever sends traces to this address; `stack` closes it. Its library is loaded only then.

    `ConfigurationRefused` where the library is not installed.
    """
    if endpoint is None:
        return None
    try:
        otel = importlib.import_module("cds_wrapper.traces.otel")
    except ModuleNotFoundError:
        problem = "needs the extra `otel`: pip install 'cds-wrapper[otel]'."
        mistake = Mistake("environment", None, None, "CDS_WRAPPER_OTEL_ENDPOINT", problem)
        raise ConfigurationRefused((mistake,)) from None
    tracer: Tracer = otel.tracer_to(endpoint)
    stack.push_async_callback(asyncio.to_thread, tracer.close)
    return tracer
