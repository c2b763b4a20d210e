"""From `features` of `service.yaml` to the map that reads them; `feature_checks` found them right.

The libraries for FHIRPath and for rare units are loaded here, and only where a service needs them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cds_wrapper.services.features_file import FeatureFile
from cds_wrapper.vendors.feature_map import FeatureMap
from cds_wrapper.vendors.feature_rules import UNKNOWN, Answers, CodeList, Kind, Rule
from cds_wrapper.vendors.features import InputValue
from cds_wrapper.vendors.units import Conversions, Measure, conversions


def feature_map(features: Mapping[str, FeatureFile], doubted: frozenset[str]) -> FeatureMap | None:
    """The map of a service whose file was found right; None where it declares no inputs.

    `doubted` are the codes, as `system|code`, that the model card says the model does not expect.
    """
    if not features:
        return None
    return FeatureMap(tuple(_rule(name, feature, doubted) for name, feature in features.items()))


def _rule(name: str, feature: FeatureFile, doubted: frozenset[str]) -> Rule:
    limits = feature.range or (None, None)
    return Rule(
        name=name,
        label=feature.label,
        if_missing=feature.if_missing,
        kind=Kind(feature.kind),
        type=feature.type,
        keys=tuple(feature.prefetch or ()),
        context=feature.context,
        codes=_code_list(feature.codes) if feature.codes else None,
        first_code_first=feature.prefer == "first_code",
        path=fhirpath().read_path(feature.path, feature.type) if feature.path else None,
        path_text=_path_text(feature),
        conversions=conversions_of(feature) if feature.kind == "number" and feature.unit else None,
        elapsed_unit=feature.unit if feature.kind == "elapsed" else None,
        lowest=limits[0],
        highest=limits[1],
        within=feature.within,
        statuses=frozenset(feature.status) if feature.status is not None else None,
        answers=_answers(feature) if feature.answers is not None else None,
        no_match_is_no=feature.not_listed == "no",
        takes_bounds=feature.bounds == "use",
        kept=feature.keep_value,
        doubted=doubted,
    )


@lru_cache(maxsize=1)
def fhirpath() -> Any:
    """The module that reads expressions; whoever declares none never loads it."""
    return importlib.import_module("cds_wrapper.vendors.fhirpath")


def measure(code: str) -> Measure | None:
    """What a unit measures that is not in the table: asked of the library, which is loaded for it."""
    found: Measure | None = importlib.import_module("cds_wrapper.vendors.ucum").measure(code)
    return found


def conversions_of(feature: FeatureFile) -> Conversions | None:
    """Everything that can be turned into the declared unit; None when that is no unit."""
    return conversions(feature.unit or "1", feature.molar_mass, feature.other_units, measure)


def _path_text(feature: FeatureFile) -> str:
    """Where the value stands, for people and records."""
    if feature.context is not None:
        return f"context.{feature.context}"
    if feature.path is None:
        return feature.type if feature.kind in ("presence", "count") else f"{feature.type}.value"
    return feature.path if feature.path.startswith(f"{feature.type}.") else f"{feature.type}.{feature.path}"


def _code_list(codes: list[str]) -> CodeList:
    ranks = {code: codes.index(code) for code in codes}
    return CodeList(
        {code: rank for code, rank in ranks.items() if not code.endswith("*")},
        {code[:-1]: rank for code, rank in ranks.items() if code.endswith("*")},
    )


def _answers(feature: FeatureFile) -> Answers:
    meant = {written: _meaning(feature, value) for written, value in (feature.answers or {}).items()}
    return Answers(
        {written: value for written, value in meant.items() if "|" in written},
        {" ".join(written.lower().split()): value for written, value in meant.items() if "|" not in written},
    )


def _meaning(feature: FeatureFile, value: str | float) -> InputValue:
    return value == "yes" if feature.kind == "boolean" and value != UNKNOWN else value
