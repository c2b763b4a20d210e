"""Real processes on loopback for tests: demonstration vendor and wrapper, each ended by its own id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cds_wrapper.demo.population import FIXTURE_DAY
from cds_wrapper.ledger.pseudonyms import new_keys_file
from tests.ports import free_port, wait_until_answers
from tests.service.harness import ROOT


@contextlib.contextmanager
def demo_vendor(*arguments: str) -> Iterator[str]:
    """The demonstration vendor as its own process; gives the base address."""
    port = free_port()
    # The fixtures' patients are as old as they say on this day, whatever day the tests run on.
    today = ["--today", FIXTURE_DAY.isoformat()]
    command = [sys.executable, "-m", "cds_wrapper.demo.vendor", "--port", str(port), *today, *arguments]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/cds-services", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass
class Server:
    """The wrapper as its own process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    traced: bool = False

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ledger(self) -> Path:
        """Its ledger's file."""
        return self.folder / "ledger.db"

    def kill(self) -> None:
        """Kill -9, of the process that listens."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    @property
    def pid(self) -> int:
        """The id of the process that serves, also when it runs under a tracer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if self.traced else self.process.pid

    def stop(self) -> int:
        """SIGTERM; the exit code, which a tracer passes on."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(timeout=60)

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "operator.log").read_text()


def environment(folder: Path, hooks: Path, port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The wrapper's settings as variables."""
    keys = folder / "keys.json"
    if not keys.exists():
        keys.write_bytes(new_keys_file("test1"))
        keys.chmod(0o600)
    return {
        **os.environ,
        "CDS_WRAPPER_PROFILE": "development",
        "CDS_WRAPPER_HOOKS": str(hooks),
        "CDS_WRAPPER_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "CDS_WRAPPER_PSEUDONYM_KEYS": str(keys),
        "CDS_WRAPPER_PORT": str(port),
        "CDS_WRAPPER_DRAIN_SECONDS": "0.2",
        **extra,
    }


@contextlib.contextmanager
def server(
    folder: Path,
    hooks: Path,
    before: Sequence[str] = (),
    module: str = "cds_wrapper.cli",
    log_to: int | None = None,
    **extra: str,
) -> Iterator[Server]:
    """The wrapper as its own process; `before` is a command it is run under, such as strace."""
    port = free_port()
    with (folder / "operator.log").open("ab") as log:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", module, "serve"],
            cwd=ROOT,
            env=environment(folder, hooks, port, extra),
            stderr=log if log_to is None else log_to,
        )
    running = Server(process, port, folder, traced=bool(before))
    try:
        wait_until_answers(f"{running.url}/readyz", process)
        yield running
    finally:
        running.stop()
