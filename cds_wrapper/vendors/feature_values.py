"""From the element that was chosen to the value a model is given, or to why there is none. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

from cds_wrapper.vendors.feature_choice import codes_of
from cds_wrapper.vendors.feature_dates import elapsed
from cds_wrapper.vendors.feature_rules import JSON, UNKNOWN, Kind, Rule, Tripped
from cds_wrapper.vendors.features import InputValue, Lack
from cds_wrapper.vendors.units import UCUM

_OWN_VALUES = (
    "valueQuantity",
    "valueCodeableConcept",
    "valueBoolean",
    "valueInteger",
    "valueString",
    "valueDateTime",
    "valueDecimal",
)


def value_of(element: JSON, resource: JSON, rule: Rule, now: datetime) -> InputValue | Lack:
    """What an element holds for this input, in the declared unit and within the declared range."""
    found = _own_value(element) if rule.path is None else rule.path(element, resource, now)
    if isinstance(found, Tripped):
        return Lack.UNREADABLE
    if not found and rule.kind not in (Kind.PRESENCE, Kind.COUNT):
        return Lack.DATA_ABSENT if _says_absent(element) else Lack.NOT_RECORDED
    match rule.kind:
        case Kind.NUMBER:
            return _number(found, rule)
        case Kind.ELAPSED:
            return _elapsed(found, rule, now)
        case Kind.BOOLEAN:
            return _boolean(found, rule)
        case Kind.CODE:
            return _answer(found, rule)
        case Kind.TEXT:
            return _text(found)
        case Kind.PRESENCE | Kind.COUNT:
            return True
        case _:
            assert_never(rule.kind)


def _own_value(element: JSON) -> list[Any]:
    """An Observation's or a component's own value (`value[x]`)."""
    for name in _OWN_VALUES:
        value = element.get(name)
        if value is not None:
            return [value]
    return []


def _says_absent(element: JSON) -> bool:
    return "dataAbsentReason" in element or any(name.startswith("_value") for name in element)


# Numbers ----------------------------------------------------------------------------------------------------


def _number(found: list[Any], rule: Rule) -> InputValue | Lack:
    if len(found) > 1:
        return Lack.UNREADABLE
    one = found[0]
    number = _in_our_unit(one, rule) if isinstance(one, dict) else _bare(one, rule)
    return number if isinstance(number, Lack) else _in_range(number, rule)


def _in_our_unit(quantity: Mapping[str, Any], rule: Rule) -> float | Lack:
    number = _plain_number(quantity.get("value"))
    if number is None:
        is_silent = "value" not in quantity or "_value" in quantity
        return Lack.DATA_ABSENT if is_silent else Lack.UNREADABLE
    if quantity.get("comparator") and not rule.takes_bounds:
        return Lack.UNREADABLE
    if rule.conversions is None:
        return number
    written = _unit_of(quantity)
    if written is None:
        return number if rule.conversions.unit == "1" else Lack.UNIT_UNKNOWN
    way = rule.conversions.of(written)
    return Lack.UNIT_UNKNOWN if way is None else way.of(number)


def _unit_of(quantity: Mapping[str, Any]) -> str | None:
    """The UCUM code; where there is none of that system, what stands there for people."""
    code, system, unit = quantity.get("code"), quantity.get("system"), quantity.get("unit")
    if isinstance(code, str) and code and system in (UCUM, None):
        return code
    return unit if isinstance(unit, str) and unit.strip() else None


def _bare(one: object, rule: Rule) -> float | Lack:
    """A number without a unit, where the file asks for none."""
    number = _plain_number(one)
    if number is None:
        return Lack.UNREADABLE
    needs_unit = rule.conversions is not None and rule.conversions.unit != "1"
    return Lack.UNIT_UNKNOWN if needs_unit else number


def _plain_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = value if isinstance(value, int) else float(value)
    try:
        return number if math.isfinite(number) else None
    except OverflowError:
        return None  # a whole number of more digits than a float holds


def _in_range(number: float, rule: Rule) -> float | Lack:
    low, high = rule.lowest, rule.highest
    if not math.isfinite(number):  # too large for our unit
        return Lack.OUT_OF_RANGE
    if (low is not None and number < low) or (high is not None and number > high):
        return Lack.OUT_OF_RANGE
    return number


def counted(number: int, rule: Rule) -> InputValue | Lack:
    """A count of resources, within the declared range."""
    return _in_range(number, rule)


def _elapsed(found: list[Any], rule: Rule, now: datetime) -> InputValue | Lack:
    if len(found) > 1:
        return Lack.UNREADABLE
    spent = elapsed(str(found[0]), rule.elapsed_unit or "d", now)
    return Lack.UNREADABLE if spent is None else _in_range(spent, rule)


# Answers ----------------------------------------------------------------------------------------------------


def _boolean(found: list[Any], rule: Rule) -> InputValue | Lack:
    if len(found) == 1 and isinstance(found[0], bool):
        return found[0]
    return _answer(found, rule) if rule.answers else Lack.UNREADABLE


def _answer(found: list[Any], rule: Rule) -> InputValue | Lack:
    """The declared meaning of a coded or written answer; without a declared one, the code itself."""
    codes = [code for one in found for code in _codes_in(one)]
    if rule.answers is None:
        return codes[0].rpartition("|")[2] if codes else Lack.UNREADABLE
    by_code, by_text = rule.answers.by_code, rule.answers.by_text
    meant = next((by_code[code] for code in codes if code in by_code), None)
    if meant is None and by_text:
        texts = (text for one in found for text in _texts_in(one))
        meant = next((by_text[text] for text in texts if text in by_text), None)
    if meant is None:
        return Lack.UNREADABLE
    return Lack.DATA_ABSENT if meant == UNKNOWN else meant


def _codes_in(one: object) -> list[str]:
    if isinstance(one, str):
        return [one]
    return list(codes_of(one))


def _texts_in(one: object) -> list[str]:
    """Every wording of an answer, in small letters with single blanks."""
    match one:
        case bool():
            return [str(one).lower()]
        case str():
            texts: list[object] = [one]
        case {"coding": [*codings], **rest}:
            texts = [
                rest.get("text"),
                *(coding.get("display") for coding in codings if isinstance(coding, dict)),
            ]
        case dict():
            texts = [one.get("text"), one.get("display")]
        case _:
            texts = []
    return [" ".join(text.lower().split()) for text in texts if isinstance(text, str)]


def _text(found: list[Any]) -> InputValue | Lack:
    one = found[0]
    if isinstance(one, str) and one.strip():
        return one.strip()
    texts = _texts_in(one)
    return texts[0] if texts else Lack.UNREADABLE
