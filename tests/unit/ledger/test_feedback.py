from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("2027-03-04t12:05:00z", datetime(2027, 3, 4, 12, 5, tzinfo=UTC), ()),
        ("2027-03-04T12:05:00.1234567891Z", datetime(2027, 3, 4, 12, 5, 0, 123_456, tzinfo=UTC), ()),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), ()),
        ("1804161900", datetime(2027, 3, 4, 12, 5, tzinfo=UTC), (Flag.TIME_AS_NUMBER,)),
        ("1804161900250", datetime(2027, 3, 4, 12, 5, 0, 250_000, tzinfo=UTC), (Flag.TIME_AS_NUMBER,)),
    ],
)
def test_times_become_utc_and_stay_readable_as_written(
    written: str, meant: datetime, flags: tuple[Flag, ...]
) -> None:
    entry = read(outcomeTimestamp=written)

    assert (entry.outcome_at, entry.outcome_at_raw, entry.flags) == (meant, written, flags)
    assert entry.outcome_at.tzinfo is UTC, "one moment in two zones is equal"


@pytest.mark.parametrize("number", [1804161900, 1804161900.0, 1804161900000])
def test_a_time_that_is_a_number_counts_from_1970_and_is_flagged(number: float) -> None:
    entry = read(outcomeTimestamp=number)

    assert entry.outcome_at == datetime(2027, 3, 4, 12, 5, tzinfo=UTC)
    assert (entry.outcome_at_raw, entry.flags) == (str(number), (Flag.TIME_AS_NUMBER,))


@pytest.mark.parametrize("nothing", [..., None, [], {}, "", " ", [None, {}, 5], 7, {"label": "s1"}])
def test_accepted_without_suggestions_is_kept_and_flagged(nothing: object) -> None:
    assert read(acceptedSuggestions=nothing).flags == (Flag.SUGGESTIONS_MISSING,)


@pytest.mark.parametrize(
    "named", [["s2", "s1"], [{"id": "s1"}, " s2 "], [{"uuid": "s1"}, {"id": "s2"}], ["s1", "s2", None]]
)
def test_suggestions_named_in_another_way_are_kept_and_flagged(named: object) -> None:
    entry = read(acceptedSuggestions=named)

    assert (entry.accepted_suggestions, entry.flags) == (("s1", "s2"), (Flag.SUGGESTIONS_MISSPELT,))
    assert read(acceptedSuggestions={"id": "s1"}).accepted_suggestions == ("s1",)
    assert read(acceptedSuggestions="s1").accepted_suggestions == ("s1",)


@pytest.mark.parametrize("written", ["ACCEPTED", "Accepted", "accepTed"])
def test_an_outcome_in_other_letters_is_taken_and_flagged(written: str) -> None:
    entry = read(outcome=written)

    assert (entry.outcome, entry.flags) == ("accepted", (Flag.OUTCOME_MISSPELT,))
    assert read(outcome=" accepted ").flags == ()


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
        ({"overrideReason": "text"}, (None, None, None), False, (Flag.REASON_UNREADABLE,)),
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


BUILT = {"reasonCategory": "4", "reasonDisplay": "Does not apply", "reasonTitle": "N/A"}


@pytest.mark.parametrize(
    ("reason", "display", "flags"),
    [
        ({"extension": BUILT}, "Does not apply", (Flag.REASON_IN_EXTENSION,)),
        ({"extension": {"org.ehr.reason": BUILT}}, "Does not apply", (Flag.REASON_IN_EXTENSION,)),
        ({"extension": [{"url": "x", "value": BUILT}]}, "Does not apply", (Flag.REASON_IN_EXTENSION,)),
        ({"extension": {"reasonTitle": "N/A"}}, "N/A", (Flag.REASON_IN_EXTENSION,)),
        ({"extension": {"reasonCategory": "4"}}, "4", (Flag.REASON_IN_EXTENSION,)),
        ({"reason": {"extension": BUILT}}, "Does not apply", (Flag.REASON_IN_EXTENSION,)),
        ({"reason": {"code": "c"}, "extension": BUILT}, None, ()),
        ({"extension": {"reasonDisplay": 5}}, None, (Flag.REASON_UNREADABLE,)),
        ({"extension": {"a": {"b": {"c": {"d": {"e": {"f": BUILT}}}}}}}, None, (Flag.REASON_UNREADABLE,)),
        ({"reason": "text"}, None, (Flag.REASON_UNREADABLE,)),
    ],
)
def test_a_reason_built_in_the_ehr_is_kept_in_its_words_and_flagged(
    reason: dict[str, Any], display: str | None, flags: tuple[Flag, ...]
) -> None:
    entry = read(outcome="overridden", acceptedSuggestions=..., overrideReason=reason)

    assert (entry.reason_display, entry.flags) == (display, flags)


def test_of_several_reasons_the_first_is_kept_and_that_there_were_more_is_flagged() -> None:
    reasons = [{"reason": REASON}, {"reason": {"code": "d"}, "userComment": "text"}]
    entry = read(outcome="overridden", acceptedSuggestions=..., overrideReasons=reasons)

    assert (entry.reason_code, entry.user_comment_present) == ("c", True)
    assert entry.flags == (Flag.REASON_MISSPELT, Flag.SEVERAL_REASONS)


@pytest.mark.parametrize(
    "reason",
    [
        {"coding": [REASON, {}]},
        {"coding": [{"code": "c", "system": "s"}], "text": "Not applicable"},
        [REASON],
    ],
)
def test_a_reason_in_a_concept_or_a_list_is_its_first_coding(reason: object) -> None:
    entry = read(outcome="overridden", acceptedSuggestions=..., overrideReason={"reason": reason})

    assert (entry.reason_code, entry.reason_system, entry.reason_display) == ("c", "s", "Not applicable")


@given(
    entry=st.dictionaries(
        st.sampled_from(
            [
                "card",
                "outcome",
                "outcomeTimestamp",
                "acceptedSuggestions",
                "overrideReason",
                "overrideReasons",
            ]
        ),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.sampled_from([CARD, "accepted", "2027-03-04"]),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["id", "reason", "coding", "extension", "code"]) | st.text(), inner
                )
            ),
        ),
    )
)
def test_whatever_an_entry_holds_it_is_kept_or_refused(entry: dict[str, Any]) -> None:
    for whole in (entry, {**entry, "card": CARD}, {**raw(), **entry}):
        read_as = read_feedback_entry(whole, "cvd-risk", "demonstration", NOON)
        assert isinstance(read_as, FeedbackEntry | BadFeedback)


def test_the_contract_names_every_flag() -> None:
    (meaning,) = [column.meaning for column in FEEDBACK_COLUMNS if column.name == "flags"]
    assert sorted(re.findall(r"`(\w+)`", meaning)) == sorted(flag.value for flag in Flag)


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
    for written in (
        f"urn:uuid:{CARD}",
        CARD.upper(),
        f"{{{CARD}}}",
        f" URN:UUID:{CARD.upper()} ",
        f"urn:uuid:{{{CARD}}}",
    ):
        assert read(card=written).card_uuid == CARD
    assert read(card="Card 17").card_uuid == "card 17"


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
