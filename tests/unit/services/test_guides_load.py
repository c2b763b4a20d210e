"""The YAML in the guides that connect a model is right: it loads as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cds_wrapper.services.load import examine_services
from tests.unit.services.files import with_vendor

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "how-to"
BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name in (
        "connect-an-open-inference-server",
        "connect-an-mlflow-server",
        "connect-a-rest-model",
        "connect-a-python-callable",
    )
    for number, block in enumerate(
        re.findall(r"```yaml\nvendor:\n(.*?)```", (GUIDES / f"{name}.md").read_text(), re.DOTALL)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_what_a_guide_shows_can_be_loaded(block: str, tmp_path: Path) -> None:
    shown = (
        block.replace("id: readmit", "id: prevent-base").replace("2026.1", "2023.1").replace("stays", "sbp")
    )
    assert examine_services(with_vendor(tmp_path, shown)).mistakes == ()


def test_there_are_blocks_to_load() -> None:
    assert len(BLOCKS) == 5
