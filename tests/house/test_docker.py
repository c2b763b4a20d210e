"""The image and the composition: what they promise can be read off their files, and their parts really run.

That the image builds and works is shown by `docker/try-build.sh`, which needs root and a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

import cds_wrapper
from cds_wrapper.commands.serving import LONGEST_REQUEST_SECONDS
from cds_wrapper.commands.table import COMMANDS
from cds_wrapper.settings import PREFIX, Settings
from docker import healthcheck, wheels
from tests.ports import free_port, wait_until_answers
from tests.unit.demo.test_supervisor import three_free_ports

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
HADOLINT = Path(sys.executable).with_name("hadolint")

# What a service of the composition may say: engines ignore or refuse a misspelt key.
SERVICE_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "hostname"),
    *("image", "networks", "ports", "pull_policy", "read_only", "security_opt", "stop_grace_period", "tmpfs"),
    "volumes",
}


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest) for line in lines if line for name, rest in [line.split(" ", 1)]]


def stage() -> list[tuple[str, str]]:
    """The instructions of the last stage, which is the image."""
    everything = instructions()
    last = max(index for index, (name, _) in enumerate(everything) if name == "FROM")
    return everything[last:]


def only(name: str) -> str:
    """The arguments of an instruction that stands exactly once in the image's stage."""
    (found,) = [rest for instruction, rest in stage() if instruction == name]
    return found


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(word.split("=", 1) for word in only("ENV").split())


def composition() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(DOCKER / "compose.yaml")
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composition()["services"]
    return found


def words_of(service: Mapping[str, Any]) -> list[str]:
    """The command line of a service; the image's entrypoint where it has none of its own."""
    return [*service.get("entrypoint", json.loads(only("ENTRYPOINT"))), *service["command"]]


# --- the Dockerfile ---


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, str(file)], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    result = lint(DOCKER / "Dockerfile")

    assert (result.returncode, result.stdout) == (0, "")


def test_hadolint_would_find_a_fault(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nCMD serve\n")

    assert "DL3007" in lint(tmp_path / "Dockerfile").stdout


def test_both_stages_stand_on_one_base_that_the_builder_may_choose() -> None:
    (base,) = [rest for name, rest in instructions() if name == "ARG" and rest.startswith("BASE=")]
    stages = [rest.split()[0] for name, rest in instructions() if name == "FROM"]

    assert stages == ["${BASE}", "${BASE}"]
    # A version, and no host: whose registry is asked is the builder's matter.
    assert re.fullmatch(r"BASE=[a-z]+:\d[\w.-]+", base)


def test_the_process_is_nobody_in_particular() -> None:
    user = re.fullmatch(r"(\d+):(\d+)", only("USER"))

    assert user
    assert int(user[1]) > 0
    assert int(user[2]) > 0
    assert f"-o {user[1]} -g {user[2]} -m 0700 /data" in only("RUN")
    assert f"USER_ID={user[1]}\n" in (DOCKER / "try-build.sh").read_text(encoding="utf-8")


def test_no_shell_stands_between_the_engine_and_the_process() -> None:
    (script,) = json.loads(only("ENTRYPOINT"))
    (command,) = json.loads(only("CMD"))
    health = json.loads(only("HEALTHCHECK").partition("CMD ")[2])

    assert f'{script} = "cds_wrapper.cli:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert command in COMMANDS
    assert health == ["python3", "/app/healthcheck.py"]
    assert ("COPY", "docker/healthcheck.py /app/healthcheck.py") in stage()
    assert only("STOPSIGNAL") == "SIGTERM"


def test_the_engine_waits_longer_for_a_health_check_than_the_check_for_its_answer() -> None:
    timeout = re.search(r"--timeout=(\d+)s", only("HEALTHCHECK"))

    assert timeout
    assert int(timeout[1]) > healthcheck.PATIENCE_SECONDS


def test_whatever_is_written_goes_to_the_one_volume() -> None:
    (volume,) = json.loads(only("VOLUME"))
    settings = Settings.model_validate(
        {name.removeprefix(PREFIX).lower(): value for name, value in environment().items()}
    )
    written = [settings.ledger_path, settings.spool, Path(settings.stream), settings.replay]

    assert [path for path in written if not path.is_relative_to(volume)] == []
    assert settings.pseudonym_keys == Path(volume) / "keys.json"
    # A path that is not absolute, such as the demonstration's folder, starts there too.
    assert only("WORKDIR") == volume
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_every_setting_of_the_image_and_of_the_composition_is_one() -> None:
    named = {*environment(), *(name for one in services().values() for name in one.get("environment", {}))}
    ours = {name for name in named if name.startswith(PREFIX)}

    assert ours
    assert ours <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_images_settings_pass_the_check() -> None:
    settings = {name: value for name, value in environment().items() if name.startswith(PREFIX)}
    assert ("COPY", f"hooks {settings[PREFIX + 'HOOKS']}") in stage()
    here = {**os.environ, **settings, PREFIX + "HOOKS": str(ROOT / "hooks")}

    command = [sys.executable, "-m", "cds_wrapper.cli", "check"]
    result = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")


def test_the_label_names_this_version() -> None:
    assert f'org.opencontainers.image.version="{cds_wrapper.__version__}"' in only("LABEL")


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    sent = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]

    assert sorted(sent) == sorted({source for sources in copied for source in sources})
    assert [name for name in sent if not (ROOT / name).exists()] == []


