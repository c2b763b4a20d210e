"""run.py, for real: a small checkout in a folder with a space in its name, an environment, no network."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "run.py"

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# Stands in for hatchling, which would have to come from the network: an editable wheel is a .pth file.
BACKEND = """\
import pathlib, zipfile

HERE = pathlib.Path(__file__).parent

def build_editable(folder, config_settings=None, metadata_directory=None):
    with (HERE / "built.txt").open("a") as log:
        log.write("built\\n")
    if (HERE / "broken").exists():
        raise SystemExit("the build is broken")
    name, info = "cds_wrapper-1-py3-none-any.whl", "cds_wrapper-1.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("cds_wrapper.pth", str(HERE))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: cds-wrapper\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""

PROGRAM = """\
import json, os, signal, sys, time

if "wait" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(43))
    print("waiting", flush=True)
    time.sleep(30)
hooks = os.environ["CDS_WRAPPER_HOOKS"]
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "hooks": hooks, "prefix": sys.prefix}))
sys.exit(7 if "fail" in sys.argv else 0)
"""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A fresh checkout, without an environment."""

    root: Path

    @property
    def builds(self) -> int:
        log = self.root / "built.txt"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def start(
        self, *arguments: str, cwd: Path | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        command = [*(python or (sys.executable, str(self.root / "run.py"))), *arguments]
        environment = {k: v for k, v in os.environ.items() if k != "CDS_WRAPPER_HOOKS"} | {
            "PIP_NO_INDEX": "1"
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=cwd or "/", env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(
        self, *arguments: str, cwd: Path | None = None, python: tuple[str, ...] = ()
    ) -> tuple[int, str, str]:
        process = self.start(*arguments, cwd=cwd, python=python)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def run_with(self, prelude: str, *arguments: str) -> tuple[int, str, str]:
        """Run run.py in a Python in which `prelude` was executed first."""
        script = str(self.root / "run.py")
        start = f"sys.argv[0] = {script!r}; runpy.run_path({script!r}, run_name='__main__')"
        code = f"import runpy, sys; {prelude}; {start}"
        return self.run(*arguments, python=(sys.executable, "-c", code))


def make_checkout(root: Path) -> Checkout:
    (root / "cds_wrapper").mkdir(parents=True)
    shutil.copy(RUN, root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints.txt").write_text("")
    (root / "backend.py").write_text(BACKEND)
    (root / "cds_wrapper" / "__init__.py").write_text("")
    (root / "cds_wrapper" / "cli.py").write_text(PROGRAM)
    return Checkout(root)


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "my checkout")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = make_checkout(tmp_path_factory.mktemp("a place") / "my checkout")
    code, _, err = checkout.run("install")
    assert code == 0, err
    return checkout


def test_the_first_command_sets_up_and_runs(fresh: Checkout) -> None:
    code, out, err = fresh.run("try", "a request.json", "--service", "cvd-risk")

    assert code == 0, err
    assert '"arguments": ["try", "a request.json", "--service", "cvd-risk"]' in out
    assert f'"prefix": "{fresh.root / ".venv"}"' in out
    assert "Setting up" in err
    assert "Setting up" not in out, "standard output belongs to the command"


def test_the_second_command_does_not_set_up_again(ready: Checkout) -> None:
    before = ready.builds
    code, _, err = ready.run("check")

    assert (code, ready.builds, err) == (0, before, "")


def test_a_changed_pyproject_sets_up_again_once(ready: Checkout) -> None:
    before = ready.builds
    with (ready.root / "pyproject.toml").open("a") as file:
        file.write("# a new dependency\n")

    assert [ready.run("check")[0] for _ in range(2)] == [0, 0]
    assert ready.builds == before + 1


def test_the_exit_code_of_the_program_passes(ready: Checkout) -> None:
    assert ready.run("fail")[0] == 7


def test_a_signal_reaches_the_program_and_its_answer_comes_back(ready: Checkout) -> None:
    process = ready.start("wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)

    assert process.returncode == 43


def test_from_another_folder_files_are_the_callers_and_the_hospital_files_are_the_checkouts(
    ready: Checkout, tmp_path: Path
) -> None:
    _, out, _ = ready.run("check", cwd=tmp_path)

    assert f'"cwd": "{tmp_path}"' in out
    assert f'"hooks": "{ready.root / "hooks"}"' in out


def test_a_set_up_that_failed_says_what_to_do_and_is_done_again(fresh: Checkout) -> None:
    (fresh.root / "broken").touch()
    code, out, err = fresh.run("check")
    assert (code, out) == (1, "")
    assert "the same command again" in err
    assert "Traceback" not in err.split("pip could not install")[1]

    (fresh.root / "broken").unlink()
    code, out, _ = fresh.run("check")
    assert (code, bool(out)) == (0, True)


def test_a_set_up_that_was_killed_is_done_again(ready: Checkout) -> None:
    before = ready.builds
    (ready.root / ".venv" / ".cds-wrapper-installed").unlink()

    assert ready.run("check")[0] == 0
    assert ready.builds == before + 1


def test_an_environment_that_lost_its_python_is_made_anew(fresh: Checkout) -> None:
    (fresh.root / ".venv" / "bin").mkdir(parents=True)
    (fresh.root / ".venv" / "bin" / "python").symlink_to("/nowhere/python")

    assert fresh.run("check")[0] == 0


def test_two_at_once_set_up_once(fresh: Checkout) -> None:
    processes = [fresh.start("check") for _ in range(2)]
    errors = [process.communicate(timeout=600)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], errors
    assert fresh.builds == 1
    assert sum("waiting for it" in error for error in errors) == 1


def test_a_moved_checkout_does_not_run_the_code_of_the_old_place(ready: Checkout, tmp_path: Path) -> None:
    moved = Checkout(tmp_path / "moved")
    shutil.copytree(ready.root, moved.root, symlinks=True)
    shutil.rmtree(moved.root / "cds_wrapper" / "__pycache__", ignore_errors=True)
    (moved.root / "cds_wrapper" / "cli.py").write_text("print('the code of the new place')\n")

    assert moved.run("check")[1] == "the code of the new place\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_help_needs_no_set_up(fresh: Checkout, arguments: tuple[str, ...]) -> None:
    code, out, _ = fresh.run(*arguments)

    assert code == 0
    assert "python3 run.py demo" in out
    assert not (fresh.root / ".venv").exists()


def test_an_old_python_is_refused_in_one_sentence(fresh: Checkout) -> None:
    code, out, err = fresh.run_with("sys.version_info = (3, 7, 9)", "demo")

    assert (code, out) == (1, "")
    assert err.startswith("cds-wrapper needs Python 3.11 or newer and this is Python 3.7:")
    assert err.count("\n") == 1


def test_a_python_without_ensurepip_names_the_package_to_install(fresh: Checkout) -> None:
    code, out, err = fresh.run_with("sys.modules['ensurepip'] = None", "demo")

    assert (code, out) == (1, "")
    assert f"apt install python3.{sys.version_info.minor}-venv" in err
    assert err.count("\n") == 1


def test_an_old_python_can_read_the_file_as_far_as_being_refused() -> None:
    tree = ast.parse(RUN.read_text(encoding="utf-8"), feature_version=(3, 7))

    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
