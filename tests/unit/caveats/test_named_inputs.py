"""Inputs named on a card, and times: how many fit, what is not named, how a sentence begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_wrapper.caveats.inputs import as_a_sentence, listed, listed_in_full, shortly
from cds_wrapper.caveats.model_card import ModelInput
from cds_wrapper.caveats.model_inputs import PersonalInputs, is_called
from cds_wrapper.caveats.moments import Clock
from cds_wrapper.vendors.features import Features, IfMissing, Input, Lack
from tests.spec.prevent import WORDING

TERMS = WORDING.terms
M2 = WORDING.texts["M2"].short or ""


def an_input(name: str, label: str) -> Input:
    return Input(name, label, f"Observation.{name}", IfMissing.OMITTED)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ((), "all its inputs"),
        (("lactate",), "lactate"),
        (("lactate", "heart rate"), "lactate, heart rate"),
        (("lactate", "heart rate", "pH", "sodium"), "lactate, heart rate, pH, sodium"),
        (("lactate", "heart rate", "pH", "base excess"), "lactate, heart rate, 2 more"),
        (("lactate", "sodium", "pH"), "lactate, sodium, pH"),
        (("a", "b", "c", "d", "e"), "a, b, c, d, e"),
        (("a", "b", "c", "d", "e", "f"), "a, b, c, 3 more"),
        (("systolic blood pressure", "oxygen saturation"), "systolic blood pressure, oxygen saturation"),
        (
            ("systolic blood pressure", "oxygen saturation", "pulse"),
            "systolic blood pressure, 2 more",
        ),
        (("one two three four five", "six"), "one two three four five, 1 more"),
        (("", "lactate"), "lactate, a personal detail"),
        (("", ""), "a personal detail"),
        (("lactate", "lactate"), "lactate"),
    ],
)
def test_as_many_inputs_are_named_as_fit_into_five_words(labels: tuple[str, ...], text: str) -> None:
    assert listed(labels, TERMS) == text


def test_words_that_were_kept_before_there_was_a_number_are_said_as_they_were() -> None:
    older = msgspec.structs.replace(TERMS, more_inputs="and others")
    assert listed(("lactate", "heart rate", "pH", "base excess"), older) == "lactate, heart rate and others"


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ((), "input"),
        (("respiratory rate",), "respiratory rate"),
        (("respiratory rate", "pulse", "lactate"), "respiratory rate, 2 more"),
        (("systolic blood pressure", "pulse"), "systolic blood pressure, 1 more"),
        (("diastolic blood pressure", "pulse"), "pulse, 1 more"),
        (("diastolic blood pressure", "a very long label"), "a very long label, 1 more"),
        (("diastolic blood pressure", "mean blood pressure at night"), "diastolic blood pressure, …"),
    ],
)
def test_a_short_form_names_one_input_and_says_that_there_are_more(
    labels: tuple[str, ...], text: str
) -> None:
    assert shortly(M2, labels, TERMS) == text
    assert len(M2.replace("{input}", text)) <= 60


def test_a_line_with_room_names_every_input_and_no_personal_one() -> None:
    assert listed_in_full(("lactate", "", "pulse", ""), TERMS.personal) == "lactate, a personal detail, pulse"


def test_a_sentence_begins_with_a_capital_unless_its_first_word_has_its_own() -> None:
    assert as_a_sentence("oxygen saturation came") == "Oxygen saturation came"
    assert as_a_sentence("eGFR came") == "eGFR came"
    assert as_a_sentence("") == ""


def test_an_input_is_found_on_the_model_card_by_its_name_or_its_label() -> None:
    saturation = an_input("oxygen_saturation", "SpO2")
    assert is_called("Oxygen saturation", saturation)
    assert is_called("spo2", saturation)
    assert not is_called("oxygen", saturation)


def test_what_describes_the_person_has_no_label_on_a_card() -> None:
    personal = PersonalInputs.of((ModelInput("age", True), ModelInput("lactate", False)))
    assert personal.labels((an_input("age", "age in years"), an_input("lactate", "lactate"))) == (
        "",
        "lactate",
    )


def test_a_caveat_is_remembered_by_which_inputs_have_a_value_and_which_are_in_doubt() -> None:
    """Also by one that is the vendor's to judge: a rule about a group asks whether it was used."""
    absent = replace(an_input("pulse", "pulse"), if_missing=IfMissing.NOT_JUDGED, lack=Lack.NOT_RECORDED)
    there = replace(absent, lack=None, value=70.0)
    in_doubt = replace(there, doubtful=True)
    conditions = [Features((one,)).condition for one in (absent, there, in_doubt)]
    assert len(set(conditions)) == 3
    assert Features((there,)).condition == Features((replace(there, value=71.0),)).condition


NIGHT = datetime(2026, 9, 30, 23, 5, tzinfo=UTC)


def test_a_time_is_that_of_the_wards_clock_or_says_that_it_is_not() -> None:
    assert Clock(TERMS).moment(NIGHT) == "23:05 UTC on 30 September 2026"
    assert Clock(TERMS, ZoneInfo("Europe/Berlin")).moment(NIGHT) == "01:05 on 1 October 2026"


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.5, "30 minutes"),
        (1, "1 hour"),
        (1.5, "90 minutes"),
        (24, "24 hours"),
        (48, "2 days"),
        (49, "49 hours"),
    ],
)
def test_a_length_of_time_is_said_in_the_largest_unit_that_leaves_no_rest(hours: float, text: str) -> None:
    assert Clock(TERMS).span(timedelta(hours=hours)) == text
