"""The fault table, cell by cell: whatever a vendor does, the card is truthful and the record says it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.service.laboratory import FAMILY, Laboratory, Seen, laboratory
from tests.service.laboratory_adapters import PATIENT, PLANTED, Adapter
from tests.service.laboratory_faults import FAULTS
from tests.service.laboratory_page import COMMAND, PAGE, page
from tests.service.laboratory_table import Before, Card, Cell, Fault

in_one_loop = pytest.mark.asyncio(loop_scope="module")

CELLS = [
    pytest.param(fault, adapter, cell, id=f"{adapter.value}-{fault.name}")
    for fault in FAULTS
    for adapter, cell in fault.cells.items()
    if isinstance(cell, Cell)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Laboratory]:
    """One laboratory for all cells."""
    async with laboratory(tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened


@in_one_loop
@pytest.mark.parametrize(("fault", "adapter", "cell"), CELLS)
async def test_a_fault_ends_in_its_own_card_and_record(
    fault: Fault, adapter: Adapter, cell: Cell, running: Laboratory
) -> None:
    written = len(running.wrapper.log.getvalue())
    seen = await running.see(fault, adapter)
    (row,) = seen.rows
    assert {
        "status": row["status"],
        "reason": row["reason"],
        "vendor_http_status": row["vendor_http_status"],
        "vendor_attempts": row["vendor_attempts"],
        "score": row["score"],
        "in_shadow": row["disposition"] == "shadow",
        "delivery": row["delivery"],
    } == {
        "status": cell.status.value,
        "reason": cell.reason.value if cell.reason else None,
        "vendor_http_status": cell.http,
        "vendor_attempts": cell.attempts,
        "score": cell.score,
        "in_shadow": cell.card is Card.PAUSED,
        "delivery": "sent",
    }
    assert row["race"] == "white", "the demographics are recorded whatever the vendor does"
    shows(cell.card, seen)
    assert fault.before is not Before.NOTHING or seen.asked <= 1, "no question is sent twice"
    told = running.wrapper.log.getvalue()[written:] + str(row) + seen.answer.text
    assert PLANTED not in told and FAMILY not in told
    assert PATIENT not in running.wrapper.log.getvalue()[written:]


def shows(card: Card, seen: Seen) -> None:
    """The answer is a whole one, with the card that is named."""
    assert seen.answer.status_code == 200
    if card is Card.NONE:
        assert seen.cards == []
        return
    (one,) = seen.cards
    has_score = "isk 3.1 %" in one["summary"] or "isk 3 %" in one["summary"]
    assert has_score == (card is Card.SCORE), one["summary"]
    assert card is Card.SCORE or (card.value in one["summary"] and one["indicator"] == "info"), one["summary"]


@in_one_loop
async def test_neither_the_patient_nor_a_vendors_words_are_in_the_metrics(running: Laboratory) -> None:
    text = await running.scraped()
    assert "vendor" in text and not [word for word in (PLANTED, FAMILY, PATIENT) if word in text]


def test_every_fault_has_a_cell_for_every_adapter() -> None:
    holes = [fault.name for fault in FAULTS if set(fault.cells) != set(Adapter)]
    assert holes == []


def test_every_row_happens_to_some_adapter_under_a_name_of_its_own() -> None:
    assert [fault.name for fault in FAULTS if not any(map(_happens, fault.cells.values()))] == []
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []


def _happens(cell: object) -> bool:
    return isinstance(cell, Cell)


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), f"stale: run `{COMMAND}`"
