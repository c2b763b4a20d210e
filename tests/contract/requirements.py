"""The requirements of CDS Hooks 2.0.1 and our own as data: one file per chapter in `requirements/`.

Each row says whether it is met, declined or open, and names the tests that would fail if it were not so.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

TESTS = Path(__file__).parents[1]
CHAPTERS = Path(__file__).parent / "requirements"


class Level(enum.Enum):
    """How binding a row is; a RULE is ours, where the specification is silent."""

    SHALL = "SHALL"
    SHALL_NOT = "SHALL NOT"
    SHOULD = "SHOULD"
    SHOULD_NOT = "SHOULD NOT"
    MAY = "MAY"
    RULE = "RULE"


class Role(enum.Enum):
    """Who is bound: we towards the EHR, we towards the vendor, or the EHR, whose deviations we bear."""

    SERVICE = "service"
    CLIENT = "client"
    EHR = "ehr"


class Verdict(enum.Enum):
    """Met in full, declined for a reason, or not met in full yet."""

    MET = "met"
    DECLINED = "declined"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row. `tests` are pytest's node ids from the folder `tests` on, without parameters."""

    id: str
    level: Level
    roles: tuple[Role, ...]
    text: str
    section: str
    verdict: Verdict
    tests: tuple[str, ...]
    note: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Requirement:
        """Read a row; an unknown or missing key is an error."""
        unknown = set(row) - {"id", "level", "roles", "text", "section", "verdict", "tests", "note"}
        assert not unknown, f"{row['id']} holds {unknown}"
        return cls(
            id=row["id"],
            level=Level(row["level"]),
            roles=tuple(Role(role) for role in row["roles"]),
            text=row["text"],
            section=row["section"],
            verdict=Verdict(row["verdict"]),
            tests=tuple(row.get("tests", ())),
            note=row.get("note", "").strip(),
        )


@dataclass(frozen=True, slots=True)
class Chapter:
    """The rows of one file under its title."""

    title: str
    rows: tuple[Requirement, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """Every chapter in the order of the files."""
    documents = [YAML(typ="safe").load(path) for path in sorted(CHAPTERS.glob("*.yaml"))]
    return tuple(
        Chapter(document["title"], tuple(Requirement.of(row) for row in document["rows"]))
        for document in documents
    )


def requirements() -> tuple[Requirement, ...]:
    """Every row of every chapter."""
    return tuple(row for chapter in chapters() for row in chapter.rows)


def named_tests() -> dict[str, list[str]]:
    """Each test that stands for a requirement, and which."""
    named: dict[str, list[str]] = {}
    for row in requirements():
        for test in row.tests:
            named.setdefault(test, []).append(row.id)
    return named


def fail_if_skipped(report: pytest.TestReport) -> pytest.TestReport:
    """A skipped test, or one expected to fail, has failed when it stands for a requirement."""
    ids = named_tests().get(report.nodeid.split("[")[0].removeprefix("tests/")) if report.skipped else None
    if ids:
        report.outcome = "failed"
        report.longrepr = f"This test stands for {', '.join(ids)} and must run: a skipped one proves nothing."
    return report


def faults_of(test: str) -> Iterator[str]:
    """Why a named test is none: it is not there, or it does not run everywhere."""
    file, _, name = test.partition("::")
    path = TESTS / file
    if not path.is_file():
        yield f"{test}: there is no such file"
        return
    tree = ast.parse(path.read_text())
    outside = [node for node in tree.body if not isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    if set().union(*map(_attributes, outside)) & SKIPPING:
        yield f"{test}: its whole file may be skipped"
    found = [node for node in tree.body if isinstance(node, FUNCTIONS) and node.name == name]
    if not found or not name.startswith("test_"):
        yield f"{test}: there is no such test"
    for function in found:
        yield from (f"{test}: uses {name}" for name in sorted(_attributes(function) & SKIPPING))


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SKIPPING = {"skip", "skipif", "xfail", "importorskip"}


def _attributes(tree: ast.AST) -> set[str]:
    """Every name after a dot, such as `skip` in a mark or in a call; a decorator belongs to its function."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
