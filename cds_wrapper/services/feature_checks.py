"""What is wrong with `features` of `service.yaml`: paths, units, codes and places that would find nothing.

Such a mistake makes an input missing for every patient, and says so for none: so it is refused at load.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cds_wrapper.cds_library import HOOKS
from cds_wrapper.errors import Mistake
from cds_wrapper.services.checking import nearest
from cds_wrapper.services.feature_build import conversions_of, fhirpath
from cds_wrapper.services.features_file import FeatureFile
from cds_wrapper.services.service_file import ServiceFile
from cds_wrapper.services.yaml_files import Document, KeyPath
from cds_wrapper.vendors.feature_choice import UNCODED
from cds_wrapper.vendors.feature_dates import DATES, is_dated
from cds_wrapper.vendors.units import COMMON_TEXTS, Conversions, is_concentration, plain_text, table

_NUMBERS: Final = frozenset(
    {"Quantity", "decimal", "integer", "positiveInt", "unsignedInt", "Age", "Count", "Duration"}
)
_DATES: Final = frozenset({"date", "dateTime", "instant"})

_TYPE: Final = re.compile(r"([A-Za-z]+)[/?]")
_LOINC: Final = "http://loinc.org|"
_MICRO: Final = re.compile("[\u00b5\u03bc]|micro")
_NO_LETTER: Final = re.compile("[^a-z0-9%]")

VITAL_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("9279-1", "8867-4"), ("/min",)),
    **dict.fromkeys(("2708-6", "59408-5"), ("%",)),
    "8310-5": ("Cel", "[degF]"),
    "8302-2": ("cm", "[in_i]"),
    "9843-4": ("cm", "[in_i]"),
    "29463-7": ("g", "kg", "[lb_av]"),
    "39156-5": ("kg/m2",),
    **dict.fromkeys(("8480-6", "8462-4"), ("mm[Hg]",)),
}
"""LOINC code -> the units that FHIR R4's profile of vital signs requires for it."""


@dataclass(frozen=True, slots=True)
class _Problem:
    path: KeyPath
    words: str
    suggestion: str | None = None


