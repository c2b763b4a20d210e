"""Runs a demonstration server as its own process: no access log, exit code 0 when asked to stop."""

from __future__ import annotations

import signal
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 3


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; every request whose head was read is answered first.

    uvicorn raises the signal again after draining, which would end the process by that signal. It puts the
    handlers back that it found, so it is ours that hears the second one.
    """
    # An access log would hold patient ids: they stand in FHIR addresses.
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.run()
