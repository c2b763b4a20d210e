from __future__ import annotations

import pytest

from cds_wrapper.services.yaml_files import Place, dotted, read_document


def test_values_are_those_of_yaml_1_2() -> None:
    text = b"""\
country: NO
switch: on
mode: 0o17
code: 010
float: 1.5e3
low: -.inf
day: 2026-06-30
version: "2023.1"
nothing: ~
yes: true
1: one
list: [a, {b: c}]
long: >-
  two
  lines
"""
    document, mistakes = read_document("a.yaml", text)
    assert mistakes == ()
    assert document is not None
    assert document.values == {
        "country": "NO",
        "switch": "on",
        "mode": 15,
        "code": 10,
        "float": 1500.0,
        "low": float("-inf"),
        "day": "2026-06-30",
        "version": "2023.1",
        "nothing": None,
        "yes": True,
        "1": "one",
        "list": ["a", {"b": "c"}],
        "long": "two lines",
    }


def test_every_key_and_item_has_its_line_and_column() -> None:
    document, _ = read_document("a.yaml", "# comment\na:\n  - é: 1\n    b: [x, y]\n".encode())
    assert document is not None
    assert document.places[("a",)] == Place(2, 1)
    assert document.places[("a", 0)] == Place(3, 5)
    assert document.places[("a", 0, "b")] == Place(4, 5)
    assert document.places[("a", 0, "b", 1)] == Place(4, 12)
    assert document.place_of(("a", 0, "missing", 3)) == Place(3, 5)
    assert dotted(("a", 0, "b", 1)) == "a[0].b[1]"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (b"a: 1\n\tb: 2\n", 2, "tab"),
        (b"a:\n  b: 1\n b: 2\n", 3, "not YAML"),
        (b"a: [1\n", 2, "not YAML"),
        (b"a: b: c\n", 1, "not YAML"),
        (b"a: 'x\n", 2, "not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "not YAML"),
        (b"a: \x07\n", 1, "control character"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (b"- a\n", 1, "must hold keys"),
        (b"", 1, "must hold keys"),
        (b"just text\n", 1, "must hold keys"),
        (b"[" * 1500, 1, "nested too deeply"),
    ],
)
def test_what_is_not_yaml_is_refused_at_its_line(text: bytes, line: int, said: str) -> None:
    document, mistakes = read_document("a.yaml", text)
    assert document is None
    (mistake,) = mistakes
    assert (mistake.line, said in mistake.problem) == (line, True), mistake


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        (b"a: 1\nb: 2\na: 3\n", 3, "a", "written twice, first in line 1"),
        (b"x:\n  a: 1\n  a: 3\n", 3, "x.a", "written twice, first in line 2"),
        (b"a: &one 1\nb: 2\n", 1, "a", "anchor"),
        (b"a: !!binary aGk=\n", 1, "a", "tag"),
        (b"a: !secret x\n", 1, "a", "tag"),
        (b"a: 1\n<<: {b: 2}\n", 2, "<<", "merge key"),
        (b"? [a, b]\n: 1\n", 1, "", "list or a map"),
    ],
)
def test_what_yaml_allows_and_nobody_should_sign_is_refused(
    text: bytes, line: int, key: str, said: str
) -> None:
    _, mistakes = read_document("a.yaml", text)
    assert [(one.line, one.key) for one in mistakes] == [(line, key)]
    assert said in mistakes[0].problem


def test_an_alias_of_itself_does_not_hang() -> None:
    document, mistakes = read_document("a.yaml", b"a: &a [*a]\n")
    assert document is not None
    assert mistakes
    assert all("anchor" in one.problem for one in mistakes)
