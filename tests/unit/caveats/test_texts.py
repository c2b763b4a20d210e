"""The approved words as data: their limits, and what a plan may put in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from cds_wrapper.caveats.wording import (
    WORDING_IDS,
    OwnCard,
    UnusableWording,
    Wording,
    longest_values,
    never_said,
)
from tests.spec.prevent import CARD, SCHEME, SERVICE, WORDING, WORDING_FILE

LONGEST = longest_values(SERVICE, SCHEME, CARD)


def plain() -> dict[str, Any]:
    document = YAML(typ="safe", pure=True).load(WORDING_FILE.read_bytes())
    assert isinstance(document, dict)
    return document


def problems(overrides: dict[str, dict[str, str]]) -> list[str]:
    return [str(mistake) for mistake in WORDING.replaced(overrides).mistakes(LONGEST)]


def test_every_shipped_text_keeps_its_limits() -> None:
    assert WORDING.mistakes({}) == ()
    assert WORDING.mistakes(LONGEST) == ()
    assert set(WORDING.texts) == set(WORDING_IDS)


def test_the_longest_values_are_those_of_the_services_own_files() -> None:
    assert LONGEST["who"] == "people aged 80 and over"
    assert LONGEST["rule"] == "ages outside 30 to 79"
    assert LONGEST["title"] == "10-year cardiovascular risk"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"T2": {"never": "word " * 25 + "word."}}, "T2.never has 26 words once filled, at most 25 fit."),
        ({"T2": {"never": "One. Two! Three?"}}, "T2.never has more than 2 sentences."),
        ({"G5": {"short": "x" * 61}}, "G5.short has 61 characters once filled, at most 60 fit."),
        ({"G5": {"short": "too low in {who}"}}, "G5.short has a placeholder that cannot be filled here"),
        ({"G5": {"never": "It said {p} and {o} had it."}}, "G5.never has a placeholder"),
        ({"G5": {"show": "It said {a} and {b} had it."}}, "it may have: {o}, {outcome}, {p}, {who}."),
        ({"N1": {"never": "Nothing for {grupo}."}}, "N1.never has a placeholder"),
        ({"N1": {"never": "Nothing for {who"}}, "N1.never has a placeholder"),
        ({"N1": {"never": "Nothing for {who.__class__}."}}, "N1.never has a placeholder"),
        ({"N1": {"never": "Nothing for\n{who}."}}, "N1.never is not one line of text."),
        ({"N1": {"never": " "}}, "N1.never is not one line of text."),
        ({"U3": {"never": "This score is biased."}}, 'says "biased"'),
        ({"U3": {"never": "AUROC was low."}}, 'says "AUROC"'),
        ({"U3": {"never": "Seen in 7 patients."}}, "has a number from 1 to 10"),
    ],
)
def test_a_replacement_that_breaks_a_limit_is_named_with_its_id(
    overrides: dict[str, dict[str, str]], expected: str
) -> None:
    assert any(expected in problem for problem in problems(overrides))


def test_limits_are_those_of_the_filled_text() -> None:
    fits = {"N1": {"never": "For {who} " + "word " * 19 + "word."}}
    assert problems(fits) == ["N1.never has 26 words once filled, at most 25 fit."]
    assert WORDING.replaced(fits).mistakes({"who": "women"}) == ()


def test_a_good_replacement_takes_the_place_of_the_text_and_says_elsewhere_too() -> None:
    replaced = WORDING.replaced({"G5": {"never": "This score was low in {who}.", "short": "may be low"}})
    assert replaced.mistakes(LONGEST) == ()
    text = replaced.texts["G5"]
    assert (text.never, text.short) == ("This score was low in {who}.", "may be low")
    assert text.elsewhere is not None
    assert text.elsewhere.never == "Elsewhere, this score was low in {who}."
    assert text.show == WORDING.texts["G5"].show


@pytest.mark.parametrize("overrides", [{"G9": {"never": "x"}}, {"G5": {"shown": "x"}}])
def test_an_unknown_id_or_part_cannot_be_replaced(overrides: dict[str, dict[str, str]]) -> None:
    with pytest.raises(UnusableWording, match=next(iter(overrides))):
        WORDING.replaced(overrides)


def test_a_title_too_long_for_a_card_of_our_own_is_a_mistake() -> None:
    found = WORDING.mistakes({"title": "A title " * 15})
    assert {mistake.id for mistake in found} >= {"no_result", "withheld"}


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for part in path[:-1]:
            document = document[part]
        del document[path[-1]]

    return change


def misspelt(document: dict[str, Any]) -> None:
    document["lines"]["linke"] = "x"


@pytest.mark.parametrize(
    "change",
    [without("version"), without("caveats", "G5"), without("cards", "paused"), without("lines", "ai"),
     without("caveats", "K1", "never"), misspelt],
)  # fmt: skip
def test_a_file_of_texts_that_is_not_whole_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    document = plain()
    change(document)
    with pytest.raises(UnusableWording):
        Wording.read(document, "sha256:x")


@pytest.mark.parametrize(
    "words",
    ["biased", "Bias", "unbiased", "unfairly", "fair", "fairness", "unsafe", "safe", "minority", "minorities",
     "non-compliant", "noncompliance", "algorithms", "algorithmic", "high-risk groups", "high risk group"],
)  # fmt: skip
def test_verdicts_and_blame_are_said_by_no_card_in_whatever_form(words: str) -> None:
    assert never_said(f"This score is {words} here") == words


@pytest.mark.parametrize("words", ["affair", "safety net", "10-year cardiovascular risk", "high-risk score"])
def test_ordinary_words_are_left_alone(words: str) -> None:
    assert never_said(words) is None


def test_every_card_of_our_own_says_that_silence_is_not_low_risk() -> None:
    for card in OwnCard:
        text = WORDING.cards[card]
        assert "does not mean low risk" in text.summary + text.detail


def test_the_words_stay_the_words_of_the_file() -> None:
    assert msgspec.to_builtins(WORDING.texts["K1"])["never"] == plain()["caveats"]["K1"]["never"]
