"""The processes of a benchmark: they start, end with their block, and say where to look when they do not."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cds_wrapper.bench.parts import NotMeasured, output_of, read_json, started
from cds_wrapper.bench.site_files import SERVICE, prepare_site
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.services import load_services
from tests.ports import free_port
from tests.service.harness import ROOT

LISTEN = """\
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def test_a_part_listens_until_its_block_ends(tmp_path: Path) -> None:
    port = free_port()
    with started("web", [sys.executable, "-c", LISTEN, str(port)], tmp_path) as part:
        part.wait_until_listening(port)
        os.kill(part.pid, 0)
    assert part.stop() == -signal.SIGTERM
    assert read_json(port, "/") == (0, {})


def test_a_part_that_ends_at_once_names_the_file_that_says_why(tmp_path: Path) -> None:
    with started("web", [sys.executable, "-c", "raise SystemExit('no port')"], tmp_path) as part:
        with pytest.raises(NotMeasured, match=r"web\.log"):
            part.wait_until_listening(free_port())
    assert "no port" in part.log.read_text()


def test_what_a_part_prints_is_given_back_and_its_failure_is_told(tmp_path: Path) -> None:
    assert output_of("one", [sys.executable, "-c", "print(7)"], tmp_path) == b"7\n"
    with pytest.raises(NotMeasured, match=r"`two` ended with 3; .*two\.log"):
        output_of("two", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_a_part_gets_no_setting_of_the_wrapper_but_those_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_WRAPPER_LEDGER", "sqlite:////srv/real.db")
    show = "import os; print(sorted(name for name in os.environ if name.startswith('CDS_WRAPPER')))"
    shown = output_of("env", [sys.executable, "-c", show], tmp_path, {"CDS_WRAPPER_PORT": "1"})
    assert shown.decode().strip() == "['CDS_WRAPPER_PORT']"


def test_a_part_ends_when_the_benchmark_is_killed(tmp_path: Path) -> None:
    port = free_port()
    parent = (
        "import sys, pathlib\n"
        "from cds_wrapper.bench.parts import Part\n"
        "part = Part('web', [sys.executable, '-c', sys.argv[1], sys.argv[2]], pathlib.Path(sys.argv[3]))\n"
        "part.wait_until_listening(int(sys.argv[2]))\n"
        "print(part.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", parent, LISTEN, str(port), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        part = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    ended, _, _ = select.select([part], [], [], 30)
    os.close(part)
    assert ended, "the part lives on without its benchmark"


# The hospital's files ---------------------------------------------------------------------------------------


def test_the_service_is_copied_with_this_run_s_vendor(tmp_path: Path) -> None:
    variables = prepare_site(ROOT / "hooks", tmp_path, 12345)
    (service,) = load_services(Path(variables["CDS_WRAPPER_HOOKS"]))
    assert service.id == SERVICE
    assert service.vendor.url.startswith("http://127.0.0.1:12345/")


def test_a_hospital_s_own_service_is_refused_so_that_no_real_vendor_is_loaded(tmp_path: Path) -> None:
    own = tmp_path / "hooks" / SERVICE
    own.mkdir(parents=True)
    (own / "service.yaml").write_text("vendor: {url: https://model.vendor.example/}\n")
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_HOOKS"):
        prepare_site(tmp_path / "hooks", tmp_path / "run", 1)
