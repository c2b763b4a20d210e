"""What a serving benchmark compares: the vendor alone, the wrapper as it is served, and bare forwarders."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cds_wrapper.bench.nginx import nginx_command, nginx_program
from cds_wrapper.bench.parts import NotMeasured, Part, free_port, python, read_json, started
from cds_wrapper.bench.site_files import prepare_site, signing_key

VENDOR = "vendor alone"
WRAPPER = "wrapper"
HTTPX = "FastAPI + httpx"
AIOHTTP = "Starlette + aiohttp"
NGINX = "nginx"
MARKER = '"ai_label":'
"""Stands on every card that carries a score and our words, and on none that says that there is no result."""

_QUIET_WITHIN = timedelta(seconds=30)
_PAUSE = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class System:
    """One thing that load is put on; `marker` is a text that its good answers hold.

    With `signing_key` (a file) it wants a token with every call.
    """

    name: str
    port: int
    part: Part
    marker: str = ""
    signing_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Systems:
    """Everything that was started, and what could not be, with the reason."""

    vendor: System
    wrapper: System
    others: tuple[System, ...]
    left_out: Mapping[str, str]

    @property
    def all(self) -> tuple[System, ...]:
        """In the order of the table."""
        return self.vendor, self.wrapper, *self.others


def start_systems(
    stack: contextlib.ExitStack, folder: Path, hooks: Path, calls: Path, vendor_milliseconds: float
) -> Systems:
    """Start every system in `folder`; `stack` stops them. `NotMeasured`, `ConfigurationRefused`."""
    vendor = _python_part(
        stack, VENDOR, "cds_wrapper.bench.vendor", folder, calls=calls, milliseconds=vendor_milliseconds
    )
    address = f"http://127.0.0.1:{vendor.port}/cds-services/prevent"
    wrapper = _wrapper(stack, folder, hooks, vendor.port)
    others = [
        _python_part(stack, HTTPX, "cds_wrapper.bench.forward_httpx", folder, vendor=address),
        _python_part(stack, AIOHTTP, "cds_wrapper.bench.forward_aiohttp", folder, vendor=address),
    ]
    program = nginx_program()
    if program is not None:
        others.append(_nginx(stack, program, folder, vendor.port))
    left_out = {} if program else {NGINX: "nginx is not on this machine"}
    systems = Systems(vendor, wrapper, tuple(others), left_out)
    for system in systems.all:
        system.part.wait_until_listening(system.port)
    _refuse_unready(wrapper)
    return systems


def _python_part(
    stack: contextlib.ExitStack, name: str, module: str, folder: Path, **options: object
) -> System:
    port = free_port()
    command = python(module, port=port, **options)
    return System(name, port, stack.enter_context(started(_file_name(name), command, folder)))


def _wrapper(stack: contextlib.ExitStack, folder: Path, hooks: Path, vendor: int) -> System:
    """In a folder of its own, so that whatever it makes beside its ledger lies there too."""
    own = folder / "wrapper"
    own.mkdir()
    port = free_port()
    variables = {**prepare_site(hooks, own, vendor), "CDS_WRAPPER_PORT": str(port)}
    command = [sys.executable, "-m", "cds_wrapper.cli", "serve"]
    part = stack.enter_context(started("operator", command, own, variables))
    return System(WRAPPER, port, part, MARKER, signing_key(own))


def _nginx(stack: contextlib.ExitStack, program: str, folder: Path, vendor: int) -> System:
    port = free_port()
    command = nginx_command(program, folder / "nginx", port, vendor)
    return System(NGINX, port, stack.enter_context(started(NGINX, command, folder)))


def _refuse_unready(wrapper: System) -> None:
    status, body = read_json(wrapper.port, "/readyz")
    if status != HTTPStatus.OK:
        raise NotMeasured(f"The wrapper is not ready ({dict(body)}); {wrapper.part.log} says why.")


def _file_name(name: str) -> str:
    return name.replace(" + ", "-").replace(" ", "-").lower()


# The wrapper's own numbers ----------------------------------------------------------------------------------


def committed(wrapper: System) -> tuple[int, int]:
    """How many records the wrapper has written so far, and in how many commits."""
    body = read_json(wrapper.port, "/readyz")[1]
    return int(body.get("records", 0)), int(body.get("batches", 0))


def wait_until_quiet(wrapper: System) -> None:
    """Return when nothing waits in the spool any more; what waits then was not recorded in time."""
    for _ in range(_QUIET_WITHIN // _PAUSE):
        if not _spooled(read_json(wrapper.port, "/readyz")[1]):
            return
        time.sleep(_PAUSE.total_seconds())


def _spooled(body: Mapping[str, Any]) -> int:
    return int(body.get("spool_records", 0))
