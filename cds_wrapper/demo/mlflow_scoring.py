"""The readmission model behind an MLflow scoring server's door, `POST /invocations`.

It reads `dataframe_split` and `dataframe_records`, wants every column as a number, refuses a null, and its
answer names neither model nor version: all as MLflow's own server does. Days may have a fraction: they are
rounded, and every stay has at least one, as in the data the model was made from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cds_wrapper.demo.fhir_values import items, mapping
from cds_wrapper.demo.readmission import TERMS, ReadmissionModel, Stay

COLUMNS: Final = TERMS[1:]
_DIGITS: Final = 6

Answer = tuple[int, dict[str, Any]]
Record = Mapping[str, Any]


class _Refused(ValueError):
    """The request cannot be used; the message names what, never a value."""


def invoke(model: ReadmissionModel, body: bytes) -> Answer:
    """Answer one scoring request: HTTP status and body."""
    try:
        asked = mapping(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return 400, _error("the body is not JSON")
    try:
        stays = [_stay(record) for record in _records(asked)]
    except _Refused as refused:
        return 400, _error(str(refused))
    return 200, {"predictions": [_both_classes(model.probability(stay)) for stay in stays]}


def _both_classes(probability: float) -> list[float]:
    """Not readmitted and readmitted, as a model that was saved with `predict_proba` answers."""
    return [round(1 - probability, _DIGITS), round(probability, _DIGITS)]


def _error(sentence: str) -> dict[str, Any]:
    return {"error_code": "BAD_REQUEST", "message": sentence}


def _records(asked: Record) -> list[Record]:
    """The rows, each as column -> value."""
    if "dataframe_split" in asked:
        frame = mapping(asked["dataframe_split"])
        columns, rows = items(frame.get("columns")), [items(row) for row in items(frame.get("data"))]
        if not all(isinstance(column, str) for column in columns) or any(
            len(row) != len(columns) for row in rows
        ):
            raise _Refused("dataframe_split: columns and data do not fit together")
        return [dict(zip(columns, row, strict=True)) for row in rows]
    if "dataframe_records" in asked:
        return [mapping(row) for row in items(asked["dataframe_records"])]
    raise _Refused("the body needs dataframe_split or dataframe_records")


def _stay(record: Record) -> Stay:
    missing = [column for column in COLUMNS if column not in record]
    if missing:
        raise _Refused(f"missing columns: {', '.join(missing)}")
    return Stay(
        inpatient_stays=_whole(record, "inpatient_stays"),
        emergency_visits=_whole(record, "emergency_visits"),
        days=max(1, math.floor(_number(record, "days") + 0.5)),
        diagnoses=_whole(record, "diagnoses"),
        elsewhere=_is_so(record, "elsewhere"),
    )


def _number(record: Record, column: str) -> float:
    value = record[column]
    if isinstance(value, int | float) and math.isfinite(value) and value >= 0:
        return float(value)
    raise _Refused(f"{column}: a number from 0 up is expected")


def _whole(record: Record, column: str) -> int:
    number = _number(record, column)
    if number != int(number):
        raise _Refused(f"{column}: a whole number is expected")
    return int(number)


def _is_so(record: Record, column: str) -> bool:
    if _number(record, column) not in (0.0, 1.0):
        raise _Refused(f"{column}: 0 or 1 is expected")
    return bool(record[column])
