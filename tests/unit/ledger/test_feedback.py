from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cds_wrapper.ledger.columns import FEEDBACK_COLUMNS
from cds_wrapper.ledger.feedback import BadFeedback, FeedbackEntry, Flag, read_feedback_entry
from tests.unit.ledger.examples import NOON

CARD = "4e6f6c1a-3c1f-4a7e-8b0a-2f9d5d1c7b11"


def raw(**differences: Any) -> dict[str, Any]:
    whole = {
        "card": CARD,
        "outcome": "accepted",
        "outcomeTimestamp": "2027-03-04T12:05:00Z",
        "acceptedSuggestions": [{"id": "s2"}, {"id": "s1"}],
    }
    return {name: value for name, value in {**whole, **differences}.items() if value is not ...}


def read(**differences: Any) -> FeedbackEntry:
    result = read_feedback_entry(raw(**differences), "cvd-risk", "demonstration", NOON)
    assert isinstance(result, FeedbackEntry), result
    return result


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("text", BadFeedback.NOT_AN_OBJECT),
        (None, BadFeedback.NOT_AN_OBJECT),
        (raw(card=...), BadFeedback.NO_CARD),
        (raw(card=7), BadFeedback.NO_CARD),
        (raw(card=" "), BadFeedback.NO_CARD),
        (raw(outcome="ignored"), BadFeedback.NO_OUTCOME),
        (raw(outcome=...), BadFeedback.NO_OUTCOME),
        (raw(outcomeTimestamp=...), BadFeedback.NO_TIME),
        (raw(outcomeTimestamp="yesterday"), BadFeedback.NO_TIME),
        (raw(outcomeTimestamp="0001-01-01T00:00:00+23:00"), BadFeedback.NO_TIME),
    ],
)
def test_an_entry_that_cannot_be_stored_is_a_reason_and_not_an_exception(
    entry: object, problem: BadFeedback
) -> None:
    assert read_feedback_entry(entry, "cvd-risk", "demonstration", NOON) is problem


@pytest.mark.parametrize(
    ("written", "meant", "flags"),
    [
        ("2027-03-04T12:05:00Z", datetime(2027, 3, 4, 12, 5, tzinfo=UTC), ()),
        ("2027-03-04T07:05:00.250-05:00", datetime(2027, 3, 4, 12, 5, 0, 250_000, tzinfo=UTC), ()),
        ("2027-03-04T12:05:00", datetime(2027, 3, 4, 12, 5, tzinfo=UTC), (Flag.TIME_WITHOUT_ZONE,)),
    ],
)
def test_times_become_utc_and_stay_readable_as_written(
    written: str, meant: datetime, flags: tuple[Flag, ...]
) -> None:
    entry = read(outcomeTimestamp=written)

    assert (entry.outcome_at, entry.outcome_at_raw, entry.flags) == (meant, written, flags)


def test_accepted_without_suggestions_is_kept_and_flagged() -> None:
    assert read(acceptedSuggestions=...).flags == (Flag.SUGGESTIONS_MISSING,)


def test_accepted_suggestions_are_kept_in_a_fixed_order_so_that_a_repeat_is_recognised() -> None:
    assert read().accepted_suggestions == ("s1", "s2")


REASON = {"code": "c", "system": "s", "display": "Not applicable"}


@pytest.mark.parametrize(
    ("members", "reason", "comment", "flags"),
    [
        ({}, (None, None, None), False, ()),
        ({"overrideReason": {"reason": REASON}}, ("c", "s", "Not applicable"), False, ()),
        ({"overrideReason": {"userComment": "text"}}, (None, None, None), True, ()),
        (
            {"overrideReason": {"reason": REASON, "userComment": "text"}},
            ("c", "s", "Not applicable"),
            True,
            (),
        ),
        ({"overrideReason": {"reason": {"code": "c", "system": " s "}}}, ("c", "s", None), False, ()),
        ({"overrideReason": "text"}, (None, None, None), False, ()),
        (
            {"overrideReasons": [{"reason": REASON}]},
            ("c", "s", "Not applicable"),
            False,
            (Flag.REASON_MISSPELT,),
        ),
        (
            {"overrideReasons": {"reason": REASON}},
            ("c", "s", "Not applicable"),
            False,
            (Flag.REASON_MISSPELT,),
        ),
    ],
)
def test_override_reasons_are_read_in_every_shape_ehrs_send(
    members: dict[str, Any], reason: tuple[str | None, ...], comment: bool, flags: tuple[Flag, ...]
) -> None:
    entry = read(outcome="overridden", acceptedSuggestions=..., **members)

    assert (entry.reason_code, entry.reason_system, entry.reason_display) == reason
    assert (entry.user_comment_present, entry.flags) == (comment, flags)


def test_the_text_of_a_comment_is_kept_nowhere() -> None:
    entry = read(outcome="overridden", overrideReason={"userComment": "Jane Example refuses"})

    assert "Jane" not in repr(entry)
    assert "Jane" not in str(entry.row("host-0", 1, None))


def test_a_row_says_whether_the_card_is_one_of_ours() -> None:
    names = [column.name for column in FEEDBACK_COLUMNS]
    known = dict(zip(names, read().row("host-0", 1, "prediction"), strict=True))
    unknown = dict(zip(names, read().row("host-0", 1, None), strict=True))

    assert (known["matched"], known["prediction_id"]) == (True, "prediction")
    assert (unknown["matched"], unknown["prediction_id"]) == (False, None)


def test_card_ids_are_compared_in_lower_case_and_without_their_urn() -> None:
    assert read(card=f"urn:uuid:{CARD}").card_uuid == read(card=CARD.upper()).card_uuid == CARD


@pytest.mark.parametrize(
    "differences",
    [
        {},
        {"acceptedSuggestions": []},
        {"acceptedSuggestions": ...},
        {"outcome": "overridden", "overrideReasons": [{"reason": {"code": "ü", "system": "s"}}]},
        {"outcomeTimestamp": "2027-03-04T12:05:00"},
    ],
)
def test_an_entry_survives_a_line_of_json(differences: dict[str, Any]) -> None:
    entry = read(**differences)

    again = FeedbackEntry.of_plain(json.loads(json.dumps(entry.plain())))
    assert again == entry
    assert again.row("host-0", 1, None) == entry.row("host-0", 1, None)


@pytest.mark.parametrize(
    ("differences", "error"),
    [
        ({"flags": '["unheard_of"]'}, ValueError),
        ({"flags": "7"}, TypeError),
        ({"accepted_suggestions": "{"}, ValueError),
        ({"received_at": None}, TypeError),
        ({"outcome": 5}, TypeError),
        ({"matched": True}, TypeError),
    ],
)
def test_a_line_that_is_no_entry_is_refused(differences: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FeedbackEntry.of_plain({**read().plain(), **differences})


def test_a_row_is_hashed_with_the_hash_before_it() -> None:
    first, second = read().row("host-0", 1, None), read().row("host-0", 1, None, "ab")

    assert (first[-2], second[-2]) == (None, "ab")
    assert first[-1] != second[-1] and len(str(first[-1])) == 64
