"""Whether the tests that stand for requirements bite: each rule is switched off, and its test has to fail.

Run it as `.venv/bin/python -m tests.contract.bites [ROW ...]`; it prints one line per rule. The tree is
copied to a temporary folder, and only the copy is changed. A test that does not pass on the unchanged copy,
or a text that does not stand in its file exactly once, is an error and no bite.
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.contract.switched_off import OFF, Off

ROOT = Path(__file__).parents[2]
# Compiled files are copied too: they hold by time and size, and without them each run compiles all.
LEFT_OUT = shutil.ignore_patterns(".venv*", ".git", ".*_cache", "demo-data", "*.egg-info")
PATIENCE_SECONDS = 300


class Bite(enum.Enum):
    """What became of one rule that was switched off."""

    BITES = "bites"
    DOES_NOT_BITE = "does not bite"
    BREAKS = "breaks: the test did not run to its end"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run of pytest ended: tests that passed, that failed, and that could not be run."""

    passed: int
    failed: int
    broken: int


@contextlib.contextmanager
def copied_tree() -> Iterator[Path]:
    """The tree in a folder of its own, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="bites-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        yield tree


def run(tree: Path, tests: Sequence[str]) -> Ran:
    """Run tests of a copied tree with this interpreter, up to the first that fails."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:schemathesis",
    ]
    subprocess.run(
        [*command, f"--junitxml={report}", *(f"tests/{test}" for test in tests)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return _read(report)


def _read(report: Path) -> Ran:
    if not report.exists():
        return Ran(0, 0, 1)
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    total, failed, errors, skipped = (
        int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
    )
    return Ran(total - failed - errors - skipped, failed, errors + skipped if total else 1)


def imported_from(tree: Path) -> Path:
    """Where a process that is run in a copied tree finds the program."""
    found = subprocess.run(
        [sys.executable, "-c", "import cds_wrapper; print(cds_wrapper.__file__)"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(found.stdout.strip())


@contextlib.contextmanager
def switched_off(tree: Path, off: Off) -> Iterator[None]:
    """A rule switched off in a copied tree; afterwards it holds again."""
    file = tree / off.file
    right = file.read_text()
    count = right.count(off.text)
    if count != 1:
        raise ValueError(f"{off.row}: its text stands {count} times in {off.file}")
    file.write_text(right.replace(off.text, off.instead))
    try:
        yield
    finally:
        file.write_text(right)


def bite_of(tree: Path, off: Off) -> Bite:
    """Switch one rule off and see what its test says."""
    with switched_off(tree, off):
        ran = run(tree, [off.test])
    if ran.broken or not (ran.passed or ran.failed):
        return Bite.BREAKS
    return Bite.BITES if ran.failed else Bite.DOES_NOT_BITE


def say(line: str) -> None:
    """One line of the table, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(wanted: Sequence[str]) -> int:
    """Every rule of the table, or those named; 0 when all bite."""
    rules = [off for off in OFF if not wanted or off.row in wanted]
    with copied_tree() as tree:
        unchanged = run(tree, sorted({off.test for off in rules}))
        say(f"unchanged: {unchanged.passed} passed, {unchanged.failed} failed, {unchanged.broken} broken")
        if unchanged.failed or unchanged.broken or not unchanged.passed:
            return 1
        bites = []
        for off in rules:
            bites.append(bite_of(tree, off))
            say(f"{off.row:8} {bites[-1].value:14} {off.rule} | {off.test}")
    say(f"{bites.count(Bite.BITES)} of {len(bites)} bite")
    return 0 if set(bites) == {Bite.BITES} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
