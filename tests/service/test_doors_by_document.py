"""The running service against its own OpenAPI document: calls that fit it, and calls that do not.

The document is the one that is served, with what this site has filled in: its one service and its hook.
Schemathesis makes the calls, each with a token of its own, and its checks judge: no error of ours; no status,
content type, header or body that is not described; what fits is taken, what does not is refused.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from cds_wrapper.pages.openapi import document
from tests.service.doors import guarded_server, token_for
from tests.service.servers import Server

# The same calls in every run: what is found today is found by everybody.
ALWAYS_THE_SAME = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(default=ProjectConfig(generation=GenerationConfig(deterministic=True)))
)


def at_this_site() -> dict[str, Any]:
    """The document with the ids and the hook that this site knows."""
    described = copy.deepcopy(document())
    for operations in described["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in {"service_id", "service"}:
                    parameter["schema"] = {"enum": ["cvd-risk"]}
    described["components"]["schemas"]["HookCall"]["properties"]["hook"] = {"const": "patient-view"}
    return described


SCHEMA = schemathesis.openapi.from_dict(at_this_site(), config=CONFIG)


@SCHEMA.auth(refresh_interval=None)
class SignedByTheEHR:
    """A token for each call, since one is good for one call."""

    def get(self, case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> str:
        return token_for(case.formatted_path)

    def set(self, case: schemathesis.Case[Any], data: str, _context: schemathesis.AuthContext) -> None:
        case.headers["authorization"] = data


@pytest.fixture(scope="module")
def met() -> Iterator[Counter[tuple[str, int]]]:
    """How often each status was met at each door; a door that only ever refused has proven nothing."""
    seen: Counter[tuple[str, int]] = Counter()
    yield seen
    assert {label for label, _ in seen if not seen[label, 200]} == set()


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory, vendor_base: str) -> Iterator[Server]:
    with guarded_server(tmp_path_factory.mktemp("doors"), vendor_base) as running:
        yield running
        assert "invocation_failed" not in running.log()


def judged(case: schemathesis.Case[Any], running: Server, met: Counter[tuple[str, int]]) -> list[str]:
    """Make a call; what the checks found wrong with its answer."""
    answer = case.call(base_url=running.url)
    met[case.operation.label, answer.status_code] += 1
    try:
        case.validate_response(answer)
    except FailureGroup as failures:
        return [str(one) for one in failures.exceptions]
    return []


@pytest.mark.slow
@SCHEMA.include(tag="CDS Hooks").parametrize()
@settings(ALWAYS_THE_SAME, max_examples=40)
def test_a_door_of_cds_hooks_does_what_the_document_says(
    case: schemathesis.Case[Any], wrapped: Server, met: Counter[tuple[str, int]]
) -> None:
    assert judged(case, wrapped, met) == []


@pytest.mark.slow
@SCHEMA.exclude(tag="CDS Hooks").parametrize()
@settings(ALWAYS_THE_SAME, max_examples=5)
def test_every_other_door_does_what_the_document_says(
    case: schemathesis.Case[Any], wrapped: Server, met: Counter[tuple[str, int]]
) -> None:
    assert judged(case, wrapped, met) == []
