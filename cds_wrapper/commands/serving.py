"""Runs the application under uvicorn, with a stop that answers whoever is being served."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from cds_wrapper import log
from cds_wrapper.commands.bounded_head import BoundedHead
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.log import process_events
from cds_wrapper.log.stream import Detached
from cds_wrapper.routes import Doors
from cds_wrapper.settings import Settings

# A request in flight ends within its own time budget, which is ten seconds at most.
LONGEST_REQUEST_SECONDS = 15
# Longer than the idle expiry of common EHR interface engines, so that they close first.
KEEP_ALIVE_SECONDS = 75
NOT_STARTED = 1
# Connections to the metrics' door; whoever comes then hears 503.
MOST_SCRAPERS = 16


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process with the signal instead of 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`."""
        yield


def operator_log() -> log.OperatorLog:
    """The operator log of this process on standard error, libraries included."""
    lines = log.OperatorLog(f"{socket.gethostname()}-{os.getpid()}", Detached(sys.stderr))
    log.quieten_libraries(lines)
    return lines


def run(app: FastAPI, settings: Settings, lines: log.OperatorLog) -> int:
    """Serve until SIGTERM or SIGINT; 0 when every answer begun was given and recorded, 1 if not started."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedHead,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who may say whose certificate it was is told by the connection itself, never by a header.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LONGEST_REQUEST_SECONDS,
    )
    server = _Server(config)
    with contextlib.ExitStack() as stack:
        try:
            door = stack.enter_context(_listen("CDS_WRAPPER_PORT", (settings.host, settings.port)))
            metrics = settings.metrics_at
            beside = stack.enter_context(_listen("CDS_WRAPPER_METRICS", metrics)) if metrics else None
        except ConfigurationRefused as refused:
            lines.emit(process_events.SETTINGS_REFUSED, problem=str(refused.mistakes[0]))
            return NOT_STARTED
        runner = stack.enter_context(asyncio.Runner(loop_factory=config.get_loop_factory()))
        try:
            runner.run(_serve(server, door, app.state.doors, settings, lines, (app.state.metrics, beside)))
        except SystemExit:
            return NOT_STARTED  # uvicorn's way of saying that the start was refused; the reason is in the log
    return 0


def _listen(setting: str, place: tuple[str, int]) -> socket.socket:
    """A door, taken before anything is opened behind it; `ConfigurationRefused` when it cannot be had."""
    host, port = place
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(place)
    except OSError:
        door.close()
        problem = f"{host}:{port} is in use or not ours; choose another."
        raise ConfigurationRefused((Mistake("environment", None, None, setting, problem),)) from None
    return door


async def _serve(
    server: uvicorn.Server,
    door: socket.socket,
    doors: Doors,
    settings: Settings,
    lines: log.OperatorLog,
    beside: tuple[ASGIApp, socket.socket | None],
) -> None:
    loop = asyncio.get_running_loop()

    def close_the_door() -> None:
        server.should_exit = True

    def drain() -> None:
        if not doors.draining:
            doors.draining = True
            lines.emit(process_events.PROCESS_DRAINING)
            loop.call_later(settings.drain_seconds, close_the_door)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, drain)
    async with _metrics_served(*beside):
        await server.serve(sockets=[door])


@contextlib.asynccontextmanager
async def _metrics_served(app: ASGIApp, door: socket.socket | None) -> AsyncIterator[None]:
    """The metrics' own door, if there is one: open for as long as the other, and while it closes."""
    if door is None:
        yield
        return
    config = uvicorn.Config(
        app,
        http=BoundedHead,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_SCRAPERS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
