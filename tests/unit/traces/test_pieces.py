"""A trace is made from the record, and of columns that name nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cds_wrapper.ledger.columns import COLUMNS
from cds_wrapper.traces.pieces import ATTRIBUTES, began_at, pieces_of
from tests.unit.ledger.examples import entry

OF_PEOPLE = (
    "key",
    "id",
    "score",
    "flagged",
    "band",
    "caveat",
    "subgroup",
    "disposition",
    "instance",
    "issuer",
)


def test_parts_follow_each_other_and_lie_within_the_whole_call() -> None:
    one = entry(trust_ms=2.0, fhir_ms=10.0, vendor_ms=50.0, decide_ms=3.0, total_ms=70.0)
    whole, *parts = pieces_of(one, "3.2.1", ledger_ms=5.0)
    assert (whole.name, whole.begins, whole.ends) == ("hook call", 0.0, 75.0)
    assert [(part.name, part.begins, part.ends) for part in parts] == [
        ("trust", 0.0, 2.0),
        ("fhir reads", 2.0, 12.0),
        ("vendor", 17.0, 67.0),
        ("decide", 67.0, 70.0),
        ("ledger", 70.0, 75.0),
    ]


def test_what_was_not_done_is_no_part() -> None:
    one = entry(trust_ms=None, fhir_ms=0.0, vendor_ms=0.0, decide_ms=1.0, total_ms=2.0)
    assert [piece.name for piece in pieces_of(one, "other", 1.0)] == ["hook call", "decide", "ledger"]


def test_a_call_began_when_it_came_and_not_when_its_caller_was_known() -> None:
    at = datetime(2027, 3, 4, 12, 0, 1, tzinfo=UTC)
    assert began_at(entry(occurred_at=at, trust_ms=250.0)) == pytest.approx(at.timestamp() - 0.25)


def test_no_attribute_is_of_a_person_and_each_is_a_column() -> None:
    columns = {column.name for column in COLUMNS}
    assert set(ATTRIBUTES) <= columns
    others = set(ATTRIBUTES) - {"service_id", "model_id"}
    assert {name for name in others for word in OF_PEOPLE if word in name.split("_")} == set()


def test_a_version_nobody_approved_is_not_repeated() -> None:
    one = entry(model_version="whatever-the-vendor-says")
    assert "whatever-the-vendor-says" not in str(pieces_of(one, "other", 1.0))
