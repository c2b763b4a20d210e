"""What stands around the wrapper in the demonstration: its files, and the vendor and FHIR server beside it.

Nothing here knows the wrapper: `commands.demo` starts these parts, then the wrapper among them.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Self

from cds_wrapper.ledger.pseudonyms import create_keys
from cds_wrapper.services import CLIENTS_FILE

HOST: Final = "127.0.0.1"
KEY_ID: Final = "demo1"
VENDOR_IN_HOOKS: Final = "http://127.0.0.1:8081/"
"""The vendor's address as the repository's own hooks/ have it."""

HIGHEST_PORT: Final = 65533
_LONGEST_START: Final = timedelta(seconds=30)
_PAUSE: Final = timedelta(milliseconds=50)
_GRACE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Ports:
    """Three neighbours: the wrapper's port, then the vendor's, then the FHIR server's.

    A part that runs elsewhere, in a container of its own, has its address here; its port is not used then.
    """

    wrapper: int
    vendor_elsewhere: str | None = None
    fhir_elsewhere: str | None = None

    @property
    def vendor(self) -> int:
        return self.wrapper + 1

    @property
    def fhir(self) -> int:
        return self.wrapper + 2

    @property
    def wrapper_url(self) -> str:
        return f"http://{HOST}:{self.wrapper}"

    @property
    def vendor_url(self) -> str:
        return self.vendor_elsewhere or f"http://{HOST}:{self.vendor}"

    @property
    def fhir_url(self) -> str:
        return self.fhir_elsewhere or f"http://{HOST}:{self.fhir}"

    def taken(self) -> int | None:
        """The first of those to be used that another program listens on; None when all are free."""
        used = (self.wrapper, *(part.port for part in parts_of(self)))
        return next((port for port in used if not _free(port)), None)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: an address that only waits for its last packets is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the demonstration keeps its things, all below one folder."""

    folder: Path

    @property
    def hooks(self) -> Path:
        return self.folder / "demo-hooks"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def keys(self) -> Path:
        return self.folder / "pseudonym-keys.json"

    @property
    def operator_log(self) -> Path:
        return self.folder / "operator.log"

    @property
    def parts_log(self) -> Path:
        return self.folder / "parts.log"


def prepare(folder: Path, hooks: Path, ports: Ports) -> DemoFiles:
    """Make the folder ready: keys once, and a copy of the hospital's files that names this run's vendor.

    Records and keys of earlier runs stay. `OSError` when the folder cannot be written or `hooks` is missing.
    """
    files = DemoFiles(folder.resolve())
    files.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        create_keys(files.keys, KEY_ID)
    if files.hooks.exists():
        shutil.rmtree(files.hooks)
    shutil.copytree(hooks, files.hooks)
    # The demonstration's EHR screen signs nothing; whom the hospital lets in is no part of it.
    (files.hooks / CLIENTS_FILE).unlink(missing_ok=True)
    for service in files.hooks.glob("*/service.yaml"):
        text = service.read_text(encoding="utf-8")
        service.write_text(text.replace(VENDOR_IN_HOOKS, f"{ports.vendor_url}/"), encoding="utf-8")
    return files


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the demonstration's folder for the block; False when another demonstration holds it.

    `OSError` when the folder cannot be made. The kernel lets go of the lock when this process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-use.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@dataclass(frozen=True, slots=True)
class Part:
    """One process beside the wrapper: how it is started and where it answers once it is up."""

    name: str
    port: int
    path: str
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command line."""
        module = "cds_wrapper.demo.child"
        return [sys.executable, "-m", module, self.name, "--port", str(self.port), *self.options]


def parts_of(ports: Ports) -> tuple[Part, ...]:
    """The vendor, which can be told to misbehave, and the FHIR server; without those that run elsewhere."""
    vendor = Part("vendor", ports.vendor, "/cds-services", ("--allow-faults",))
    fhir = Part("fhir", ports.fhir, "/metadata")
    elsewhere = {vendor: ports.vendor_elsewhere, fhir: ports.fhir_elsewhere}
    return tuple(part for part, address in elsewhere.items() if address is None)


class Parts:
    """The processes, started; they end with the `with` block, and with this process however it ends.

    What they say goes to the file `log`: a vendor told to misbehave complains about itself.
    """

    def __init__(self, parts: tuple[Part, ...], log: Path) -> None:
        self._parts = parts
        self._log = log
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._processes = {part.name: self._start(part) for part in self._parts}
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            _wait_for_the_end(process)

    def switch(self, name: str, on: bool) -> bool:
        """Stop or start one part while the others go on; whether it is now as was asked.

        A part that runs elsewhere is taken to be on, and cannot be stopped from here.
        """
        if name not in self._processes:
            return on
        if on == self._runs(name):
            return True
        part = next(part for part in self._parts if part.name == name)
        if on:
            self._processes[name] = self._start(part)
            return self._is_up(part)
        self._processes[name].terminate()
        _wait_for_the_end(self._processes[name])
        return True

    def missing(self) -> str | None:
        """Wait until every part answers; the name of one that did not come up, else None."""
        return next((part.name for part in self._parts if not self._is_up(part)), None)

    def _start(self, part: Part) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the wrapper alone, which still needs its vendor to finish.
            return subprocess.Popen(  # noqa: S603 - our own command
                part.command(), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def _is_up(self, part: Part) -> bool:
        return wait_until_answering(part.port, part.path, partial(self._runs, part.name))

    def _runs(self, name: str) -> bool:
        return self._processes[name].poll() is None


def _wait_for_the_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_GRACE.total_seconds())
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def wait_until_answering(port: int, path: str, worth_waiting: Callable[[], bool]) -> bool:
    """Ask again and again until `path` is answered with 200; False once it is not worth waiting any more."""
    for _ in range(_LONGEST_START // _PAUSE):
        if answers(port, path):
            return True
        if not worth_waiting():
            return False
        time.sleep(_PAUSE.total_seconds())
    return False


def answers(port: int, path: str) -> bool:
    """Whether `path` is answered with 200 now."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
