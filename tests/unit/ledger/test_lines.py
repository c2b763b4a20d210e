"""The lines of the prediction stream: flat, one per row, and short whatever the row holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds_wrapper.ledger.columns import COLUMNS, CORRECTION_COLUMNS, FEEDBACK_COLUMNS, Kind
from cds_wrapper.ledger.entries import Stamp
from cds_wrapper.ledger.lines import CORRECTION, CUT, FEEDBACK, KINDS, PREDICTION, LineKind
from tests.unit.ledger.examples import NOON, entry

LIMIT = 4_500
CONTROL = "\x01" * 2_000


def read_as(kind: LineKind, stored: Mapping[str, Any]) -> list[Any]:
    """A row as the kind's own query would find it in the ledger."""
    at = stored.get("recorded_at", stored.get("received_at"))
    named = {"ts": at, "schema": kind.schema, "changes": stored.get("changes_made"), **stored}
    return [named[column.name] for column in kind.columns]


def prediction(**differences: Any) -> dict[str, Any]:
    """An ordinary row of `predictions`, as the database holds it, but for the differences."""
    stamp = Stamp("cds1-0", 184_223, NOON, timedelta(milliseconds=2))
    row = entry(prediction_id="0195604f-2d14-7c3a-9b1e-5f0c6a7d8e90").row(stamp)
    stored = [int(value) if isinstance(value, bool) else value for value in row]
    names = (column.name for column in COLUMNS)
    return {**dict(zip(names, stored, strict=True)), "hash": "b7" * 32, **differences}


def line_of(kind: LineKind, stored: Mapping[str, Any]) -> dict[str, Any]:
    line = kind.line(read_as(kind, stored))
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert len(line) < LIMIT
    members: dict[str, Any] = json.loads(line)
    return members


def test_a_line_has_the_time_and_schema_first_and_then_the_columns_in_their_order() -> None:
    line = line_of(PREDICTION, prediction())

    streamed = [column.name for column in COLUMNS if column.stream or column.name == "changes_made"]
    expected = ["changes" if name == "changes_made" else name for name in streamed]
    assert list(line) == ["ts", "schema", *expected]
    assert (line["ts"], line["schema"]) == ("2027-03-04T12:00:00.250Z", "prediction.v1")
    assert line["ts"] == line["recorded_at"]
    assert (line["writer"], line["sequence"], line["hash"]) == ("cds1-0", 184_223, "b7" * 32)


def test_the_wide_columns_and_the_hash_before_stay_in_the_view() -> None:
    absent = {"demographics", "inputs", "changes_made", "file_digests", "previous_hash"}

    assert absent & line_of(PREDICTION, prediction()).keys() == set()


def test_values_keep_their_kind_and_unknown_is_null() -> None:
    line = line_of(PREDICTION, prediction(is_test=0, flagged=1, score=0.1 + 0.2, http_status=200))

    assert (line["is_test"], line["flagged"], line["caveat_in_summary"]) == (False, True, False)
    assert (line["score"], line["http_status"], line["unit"]) == (0.1 + 0.2, 200, None)
    assert line["inputs_missing"] == ["lipids"] and line["inputs_doubtful"] is None


def test_every_value_is_plain_or_a_list_of_texts() -> None:
    for value in line_of(PREDICTION, prediction()).values():
        items = value if isinstance(value, list) else [value]
        assert all(item is None or isinstance(item, (str, int, float, bool)) for item in items)


@pytest.mark.parametrize(
    ("made", "kinds"),
    [
        (["cards[0].summary: shortened"], ["summary_shortened"]),
        (["cards[0].summary: shortened", "cards[12].summary: shortened"], ["summary_shortened"]),
        (["cards[1].suggestions[3]: actions_held_back"], ["suggestions_actions_held_back"]),
        (["systemActions: held_back", "cards: withhold"], ["systemActions_held_back", "cards_withhold"]),
        (["cards[0].source.label: missing, added"], ["source_label_missing_added"]),
        (["cards[0].(others): 3 unknown members, held_back"], ["others_unknown_members_held_back"]),
        ([], []),
    ],
)
def test_changes_are_named_by_their_kind_each_once(made: list[str], kinds: list[str]) -> None:
    assert line_of(PREDICTION, prediction(changes_made=json.dumps(made)))["changes"] == kinds


def test_no_changes_are_known_where_none_were_recorded() -> None:
    assert line_of(PREDICTION, prediction(changes_made=None))["changes"] is None


def test_a_long_list_is_shortened_and_the_rest_is_counted() -> None:
    groups = [f"attribute_{number}=a group with a long name" for number in range(200)]
    line = line_of(PREDICTION, prediction(subgroups=json.dumps(groups)))

    assert 1 <= len(line["subgroups"]) < 200
    assert line["subgroups"] == groups[: len(line["subgroups"])]
    assert line["subgroups_more"] == 200 - len(line["subgroups"])
    assert line["cut"] == ["subgroups"]
    assert line["model_id"] == "prevent-base"


