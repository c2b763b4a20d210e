#!/usr/bin/env python3
"""Sets up cds-wrapper in .venv beside this file and runs it. Needs Python 3.11 or newer, nothing else.

    python3 run.py demo                  the whole program with synthetic patients, in the browser
    python3 run.py test [pytest ...]     the tests
    python3 run.py COMMAND ...           any command of the program: serve, check, try, explain
                                         (--help lists them, COMMAND --help explains one)

For whoever changes the code:

    python3 run.py install               only set up
    python3 run.py lint                  style, types and import floors, as continuous integration does
    python3 run.py format                put the code into the house's format
    python3 run.py lock                  pin the dependencies of pyproject.toml anew, into constraints.txt
    python3 run.py model-servers         install MLServer and MLflow beside .venv, for the tests against them
    python3 run.py spark                 install Spark into .venv, for the tests on it (needs Java 17 or 21)

The environment is made once and renewed only when pyproject.toml or constraints.txt has changed.
"""

# Standard library only, in syntax that Python 3.7 can read: it has to get as far as saying it is too old.
from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NoReturn, Sequence

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / ".cds-wrapper-installed"
LOCK = ROOT / ".venv.lock"
OLDEST = (3, 11)

# `python -m importlinter` does not exist, and `-m importlinter.cli` does nothing and reports success.
IMPORT_FLOORS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
# hadolint is a program, not a module; it stands beside the environment's Python.
IMAGE_STYLE = (
    "import os, sys; hadolint = os.path.join(os.path.dirname(sys.executable), 'hadolint'); "
    "os.execv(hadolint, [hadolint, 'docker/Dockerfile'])"
)
CHECKS = (
    ("-m", "ruff", "check", "."),
    ("-m", "ruff", "format", "--check", "."),
    ("-m", "mypy"),
    ("-c", IMPORT_FLOORS),
    ("-c", IMAGE_STYLE),
)
MODEL_SERVERS = ("mlserver", "mlflow")
PINS = ROOT / "tests" / "model_servers"
SPARK_PINS = ROOT / "tests" / "spark" / "requirements-spark.txt"
EXTRAS = ("test", "monitor", "postgres", "otel", "quality")


def main(arguments: List[str]) -> int:
    """Make sure that the environment is there, then become the command that was asked for."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print((__doc__ or "").strip())
        return 0
    refuse_unfit_python()
    set_up()
    own: Dict[str, Callable[[List[str]], int]] = {
        "install": lambda _: 0,
        "test": run_tests,
        "lint": lint,
        "format": format_code,
        "lock": lock_dependencies,
        "model-servers": install_model_servers,
        "spark": install_spark,
    }
    command = own.get(arguments[0])
    return command(arguments[1:]) if command else run_program(arguments)


# --- what it can become ---


def run_program(arguments: List[str]) -> NoReturn:
    """Become `cds-wrapper ARGUMENTS`. From any folder it finds the hospital's files of this checkout."""
    os.environ.setdefault("CDS_WRAPPER_HOOKS", str(ROOT / "hooks"))
    become("-m", "cds_wrapper.cli", *arguments)


def run_tests(arguments: List[str]) -> NoReturn:
    """Become pytest, in the checkout, since tests are named by their path from there.

    Tests start hundreds of programs: without bytecode on the disk each would compile the whole package. They
    run beside each other, one to a core: matrices shared out among all cores would only wait for each other.
    """
    os.chdir(str(ROOT))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    become("-m", "pytest", *arguments)


def format_code(arguments: List[str]) -> NoReturn:
    """Become the formatter."""
    os.chdir(str(ROOT))
    become("-m", "ruff", "format", ".", *arguments)


def lint(_: List[str]) -> int:
    """Run every check, also after one has failed, so that one run shows everything there is to mend."""
    failed = [check for check in CHECKS if subprocess.call([str(PYTHON), *check], cwd=str(ROOT)) != 0]
    return 1 if failed else 0


