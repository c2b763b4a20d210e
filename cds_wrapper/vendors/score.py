"""Where a vendor's answer names its score and its model's version, and how both are read. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from cds_wrapper.vendors.base import ModelVersion, ScoreKind, VersionSource
from cds_wrapper.vendors.reasons import Reason

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
UNREADABLE_VERSION = "unreadable"
NOT_FOUND: Final = Reason.SCORE_NOT_FOUND.value
_CLASSES: Final = (0, 1)
_HUNDRED: Final = 100


@dataclass(frozen=True, slots=True)
class ScorePath:
    """Where the score stands in the vendor's answer and how it is to be read.

    `path` is None where the protocol itself says where it stands. `lowest` and `highest` are in the vendor's
    own unit; with `percent` the value is divided by 100 once, here.
    """

    path: ParsedResult | None
    kind: ScoreKind
    percent: bool
    lowest: float
    highest: float

    def read(self, document: Mapping[str, Any]) -> tuple[float | None, str | None]:
        """The score in the recorded unit and None, or None and why there is none."""
        value = search(self.path, document) if self.path else None
        return (None, NOT_FOUND) if value is None else self.judge(value)

    def judge(self, value: object) -> tuple[float | None, str | None]:
        """A value that stands where the score should, or why it is none."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None, Reason.SCORE_NOT_A_NUMBER.value
        # A whole number may have more digits than a float can hold; it is compared as it is.
        if isinstance(value, float) and not math.isfinite(value):
            return None, Reason.SCORE_NOT_A_NUMBER.value
        if not self.lowest <= value <= self.highest:
            may_be = self.wants_fraction and 1 < value <= _HUNDRED
            return None, (Reason.SCORE_MAY_BE_PERCENT if may_be else Reason.SCORE_OUT_OF_RANGE).value
        return (value / _HUNDRED if self.percent else float(value)), None

    def judge_models_own(self, value: object) -> tuple[float | None, str | None]:
        """The same for a model's bare output, where a whole 0 or 1 is a class: `predict` gives those."""
        if isinstance(value, (list, dict)):
            return None, Reason.WRONG_SHAPE.value
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and self.wants_fraction and value in _CLASSES:
            return None, Reason.SCORE_IS_A_CLASS.value
        return self.judge(value)

    @property
    def wants_fraction(self) -> bool:
        """Whether a probability is declared, and as a fraction of 1."""
        return self.kind is ScoreKind.PROBABILITY and not self.percent


@dataclass(frozen=True, slots=True)
class ModelPath:
    """Which model answers: its configured id and version, and where the answer names its version."""

    id: str
    version: str
    version_path: ParsedResult | None

    @property
    def configured(self) -> ModelVersion:
        """The version that was agreed on."""
        return ModelVersion(self.id, self.version, VersionSource.CONFIGURATION)

    def read(self, document: Mapping[str, Any]) -> ModelVersion:
        """The version the answer names, or the configured one when it names none."""
        return self.named(search(self.version_path, document) if self.version_path else None)

    def named(self, version: object) -> ModelVersion:
        """A version that an answer names.

        An odd one is not taken for the configured one: that would hide a change.
        """
        if version is None:
            return self.configured
        readable = isinstance(version, str) and _VERSION.fullmatch(version) is not None
        return ModelVersion(self.id, str(version) if readable else UNREADABLE_VERSION, VersionSource.RESPONSE)


@dataclass(frozen=True, slots=True)
class FlagPaths:
    """Where the vendor's answer says what a site looks for beside the score, by id."""

    paths: Mapping[str, ParsedResult]

    def read(self, document: object) -> tuple[str, ...] | None:
        """The ids of those that are so (`true`, or a number above 0); None when one of them is not there.

        A rule that the answer no longer speaks of is not a rule that does not hold.
        """
        found = {name: search(path, document) for name, path in self.paths.items()}
        if not all(isinstance(value, (bool, int, float)) for value in found.values()):
            return None
        return tuple(name for name, value in found.items() if value > 0)


NO_FLAGS = FlagPaths({})

# One for all answers: it learns where its methods are, and keeps nothing of what it searched.
_interpreter = TreeInterpreter()


# The library's functions do not guard against every value: text where a number is compared or looked for, a
# whole number that no float holds, NaN rounded.
_TRIPS: Final = (JMESPathError, ArithmeticError, TypeError, ValueError)


def search(path: ParsedResult, document: object) -> Any:
    """A path that trips over the answer's types finds nothing; the caller says that the types changed."""
    try:
        return _interpreter.visit(path.parsed, document)
    except _TRIPS:
        return None
