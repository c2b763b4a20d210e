"""`demo`: the whole program with synthetic patients, on this machine alone."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from fastapi import FastAPI

from cds_wrapper import log
from cds_wrapper.app import create_app
from cds_wrapper.commands.demo_year import live_the_year
from cds_wrapper.commands.problems import CONFIGURATION_EXIT, tell
from cds_wrapper.commands.serving import run
from cds_wrapper.demo.queries import SERVICES
from cds_wrapper.demo.screen import Surroundings, screen_routes
from cds_wrapper.demo.supervisor import (
    HIGHEST_PORT,
    HOST,
    DemoFiles,
    Parts,
    Ports,
    held,
    parts_of,
    prepare,
    wait_until_answering,
)
from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.settings import Profile, Settings, read_settings

DATA = Path("demo-data")
FAILED_TO_START = 1
# Enough to find the record of a call that has just been answered, however busy a demonstration may be.
RECENT = 200


def command(
    port: int = typer.Option(
        8080,
        min=1,
        max=HIGHEST_PORT,
        help="Port of the wrapper; the next two are the vendor's and the FHIR server's.",
    ),
    data: Path = typer.Option(
        DATA, help="Folder for the record, the keys and the operator log; made when missing."
    ),
    host: str = typer.Option(HOST, help="Address to listen on; in a container 0.0.0.0."),
    vendor: str | None = typer.Option(
        None, help="Address of a demonstration vendor that runs elsewhere, such as http://vendor:8081."
    ),
    fhir: str | None = typer.Option(
        None, help="Address of a demonstration FHIR server that runs elsewhere, such as http://fhir:8082."
    ),
    year: bool = typer.Option(
        False,
        "--year",
        help="First play a synthetic year of discharges, import its outcomes, review it twice and write the"
        " report: three to ten minutes.",
    ),
) -> None:
    """Run the whole program with synthetic patients: wrapper, demonstration vendor, FHIR server, EHR screen.

    \b
    Prints `ready http://127.0.0.1:PORT/` when it can be used; Ctrl-C stops everything.
    Not a medical device; nothing leaves this machine unless an option names another one.
    Exit codes: 0 stopped, 1 did not start, 2 a setting or a file in hooks/ is wrong.

    \b
    Example: python3 run.py demo --port 9000 --data /tmp/demo --year
    """
    raise typer.Exit(run_demo(data, host, Ports(port, _base(vendor), _base(fhir)), year=year))


def _base(address: str | None) -> str | None:
    return address.rstrip("/") if address else None


def run_demo(data: Path, host: str, ports: Ports, *, year: bool = False) -> int:
    """Start everything, serve until SIGTERM or Ctrl-C, stop everything; the exit code."""
    if not str(data).strip(" ."):
        return _fail("--data is empty: name a folder for the demonstration's files.")
    taken = ports.taken()
    if taken is not None:
        return _fail(f"Port {taken} is in use: choose three others with --port N (N, N+1 and N+2 are used).")
    try:
        with held(data) as ours:
            if not ours:
                return _fail(f"{data} is in use by another demonstration: choose another folder with --data.")
            return _run_in(data, host, ports, year=year)
    except OSError as error:
        place = error.filename or data
        return _fail(f"{place} cannot be used ({error.strerror}): choose another folder with --data.")
    except ConfigurationRefused as refused:
        tell(refused)
        return CONFIGURATION_EXIT


def _run_in(data: Path, host: str, ports: Ports, *, year: bool) -> int:
    """Everything, in a folder that is ours; raises as `settle` and `create_app`."""
    settings, files = settle(ports, data, host)
    with files.operator_log.open("a", encoding="utf-8") as stream:
        lines = log.OperatorLog(f"{socket.gethostname()}-{os.getpid()}", stream)
        log.quieten_libraries(lines)
        if year and not live_the_year(settings, files, lines, ports):
            return FAILED_TO_START
        return _serve(settings, files, ports, lines)


def settle(ports: Ports, data: Path, host: str = HOST) -> tuple[Settings, DemoFiles]:
    """The demonstration's files and settings; what the environment says about the rest still holds.

    Raises `OSError` when files cannot be made, `ConfigurationRefused` when a setting is wrong.
    """
    hooks = read_settings().hooks
    if not hooks.is_dir():
        problem = f"is `{hooks}`, which is no folder: name the one that holds the hospital's files."
        raise ConfigurationRefused((Mistake("environment", None, None, "CDS_WRAPPER_HOOKS", problem),))
    files = prepare(data, hooks, ports)
    settings = read_settings(
        profile=Profile.DEVELOPMENT,
        hooks=files.hooks,
        ledger=f"sqlite:///{files.ledger}",
        public_url=ports.wrapper_url,
        host=host,
        port=ports.wrapper,
        namespace=ports.fhir_url,
        development_fhir=ports.fhir_url,
        pseudonym_keys=files.keys,
    )
    return settings, files


def _serve(settings: Settings, files: DemoFiles, ports: Ports, lines: log.OperatorLog) -> int:
    parts = Parts(parts_of(ports), files.parts_log)
    app = demo_app(settings, lines, ports, parts)
    with parts:
        missing = parts.missing()
        if missing is not None:
            return _fail(f"The demonstration's {missing} part did not start: see {files.parts_log}.")
        _introduce(files, ports)
        stopped = threading.Event()
        threading.Thread(target=_say_when_ready, args=(ports, stopped), daemon=True).start()
        code = _until_stopped(app, settings, lines)
        stopped.set()
    return _fail(f"The wrapper did not start: the end of {files.operator_log} says why.") if code else 0


def _until_stopped(app: FastAPI, settings: Settings, lines: log.OperatorLog) -> int:
    try:
        return run(app, settings, lines)
    except SystemExit:  # uvicorn's way to say that the port or the application's start refused
        return FAILED_TO_START


def demo_app(settings: Settings, lines: log.OperatorLog, ports: Ports, parts: Parts) -> FastAPI:
    """The wrapper with the demonstration's EHR screen at `/`; `ConfigurationRefused` as `create_app`."""

    async def find_record(hook_instance: str) -> Mapping[str, Any] | None:
        recent = await app.state.doors.runtime.ledger.recent(RECENT)
        return next((row for row in recent if row["hook_instance"] == hook_instance), None)

    async def switch_vendor(on: bool) -> bool:
        return await asyncio.to_thread(parts.switch, "vendor", on)

    surroundings = Surroundings(
        fhir_url=ports.fhir_url,
        wrapper_url=ports.wrapper_url,
        vendor_url=ports.vendor_url,
        find_record=find_record,
        switch_vendor=switch_vendor,
        token=secrets.token_urlsafe(24),
    )
    app = create_app(settings, lines, extra_routes=screen_routes(surroundings))
    return app


def _introduce(files: DemoFiles, ports: Ports) -> None:
    typer.echo("Demonstration: synthetic patients, not a medical device. Ctrl-C stops everything.")
    typer.echo(f"  records, keys and operator log in {files.folder}")
    typer.echo(f"  hospital's files: {files.hooks} (a copy, with the vendor's address of this run)")
    typer.echo(f"  vendor {ports.vendor_url}/cds-services, FHIR server {ports.fhir_url}/metadata")
    typer.echo(f"  services on {ports.wrapper_url}/cds-services: {', '.join(sorted(SERVICES.values()))}")


def _say_when_ready(ports: Ports, stopped: threading.Event) -> None:
    if wait_until_answering(ports.wrapper, "/readyz", lambda: not stopped.is_set()):
        typer.echo(f"ready {ports.wrapper_url}/")
        sys.stdout.flush()


def _fail(sentence: str) -> int:
    typer.echo(sentence, err=True)
    return FAILED_TO_START
