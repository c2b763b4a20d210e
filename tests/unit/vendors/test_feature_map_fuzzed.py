"""Whatever stands in a prefetch value, every declared input is found or missing, and nothing is raised."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cds_wrapper.services.feature_build import feature_map
from cds_wrapper.services.features_file import FeatureFile
from tests.unit.vendors.feature_maps import (
    LOINC,
    PULSE,
    SNOMED,
    a_call,
    bundle,
    concept,
    declared,
    observation,
    quantity,
)

PANEL = observation(
    f"{LOINC}|85354-9",
    component=[{"code": concept(f"{LOINC}|8480-6"), "valueQuantity": quantity(120, "mm[Hg]")}],
)
CONDITION = {
    "resourceType": "Condition",
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "code": concept(f"{SNOMED}|44054006"),
    "recordedDate": "2026-01-01",
}
STAY = {
    "resourceType": "Encounter",
    "status": "finished",
    "class": {"system": "urn:c", "code": "EMER"},
    "period": {"start": "2026-06-01T10:00:00Z"},
}
ANSWER = observation(f"{LOINC}|72166-2", valueCodeableConcept=concept(f"{SNOMED}|266919005"))
FILES: dict[str, FeatureFile] = {
    "pulse": declared(range=[0, 300], within="P30D"),
    "systolic": declared(codes=[f"{LOINC}|8480-6"], unit="mm[Hg]", prefer="first_code"),
    "path": declared(path="value.ofType(Quantity).where(value > 1)"),
    "smoker": declared(
        codes=[f"{LOINC}|72166-2"], kind="boolean", unit=None, answers={f"{SNOMED}|266919005": "no"}
    ),
    "diabetes": declared(
        type="Condition", kind="presence", unit=None, codes=[f"{SNOMED}|44*"], not_listed="no", within="P900D"
    ),
    "stays": declared(type="Encounter", kind="count", unit=None, codes=["urn:c|EMER"], within="P90D"),
    "stay": declared(type="Encounter", kind="elapsed", unit="a", codes=None, path="period.start"),
    "age": declared(type="Patient", kind="elapsed", unit="a", codes=None, path="birthDate"),
}
MAP = feature_map(FILES, frozenset({PULSE}))
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}
START: Any = bundle(observation(value=80), PANEL, ANSWER, CONDITION, STAY, PATIENT)
PIECES: list[Any] = [
    *(
        None,
        True,
        0,
        -1.5,
        1e308,
        10**30,
        "",
        "x",
        "2026",
        "20260630T10",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"coding": {}},
        {"coding": [None, {"code": 1}]},
        {"value": "80"},
        {"reference": 5},
    ),
    *(
        quantity(1e308),
        {"start": []},
        "entered-in-error",
        "http://loinc.org",
        "8867-4",
        "\u0000",
        "+275760-09-13",
    ),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a value where something else could stand."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(PIECES)), min_size=1, max_size=4))
def test_no_value_makes_the_reading_trip(changes: list[tuple[int, Any]]) -> None:
    assert MAP is not None
    value = copy.deepcopy(START)
    for number, piece in changes:
        found = places(value)
        holder, key = found[number % len(found)]
        holder[key] = copy.deepcopy(piece)
    request, prefetch = a_call(FILES, {"vitals": json.loads(json.dumps(value))})
    features = MAP.read(request, prefetch)
    assert [one.name for one in features.inputs] == list(FILES)
    for one in features.inputs:
        assert (one.value is None) == (one.lack is not None)
