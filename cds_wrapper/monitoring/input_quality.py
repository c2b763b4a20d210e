"""What the score was calculated from, by group: inputs that were missing, doubtful or old.

A group whose inputs are missing or old more often gets a worse score of the same model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ibis import _

from cds_wrapper.monitoring.by_group import ANSWERED, Table, per_group
from cds_wrapper.monitoring.values import Group


@dataclass(frozen=True, slots=True)
class InputQuality:
    """One group: predictions with a score, and how many of them lacked an input or had one in doubt.

    `doubtful` is None where no prediction of the group says anything of doubt.
    """

    group: Group
    n: int
    missing: int
    doubtful: int | None


@dataclass(frozen=True, slots=True)
class InputAge:
    """How old an input was when the score was calculated, in one group: the middle one, and nine in ten.

    `n` counts predictions in which the input had a value with a time.
    """

    group: Group
    input: str
    n: int
    median: timedelta
    nine_in_ten: timedelta


def input_quality(predictions: Table, attributes: Collection[str]) -> tuple[InputQuality, ...]:
    """Every group with a score, everybody first."""
    answered = predictions.filter(predictions.status == ANSWERED)
    any_missing, any_doubtful = _length(_.inputs_missing) > 0, _length(_.inputs_doubtful) > 0
    figures = {
        "n": _.count(),
        "missing": any_missing.sum(),
        "told": _.inputs_doubtful.count(),
        "doubtful": any_doubtful.sum(),
    }
    return tuple(
        InputQuality(group, row["n"], row["missing"] or 0, row["doubtful"] or 0 if row["told"] else None)
        for group, row in per_group(answered, attributes, figures)
    )


def _length(names: Any) -> Any:
    """How many names a column of JSON lists."""
    return names.cast("json").cast("array<string>").length()


def input_ages(predictions: Table, attributes: Collection[str]) -> tuple[InputAge, ...]:
    """The age of every input by group; none where the rows do not carry what became of the inputs."""
    if "inputs" not in predictions.columns:
        return ()
    answered = predictions.filter(predictions.status == ANSWERED)
    features = answered.inputs.cast("json")["features"].cast("map<string, json>")
    held = answered.mutate(features=features).filter(_.features.notnull())
    each = held.select("subgroups", input=_.features.keys().unnest(), held=_.features.values().unnest())
    aged = each.mutate(age=_.held["age_s"].cast("string").cast("float64")).filter(_.age.notnull())
    figures = {"n": _.count(), "median": _.age.quantile(0.5), "nine_in_ten": _.age.quantile(0.9)}
    return tuple(
        InputAge(
            group=group,
            input=row["input"],
            n=row["n"],
            median=timedelta(seconds=row["median"]),
            nine_in_ten=timedelta(seconds=row["nine_in_ten"]),
        )
        for group, row in per_group(aged, attributes, figures, by=("input",))
    )
