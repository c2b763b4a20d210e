"""The wrapper as a process of its own, and an EHR that signs each call to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.ehr import EHR, NORTH, bearer, write_clients
from tests.service.harness import copy_hooks
from tests.service.servers import Server, server
from tests.service.test_vendor_access import NEW, signing_with

PUBLIC = "https://cds.example.org"


@contextlib.contextmanager
def guarded_server(folder: Path, vendor_base: str) -> Iterator[Server]:
    """The wrapper over a real socket; only calls that our EHR signed are answered; ours are signed."""
    signing = signing_with(folder, NEW)
    hooks = copy_hooks(folder, f"{vendor_base}/cds-services/prevent", **signing)
    write_clients(hooks, NORTH)
    with server(folder, hooks, CDS_WRAPPER_PUBLIC_URL=PUBLIC) as running:
        yield running


def token_for(path: str) -> str:
    """The `Authorization` of one call."""
    return bearer(EHR(datetime.now(UTC)).token(f"{PUBLIC}{path}"))["authorization"]
