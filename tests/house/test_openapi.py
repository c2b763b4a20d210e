"""The OpenAPI document leaves nothing out: every route, every status of an error, every struct sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from starlette.routing import Route

from cds_wrapper.app import create_app
from cds_wrapper.errors import LedgerUnavailable, RequestRefused, WrapperError
from cds_wrapper.log import OperatorLog
from cds_wrapper.pages import openapi_schemas
from cds_wrapper.pages.openapi import DOORS, document, statuses
from tests.service.harness import copy_hooks, settings_for
from tests.service.test_vendor_access import NEW, signing_with

DOCUMENT = document()


def refusals() -> list[type[WrapperError]]:
    """Every error that a caller can meet."""
    return [WrapperError, LedgerUnavailable, RequestRefused, *_below(RequestRefused)]


def _below(kind: type[WrapperError]) -> list[type[WrapperError]]:
    return [one for child in kind.__subclasses__() for one in (child, *_below(child))]


def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    # A key set is published only where calls to a vendor are signed.
    hooks = copy_hooks(tmp_path, "https://model.example/x", **signing_with(tmp_path, NEW))
    app = create_app(settings_for(tmp_path, hooks), OperatorLog("test-0"))
    routed = {
        (route.path, method.lower())
        for route in app.router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"  # answered like GET, as the document's first paragraph says
    }
    described = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert routed == described, "describe it in cds_wrapper/pages/openapi.py"


def test_every_status_of_an_error_is_described() -> None:
    lacking = {kind.__name__ for kind in refusals() if kind.http_status not in statuses()}
    assert lacking == set(), "name it among the refusals of the doors where it is met"


def test_each_door_is_described_in_words_and_names_its_errors_once() -> None:
    for door in DOORS:
        assert door.title and door.words.endswith("."), door.path
        assert len(set(door.refusals)) == len(door.refusals)
        assert set(door.names) == {part[1:-1] for part in door.path.split("/") if part.startswith("{")}


def test_every_reference_leads_somewhere() -> None:
    assert set(references(DOCUMENT)) <= {
        f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]
    }


def references(value: Any) -> list[str]:
    """Every `$ref` at any depth."""
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for one in value.values() for found in references(one)]


def test_the_document_is_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    with pytest.raises(ValueError, match="title"):
        schemathesis.openapi.from_dict({**DOCUMENT, "info": {}}).validate()


@pytest.mark.parametrize("struct", ["Nowhere"])
def test_a_rule_for_a_struct_that_is_not_sent_is_noticed(
    struct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi_schemas, "_TIGHTER", {struct: {}})
    with pytest.raises(KeyError, match=struct):
        openapi_schemas.sent_schemas()


def test_it_says_nothing_about_the_site_or_what_is_installed(tmp_path: Path) -> None:
    text = str(DOCUMENT)
    assert DOCUMENT["servers"] == [{"url": "/"}] and DOCUMENT["info"]["version"] == "1"
    assert str(tmp_path) not in text and "127.0.0.1" not in text
