"""NEWS2 behind the Open Inference Protocol, version 2, as a KServe or MLServer installation would serve it.

Seven observations are seven input tensors of one number; one that is missing is left out, since the protocol
has no null. `spo2_scale` may be given as 2; without it the first saturation scale is used.
(<https://github.com/kserve/open-inference-protocol>, "Inference Request JSON Object")
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from cds_wrapper.demo.fhir_values import items, mapping
from cds_wrapper.demo.news2 import MODEL_ID, MODEL_VERSION, News2, Observed, score

SERVER: Final[dict[str, Any]] = {
    "name": "cds-wrapper demonstration vendor",
    "version": "1",
    "extensions": [],
}
NUMBERS: Final = ("respirations", "saturation", "systolic", "pulse", "temperature")
SWITCHES: Final = ("on_oxygen", "alert")
SCALE: Final = "spo2_scale"
_DATATYPES: Final = {
    **dict.fromkeys(NUMBERS, "FP64"),
    **dict.fromkeys(SWITCHES, "BOOL"),
    SCALE: "INT8",
}
_OUTPUTS: Final = {"news2": "INT32", "any_three": "BOOL"}
METADATA: Final[dict[str, Any]] = {
    "name": MODEL_ID,
    "versions": [MODEL_VERSION],
    "platform": "demonstration",
    "inputs": [
        {"name": name, "datatype": datatype, "shape": [1, 1]} for name, datatype in _DATATYPES.items()
    ],
    "outputs": [{"name": name, "datatype": datatype, "shape": [1, 1]} for name, datatype in _OUTPUTS.items()],
}
_DEEPEST: Final = 4

Answer = tuple[int, dict[str, Any]]


class _Refused(ValueError):
    """The request cannot be used; the message names what, never a value."""


def infer(body: bytes) -> Answer:
    """Answer one inference request: HTTP status and body."""
    try:
        asked = mapping(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return 400, {"error": "the body is not JSON"}
    try:
        found = score(_observed(_tensors(items(asked.get("inputs")))))
        outputs = list(_wanted(items(asked.get("outputs")), found))
    except _Refused as refused:
        return 400, {"error": str(refused)}
    named = {"id": asked["id"]} if isinstance(asked.get("id"), str) else {}
    return 200, {"model_name": MODEL_ID, "model_version": MODEL_VERSION, **named, "outputs": outputs}


def _tensors(given: Sequence[object]) -> dict[str, float | bool]:
    """Name -> its one value. An unknown name is refused: a misspelt one would silently add no points."""
    found: dict[str, float | bool] = {}
    for one in map(mapping, given):
        name = one.get("name")
        if not isinstance(name, str) or name not in _DATATYPES or name in found:
            raise _Refused("an input is unknown, without a name, or there twice")
        found[name] = _value(name, one)
    return found


def _value(name: str, tensor: Mapping[str, Any]) -> float | bool:
    shape, data = items(tensor.get("shape")), list(_flat(tensor.get("data"), _DEEPEST))
    if len(data) != 1 or not shape or any(size != 1 for size in shape):
        raise _Refused(f"{name}: one value with a shape of ones is expected")
    (value,) = data
    if name in SWITCHES and value in (0, 1):
        return bool(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name in SWITCHES or not is_number:
        raise _Refused(f"{name}: not a value of datatype {_DATATYPES[name]}")
    return float(value)


def _flat(data: object, depth: int) -> Iterator[Any]:
    """The values of a tensor, flat or nested in rows."""
    if not isinstance(data, list) or not depth:
        yield data
        return
    for one in data:
        yield from _flat(one, depth - 1)


def _observed(tensors: Mapping[str, float | bool]) -> Observed:
    scale = tensors.get(SCALE, 1.0)
    if scale not in (1.0, 2.0):
        raise _Refused(f"{SCALE}: 1 or 2")
    numbers = {name: float(tensors[name]) for name in NUMBERS if name in tensors}
    switches = {name: bool(tensors[name]) for name in SWITCHES if name in tensors}
    return Observed(
        respirations=numbers.get("respirations"),
        saturation=numbers.get("saturation"),
        on_oxygen=switches.get("on_oxygen"),
        systolic=numbers.get("systolic"),
        pulse=numbers.get("pulse"),
        alert=switches.get("alert"),
        temperature=numbers.get("temperature"),
        scale_2=scale == 2.0,
    )


def _wanted(asked: Sequence[object], found: News2) -> Iterator[dict[str, Any]]:
    """The outputs asked for by name, in that order; all of them when none is."""
    values: dict[str, int | bool] = {"news2": found.total, "any_three": found.any_three}
    for name in [mapping(one).get("name") for one in asked] or list(values):
        if name not in values:
            raise _Refused("an output was asked for that the model does not have")
        yield {"name": name, "shape": [1, 1], "datatype": _OUTPUTS[name], "data": [values[name]]}
