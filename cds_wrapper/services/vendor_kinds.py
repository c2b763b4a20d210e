"""What each protocol needs and permits under `vendor`, and what cannot go together there.

Keys that are in no table here are for every protocol. Beside the table's protocols there are those of
adapters that other packages bring (entry points of the group `cds_wrapper.vendors`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Final

from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.protocols_file import LookUpFile, RestFile
from cds_wrapper.services.service_file import ServiceFile, VendorFile
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.look_up import ENCOUNTER, PATIENT
from cds_wrapper.vendors.rest_body import slots_in

CDS_HOOKS: Final = "cds-hooks"
OPEN_INFERENCE: Final = "open-inference"
MLFLOW: Final = "mlflow"
REST: Final = "rest"
PYTHON: Final = "python"

GROUP: Final = "cds_wrapper.vendors"
"""The entry-point group of adapters that other packages bring; an adapter's name is its protocol."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    CDS_HOOKS: ("url",),
    OPEN_INFERENCE: ("url", "inference", "score"),
    MLFLOW: ("url", "mlflow", "score"),
    REST: ("url", "score"),
    PYTHON: ("python", "score"),
}
"""The keys under `vendor` that a protocol needs beside those that all do."""

_CDS_HOOKS_ONLY: Final = (
    "hook",
    "discovery",
    "prefetch",
    "context",
    "extensions",
    "unknown_user",
    "hook_instance",
    "feedback",
    "missing_inputs",
)
ONLY_FOR: Final[Mapping[str, str]] = {
    **dict.fromkeys(_CDS_HOOKS_ONLY, CDS_HOOKS),
    "inference": OPEN_INFERENCE,
    "mlflow": MLFLOW,
    "rest": REST,
    "python": PYTHON,
}
"""The keys that mean something to one protocol alone."""

_OVER_HTTP: Final = ("url", "authentication", "tls")
_SCORE_PATH_NEEDED: Final = (CDS_HOOKS, REST)
IDENTIFIERS: Final = (PATIENT, ENCOUNTER)
_IN_TEXT: Final = re.compile(r"\{([^{}]*)\}")


def brought_protocols() -> tuple[str, ...]:
    """The protocols of adapters that installed packages bring."""
    return tuple(sorted(entry_points(group=GROUP).names))


def kind_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """What does not go with the protocol, or not together under it."""
    vendor = service.vendor
    if vendor.protocol not in NEEDS and vendor.protocol not in brought_protocols():
        known = (*NEEDS, *brought_protocols())
        problem = f"must be one of: {', '.join(known)}."
        yield document.mistake(("vendor", "protocol"), problem, nearest(vendor.protocol, known))
        return
    yield from _table_mistakes(document, vendor)
    yield from _score_mistakes(document, service)
    if vendor.protocol == REST:
        yield from _rest_mistakes(document, vendor, vendor.rest or RestFile())
    elif vendor.url and _IN_TEXT.search(vendor.url):
        yield document.mistake(("vendor", "url"), "has braces, which only `rest` fills.")
    if vendor.protocol == OPEN_INFERENCE:
        for name, value in vendor.send_when_missing.items():
            if value is None:
                path = ("vendor", "send_when_missing", name)
                yield document.mistake(path, "is null, which no tensor can hold.")


def _table_mistakes(document: Document, vendor: VendorFile) -> Iterator[Mistake]:
    written = vendor.model_fields_set
    for key in NEEDS.get(vendor.protocol, ()):
        if getattr(vendor, key) is None:
            yield document.mistake(("vendor", key), f"is missing: `{vendor.protocol}` needs it.")
    for key, protocol in ONLY_FOR.items():
        if key in written and vendor.protocol != protocol:
            yield document.mistake(("vendor", key), f"is for `{protocol}` only.")
    for key in _OVER_HTTP:
        if key in written and vendor.protocol == PYTHON:
            yield document.mistake(("vendor", key), "is not for `python`, which is not asked over HTTP.")
    if "options" in written and vendor.protocol in NEEDS:
        yield document.mistake(("vendor", "options"), "is for adapters that another package brings.")
    if vendor.send_when_missing and vendor.protocol == CDS_HOOKS:
        problem = "is not for `cds-hooks`: that vendor reads FHIR itself."
        yield document.mistake(("vendor", "send_when_missing"), problem)


