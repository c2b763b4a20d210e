"""Where a vendor's answer names its score and its model's version, and how both are read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from cds_wrapper.vendors.base import ModelVersion, ScoreKind, VersionSource

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
UNREADABLE_VERSION = "unreadable"
NOT_FOUND = "score_not_found"


@dataclass(frozen=True, slots=True)
class ScorePath:
    """Where the score stands in the vendor's answer and how it is to be read.

    `lowest` and `highest` are in the vendor's own unit; with `percent` the value is divided by 100 once,
    here.
    """

    path: ParsedResult
    kind: ScoreKind
    percent: bool
    lowest: float
    highest: float

    def read(self, document: Mapping[str, Any]) -> tuple[float | None, str | None]:
        """The score in the recorded unit and None, or None and why there is none."""
        value = search(self.path, document)
        if value is None:
            return None, NOT_FOUND
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None, "score_not_a_number"
        if not self.lowest <= value <= self.highest:
            return None, "score_out_of_range"
        return (value / 100 if self.percent else float(value)), None


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
        """The version the answer names.

        An odd one is not taken for the configured one: that would hide a change.
        """
        named = search(self.version_path, document) if self.version_path else None
        if named is None:
            return self.configured
        readable = isinstance(named, str) and _VERSION.fullmatch(named) is not None
        return ModelVersion(self.id, named if readable else UNREADABLE_VERSION, VersionSource.RESPONSE)


# One for all answers: it learns where its methods are, and keeps nothing of what it searched.
_interpreter = TreeInterpreter()


def search(path: ParsedResult, document: object) -> Any:
    """A path that trips over the answer's types finds nothing; the caller says that the types changed."""
    try:
        return _interpreter.visit(path.parsed, document)
    except JMESPathError:
        return None
