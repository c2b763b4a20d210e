"""Sizes and shapes of the house: what one head can hold, and no failure that nobody hears of."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "cds_wrapper").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
HELPERS = sorted(set((ROOT / "tests").rglob("*.py")) - set(TESTS))

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
USUAL_FUNCTION = 10
NINE_IN_TEN = 30

# The only places that may catch whatever comes: the guard around a request, and the loop that must never die.
BROAD_EXCEPT = {
    # One service of several, reviewed by a scheduler: the others' owners hear of theirs.
    ("cds_wrapper/commands/review.py", "_one"),
    ("cds_wrapper/invocation.py", "answer"),
    ("cds_wrapper/ledger/threads.py", "_run"),
    # The FHIRPath library raises `Exception` itself for data that an expression cannot work with.
    ("cds_wrapper/vendors/fhirpath.py", "__call__"),
    # A site's own callable, in a process that is not ours.
    ("cds_wrapper/vendors/worker.py", "_outcome"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method in a file."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def length(function: Function) -> int:
    """Lines from `def` to the end, the docstring left out: a long explanation is no fault."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def test_no_file_is_longer_than_one_head_can_hold() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}: {function.name}": length(function)
        for path in SOURCES
        for function in functions(parse(path))
        if length(function) > LONGEST_FUNCTION
    }

    assert long == {}


def test_functions_are_short_as_a_rule() -> None:
    lengths = [length(function) for path in SOURCES for function in functions(parse(path))]

    assert statistics.median(lengths) <= USUAL_FUNCTION
    assert statistics.quantiles(lengths, n=10)[-1] < NINE_IN_TEN


def broad_catches(path: Path) -> set[tuple[str, str]]:
    """The functions of a file that catch every exception and keep it, by `except` or by `suppress`."""
    found: set[tuple[str, str]] = set()
    for function in functions(parse(path)):
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and is_broad(node.type) and not passes_on(node):
                found.add((name_of(path), function.name))
            if isinstance(node, ast.Call) and called(node) == "suppress" and any(map(is_broad, node.args)):
                found.add((name_of(path), function.name))
    return found


def is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(is_broad, caught.elts))
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler only tidies up: it ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_only_the_guard_the_committer_and_a_library_without_errors_catch_everything() -> None:
    assert set().union(*map(broad_catches, SOURCES)) == BROAD_EXCEPT


@pytest.mark.parametrize(
    ("comment", "form"),
    [
        ("type: ignore", r"type: ignore\[[\w-]+(, ?[\w-]+)*\]  # \S+ \S+"),
        ("noqa", r"noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*\W+\w+ \S+"),
    ],
)
def test_every_check_switched_off_names_it_and_says_why(comment: str, form: str) -> None:
    lines = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in SOURCES + TESTS + HELPERS
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if f"# {comment}" in line and not re.search(f"# {form}", line)
    ]

    assert lines == []


def test_every_test_can_fail() -> None:
    checking = checking_helpers()

    idle = [
        f"{name_of(path)}: {function.name}"
        for path in TESTS
        for function in functions(parse(path))
        if function.name.startswith("test_") and not can_fail(function, checking)
    ]

    assert idle == []


def checking_helpers() -> set[str]:
    """Functions of the tests that assert something themselves, so that calling one is an assertion."""
    everywhere = [function for path in TESTS + HELPERS for function in functions(parse(path))]
    known: set[str] = set()
    while (
        more := {f.name for f in everywhere if not f.name.startswith("test_") and can_fail(f, known)} - known
    ):
        known |= more
    return known


def can_fail(function: Function, checking: set[str]) -> bool:
    """Whether it asserts, expects an exception, fails on purpose or calls a helper that does."""
    verdicts = {"raises", "warns", "fail", "expect"} | checking
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and called(node) in verdicts)
        for node in ast.walk(function)
    )


def test_a_test_without_assertion_is_recognised() -> None:
    idle, checked = functions(ast.parse("def test_a():\n    run()\ndef test_b():\n    assert run()\n"))

    assert not can_fail(idle, set())
    assert can_fail(checked, set())
    assert can_fail(idle, {"run"})


def test_a_broad_catch_is_recognised() -> None:
    handlers = "try: pass\nexcept {}: pass\n"

    assert [
        is_broad(
            next(
                n.type for n in ast.walk(ast.parse(handlers.format(what))) if isinstance(n, ast.ExceptHandler)
            )
        )
        for what in ("Exception", "(ValueError, BaseException)", "ValueError", "(OSError, ValueError)")
    ] == [True, True, False, False]
