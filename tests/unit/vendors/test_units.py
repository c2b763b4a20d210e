"""Units: what can be turned into what, and that the table says what the library says."""

from __future__ import annotations

import json

import pytest

from cds_wrapper.vendors.ucum import measure
from cds_wrapper.vendors.units import COMMON_TEXTS, TABLE, Conversions, bare, conversions, table
from tests.unit.vendors.units_table import written


def into(unit: str, molar_mass: float | None = None, **also: str) -> Conversions:
    found = conversions(unit, molar_mass, also, measure)
    assert found is not None
    return found


def test_the_table_says_what_the_library_says() -> None:
    """A stale one is written anew by `python -m tests.unit.vendors.units_table`."""
    ours, theirs = json.loads(TABLE.read_text(encoding="utf-8")), json.loads(written())
    assert ours.keys() == theirs.keys()
    for code, (dimension, factor, offset) in theirs.items():
        assert ours[code] == [dimension, pytest.approx(factor, rel=1e-12), pytest.approx(offset, rel=1e-12)]


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (98.6, "[degF]", "Cel", 37.0),
        (310.15, "K", "Cel", 37.0),
        (37, "Cel", "[degF]", 98.6),
        (1.2, "g/dL", "mg/dL", 1200.0),
        (16, "kPa", "mm[Hg]", 120.009869),
        (70, "kg", "[lb_av]", 154.323584),
        (72, "[in_i]", "cm", 182.88),
        (0.97, "1", "%", 97.0),
        (5, "10*3/uL", "10*9/L", 5.0),
        (2, "L/min", "mL/min", 2000.0),
        (1, "ug/mL", "mg/L", 1.0),
        (90, "mL/min/{1.73_m2}", "mL/min/{1.73_m2}", 90),
        (1.5, "mL/s/{1.73_m2}", "mL/min/{1.73_m2}", 90.0),
    ],
)
def test_a_value_goes_from_one_unit_to_another(
    value: float, source: str, target: str, expected: float
) -> None:
    way = into(target).of(source)
    assert way is not None
    assert way.of(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("mg/dL", "mmol/L"),
        ("meq/L", "mmol/L"),
        ("[IU]/L", "U/L"),
        ("[IU]/L", "10*3/uL"),
        ("mL/min", "mL/min/{1.73_m2}"),
        ("mL/min/{1.73_m2}", "mL/min"),
        ("ug{DDU}/mL", "ug{FEU}/mL"),
        ("mm[Hg]", "/min"),
        ("furlong", "cm"),
    ],
)
def test_what_measures_something_else_is_not_converted(source: str, target: str) -> None:
    assert into(target).of(source) is None


def test_a_value_in_the_right_unit_stays_the_very_same() -> None:
    way = into("mg/dL").of("mg/dL")
    assert way is not None
    assert way.of(0.1 + 0.2) == 0.1 + 0.2


def test_mass_and_amount_need_the_molar_mass() -> None:
    glucose = into("mmol/L", 180.156)
    way = glucose.of("mg/dL")
    assert way is not None
    assert way.of(90) == pytest.approx(4.9957, abs=0.0001)
    assert glucose.of("mg") is None


def test_a_unit_that_the_table_lacks_is_asked_of_the_library() -> None:
    assert "mg/(7.d)" not in table()
    way = into("mg/d").of("mg/(7.d)")
    assert way is None
    declared = into("mg/d", week="mg/(7.d)").of("week")
    assert declared is not None
    assert declared.of(7) == pytest.approx(1.0)


@pytest.mark.parametrize("code", ["mmHg", "beats/min", "nonsense", "", "[pH]", "B", "mL/min/1.73m2"])
def test_what_is_no_unit_on_a_straight_scale_measures_nothing(code: str) -> None:
    assert measure(code) is None
    assert conversions(code, None, {}, measure) is None


def test_every_common_text_means_a_unit_of_the_table() -> None:
    assert {bare(code)[0] for code in COMMON_TEXTS.values()} <= table().keys()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("{beats}/min", ("/min", ("beats",))),
        ("mL/min/{1.73_m2}", ("mL/min", ("1.73m2",))),
        ("{score}", ("1", ("score",))),
        ("ug{FEU}/mL", ("ug/mL", ("feu",))),
        ("mg/dL", ("mg/dL", ())),
    ],
)
def test_an_annotation_is_told_from_the_unit(code: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert bare(code) == expected