def _score_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """A bare number needs a place, a threshold and a version that can be learnt."""
    vendor = service.vendor
    protocol, score = vendor.protocol, vendor.score
    if score and score.path is None and protocol in _SCORE_PATH_NEEDED:
        yield document.mistake(("vendor", "score", "path"), f"is missing: `{protocol}` needs it.")
    if score and score.path is not None and protocol == OPEN_INFERENCE:
        problem = "is not for `open-inference`: `inference.output` and `column` say where the score stands."
        yield document.mistake(("vendor", "score", "path"), problem)
    if score and score.path is not None and vendor.mlflow and vendor.mlflow.column is not None:
        problem = "and `mlflow.column` both say where the score stands: write one."
        yield document.mistake(("vendor", "score", "path"), problem)
    if vendor.model.version_path is not None and protocol == OPEN_INFERENCE:
        problem = "is not for `open-inference`, whose answers name the version themselves."
        yield document.mistake(("vendor", "model", "version_path"), problem)
    if protocol != CDS_HOOKS and not service.thresholds:
        problem = (
            "is missing: a model that answers with a bare number needs the score from which a patient is"
            " flagged, as `[{id: treat, at: 0.2}]`."
        )
        yield document.mistake(("thresholds",), problem)


# rest -------------------------------------------------------------------------------------------------------


def _rest_mistakes(document: Document, vendor: VendorFile, rest: RestFile) -> Iterator[Mistake]:
    if rest.method == "GET" and rest.look_up is None:
        problem = "is `GET`, which sends no features: only `look_up` goes with it."
        yield document.mistake(("vendor", "rest", "method"), problem)
    if rest.method == "GET" and rest.body is not None:
        yield document.mistake(("vendor", "rest", "body"), "cannot go with `GET`, which has no body.")
    keyed = vendor.authentication.header if vendor.authentication else None
    for name in rest.headers:
        if vendor.authentication and vendor.authentication.kind == "api_key" and name.lower() == keyed:
            problem = "is the header that `vendor.authentication` puts the key in."
            yield document.mistake(("vendor", "rest", "headers", name), problem)
    yield from _unquoted_mistakes(document, ("vendor", "rest", "body"), rest.body)
    yield from _place_mistakes(document, vendor, rest)


def _unquoted_mistakes(document: Document, path: KeyPath, value: object) -> Iterator[Mistake]:
    """`{age}` without quotes is YAML for a map with one key and nothing behind it."""
    if isinstance(value, dict):
        name = next(iter(value), "")
        if len(value) == 1 and value[name] is None:
            yield document.mistake(path, f'is a map in YAML: write `"{{{name}}}"` in quotes.')
        for key, member in value.items():
            yield from _unquoted_mistakes(document, (*path, key), member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unquoted_mistakes(document, (*path, index), item)


def _place_mistakes(document: Document, vendor: VendorFile, rest: RestFile) -> Iterator[Mistake]:
    """Identifiers stand where they can, and each that is declared stands somewhere."""
    texts: dict[KeyPath, str] = {("vendor", "url"): vendor.url or ""}
    texts |= {("vendor", "rest", "headers", name): text for name, text in rest.headers.items()}
    declared = declared_identifiers(rest.look_up)
    in_body = [(path, name) for path, name in slots_in(rest.body) if name in IDENTIFIERS]
    used = {name for _, name in in_body}
    for path, text in texts.items():
        for name in _IN_TEXT.findall(text):
            used.add(name)
            if name not in declared:
                problem = f"holds `{{{name}}}`; only identifiers that `look_up` names may be here."
                yield document.mistake(path, problem, nearest(name, declared))
    for path, name in in_body:
        if name not in declared:
            problem = f"holds `{{{name}}}`, which `look_up` does not name."
            yield document.mistake(("vendor", "rest", "body", *path), problem)
    for name in declared:
        if name not in used:
            problem = f"is used nowhere: write `{{{name}}}` into the body, a header or the address."
            yield document.mistake(("vendor", "rest", "look_up", name), problem)


def declared_identifiers(look_up: LookUpFile | None) -> tuple[str, ...]:
    """Which identifiers a vendor is asked by."""
    if look_up is None:
        return ()
    return tuple(name for name in IDENTIFIERS if getattr(look_up, name) is not None)
