"""What the screen shows of a card, a chart and a record: pure functions."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds_wrapper.demo.card_view import render, view_card
from cds_wrapper.demo.chart import chart_of, listed
from cds_wrapper.demo.record_view import view_record
from cds_wrapper.ledger.columns import COLUMNS
from cds_wrapper.patient.demographics import Missing
from cds_wrapper.vendors.base import Status
from tests.unit.demo.screen_parts import ATTRIBUTE, a_record

TODAY = date(2026, 6, 30)


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold**", "<p><strong>bold</strong></p>"),
        ("- one\n- two", "<ul>"),
        ("---", "<hr>"),
        ("<b>raw</b>", "&lt;b&gt;raw&lt;/b&gt;"),
        ("[a](https://example.org)", 'href="https://example.org" rel="noopener noreferrer"'),
    ],
)
def test_a_cards_markdown_becomes_plain_html(markdown: str, shown: str) -> None:
    assert shown in render(markdown)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>x</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://tracker.example/pixel.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        '<a href="x" style="position:fixed">y</a>',
    ],
)
def test_nothing_in_a_cards_markdown_can_act(hostile: str) -> None:
    html = render(hostile)
    assert not [tag for tag in ("<script", "<img", "<a", "<iframe", "<style") if tag in html]


def test_a_card_without_optional_members_can_be_shown() -> None:
    card = view_card({"summary": "S", "indicator": "odd"})
    assert (card.summary, card.indicator, card.source, card.links) == ("S", "info", "", ())


@pytest.mark.parametrize(
    ("born", "age", "written"),
    [
        ("1990-12-29", "35 years", "1990-12-29"),
        ("1990", "about 35 years", "1990 (year only)"),
        ("1990-12", "about 35 years", "1990-12 (month only)"),
        (None, "age not on file", "not on file"),
    ],
)
def test_a_birth_date_is_shown_as_precisely_as_it_is_known(born: str | None, age: str, written: str) -> None:
    chart = chart_of({"id": "x", "gender": "male", "birthDate": born}, [], [], [], [], TODAY)
    assert (chart.patient.who, chart.born) == (f"{age}, male", written)


def test_the_record_says_of_each_input_of_the_model_where_it_came_from_or_why_not() -> None:
    features = {
        "pulse": {"code": "http://loinc.org|8867-4", "age_s": 2400, "source": "prefetch"},
        "temperature": {"missing": "too_old", "age_s": 108_000, "code": "http://loinc.org|8310-5"},
        "on_oxygen": {"missing": "not_recorded"},
        "egfr": {"code": "http://loinc.org|48643-1", "age_s": 86_400 * 45, "doubtful": True},
        "days": {"age_s": 30},
    }
    view = view_record(a_record("i", inputs={"features": features}))
    assert [(line.label, line.value, line.note) for line in view.features] == [
        ("pulse", "found", "8867-4, 40 minutes old"),
        ("temperature", "missing: too old", "8310-5, 30 hours old"),
        ("on oxygen", "missing: not recorded", ""),
        ("egfr", "found", "48643-1, 45 days old, in doubt"),
        ("days", "found", "just taken"),
    ]
    assert view.inputs == ()


def test_the_newest_result_is_the_one_that_is_shown() -> None:
    def cholesterol(day: str, value: int) -> dict[str, Any]:
        return {
            "code": {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]},
            "effectiveDateTime": day,
            "valueQuantity": {"value": value, "unit": "mg/dL"},
        }

    chart = chart_of(
        {"id": "x"}, [cholesterol("2025-01-01", 1), cholesterol("2026-01-01", 2)], [], [], [], TODAY
    )
    assert (chart.results[0].value, chart.results[0].day) == ("2 mg/dL", "2026-01-01")


def test_a_patient_of_whom_nothing_is_known_still_has_a_line() -> None:
    _, others = listed([{"id": "x"}], TODAY)
    assert (others[0].name, others[0].who) == ("name not on file", "age not on file, sex not on file")


@pytest.mark.parametrize("status", Status, ids=lambda one: one.value)
def test_every_status_has_words(status: Status) -> None:
    line = view_record(a_record("h", status=status.value)).prediction[0]
    assert line.value == status.value
    assert line.note


@pytest.mark.parametrize("missing", Missing, ids=lambda one: one.value)
def test_every_reason_for_a_missing_value_has_words(missing: Missing) -> None:
    record = a_record("h", demographics={"race": {**ATTRIBUTE, "missing": missing.value}})
    (line,) = view_record(record).groups
    assert line.value.startswith("missing: ")
    assert line.note


def test_a_row_of_an_error_of_our_own_can_be_shown_although_nearly_everything_is_null() -> None:
    kept = {"prediction_id": "x", "status": "error", "delivery": "sent"}
    row = dict.fromkeys(column.name for column in COLUMNS) | kept
    view = view_record(row)
    assert view.prediction[0].value == "error"
    assert view.timings == ()


def test_every_column_of_the_contract_is_shown() -> None:
    view = view_record(a_record("h"))
    assert [name for name, _ in view.columns] == [column.name for column in COLUMNS]


@pytest.mark.parametrize(
    ("changes", "value", "note"),
    [
        ({}, "3.1 %", "low; below the threshold of 7.5 %"),
        (
            {"score": 0.282, "flagged": True, "band": "high"},
            "28.2 %",
            "high; at or above the threshold of 7.5 %",
        ),
        (
            {"score": 5.0, "score_kind": "index", "threshold": 7.0, "band": None},
            "5",
            "below the threshold of 7",
        ),
        ({"score": None, "flagged": None}, "–", "none was calculated"),
    ],
)
def test_a_score_is_shown_in_the_unit_people_read(changes: dict[str, object], value: str, note: str) -> None:
    line = view_record(a_record("h", **changes)).prediction[1]
    assert (line.label, line.value, line.note) == ("Score", value, note)


def test_an_input_says_that_the_wrapper_read_it_or_why_it_could_not() -> None:
    came = {"state": "present", "source": "prefetch", "read_at": "x"}
    inputs = {
        "patient": {**came, "source": "fhir"},
        "lipids": {**came, "source": "both"},
        "bmi": came,
        "kidney": {"state": "error", "source": "fhir", "why": "timed_out"},
        "smoking": {"state": "absent", "why": "host_refused"},
    }
    view = view_record({**a_record("i"), "inputs": inputs, "fhir_ms": 12.0})
    shown = {line.label: f"{line.value}: {line.note}" for line in view.inputs}
    assert shown == {
        "patient": "present: read from the EHR’s FHIR server",
        "lipids": "present: came in part, the rest was read from the EHR’s FHIR server",
        "bmi": "present: ",
        "kidney": "error: timed out",
        "smoking": "absent: host refused",
    }
    steps = {step.title: step.fact for step in view.steps}
    assert (steps["EHR sent"], steps["Wrapper read"]) == ("2 of 5 inputs", "1 of 5 inputs, 12 ms")
    assert "Reading what the EHR did not send" in [timing.label for timing in view.timings]


@pytest.mark.parametrize("status", ["stopped", "answered"])
def test_a_record_under_an_order_says_so_whether_a_card_came_or_not(status: str) -> None:
    row = a_record("h", status=status, score=None, disposition="stop", decision_id="d1", cards_returned=[])
    view = view_record(row)
    told = {line.label: (line.value, line.note) for line in view.done}

    assert told["Disposition"] == ("stop", "the service is switched off: no score is shown")
    assert told["Under the order"][0] == "d1"
    names = [step.title for step in view.steps]
    assert ("Model not asked" in names) is (status == "stopped")