def test_a_long_text_is_cut_visibly_and_named() -> None:
    line = line_of(PREDICTION, prediction(hook_instance="x" * 50_000, model_version="ü" * 50_000))

    assert line["cut"] == ["hook_instance", "model_version"]
    assert line["hook_instance"].endswith("x…") and line["model_version"].endswith("ü…")
    assert line["subgroups"] == json.loads(prediction()["subgroups"])


def test_nothing_is_cut_in_a_line_that_is_short_enough() -> None:
    line = line_of(PREDICTION, prediction(model_id="m" * 1_000))

    assert line["model_id"] == "m" * 1_000 and CUT.name not in line


def test_which_row_it_is_is_never_cut() -> None:
    hostile = {column.name: CONTROL for column in COLUMNS if column.kind is Kind.TEXT}
    known = {name: prediction()[name] for name in ("prediction_id", "writer", "hash", "recorded_at")}
    line = line_of(PREDICTION, {**prediction(), **hostile, **known})

    assert {name: line[name] for name in known} == known
    assert set(known) & set(line["cut"]) == set()


TEXTS = st.one_of(
    st.text(max_size=40), st.sampled_from([CONTROL, "ü" * 5_000, "\U0001f600" * 3_000, "\n\r\u2028"])
)
LISTS = st.one_of(
    st.lists(st.one_of(st.text(max_size=30), st.just(CONTROL)), max_size=25).map(json.dumps),
    st.sampled_from(['{"an": "object"}', "[1, null]", "no JSON\n", "[[[", '["\\ud800"]']),
)
VALUES: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: TEXTS,
    Kind.TIMESTAMP: TEXTS,
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.REAL: st.floats(),
    Kind.BOOLEAN: st.sampled_from([0, 1]),
    Kind.JSON: LISTS,
}


@st.composite
def hostile_rows(draw: st.DrawFn, kind: LineKind) -> list[Any]:
    """A row with anything in it that a column can hold, and now and then a value of another kind."""
    anything = st.one_of(st.none(), st.binary(max_size=50), TEXTS, st.integers(0, 9), st.floats())
    row = []
    for column in kind.columns:
        strategy = VALUES[column.kind]
        row.append(draw(st.one_of(strategy, strategy, strategy, anything)))
    return row


WORST = [
    {Kind.INTEGER: -(2**63), Kind.REAL: -1.2345678901234567e-300, Kind.BOOLEAN: 0}.get(
        column.kind, json.dumps([CONTROL] * 99) if column.kind is Kind.JSON else CONTROL
    )
    for column in PREDICTION.columns
]


@given(hostile_rows(PREDICTION))
@example(WORST)
def test_a_prediction_line_is_short_and_whole_whatever_the_row_holds(row: list[Any]) -> None:
    check_line(PREDICTION, row)


@given(hostile_rows(FEEDBACK))
def test_a_feedback_line_is_short_and_whole_whatever_the_row_holds(row: list[Any]) -> None:
    check_line(FEEDBACK, row)


@given(hostile_rows(CORRECTION))
def test_a_correction_line_is_short_and_whole_whatever_the_row_holds(row: list[Any]) -> None:
    check_line(CORRECTION, row)


def check_line(kind: LineKind, row: list[Any]) -> None:
    line = kind.line(row)
    assert len(line) < LIMIT and line.endswith(b"\n") and line.count(b"\n") == 1
    members = json.loads(line)
    names = [column.name for column in kind.columns]
    assert [name for name in members if name in names] == names
    assert set(members) - set(names) <= {"cut", *(f"{name}_more" for name in names)}
    assert not any(isinstance(value, dict) for value in members.values())


def test_a_correction_says_what_was_returned_instead() -> None:
    stored = {
        "sequence": 3,
        "writer": "cds1-0",
        "recorded_at": "2027-03-04T12:00:01.000Z",
        "prediction_id": "p",
        "delivery": "not_returned",
        "cards_returned": '["card"]',
        "previous_hash": "aa" * 32,
        "hash": "bb" * 32,
    }
    assert set(stored) == {column.name for column in CORRECTION_COLUMNS}

    line = line_of(CORRECTION, stored)

    assert (line["schema"], line["ts"]) == ("correction.v1", stored["recorded_at"])
    assert (line["delivery"], line["cards_returned"]) == ("not_returned", ["card"])
    assert line["hash"] == "bb" * 32


def test_feedback_has_the_time_it_came_in() -> None:
    stored = dict.fromkeys((column.name for column in FEEDBACK_COLUMNS), "x")
    stored |= {"received_at": "2027-03-04T12:00:01.000Z", "flags": '["suggestions_missing"]'}

    line = line_of(FEEDBACK, {**stored, "matched": 1, "accepted_suggestions": None})

    assert (line["schema"], line["ts"]) == ("feedback.v1", stored["received_at"])
    assert (line["matched"], line["flags"]) == (True, ["suggestions_missing"])


def test_each_table_has_a_schema_of_its_own() -> None:
    assert {kind.table: kind.schema for kind in KINDS} == {
        "predictions": "prediction.v1",
        "corrections": "correction.v1",
        "feedback": "feedback.v1",
    }
