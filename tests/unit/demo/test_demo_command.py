"""`demo` as a person runs it, without a browser: it gets ready, does the main job, leaves nothing running."""

from __future__ import annotations

import html
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cds_wrapper.demo.supervisor import Ports
from tests.service.harness import copy_every_service
from tests.unit.demo.test_supervisor import holds_soon, three_free_ports

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    """A running demonstration and what it printed until it was ready."""

    ports: Ports
    process: subprocess.Popen[str]
    printed: list[str]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    ports = three_free_ports()
    process = subprocess.Popen(
        [sys.executable, "-m", "cds_wrapper", "demo", "--port", str(ports.wrapper), "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CDS_WRAPPER_HOOKS": str(copy_every_service(tmp_path / "of"))},
    )
    printed: list[str] = []
    assert process.stdout is not None
    for line in iter(process.stdout.readline, ""):
        printed.append(line.rstrip())
        if line.startswith("ready "):
            break
    yield Demo(ports, process, printed)
    process.kill()
    process.communicate()


def opened(demo: Demo, patient: str) -> str:
    page = httpx.post(f"{demo.ports.wrapper_url}/", data={"patient": patient}, timeout=20).text
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_the_main_job_is_done_on_real_input(demo: Demo) -> None:
    assert demo.printed[-1] == f"ready {demo.ports.wrapper_url}/"
    assert "not a medical device" in demo.printed[0]
    shown = opened(demo, "black-35")
    assert "10-year cardiovascular risk 3.1 % – true risk may be higher for this patient" in shown
    assert "Status answered" in shown
    assert "Race black" in shown


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_it_stops_when_asked_with_everything_it_started(demo: Demo, name: signal.Signals) -> None:
    opened(demo, "white-55")
    demo.process.send_signal(name)
    _, errors = demo.process.communicate(timeout=120)
    assert (demo.process.returncode, errors) == (0, "")
    assert demo.ports.taken() is None


def test_nothing_goes_on_running_when_it_is_killed(demo: Demo) -> None:
    demo.process.kill()
    demo.process.wait()
    assert holds_soon(lambda: demo.ports.taken() is None)
