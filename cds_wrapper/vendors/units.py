"""UCUM units: which of them measure the same thing, and how a value goes from one to the other. Pure.

What a unit measures was asked of a UCUM library (`ucum`) when the table beside this file was written; here
are only the sums. So a process that serves needs neither that library nor what it loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

TABLE: Final = Path(__file__).with_name("units.json")
UCUM: Final = "http://unitsofmeasure.org"
_ANNOTATION: Final = re.compile(r"\{([^}]*)\}")
_SIGNIFICANT: Final = 12
"""Digits of a converted value: 98.6 [degF] is 37 Cel and not 37.00000000000006."""


class Measure(msgspec.Struct, frozen=True, array_like=True):
    """What a unit measures: `value * factor + offset` is in the base units of `dimension`.

    `dimension` lists base units and their powers by name. An arbitrary unit, such as `[IU]`, is one of its
    own: nothing else can be turned into it (UCUM 24).
    """

    dimension: Mapping[str, float]
    factor: float
    offset: float = 0.0


FindMeasure = Callable[[str], Measure | None]
"""Gives what a bare UCUM code measures; None for what is no code."""


@dataclass(frozen=True, slots=True)
class Affine:
    """From one unit to another: `value * factor + offset`."""

    factor: float
    offset: float

    def of(self, value: float) -> float:
        """The value in the other unit; a number that need not change stays the very same."""
        if self.factor == 1.0 and self.offset == 0.0:
            return value
        return float(f"{value * self.factor + self.offset:.{_SIGNIFICANT}g}")


_SAME: Final = Affine(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Conversions:
    """Everything that can be turned into one unit: by bare UCUM code, and by what people write instead.

    `notes` are the target's own annotations, in one spelling.
    """

    unit: str
    notes: tuple[str, ...]
    by_code: Mapping[str, Affine]
    by_text: Mapping[str, str]

    def of(self, written: str) -> Affine | None:
        """How a value in this unit becomes one in ours; None when it cannot, or the unit is not known.

        An annotation says what was counted. One that is only on one side is passed over (`{beats}/min`)
        unless there is a number in it (`mL/min/{1.73_m2}` is not `mL/min`); two that differ say different
        things.
        """
        if written == self.unit:
            return _SAME
        direct = self.by_code.get(written)
        if direct is not None and not self.notes:
            return direct
        meant = self.by_text.get(plain_text(written), written)
        code, notes = bare(meant)
        return self.by_code.get(code) if _agree(notes, self.notes) else None


def _agree(theirs: tuple[str, ...], ours: tuple[str, ...]) -> bool:
    if theirs == ours:
        return True
    only = ours or theirs
    return not (theirs and ours) and not any(char.isdigit() for note in only for char in note)


def bare(code: str) -> tuple[str, tuple[str, ...]]:
    """A UCUM code without its annotations, and these in one spelling: `mL/min`, `("1.73m2",)`."""
    if "{" not in code:
        return code.strip(), ()
    notes = tuple(re.sub(r"[\s_]", "", note).lower() for note in _ANNOTATION.findall(code))
    rest = _ANNOTATION.sub("", code).strip()
    rest = re.sub(r"[./](?=[./)]|$)", "", rest) or "1"
    return rest, notes


def plain_text(written: str) -> str:
    """What people write for a unit, in one spelling."""
    return " ".join(written.lower().split())


@lru_cache(maxsize=1)
def table() -> Mapping[str, Measure]:
    """Bare UCUM code -> what it measures, of the codes in common use."""
    return msgspec.json.decode(TABLE.read_bytes(), type=dict[str, Measure])


def conversions(
    unit: str, molar_mass: float | None, also: Mapping[str, str], find: FindMeasure
) -> Conversions | None:
    """Everything that can be turned into `unit`; None when it is no UCUM code.

    With the molar mass of a substance, in g/mol, mass and amount can be turned into each other. `also` holds
    a site's own spellings, text -> UCUM code. `find` is asked for what the table does not hold.
    """
    code, notes = bare(unit)
    target = table().get(code) or find(code)
    if target is None:
        return None
    known = dict(table())
    for one, _ in map(bare, (code, *also.values())):
        measure = known.get(one) or find(one)
        if measure is not None:
            known[one] = measure
    ways = {one: way for one, measure in known.items() if (way := _way(measure, target, molar_mass))}
    texts = {plain_text(text): meant for text, meant in (*COMMON_TEXTS.items(), *also.items())}
    return Conversions(
        unit, notes, ways, {text: meant for text, meant in texts.items() if bare(meant)[0] in ways}
    )


def _way(source: Measure, target: Measure, molar_mass: float | None) -> Affine | None:
    factor = _across(source, target, molar_mass)
    if factor is None:
        return None
    offset = (source.offset * factor - target.offset) / target.factor
    return Affine(_tidy(source.factor * factor / target.factor), _tidy(offset))


def _across(source: Measure, target: Measure, molar_mass: float | None) -> float | None:
    """What a value in the source's base units is multiplied by to be in the target's; None when it cannot."""
    powers = {
        name: power
        for name in {*source.dimension, *target.dimension}
        if (power := source.dimension.get(name, 0) - target.dimension.get(name, 0))
    }
    if not powers:
        return 1.0
    if molar_mass is None or set(powers) != {_MASS, _AMOUNT} or powers[_MASS] + powers[_AMOUNT]:
        return None
    return float((molar_mass / 1000) ** -powers[_MASS])


_MASS: Final = "kilogram"
_AMOUNT: Final = "mole"


def _tidy(number: float) -> float:
    return float(f"{number:.{_SIGNIFICANT + 2}g}")


def same_measure(one: Measure, other: Measure) -> bool:
    """Whether two units measure the same thing."""
    return one.dimension == other.dimension


def is_concentration(measure: Measure) -> bool:
    """Whether it is a mass or an amount in a volume, which a molar mass turns into each other."""
    return measure.dimension in ({_MASS: 1, "meter": -3}, {_AMOUNT: 1, "meter": -3})


def _spelt(code: str, texts: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(texts, code)


COMMON_TEXTS: Final[Mapping[str, str]] = {
    **_spelt(
        "/min", ("bpm", "beats/min", "beats/minute", "beats per minute", "breaths/min", "breaths/minute")
    ),
    **_spelt("/min", ("breaths per minute", "/minute", "per minute", "1/min", "min-1", "rpm")),
    **_spelt("mm[Hg]", ("mmhg", "mm hg")),
    **_spelt("Cel", ("°c", "degc", "deg c", "degrees c", "celsius", "c")),
    **_spelt("[degF]", ("°f", "degf", "deg f", "degrees f", "fahrenheit", "f")),
    **_spelt("[lb_av]", ("lb", "lbs", "pound", "pounds")),
    **_spelt("[in_i]", ("in", "inch", "inches")),
    **_spelt("kg", ("kgs", "kilogram", "kilograms")),
    **_spelt("kg/m2", ("kg/m^2", "kg/m²", "kg/sq.m")),
    **_spelt("%", ("percent", "% sat", "%sat")),
    **_spelt("mL/min/{1.73_m2}", ("ml/min/1.73m2", "ml/min/1.73 m2", "ml/min/1.73m^2", "ml/min/1.73m²")),
    **_spelt("mL/min/{1.73_m2}", ("ml/min/1.73 m²", "ml/min/1.73 m^2", "ml/min/1.73sq.m", "ml/min/{1.73m2}")),
    **_spelt("10*3/uL", ("k/ul", "k/mcl", "thou/ul", "10^3/ul", "x10^3/ul", "x10e3/ul", "10e3/ul", "th/ul")),
    **_spelt("10*6/uL", ("m/ul", "10^6/ul", "x10^6/ul", "10e6/ul", "mil/ul")),
    **_spelt("10*9/L", ("10^9/l", "x10^9/l", "10e9/l", "10(9)/l")),
    **_spelt("ug/mL", ("mcg/ml",)),
    **_spelt("ug/dL", ("mcg/dl",)),
    **_spelt("ug/L", ("mcg/l",)),
    **_spelt("U/L", ("units/l", "unit/l")),
    **_spelt("a", ("years", "year", "yrs", "yr", "y")),
    **_spelt("d", ("days", "day")),
    **_spelt("h", ("hours", "hour", "hrs", "hr")),
    **_spelt("L/min", ("lpm", "liters/min", "litres/min")),
}
"""What systems write instead of UCUM, in the spelling of `plain_text`; taken only where it fits the unit."""
