"""Smoking, diabetes and medicines: yes, no or not known; a list sent whole and silent says no."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cds_wrapper.demo import codes
from cds_wrapper.demo.fhir_values import (
    JSON,
    coded,
    is_answered,
    is_complete,
    items,
    mapping,
    observations,
    resources,
    text,
)
from cds_wrapper.demo.refusals import Input, Refusal, Refusals, missing, refusals_in, unusable


@dataclass(frozen=True, slots=True, repr=False)
class History:
    """Four answers, each known."""

    diabetes: bool
    smoker: bool
    antihypertensive: bool
    statin: bool

    def __repr__(self) -> str:
        return "History(...)"


def read_history(prefetch: Mapping[str, Any], patient_id: str) -> History | Refusals:
    """Read the four answers, or refuse those that are not known."""
    diabetes = _diabetes(prefetch, patient_id)
    smoker = _smoker(observations(prefetch.get("smoking"), patient_id))
    treated = _takes(Input.ANTIHYPERTENSIVE, prefetch, patient_id)
    statin = _takes(Input.STATIN, prefetch, patient_id)
    if (
        isinstance(diabetes, Refusal)
        or isinstance(smoker, Refusal)
        or isinstance(treated, Refusal)
        or isinstance(statin, Refusal)
    ):
        return refusals_in(diabetes, smoker, treated, statin)
    return History(diabetes, smoker, treated, statin)


def _smoker(found: list[JSON]) -> bool | Refusal:
    """Take the newest status that says yes or no; "unknown" says neither."""
    for observation in found:
        said = coded(observation.get("valueCodeableConcept"), codes.SNOMED)
        if not codes.SMOKING_YES.isdisjoint(said):
            return True
        if not codes.SMOKING_NO.isdisjoint(said):
            return False
    return unusable(Input.SMOKING) if found else missing(Input.SMOKING)


def _diabetes(prefetch: Mapping[str, Any], patient_id: str) -> bool | Refusal:
    if any(map(_is_diabetes, resources(prefetch.get("conditions"), {"Condition"}, patient_id))):
        return True
    return False if _is_whole(prefetch, "conditions") else missing(Input.DIABETES)


def _is_diabetes(condition: JSON) -> bool:
    status = _status_codes(condition.get("clinicalStatus"))
    if status and not status & {"active", "recurrence", "relapse"}:
        return False
    if _status_codes(condition.get("verificationStatus")) & {"refuted", "entered-in-error"}:
        return False
    snomed = coded(condition.get("code"), codes.SNOMED)
    icd = coded(condition.get("code"), codes.ICD10CM)
    return not codes.DIABETES_SNOMED.isdisjoint(snomed) or any(c[:3] in codes.DIABETES_ICD10CM for c in icd)


def _status_codes(concept: object) -> set[str]:
    return {text(mapping(coding).get("code")) for coding in items(mapping(concept).get("coding"))}


def _is_whole(prefetch: Mapping[str, Any], key: str) -> bool:
    return key in prefetch and is_answered(prefetch[key]) and is_complete(prefetch[key])


def _takes(name: Input, prefetch: Mapping[str, Any], patient_id: str) -> bool | Refusal:
    """Say whether an active order names such a medicine; an order without a readable one is not a "no"."""
    bundle = prefetch.get("medications")
    orders = resources(bundle, {"MedicationRequest", "MedicationStatement"}, patient_id)
    active = [one for one in orders if one.get("status") == "active" and one.get("doNotPerform") is not True]
    concepts = [_medicine(order, bundle) for order in active]
    ingredients, products = _VALUE_SETS[name]
    if any(_names(concept, ingredients, products) for concept in concepts):
        return True
    if not all(concepts):
        return unusable(name)
    return False if _is_whole(prefetch, "medications") else missing(name)


_VALUE_SETS: Mapping[Input, tuple[Mapping[str, str], Collection[str]]] = {
    Input.ANTIHYPERTENSIVE: (codes.ANTIHYPERTENSIVES, frozenset()),
    Input.STATIN: (codes.STATINS, codes.STATIN_PRODUCTS),
}


def _medicine(order: JSON, bundle: object) -> JSON:
    """Return the CodeableConcept of an order's medicine, followed inside the order or the Bundle."""
    concept = mapping(order.get("medicationCodeableConcept"))
    reference = text(mapping(order.get("medicationReference")).get("reference"))
    near = [mapping(one) for one in items(order.get("contained"))]
    near += [mapping(mapping(entry).get("resource")) for entry in items(mapping(bundle).get("entry"))]
    wanted = re.split("[/#]", reference)[-1]
    referred = (mapping(one.get("code")) for one in near if reference and one.get("id") == wanted)
    return concept or next(referred, {})


def _names(concept: JSON, ingredients: Mapping[str, str], products: Collection[str]) -> bool:
    """Match by RxNorm code, or by the ingredient's name: products have codes that only RxNorm resolves."""
    if any(code in ingredients or code in products for code in coded(concept, codes.RXNORM)):
        return True
    written = [text(concept.get("text"))]
    written += [text(mapping(coding).get("display")) for coding in items(concept.get("coding"))]
    return not set(ingredients.values()).isdisjoint(re.findall("[a-z]+", " ".join(written).lower()))
