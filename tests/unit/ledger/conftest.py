"""A ledger on a real file, open for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cds_wrapper.ledger.store import SQLiteLedger
from tests.unit.ledger.examples import opened


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SQLiteLedger]:
    open_ledger = await opened(tmp_path / "ledger.db", host="host")
    yield open_ledger
    await open_ledger.close()
