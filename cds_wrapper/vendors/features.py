"""A model's inputs as they were found for one patient: value, where it came from, how old, why it is missing.

Values only. "Missing" is never "no": an input that is recorded as absent has a value, one that is not there
has a reason.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from cds_wrapper.cds import CDSRequest, Prefetch

InputValue = float | int | bool | str
"""What a model is given for one input, in the unit its service's file declares."""


class InputSource(enum.Enum):
    """Where an input was found."""

    PREFETCH = "prefetch"
    FHIR = "fhir"
    CONTEXT = "context"


class Lack(enum.Enum):
    """Why an input has no value: a closed list, which records use."""

    NOT_SENT = "not_sent"
    FETCH_FAILED = "fetch_failed"
    OTHER_PATIENT = "other_patient"
    INCOMPLETE = "incomplete"
    """What came is one page of several and does not hold it."""
    NOT_RECORDED = "not_recorded"
    DATA_ABSENT = "data_absent"
    TOO_OLD = "too_old"
    UNDATED = "undated"
    UNREADABLE = "unreadable"
    UNIT_UNKNOWN = "unit_unknown"
    OUT_OF_RANGE = "out_of_range"


class IfMissing(enum.Enum):
    """What a model does without an input, as its service's file declares."""

    REQUIRED = "required"
    """No score can be made."""
    OMITTED = "omitted"
    """The model copes without; the card says that the score may change."""
    COUNTED_AS_NORMAL = "counted_as_normal"
    """A points score counts nothing for it, so the true score may be higher."""
    NOT_JUDGED = "not_judged"
    """The vendor may have it from elsewhere and says so itself; what was found here is only recorded."""


NOT_KEPT = "not kept"
"""Stands for a value that was there and that the record does not hold."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of one patient.

    `label` is its name on a card. `path` is the element it was read from, `code` the `system|code` that was
    matched. `age` is the time from its own date to the call; None when it has none. `doubtful` says that its
    code is one the model card lists as not what the model expects. `kept` says that the site wants its value
    in the record.
    """

    name: str
    label: str
    path: str
    if_missing: IfMissing
    source: InputSource | None = None
    code: str | None = None
    age: timedelta | None = None
    value: InputValue | None = field(default=None, repr=False)
    lack: Lack | None = None
    doubtful: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """All inputs of one patient, in the order the service's file lists them; empty where it lists none."""

    inputs: tuple[Input, ...] = ()

    @property
    def values(self) -> Mapping[str, InputValue]:
        """Name -> value of every input that has one."""
        return {one.name: one.value for one in self.inputs if one.value is not None}

    @property
    def missing(self) -> tuple[Input, ...]:
        """The inputs without a value, but for those that are the vendor's to judge."""
        return tuple(
            one for one in self.inputs if one.lack is not None and one.if_missing is not IfMissing.NOT_JUDGED
        )

    @property
    def required_but_missing(self) -> tuple[str, ...]:
        """Labels of the inputs without which no score can be made; empty when all of those are there."""
        return tuple(one.label for one in self.missing if one.if_missing is IfMissing.REQUIRED)

    @property
    def doubtful(self) -> tuple[Input, ...]:
        """The inputs whose code the model card doubts."""
        return tuple(one for one in self.inputs if one.doubtful and one.value is not None)

    @property
    def condition(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of the inputs without a value and of the doubtful ones: all that a caveat depends on."""
        without = tuple(one.name for one in self.inputs if one.value is None)
        return without, tuple(one.name for one in self.doubtful)

    def to_record(self) -> dict[str, dict[str, object]]:
        """What a record keeps of each input by its name: no value unless the site wants it there."""
        return {one.name: _recorded(one) for one in self.inputs}

    @classmethod
    def from_record(cls, recorded: Mapping[str, Mapping[str, Any]], declared: Iterable[Input]) -> Features:
        """The inputs as they were, from what `to_record` made and the inputs that the service declares.

        A value that was not kept is `NOT_KEPT`. `KeyError` or `ValueError` for what no record can hold.
        """
        return cls(tuple(_as_recorded(one, recorded[one.name]) for one in declared))


def _recorded(one: Input) -> dict[str, object]:
    found: dict[str, object] = {"path": one.path}
    if one.code is not None:
        found["code"] = one.code
    if one.source is not None:
        found["source"] = one.source.value
    if one.age is not None:
        found["age_s"] = int(one.age.total_seconds())
    if one.lack is not None:
        found["missing"] = one.lack.value
    elif one.kept:
        found["value"] = one.value
    if one.doubtful:
        found["doubtful"] = True
    return found


def _as_recorded(declared: Input, found: Mapping[str, Any]) -> Input:
    lack = Lack(found["missing"]) if "missing" in found else None
    return replace(
        declared,
        path=found["path"],
        code=found.get("code"),
        source=InputSource(found["source"]) if "source" in found else None,
        age=timedelta(seconds=found["age_s"]) if "age_s" in found else None,
        value=None if lack else found.get("value", NOT_KEPT),
        lack=lack,
        doubtful=found.get("doubtful", False),
    )


NO_FEATURES = Features()
"""Of a service that declares none."""


class FeatureReader(Protocol):
    """Reads the inputs that a service's file declares out of what came for one patient; pure."""

    @property
    def declared(self) -> tuple[Input, ...]:
        """Every declared input, before anybody's is looked for."""
        ...

    def read(self, request: CDSRequest, prefetch: Prefetch) -> Features:
        """Every declared input, found or missing; never raises for what a resource holds."""
        ...
