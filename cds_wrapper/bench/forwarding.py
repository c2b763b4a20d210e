"""How the bare forwarders are served: by the same server with the same settings as the wrapper."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

CONNECTIONS = 128
"""As many towards the vendor as the wrapper may open, all of them kept: no forwarder has to reconnect."""


def serve_forwarder(make: Callable[[str], ASGIApp], arguments: Sequence[str] | None = None) -> None:
    """Serve the application that `make` builds for a vendor's address, until SIGTERM."""
    parser = argparse.ArgumentParser(description="A forwarder that records nothing and adds nothing.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--vendor", required=True, help="Address of the vendor's service.")
    options = parser.parse_args(arguments)
    uvicorn.run(
        make(options.vendor),
        host="127.0.0.1",
        port=options.port,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
