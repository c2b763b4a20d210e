"""Whatever a file holds, loading ends in a service or in a list of mistakes with their places."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.errors import ConfigurationRefused, Mistake
from cds_wrapper.services import ServiceDefinition, definition_from_files, load_services
from cds_wrapper.services.reading import FILE_NAMES, digest_of
from cds_wrapper.services.yaml_files import Document, KeyPath, read_document
from tests.unit.services.files import HOOKS

JUNK: tuple[object, ...] = (
    None,
    [],
    {},
    "",
    "x",
    "no",
    0,
    -1,
    1,
    10**30,
    1.5,
    float("inf"),
    True,
    [None],
    [{}],
    {"": None},
    "a" * 999,
)
GONE = object()


@cache
def shipped() -> dict[str, bytes]:
    (service,) = load_services(HOOKS).of("cvd-risk")
    return {file.kind: file.content for file in service.files if file.kind != "edition"}


@cache
def document(kind: str) -> Document:
    found, _ = read_document(FILE_NAMES[kind], shipped()[kind])
    assert found is not None
    return found


def with_junk(values: Any, path: KeyPath, junk: object) -> bytes:
    """The file with one value replaced or gone, written as JSON, which is YAML too."""
    changed = copy.deepcopy(values)
    here = changed
    for part in path[:-1]:
        here = here[part]
    if junk is GONE:
        del here[path[-1]]
    else:
        here[path[-1]] = junk
    return json.dumps(changed).replace("Infinity", ".inf").encode()


@st.composite
def spoilt_values(draw: st.DrawFn) -> tuple[str, KeyPath, object]:
    kind = draw(st.sampled_from(sorted(FILE_NAMES)))
    path = draw(st.sampled_from([path for path in document(kind).places if path]))
    return kind, path, draw(st.sampled_from([GONE, *JUNK]))


def load(kind: str, content: bytes) -> ServiceDefinition | tuple[Mistake, ...]:
    """Load the service with one file changed; a changed card is signed."""
    files = {**shipped(), kind: content}
    old, new = digest_of(shipped()["model_card"]), digest_of(files["model_card"])
    files["plan"] = files["plan"].replace(old.encode(), new.encode())
    try:
        return definition_from_files(files)
    except ConfigurationRefused as refused:
        return refused.mistakes


@settings(max_examples=120)
@given(spoilt_values())
def test_a_wrong_value_gives_a_service_or_mistakes_with_places(spoilt: tuple[str, KeyPath, object]) -> None:
    kind, path, junk = spoilt
    loaded = load(kind, with_junk(document(kind).values, path, junk))
    if isinstance(loaded, ServiceDefinition):
        assert loaded.book.to_json()
    else:
        assert loaded
        assert all(mistake.line and mistake.column and mistake.problem for mistake in loaded)


@settings(max_examples=60)
@given(st.sampled_from(sorted(FILE_NAMES)), st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_broken_file_is_refused_by_name(kind: str, at: int, noise: bytes) -> None:
    content = shipped()[kind]
    at %= len(content)
    loaded = load(kind, content[:at] + noise + content[at + len(noise) :])
    if not isinstance(loaded, ServiceDefinition):
        assert loaded
        assert {mistake.file for mistake in loaded} <= set(FILE_NAMES.values())