def lock_dependencies(arguments: List[str]) -> int:
    """Write constraints.txt: every version and hash for every platform, no address of a package index."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    form = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    command = ["pip", "compile", "pyproject.toml", *extras, *form, "--quiet", "-o", "constraints.txt"]
    return subprocess.call([str(PYTHON), "-m", "uv", *command, *arguments], cwd=str(ROOT))


def install_model_servers(_: List[str]) -> int:
    """Make .venv-mlserver and .venv-mlflow, a gigabyte and a half, unless they are as their pins say."""
    failed = [server for server in MODEL_SERVERS if not install_model_server(server)]
    return 1 if failed else 0


def install_spark(_: List[str]) -> int:
    """Add Spark to .venv: half a gigabyte that only its tests need, so that nobody else waits for it."""
    return 0 if install_pinned(PYTHON, SPARK_PINS) else 1


def install_model_server(server: str) -> bool:
    """One environment of its own: these packages and ours do not go together. Whether it is there now."""
    environment, pins = ROOT / (".venv-%s" % server), PINS / ("requirements-%s.txt" % server)
    mark, wanted = environment / INSTALLED.name, hashlib.sha256(pins.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return True
    say("Installing %s into %s." % (server, environment.name))
    made = subprocess.call([sys.executable, "-m", "venv", "--clear", str(environment)]) == 0
    if made and install_pinned(environment / "bin" / "python", pins):
        mark.write_text(wanted, encoding="utf-8")
        return True
    say("%s could not be installed (the reason is above); its tests are skipped." % server)
    return False


def install_pinned(python: Path, pins: Path) -> bool:
    """Whether an environment now has what a file pins by digest."""
    hashed = ["--no-deps", "--require-hashes", "-r", str(pins)]
    # uv takes a tenth of pip's time; where it finds no index, pip's own settings may name one.
    by_uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(python), *hashed]
    quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
    by_pip = [str(python), "-m", "pip", "install", *quiet, *hashed]
    return subprocess.call(by_uv, cwd=str(ROOT)) == 0 or subprocess.call(by_pip, cwd=str(ROOT)) == 0


def become(*arguments: str) -> NoReturn:
    """Replace this process by the environment's Python, so that signals and the exit code pass."""
    sys.stdout.flush()
    os.execv(str(PYTHON), [str(PYTHON), *arguments])


# --- setting up ---


def refuse_unfit_python() -> None:
    """Say in one sentence what this machine lacks, before anything is made."""
    if sys.platform == "win32":
        raise SystemExit("cds-wrapper runs on Linux and macOS; on Windows, run it inside WSL.")
    if sys.version_info[:2] < OLDEST:
        raise SystemExit(
            "cds-wrapper needs Python %d.%d or newer and this is Python %d.%d: "
            "run the same command with a newer one, such as python3.12." % (OLDEST + sys.version_info[:2])
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SystemExit(
            "This Python cannot make environments: install its venv package "
            "(Debian and Ubuntu: apt install python%d.%d-venv), then run the same command again."
            % sys.version_info[:2]
        )


def set_up() -> None:
    """Bring .venv in step with pyproject.toml and constraints.txt; nothing happens where it already is."""
    wanted = fingerprint()
    if recorded() == wanted:
        return
    with only_one_at_a_time():
        if recorded() == wanted:  # somebody else has done it while we waited
            return
        say("Setting up .venv (once; 1.2 GB: two to ten minutes, as fast as your network and disk).")
        with contextlib.suppress(FileNotFoundError):
            INSTALLED.unlink()  # from here on an interrupted set-up is done again by the next run
        make_environment()
        install()
        INSTALLED.write_text(wanted, encoding="utf-8")


def fingerprint() -> str:
    """What the environment was made from: both files, the Python, and the place (the install names it)."""
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    hashes = ["%s sha256:%s" % (file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return "\n".join(["python %d.%d" % sys.version_info[:2], "place %s" % ROOT, *hashes, ""])


def recorded() -> str:
    """The fingerprint of the last set-up that was completed, or nothing."""
    try:
        return INSTALLED.read_text(encoding="utf-8") if PYTHON.exists() else ""
    except OSError:
        return ""


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Let a second run.py wait until the first has set up. The lock dies with its process."""
    with LOCK.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another run.py is setting up; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_environment() -> None:
    """Make .venv, or keep one that works with this Python; one that does not is made anew."""
    if environment_works():
        return
    clear = ["--clear"] if VENV.exists() else []
    run(
        [sys.executable, "-m", "venv", *clear, str(VENV)],
        "Python could not make the environment in %s (its own words are above). "
        "Is the disk full, or the folder not yours?" % VENV,
    )


def environment_works() -> bool:
    """Whether .venv has the Python that runs this file, and a pip."""
    if not PYTHON.exists():
        return False
    probe = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([str(PYTHON), "-c", probe], check=False, capture_output=True)
    return answer.returncode == 0 and answer.stdout.decode().strip() == "%d.%d" % sys.version_info[:2]


def install() -> None:
    """Install every pinned package, its hash checked, then the program itself as it stands in this checkout.

    Two steps, since pip takes no editable package while it checks hashes. The second is built by the build
    tool that the first has installed. Nothing is resolved: constraints.txt is complete, and a resolver that
    checks hashes stumbles over a pinned package with an extra as soon as a newer version of it appears.
    """
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    advice = (
        "pip could not install (its own words are above). Behind a proxy or without the internet, point pip "
        "at your mirror (PIP_INDEX_URL, PIP_PROXY, PIP_CERT); then run the same command again to go on."
    )
    run([*pip, "--no-deps", "--require-hashes", "-r", str(ROOT / "constraints.txt")], advice)
    run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], advice)


def run(command: Sequence[str], advice: str) -> None:
    """Run one step of the set-up; if it fails, stop with the advice. Its output goes to standard error."""
    if subprocess.call(list(command), cwd=str(ROOT), stdout=sys.stderr.fileno()) != 0:
        raise SystemExit("\n" + advice)


def say(sentence: str) -> None:
    """Tell the person what is going on, on standard error: standard output is the command's."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("\nInterrupted; run the same command again to go on.")
        sys.exit(130)
