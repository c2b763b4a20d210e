"""The committed fixtures are what the generator makes, and everybody in them is synthetic."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from cds_wrapper.demo.fixtures import fixture_files, write_files
from cds_wrapper.demo.population import FIXTURE_DAY, populate

FIXTURES = Path(__file__).parents[2] / "fixtures"
GENERATED = ("README.md", "population.ndjson", "cases.json", "requests")
LARGEST_BYTES = 3_000_000


def made() -> dict[PurePosixPath, bytes]:
    population = populate(FIXTURE_DAY)
    return fixture_files(population.resources, (*population.cases, *population.inpatients))


def committed() -> dict[PurePosixPath, bytes]:
    roots = [FIXTURES / name for name in GENERATED]
    files = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    return {PurePosixPath(path.relative_to(FIXTURES).as_posix()): path.read_bytes() for path in files}


def test_the_committed_fixtures_are_what_the_generator_makes() -> None:
    expected, found = made(), committed()
    assert sorted(found) == sorted(expected)
    stale = [path for path, content in expected.items() if found[path] != content]
    assert stale == [], "run: python -m cds_wrapper.demo.population --write fixtures"


def test_they_are_small() -> None:
    assert sum(map(len, committed().values())) < LARGEST_BYTES


def test_every_resource_in_them_is_tagged_synthetic() -> None:
    count = 0
    for path, content in committed().items():
        for document in _documents(path, content):
            for resource in _resources(document):
                count += 1
                assert {"system": "urn:cds-wrapper:demo", "code": "synthetic"} in resource["meta"]["tag"]
    assert count > 1000


def test_every_named_case_has_a_request_and_an_entry() -> None:
    index = json.loads((FIXTURES / "cases.json").read_bytes())
    requests = {path.stem for path in (FIXTURES / "requests").glob("*.json")}
    assert requests == set(index)
    for case in requests:
        body = json.loads((FIXTURES / "requests" / f"{case}.json").read_bytes())
        assert body["hook"] == index[case]["hook"]
        assert body["context"]["patientId"] == case
        assert set(index[case]) == {"hook", "service", "title", "why"}


def test_writing_takes_away_the_request_of_a_case_that_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests" / "gone.json").write_text("{}")
    write_files({PurePosixPath("requests/kept.json"): b"{}\n"}, tmp_path)
    assert [path.name for path in (tmp_path / "requests").iterdir()] == ["kept.json"]


def _documents(path: PurePosixPath, content: bytes) -> list[Any]:
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in content.splitlines()]
    return [json.loads(content)] if path.parent.name == "requests" else []


def _resources(value: Any) -> list[dict[str, Any]]:
    """Every resource inside, Bundles opened."""
    if isinstance(value, list):
        return [one for part in value for one in _resources(part)]
    if not isinstance(value, dict):
        return []
    if "resourceType" in value and value["resourceType"] != "Bundle":
        return [value]
    return [one for part in value.values() for one in _resources(part)]
