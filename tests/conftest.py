"""What the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.servers import demo_vendor


@pytest.fixture(scope="session")
def vendor_base() -> Iterator[str]:
    """The demonstration vendor, running for the whole session."""
    with demo_vendor() as base:
        yield base


@pytest.fixture
def vendor_url(vendor_base: str) -> str:
    """Where its service answers."""
    return f"{vendor_base}/cds-services/prevent"
