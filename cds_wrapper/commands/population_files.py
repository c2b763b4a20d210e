"""FHIR resources out of a folder or a file, however they were exported, by the patient they are about."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cds_wrapper.vendors.feature_rules import JSON

_LINES: Final = (".ndjson", ".jsonl")
_WHOLE: Final = (".json",)
_ABOUT: Final = ("subject", "patient", "beneficiary", "individual")


@dataclass(frozen=True, slots=True, repr=False)
class Population:
    """Every patient's resources, by the patient's id and their type.

    `unread` counts files and lines that are no JSON.
    """

    patients: Mapping[str, JSON]
    by_patient: Mapping[str, Mapping[str, list[JSON]]]
    unread: int

    def __repr__(self) -> str:
        return f"Population({len(self.patients)} patients)"


def read_population(place: Path) -> Population:
    """Everything under a folder, or in a file: resources or Bundles, whole or by the line, gzipped or not."""
    patients: dict[str, JSON] = {}
    by_patient: dict[str, dict[str, list[JSON]]] = defaultdict(lambda: defaultdict(list))
    unread = 0
    for one in _documents(place):
        if one is None:
            unread += 1
            continue
        for resource in _resources(one):
            kind, name = resource.get("resourceType"), resource.get("id")
            if kind == "Patient" and isinstance(name, str):
                patients[name] = resource
            elif isinstance(kind, str) and (about := _patient_of(resource)) is not None:
                by_patient[about][kind].append(resource)
    return Population(patients, by_patient, unread)


def _documents(place: Path) -> Iterator[Any]:
    """Every JSON document; None for what is none."""
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    for file in files:
        name = file.name.removesuffix(".gz")
        if name.endswith(_LINES):
            yield from (_document(line) for line in _bytes(file).splitlines() if line.strip())
        elif name.endswith(_WHOLE) or file == place:
            yield _document(_bytes(file))


def _bytes(file: Path) -> bytes:
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _resources(document: Any) -> Iterator[JSON]:
    if not isinstance(document, dict):
        return
    if document.get("resourceType") != "Bundle":
        yield document
        return
    entries = [one for one in document.get("entry") or () if isinstance(one, dict)]
    names = dict(filter(None, map(_full_name, entries)))
    for entry in entries:
        if isinstance(entry.get("resource"), dict):
            yield _named(entry["resource"], names)


def _full_name(entry: JSON) -> tuple[str, str] | None:
    """`urn:uuid:...` of an entry, by which the others refer to it, and what it is called elsewhere."""
    resource, url = entry.get("resource"), entry.get("fullUrl")
    if not isinstance(resource, dict) or not isinstance(url, str) or not url.startswith("urn:"):
        return None
    return url, f"{resource.get('resourceType')}/{resource.get('id')}"


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """The same with every such name replaced."""
    if not names:
        return value
    if isinstance(value, dict):
        return {key: _named(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def _patient_of(resource: JSON) -> str | None:
    for name in _ABOUT:
        member = resource.get(name)
        reference = member.get("reference") if isinstance(member, dict) else None
        if isinstance(reference, str) and "Patient/" in reference:
            return reference.split("/_history")[0].rstrip("/").rsplit("/", 1)[-1]
    return None
