"""What stands around the wrapper in the demonstration: files, ports, processes that end with their parent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cds_wrapper.demo.supervisor import Parts, Ports, answers, held, parts_of, prepare
from tests.ports import free_port

HOOKS = Path(__file__).parents[3] / "hooks"
PARENT = """
import pathlib, sys, time
from cds_wrapper.demo.supervisor import Parts, Ports, parts_of
with Parts(parts_of(Ports(int(sys.argv[1]))), pathlib.Path(sys.argv[2])) as parts:
    print(parts.missing(), flush=True)
    time.sleep(60)
"""


def three_free_ports() -> Ports:
    """Three neighbouring ports nobody listens on."""
    return Ports(free_port(neighbours=2))


def holds_soon(condition: Callable[[], bool]) -> bool:
    for _ in range(1200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_port_that_is_taken_is_named() -> None:
    ports = three_free_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.fhir))
        other.listen()
        assert ports.taken() == ports.fhir
    assert ports.taken() is None


def test_whom_the_hospital_lets_in_is_no_part_of_the_demonstration(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    shutil.copytree(HOOKS, hooks)
    (hooks / "clients.yaml").write_text("clients: []\n")
    assert not (prepare(tmp_path / "data", hooks, Ports(9000)).hooks / "clients.yaml").exists()
    assert (hooks / "clients.yaml").exists()


def test_the_hospitals_files_are_copied_with_the_vendors_address_of_this_run(tmp_path: Path) -> None:
    files = prepare(tmp_path / "data", HOOKS, Ports(9000))
    text = (files.hooks / "cvd-risk" / "service.yaml").read_text()
    original = (HOOKS / "cvd-risk" / "service.yaml").read_text()
    assert text == original.replace("http://127.0.0.1:8081/", "http://127.0.0.1:9001/")
    assert text != original
    for name in ("model_card.yaml", "plan.yaml", "subgroups.yaml"):
        assert (files.hooks / "cvd-risk" / name).read_bytes() == (HOOKS / "cvd-risk" / name).read_bytes()


def test_keys_are_made_once_readable_by_their_owner_alone(tmp_path: Path) -> None:
    files = prepare(tmp_path, HOOKS, Ports(9000))
    keys = files.keys.read_bytes()
    assert stat.S_IMODE(files.keys.stat().st_mode) == 0o600
    assert json.loads(keys)["keys"][0]["key_id"] == "demo1"
    assert prepare(tmp_path, HOOKS, Ports(9100)).keys.read_bytes() == keys


def test_a_copy_of_an_earlier_run_is_replaced_whole(tmp_path: Path) -> None:
    stale = prepare(tmp_path, HOOKS, Ports(9000)).hooks / "gone"
    stale.mkdir()
    prepare(tmp_path, HOOKS, Ports(9000))
    assert not stale.exists()


def test_a_folder_belongs_to_one_demonstration_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with held(folder) as first, held(folder) as second:
        assert (first, second) == (True, False)
    with held(folder) as again:
        assert again


def test_a_folder_of_hooks_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing-hooks"):
        prepare(tmp_path, tmp_path / "missing-hooks", Ports(9000))


def test_the_parts_answer_and_stop_and_one_of_them_can_be_switched(tmp_path: Path) -> None:
    ports = three_free_ports()
    with Parts(parts_of(ports), tmp_path / "parts.log") as parts:
        assert parts.missing() is None
        assert parts.switch("vendor", on=False)
        assert not answers(ports.vendor, "/cds-services")
        assert answers(ports.fhir, "/metadata")
        assert parts.switch("vendor", on=True)
        assert answers(ports.vendor, "/cds-services")
        assert parts.switch("vendor", on=True)
    assert ports.taken() is None


def test_a_part_that_runs_elsewhere_is_named_by_its_address_and_not_started(tmp_path: Path) -> None:
    ports = Ports(three_free_ports().wrapper, vendor_elsewhere="http://vendor:8081")
    text = (prepare(tmp_path / "data", HOOKS, ports).hooks / "cvd-risk" / "service.yaml").read_text()
    with Parts(parts_of(ports), tmp_path / "parts.log") as parts:
        assert parts.missing() is None
        assert answers(ports.fhir, "/metadata")
        assert not answers(ports.vendor, "/cds-services")
        # It is left alone: taken to be on, and not stopped from here.
        assert parts.switch("vendor", on=True)
        assert not parts.switch("vendor", on=False)
    assert "url: http://vendor:8081/cds-services/prevent" in text


def test_the_part_that_cannot_start_is_named_and_its_complaint_kept(tmp_path: Path) -> None:
    ports = three_free_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.fhir))
        other.listen()
        with Parts(parts_of(ports), tmp_path / "parts.log") as parts:
            assert parts.missing() == "fhir"
    assert "address already in use" in (tmp_path / "parts.log").read_text()


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_the_parts_end_with_their_parent_however_it_ends(name: signal.Signals, tmp_path: Path) -> None:
    ports = three_free_ports()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(ports.wrapper), str(tmp_path / "parts.log")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline().strip() == "None"
        assert answers(ports.vendor, "/cds-services")
        os.kill(parent.pid, name)
    finally:
        parent.kill()
        parent.communicate()
    assert holds_soon(lambda: ports.taken() is None)
