"""Fetches the wheels an image needs, each at the version and with the hash that constraints.txt pins.

    python3 wheels.py [EXTRAS]

EXTRAS are names of pyproject.toml's optional dependencies with commas between, such as `monitor`. It runs in
a folder with pyproject.toml and constraints.txt and fills wheels/build and wheels/service there.
constraints.txt pins the tools for tests and checks too, so pip finds out which of the packages the service
needs. Whether a file is the pinned one is then decided by its hash alone, before anything is installed.
"""

# Runs in the first stage of the image, where nothing but Python and pip is there.
from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

WHEELS = Path("wheels")
VERSIONS = Path("versions.txt")


def main(extras: str = "") -> int:
    """Fetch and compare; 1 when a file is not the pinned one, or pip could not fetch."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    constraints = Path("constraints.txt").read_text(encoding="utf-8")
    VERSIONS.write_text("".join(f"{line}\n" for line in versions(constraints)), encoding="utf-8")
    wanted: dict[str, Sequence[str]] = {
        "build": project["build-system"]["requires"],
        "service": [*project["project"]["dependencies"], *optional(project, extras)],
    }
    for name, requirements in wanted.items():
        if not fetch(requirements, WHEELS / name):
            sys.stderr.write(
                "pip could not fetch the packages (its own words are above). Behind a mirror or a proxy, hand"
                " its configuration to the build: --secret id=pip,src=FILE\n"
            )
            return 1
    foreign = unpinned(WHEELS.glob("*/*"), constraints)
    for file in foreign:
        sys.stderr.write(f"{file.name} is not the file that constraints.txt pins: its hash is not there.\n")
    return 1 if foreign else 0


def optional(project: dict[str, Any], extras: str) -> list[str]:
    """What the named extras need; ends the build when there is none of that name."""
    known = project["project"].get("optional-dependencies", {})
    names = [name for name in extras.replace(",", " ").split() if name]
    for name in names:
        if name not in known:
            sys.exit(f"EXTRAS names {name!r}, which pyproject.toml does not have: {', '.join(known)}.")
    return [requirement for name in names for requirement in known[name]]


def versions(constraints: str) -> list[str]:
    """The pins without their hashes, markers kept: with hashes in them pip would not resolve anything."""
    return re.findall(r"^(\w[^\\\n]*?) *\\?$", constraints, re.MULTILINE)


def fetch(requirements: Sequence[str], folder: Path) -> bool:
    """Let pip choose and fetch, wheels only: a source package would run its own code here."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    form = ["--no-cache-dir", "--only-binary", ":all:", "--constraint", str(VERSIONS), "--dest", str(folder)]
    return subprocess.call([*pip, *form, *requirements]) == 0  # noqa: S603 - what pyproject.toml names


def unpinned(files: Iterable[Path], constraints: str) -> list[Path]:
    """The files whose hash does not stand in constraints.txt."""
    known = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", constraints))
    return sorted(file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() not in known)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
