"""What a service's file declares about one input of its model: where it is, what counts, what it becomes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cds_wrapper.vendors.features import IfMissing, InputValue
from cds_wrapper.vendors.units import Conversions

JSON = dict[str, Any]
"""A decoded JSON object."""


class Kind(enum.Enum):
    """What an input is for its model."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CODE = "code"
    TEXT = "text"
    PRESENCE = "presence"
    """Whether there is a matching resource."""
    COUNT = "count"
    """How many matching resources there are."""
    ELAPSED = "elapsed"
    """The time from a date to the call."""


class Tripped(enum.Enum):
    """An expression met something that it cannot work with."""

    TRIPPED = "tripped"


Expression = Callable[[JSON, JSON, datetime], list[Any] | Tripped]
"""A FHIRPath, ready to be asked about an element, the resource it stands in and the moment of the call."""

UNKNOWN: Final = "unknown"
"""What a declared answer may be mapped to: it is recorded that nobody knows, which is never a "no"."""


@dataclass(frozen=True, slots=True)
class CodeList:
    """Codes as `system|code` with their rank in the file, and those that end in `*`."""

    exact: Mapping[str, int]
    beginnings: Mapping[str, int]

    def rank(self, code: str) -> int | None:
        """The place of a code in the list; None when it is not listed."""
        rank = self.exact.get(code)
        if rank is None and self.beginnings:
            return next((at for start, at in self.beginnings.items() if code.startswith(start)), None)
        return rank


@dataclass(frozen=True, slots=True)
class Answers:
    """What a coded or written answer becomes: by `system|code`, and by its text in small letters."""

    by_code: Mapping[str, InputValue]
    by_text: Mapping[str, InputValue]


@dataclass(frozen=True, slots=True)
class Rule:
    """One input as declared.

    `keys` are prefetch keys, or `context` is a field of the hook's context. `codes` is None where every
    resource of the type counts. `path` is None for an Observation's own value; `path_text` says where the
    value stands, for people and records. `statuses` is None for the usual ones of the type. `conversions` is
    None where there is no unit. `doubted` are the codes that the model card doubts.
    """

    name: str
    label: str
    if_missing: IfMissing
    kind: Kind
    type: str
    keys: tuple[str, ...] = ()
    context: str | None = None
    codes: CodeList | None = None
    first_code_first: bool = False
    path: Expression | None = None
    path_text: str = ""
    conversions: Conversions | None = None
    elapsed_unit: str | None = None
    lowest: float | None = None
    highest: float | None = None
    within: timedelta | None = None
    statuses: frozenset[str] | None = None
    answers: Answers | None = None
    no_match_is_no: bool = False
    takes_bounds: bool = False
    kept: bool = False
    doubted: frozenset[str] = frozenset()
