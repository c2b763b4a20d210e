"""What the tests share."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from ruamel.yaml import YAML

from cds_wrapper.services import yaml_files
from tests.contract.requirements import fail_if_skipped
from tests.service.servers import demo_vendor

# On a busy machine the same example takes any time: no test of ours fails by the clock. Each run tries other
# examples; with `--hypothesis-profile same` they are always the same ones, so that no release hangs on luck.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("untimed"), derandomize=True, database=None)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What stands for a requirement must run: nobody notices a skipped test."""
    return fail_if_skipped((yield))


@lru_cache(maxsize=512)
def _composed(content: str, options: tuple[tuple[str, Any], ...]) -> Any:
    return YAML(**dict(options)).compose(content)


class _RemembersTexts:
    """The YAML parser, which parses a text once: most tests read the shipped files, and it is what they cost.

    What is kept are the nodes, which their reader walks and leaves as they are. A mistake is not kept.
    """

    def __init__(self, **options: Any) -> None:
        self._options = tuple(sorted(options.items()))

    def compose(self, content: str) -> Any:
        return _composed(content, self._options)


@pytest.fixture(scope="session", autouse=True)
def _texts_are_parsed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_files, "YAML", _RemembersTexts)
        yield


@pytest.fixture(scope="session")
def vendor_base() -> Iterator[str]:
    """The demonstration vendor, running for the whole session."""
    with demo_vendor() as base:
        yield base


@pytest.fixture
def vendor_url(vendor_base: str) -> str:
    """Where its service answers."""
    return f"{vendor_base}/cds-services/prevent"
