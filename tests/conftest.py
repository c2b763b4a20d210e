"""What the tests share."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.contract.requirements import fail_if_skipped
from tests.service.servers import demo_vendor


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What stands for a requirement must run: nobody notices a skipped test."""
    return fail_if_skipped((yield))


@pytest.fixture(scope="session")
def vendor_base() -> Iterator[str]:
    """The demonstration vendor, running for the whole session."""
    with demo_vendor() as base:
        yield base


@pytest.fixture
def vendor_url(vendor_base: str) -> str:
    """Where its service answers."""
    return f"{vendor_base}/cds-services/prevent"