def feature_mistakes(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    """Everything that needs more than the form of the file to be found, each with its line."""
    for name, feature in service.features.items():
        for problem in _problems(feature, service):
            yield document.mistake(("features", name, *problem.path), problem.words, problem.suggestion)
    if service.features and RESERVED in service.prefetch:
        taken = "is the name under which the record keeps the model's inputs: call this key otherwise."
        yield document.mistake(("prefetch", RESERVED), taken)


RESERVED: Final = "features"


def _problems(feature: FeatureFile, service: ServiceFile) -> Iterator[_Problem]:
    yield from _place_problems(feature, service)
    yield from _choice_problems(feature)
    types = yield from _path_problems(feature)
    if feature.kind == "number":
        yield from _unit_problems(feature, types)


# Where it is looked for -------------------------------------------------------------------------------------


def _place_problems(feature: FeatureFile, service: ServiceFile) -> Iterator[_Problem]:
    for index, key in enumerate(feature.prefetch or ()):
        template = service.prefetch.get(key)
        if template is None:
            problem = f"names `{key}`, which is no key of `prefetch`."
            yield _Problem(("prefetch", index), problem, nearest(key, service.prefetch))
        elif (asked := _asked_type(template)) is not None and asked != feature.type:
            asks = f"names `{key}`, which asks for {asked}, and `type` is {feature.type}:"
            problem = f"{asks} write `type: {asked}`, or another key."
            yield _Problem(("prefetch", index), problem)
    if feature.context is not None and all(hook in HOOKS for hook in service.hook):
        known = tuple(dict.fromkeys(field.name for hook in service.hook for field in HOOKS[hook].fields))
        if feature.context not in known:
            problem = f"names `{feature.context}`, which is no field of the hook's context."
            yield _Problem(("context",), problem, nearest(feature.context, known))


def _asked_type(template: str) -> str | None:
    match = _TYPE.match(template)
    return match[1] if match else None


# Which of what is there counts ------------------------------------------------------------------------------


def _choice_problems(feature: FeatureFile) -> Iterator[_Problem]:
    if feature.within is not None and not is_dated(feature.type):
        yield _Problem(("within",), f"asks how old a {feature.type} is, which has no date of its own.")
    reads_own_value = feature.path is None and feature.kind not in ("count", "presence")
    if reads_own_value and not feature.codes and feature.context is None:
        yield _Problem(("codes",), f"are missing: any {feature.type} at all would count.")
    for index, code in enumerate(feature.codes):
        if code in feature.codes[:index]:
            yield _Problem(("codes", index), f"names `{code}` a second time.")


# Where the value stands -------------------------------------------------------------------------------------


def _path_problems(feature: FeatureFile) -> Generator[_Problem, None, frozenset[str]]:
    """Yields what is wrong, and returns the types that the path may give: none where that is not known."""
    if (
        feature.type not in DATES
        and feature.type not in UNCODED
        and not fhirpath().is_resource_type(feature.type)
    ):
        near = nearest(feature.type, fhirpath().resource_types())
        yield _Problem(("type",), f"`{feature.type}` is no resource of FHIR R4.", near)
        return frozenset()
    if feature.path is None:
        asks_for_a_value = feature.kind not in ("presence", "count") and feature.context is None
        if asks_for_a_value and feature.type != "Observation":
            yield _Problem(("path",), f"is missing: say where a {feature.type} holds the value.")
        return frozenset({"Quantity"}) if feature.type == "Observation" else frozenset()
    found = fhirpath().read_path(feature.path, feature.type)
    if hasattr(found, "problem"):
        yield _Problem(("path",), found.problem, found.suggestion)
        return frozenset()
    yield from _outcome_problems(feature, found.types)
    types: frozenset[str] = found.types
    return types


def _outcome_problems(feature: FeatureFile, types: frozenset[str]) -> Iterator[_Problem]:
    """What a path gives must be something that this kind of input can be made of."""
    given = " or ".join(f"`{kind}`" for kind in sorted(types))
    wanted, noun = {
        "number": (_NUMBERS, "number"),
        "elapsed": (_DATES, "date"),
    }.get(feature.kind, (types, ""))
    if types and not types & wanted:
        yield _Problem(("path",), f"gives a {given}, which is no {noun}.")
    elif feature.kind == "number" and feature.unit not in (None, "1") and types and "Quantity" not in types:
        yield _Problem(("path",), f"gives a {given}, which has lost its unit: end the path at the Quantity.")


# In which unit ----------------------------------------------------------------------------------------------


def _unit_problems(feature: FeatureFile, types: frozenset[str]) -> Iterator[_Problem]:
    if feature.unit is None:
        if "Quantity" in types:
            problem = "is missing: a value in another unit would pass unnoticed. Write `1` for a bare number."
            yield _Problem(("unit",), problem)
        return
    ways = conversions_of(feature)
    if ways is None:
        problem = f"`{feature.unit}` is no UCUM unit that can be converted."
        yield _Problem(("unit",), problem, _meant_unit(feature.unit, feature))
        return
    yield from _dimension_problems(feature, ways)
    for text, meant in feature.other_units.items():
        if ways.of(meant) is None:
            problem = f"is `{meant}`, which cannot be converted to `{feature.unit}`."
            yield _Problem(("other_units", text), problem, nearest(meant, ways.by_code))


def _meant_unit(unit: str, feature: FeatureFile) -> str | None:
    """The UCUM code for what people write, or the one that is spelt most like it.

    A slash left out, a capital or a Greek mu is a smaller slip than another letter: `umoll` is `umol/L`, and
    neither the amount `umol` nor anything a thousand times as large. A slash that was written stays.
    """
    same = [
        code for code in table() if _letters(code) == _letters(unit) and code.count("/") >= unit.count("/")
    ]
    fitting = _units_that_fit(feature)
    among = [code for code in same if code in fitting] or same
    closest = difflib.get_close_matches(unit, among, n=1, cutoff=0.0)
    return (
        COMMON_TEXTS.get(plain_text(unit))
        or next(iter(closest), None)
        or nearest(unit, fitting)
        or nearest(unit, table())
    )


def _letters(unit: str) -> str:
    return _NO_LETTER.sub("", _MICRO.sub("u", unit.lower()))


def _units_that_fit(feature: FeatureFile) -> list[str]:
    """Units of what the input surely measures: a vital sign, or a concentration if it has a molar mass."""
    required = (unit for code in feature.codes for unit in _required_units(code))
    vital = [measure.dimension for unit in required if (measure := table().get(unit))]
    return [
        code
        for code, measure in table().items()
        if measure.dimension in vital or (feature.molar_mass is not None and is_concentration(measure))
    ]


def _dimension_problems(feature: FeatureFile, ways: Conversions) -> Iterator[_Problem]:
    """A vital sign has a unit that FHIR requires: what that cannot be converted to is no unit of it."""
    for code in feature.codes:
        required = _required_units(code)
        if required and not any(ways.of(unit) for unit in required):
            problem = f"`{feature.unit}` is no unit of {code}, which is measured in {' or '.join(required)}."
            yield _Problem(("unit",), problem, required[0])
            return


def _required_units(code: str) -> tuple[str, ...]:
    return VITAL_UNITS.get(code.removeprefix(_LOINC), ()) if code.startswith(_LOINC) else ()