def test_the_script_that_tries_the_build_can_be_read() -> None:
    assert subprocess.run(["bash", "-n", DOCKER / "try-build.sh"], check=False).returncode == 0


# --- the packages in it ---


def make_wheel(folder: Path, name: str, needs: str = "") -> Path:
    """A wheel that pip can choose, with nothing in it."""
    info = f"{name}-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes from instead of an index, and a project that wants one of them."""
    shelf = tmp_path / "shelf"
    builder, needed, service = (
        make_wheel(shelf, "builder"),
        make_wheel(shelf, "needed"),
        make_wheel(shelf, "service", "Requires-Dist: needed\n"),
    )
    make_wheel(shelf, "tester")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["builder"]\n[project]\ndependencies = ["service>=1"]\n'
    )
    (tmp_path / "constraints.txt").write_text(
        "".join(
            f"{file.name.split('-')[0]}==1.0{marker} \\\n    --hash=sha256:{sha256(file)}\n"
            for file, marker in ((builder, ""), (needed, " ; python_version > '3'"), (service, ""))
        )
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.chdir(tmp_path)
    return shelf


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_image_gets_what_the_service_needs_and_no_tool_for_tests(shelf: Path) -> None:
    assert wheels.main() == 0

    fetched = sorted(file.relative_to("wheels").as_posix() for file in Path("wheels").glob("*/*"))
    assert fetched == [
        "build/builder-1.0-py3-none-any.whl",
        "service/needed-1.0-py3-none-any.whl",
        "service/service-1.0-py3-none-any.whl",
    ]


def test_an_image_for_reviews_gets_what_the_extra_needs_and_another_name_ends_the_build(shelf: Path) -> None:
    with Path("pyproject.toml").open("a") as project:
        project.write('[project.optional-dependencies]\nanalysis = ["analysis"]\n')
    with Path("constraints.txt").open("a") as pins:
        pins.write(f"analysis==1.0 \\\n    --hash=sha256:{sha256(make_wheel(shelf, 'analysis'))}\n")
    assert wheels.main("") == 0 and not list(Path("wheels").glob("*/analysis*"))
    assert wheels.main("analysis") == 0
    assert [file.parent.name for file in Path("wheels").glob("*/analysis*")] == ["service"]
    with pytest.raises(SystemExit, match="'analyses', which pyproject"):
        wheels.main("analyses")


def test_every_package_of_the_extra_for_reviews_is_pinned_and_the_image_passes_its_name_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {re.split("[=;[ ]", line)[0] for line in wheels.versions((ROOT / "constraints.txt").read_text())}
    wanted = {re.split("[><=[ ]", line)[0] for line in wheels.optional(project, "monitor")}
    assert {"pyarrow", "duckdb"} <= wanted <= pinned
    assert ("ARG", 'EXTRAS=""') in instructions()
    assert [rest for name, rest in instructions() if name == "RUN" and 'wheels.py "${EXTRAS}"' in rest]


def test_a_package_that_is_not_the_pinned_file_is_refused(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(shelf, "needed", "Summary: something else under the same name and version\n")

    assert wheels.main() == 1
    assert "needed-1.0-py3-none-any.whl is not the file that constraints.txt pins" in capsys.readouterr().err


def test_a_package_that_is_not_to_be_had_ends_the_build_with_advice(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shelf / "needed-1.0-py3-none-any.whl").unlink()

    assert wheels.main() == 1
    assert "--secret id=pip" in capsys.readouterr().err


def test_every_pin_of_ours_is_handed_to_pip_with_its_marker() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")

    pins = [line.rstrip(" \\") for line in constraints.splitlines() if line and not line.startswith(" ")]
    assert wheels.versions(constraints) == pins
    assert any(";" in pin for pin in pins)


# --- the health check ---


@contextlib.contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that gives every path this status, a path it does not know 404; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path in {"/readyz", "/other"} else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(port: int, *arguments: str, host: str = "0.0.0.0") -> tuple[int, str]:
    """Run the health check as the engine does, with a container's settings: exit code and what it says."""
    result = subprocess.run(
        [sys.executable, str(DOCKER / "healthcheck.py"), *arguments],
        env={PREFIX + "HOST": host, PREFIX + "PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_server_that_is_ready_is_healthy(host: str) -> None:
    with answering(200) as port:
        assert ask(port, host=host) == (0, "")


def test_a_server_that_is_not_ready_is_not() -> None:
    with answering(503) as port:
        assert ask(port) == (1, f"/readyz on port {port}: answered 503\n")


def test_a_server_that_is_not_there_is_not() -> None:
    port = free_port()

    assert ask(port) == (1, f"/readyz on port {port}: no answer (ConnectionRefusedError)\n")


def test_another_part_is_asked_on_its_own_port_and_path() -> None:
    with answering(200) as port:
        assert ask(free_port(), str(port), "/other") == (0, "")
        assert ask(free_port(), str(port), "/missing") == (1, f"/missing on port {port}: answered 404\n")


# --- the composition ---


def test_no_container_can_write_or_gain_more_than_it_needs() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"][0].startswith("/tmp:"), name
        assert "privileged" not in service, name


def test_every_service_says_only_what_an_engine_understands() -> None:
    assert set(services()) == {"wrapper", "vendor", "fhir"}
    assert [key for service in services().values() for key in service if key not in SERVICE_KEYS] == []


def test_every_volume_network_and_service_that_is_named_is_there() -> None:
    whole = composition()
    mounts = [mount.split(":")[0] for service in services().values() for mount in service.get("volumes", [])]
    networks = {network for service in services().values() for network in service["networks"]}

    assert set(mounts) == set(whole["volumes"])
    assert networks == set(whole["networks"])
    assert set(services()["wrapper"]["depends_on"]) == {"vendor", "fhir"}


def test_one_image_is_built_and_used_by_all_under_a_name_of_its_own() -> None:
    images = {service["image"] for service in services().values()}
    (build,) = [service["build"] for service in services().values() if "build" in service]

    assert len(images) == 1
    assert not images.pop().endswith(":latest")
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def test_only_this_machine_reaches_the_demonstration_and_nobody_the_vendor() -> None:
    networks = composition()["networks"]

    assert services()["wrapper"]["ports"] == ["127.0.0.1:8080:8080"]
    assert [name for name, service in services().items() if service.get("ports")] == ["wrapper"]
    assert [networks[name] for name in services()["vendor"]["networks"]] == [{"internal": True}]
    assert set(services()["vendor"]["networks"]).isdisjoint(services()["fhir"]["networks"])


def test_the_wrappers_host_has_a_name_that_stays_and_its_records_a_volume() -> None:
    assert re.fullmatch(r"[a-z]+", services()["wrapper"]["hostname"])
    assert [mount.split(":")[1] for mount in services()["wrapper"]["volumes"]] == json.loads(only("VOLUME"))


def test_a_stop_leaves_time_for_the_drain_and_the_longest_request() -> None:
    grace = int(services()["wrapper"]["stop_grace_period"].removesuffix("s"))

    assert grace > Settings.model_fields["drain_seconds"].default + LONGEST_REQUEST_SECONDS


@contextlib.contextmanager
def process(words: Sequence[str], places: Mapping[str, str], url: str, **settings: str) -> Iterator[None]:
    """A service of the composition without a container: its own words, its places moved to this machine."""
    moved = [places.get(word, word) for word in words]
    program = {"python3": [], json.loads(only("ENTRYPOINT"))[0]: ["-m", "cds_wrapper"]}[moved[0]]
    running = subprocess.Popen(
        [sys.executable, *program, *moved[1:]],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_answers(url, running)
        yield
        running.terminate()
        assert running.wait(timeout=30) == 0
    finally:
        running.kill()
        running.wait()


@pytest.mark.slow
def test_the_commands_of_the_composition_make_a_demonstration(tmp_path: Path) -> None:
    wrapper, vendor, fhir = three_free_ports().wrapper, free_port(), free_port()
    places = {
        "0.0.0.0": "127.0.0.1",
        "8081": str(vendor),
        "8082": str(fhir),
        "/data": str(tmp_path),
        "http://vendor:8081": f"http://127.0.0.1:{vendor}",
        "http://fhir:8082": f"http://127.0.0.1:{fhir}",
    }
    asked = {
        name: [places.get(word, word) for word in service["healthcheck"]["test"][3:]]
        for name, service in services().items()
        if "healthcheck" in service
    }
    words = {name: words_of(service) for name, service in services().items()}
    screen = f"http://127.0.0.1:{wrapper}/"
    with (
        process(words["vendor"], places, f"http://127.0.0.1:{vendor}/cds-services"),
        process(words["fhir"], places, f"http://127.0.0.1:{fhir}/metadata"),
        process(
            [*words["wrapper"], "--port", str(wrapper)],
            places,
            f"{screen}readyz",
            CDS_WRAPPER_HOOKS=str(ROOT / "hooks"),
            CDS_WRAPPER_SPOOL=str(tmp_path / "spool"),
            CDS_WRAPPER_STREAM=str(tmp_path / "predictions.jsonl"),
        ),
    ):
        assert [ask(wrapper), *(ask(0, *arguments) for arguments in asked.values())] == [(0, "")] * 3
        shown = httpx.post(screen, data={"patient": "black-35"}, timeout=20).text
        down = httpx.post(screen, data={"fault": "down", "patient": "white-55"}, timeout=20).text

    assert "10-year cardiovascular risk 3.1 %" in shown
    # A vendor in a container of its own is not stopped from here, and the screen does not claim so.
    assert "10-year cardiovascular risk" in down
