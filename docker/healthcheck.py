"""Asks this container's own server whether it is ready: exit code 0 when it is, 1 with a sentence when not.

    python3 healthcheck.py [PORT PATH]

Without arguments it asks the service, on the port of its settings; the demonstration's other parts are asked
by port and path.
"""

# Standard library only, and few modules of it: it is started every few seconds.
from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Sequence

PATIENCE_SECONDS = 4.0
# Who listens on every address is asked on the one that is always there.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are asked about, not listened on


def main(arguments: Sequence[str]) -> int:
    """Ask once."""
    host = os.environ.get("CDS_WRAPPER_HOST", "127.0.0.1")
    port = arguments[0] if arguments else os.environ.get("CDS_WRAPPER_PORT", "8080")
    path = arguments[1] if len(arguments) > 1 else "/readyz"
    problem = problem_of(LOOPBACK.get(host, host), int(port), path)
    if problem:
        sys.stderr.write(f"{path} on port {port}: {problem}\n")
    return 1 if problem else 0


def problem_of(host: str, port: int, path: str) -> str | None:
    """What is wrong in a few words, None when the answer was 200; the body is not read."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({type(error).__name__})"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"answered {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
