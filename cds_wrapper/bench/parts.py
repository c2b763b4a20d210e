"""The processes of a benchmark: each starts, is waited for, and ends with the block that started it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

HOST = "127.0.0.1"
LONGEST_START = timedelta(seconds=30)
LONGEST_STOP = timedelta(seconds=30)
_PAUSE = timedelta(milliseconds=20)
_PR_SET_PDEATHSIG = 1
_C = ctypes.CDLL(None)


class NotMeasured(Exception):
    """A part did not start or ended early, so there is nothing to report; the text says which and where."""


class Part:
    """One process, started; what it says goes to a file of its name in `folder`, which is its own folder too.

    It gets this environment without the wrapper's settings, and `variables`. Its own session: Ctrl-C reaches
    the benchmark, which then ends its parts in order.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own commands
                command,
                cwd=folder,
                env=_environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  a benchmark starts its parts before any thread
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_listening(self, port: int) -> None:
        """Return when it takes connections; `NotMeasured` when it ended or took too long."""
        for _ in range(LONGEST_START // _PAUSE):
            if self._process.poll() is not None:
                raise NotMeasured(f"The part `{self.name}` ended at once; {self.log} says why.")
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                return
            time.sleep(_PAUSE.total_seconds())
        raise NotMeasured(f"The part `{self.name}` did not start; {self.log} may say why.")

    def send(self, what: signal.Signals) -> None:
        """A signal that it knows what to do with."""
        self._process.send_signal(what)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that is not heeded; the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(LONGEST_STOP.total_seconds())
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextlib.contextmanager
def started(
    name: str, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Part]:
    """A part that is stopped at the end of the block, however that comes."""
    part = Part(name, command, folder, variables)
    try:
        yield part
    finally:
        part.stop()


def _end_with_parent() -> None:
    """In the child, before it becomes its program: the kernel ends it when the benchmark is gone."""
    _C.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def python(module: str, **options: object) -> list[str]:
    """The command that runs a module in this environment; an option's name is written with hyphens."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-m", module, *words]


def output_of(
    name: str,
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str] | None = None,
    logs: Path | None = None,
) -> bytes:
    """What a part prints until it ends, run as `Part` runs one; `NotMeasured` when it ends with an error.

    `logs` is the folder for what it says, when its own will not be there any more.
    """
    place = (logs or folder) / f"{name}.log"
    with place.open("ab") as log:
        done = subprocess.run(  # noqa: S603  our own commands
            command,
            cwd=folder,
            env=_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
            preexec_fn=_end_with_parent,
        )
    if done.returncode:
        raise NotMeasured(f"The part `{name}` ended with {done.returncode}; {place} says why.")
    return done.stdout


def _environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    """This process's variables without the wrapper's settings, and those given."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("CDS_WRAPPER_")}
    return {**others, **(variables or {})}


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def read_text(port: int, path: str) -> str:
    """The body of a GET that is answered by 200; `NotMeasured` when it is not."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise NotMeasured(f"{path} did not answer ({type(error).__name__}).") from None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise NotMeasured(f"{path} was answered by status {answer.status}.")
    return body


def read_json(port: int, path: str) -> tuple[int, Mapping[str, Any]]:
    """Status and JSON object of a GET; 0 and nothing when there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return 0, {}
    finally:
        connection.close()
