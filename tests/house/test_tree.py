"""The repository itself: what stands on its first page, and what must never be in it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cds_wrapper

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = {".ci", "cds_wrapper", "docs", "docker", "fixtures", "hooks", "tests"}
FILES = {
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "constraints.txt",
    "pyproject.toml",
    "run.py",
}

# Brackets keep these patterns from finding themselves.
FORBIDDEN = {
    "the address of a package index": (
        r"py[p]i\.(org|python)|python[h]osted|npm[j]s\.(com|org)|(deb|security)\.debian[.]org"
    ),
    "an index option of pip or uv": r"--(extra-)?index[-]url|--find[-]links",
    "a path of somebody's machine": r"(?<![\w.])/(work|root|home|Users|farm)[/]\w",
    "a note to self": r"\b(TO[D]O|FIX[M]E|X[X]X)\b",
    "a private key": r"BEGIN [\w ]*PRIVATE[ ]KEY",
}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that are in the repository, or would be with the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so what belongs to the repository is not known")
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts(tracked: list[Path]) -> dict[str, str]:
    """The text of each file; pictures and the like are left out."""
    readable: dict[str, str] = {}
    for path in tracked:
        content = path.read_bytes()
        if b"\0" not in content:
            readable[path.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return readable


def test_the_first_page_holds_only_what_it_should(tracked: list[Path]) -> None:
    parts = [path.relative_to(ROOT).parts for path in tracked]

    assert {names[0] for names in parts if len(names) > 1} <= FOLDERS
    assert {names[0] for names in parts if len(names) == 1} == FILES


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str, texts: dict[str, str]) -> None:
    found = [
        f"{name}:{number}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if name != ".gitignore" and re.search(FORBIDDEN[what], line)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("the address of a package index", "https://files.python" + "hosted.org/packages/x.whl"),
        ("an index option of pip or uv", "--index" + "-url https://mirror.example/simple"),
        ("a path of somebody's machine", "open('/ho" + "me/ann/x')"),
        ("a note to self", "# TO" + "DO later"),
        ("a private key", "-----BEGIN EC PRIVATE" + " KEY-----"),
    ],
)
def test_it_would_be_found(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)


def test_no_lock_file_that_names_package_indexes(tracked: list[Path]) -> None:
    assert {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock"} & {
        path.name for path in tracked
    } == set()


def test_every_text_ends_its_last_line(texts: dict[str, str]) -> None:
    assert [name for name, text in texts.items() if text and not text.endswith("\n")] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "cds_wrapper" / "py.typed").is_file()


def test_the_changelog_knows_this_version() -> None:
    headings = re.findall(
        r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert cds_wrapper.__version__ in headings


def test_constraints_pin_every_dependency_at_an_allowed_version() -> None:
    pinned = pins()

    wrong = [
        str(requirement)
        for requirement in requirements()
        if not any(
            requirement.specifier.contains(v) for v in pinned.get(canonicalize_name(requirement.name), [])
        )
    ]

    assert wrong == [], "Run `python3 run.py lock`"


def test_every_pin_has_a_hash() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text(encoding="utf-8").strip())

    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def requirements() -> list[Requirement]:
    """Everything pyproject.toml asks for, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


def pins() -> dict[str, list[str]]:
    """The pinned versions of each package; more than one where platforms or Pythons differ."""
    versions: dict[str, list[str]] = {}
    files = (ROOT / "constraints.txt", ROOT / "tests" / "spark" / "requirements-spark.txt")
    text = "".join(file.read_text() for file in files)
    for name, version in re.findall(r"^([\w.-]+)==([^ \\]+)", text, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions
