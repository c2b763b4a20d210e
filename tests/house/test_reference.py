"""The reference pages say what the code says, and every public name has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_wrapper.cds_library import HOOKS
from cds_wrapper.commands.reference import pages
from cds_wrapper.commands.table import COMMANDS, build
from cds_wrapper.ledger.columns import COLUMNS
from cds_wrapper.log import EVENTS
from cds_wrapper.metrics.table import METRICS
from cds_wrapper.settings import Settings
from tests.contract.attacks import PAGE as ATTACKS
from tests.contract.coverage import PAGE as COVERAGE
from tests.service.laboratory_page import PAGE as FAULTS

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
WRITTEN = pages(build(COMMANDS))
# Written by hand, and held against what leaves us by tests/contract/test_card_extension_page.py.
BY_HAND = {"card-extension.md"}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    page = REFERENCE / name
    assert page.exists() and page.read_text() == WRITTEN[name], "stale: run `python3 run.py reference`"


def test_no_page_stands_there_that_nobody_writes() -> None:
    by_tests = {ATTACKS.name, COVERAGE.name, FAULTS.name}
    assert {page.name for page in REFERENCE.iterdir()} == set(WRITTEN) | by_tests | BY_HAND


def test_every_setting_event_command_and_column_has_its_line() -> None:
    named = {
        "settings.md": [f"`CDS_WRAPPER_{name.upper()}`" for name in Settings.model_fields],
        "events.md": [f"`{name}`" for name in EVENTS],
        "metrics.md": [f"`{metric.full_name}`" for metric in METRICS.values()],
        "commands.md": [f"## `{name}`" for name in COMMANDS],
        "predictions_v1.md": [f"`{column.name}`" for column in COLUMNS],
        "hooks.md": [f"## `{name}`" for name in HOOKS],
    }
    for page, names in named.items():
        missing = [name for name in names if name not in WRITTEN[page]]
        assert not missing, page
