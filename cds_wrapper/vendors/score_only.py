"""What all adapters for a model that answers with a bare score share: its inputs, its JSON, its two answers.

No such vendor speaks cards: what a clinician reads of its score is the site's to write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from cds_wrapper.vendors.base import ModelVersion, NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features, InputValue
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.score import NO_FLAGS, FlagPaths, ModelPath, ScorePath

SentValue = InputValue | None
"""What a model may be sent for one input; None is null, where its developer wants that for a missing one."""

Inputs = Mapping[str, SentValue]

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOT_EVEN_NEARLY: Final = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class BareScore:
    """How a bare score is asked for and read.

    `threshold` is the service's first. `stand_ins` are what the model is sent for an input without a value,
    as its developer says; an input that is not among them is left out. `flags` are looked for beside
    the score.
    """

    score: ScorePath
    model: ModelPath
    threshold: float | None
    stand_ins: Inputs = field(default_factory=dict)
    flags: FlagPaths = NO_FLAGS

    def inputs(self, features: Features) -> Inputs | NoPrediction:
        """What may be sent; or that the vendor is not asked, since an input that it must have is missing."""
        if features.required_but_missing:
            return self.lacking(features.required_but_missing)
        wanted = {one.name for one in features.missing} & self.stand_ins.keys()
        return {**{name: self.stand_ins[name] for name in wanted}, **features.values}

    def lacking(self, labels: tuple[str, ...], reason: Reason | None = None) -> NoPrediction:
        """That the vendor was not asked."""
        named = reason.value if reason else None
        return NoPrediction(Status.MISSING_INPUT, self.model.configured, VendorCall(), named, labels)

    def prediction(
        self,
        judged: tuple[float | None, str | None],
        model: ModelVersion,
        call: VendorCall,
        score_at: datetime | None = None,
        document: Any = None,
    ) -> Prediction | NoPrediction:
        """A score that was judged; a reason makes it unreadable. `document` is where flags are looked for."""
        value, reason = judged
        if value is None:
            return NoPrediction(Status.UNREADABLE, model, call, reason)
        flags = self.flags.read(document)
        if flags is None:
            return NoPrediction(Status.UNREADABLE, model, call, Reason.FLAG_NOT_FOUND.value)
        return Prediction(
            cards=(),
            score=value,
            score_kind=self.score.kind,
            flagged=None if self.threshold is None else value >= self.threshold,
            model=model,
            call=call,
            score_only=True,
            score_at=score_at,
            flags=flags,
        )

    def nothing(self, status: Status, call: VendorCall, reason: str | None = None) -> NoPrediction:
        """That no score came, and why."""
        return NoPrediction(status, self.model.configured, call, reason)


@dataclass(frozen=True, slots=True, repr=False)
class Body:
    """A vendor's answer, decoded. Not `strict` when it holds NaN or Infinity, which are no JSON."""

    document: Any
    strict: bool

    def judged(self, judged: tuple[float | None, str | None]) -> tuple[float | None, str | None]:
        """A judgement of what stands in it: nothing is taken from a body that is no JSON."""
        value, _ = judged
        return judged if self.strict or value is None else (None, Reason.NOT_JSON.value)


def read_body(body: bytes) -> Body | None:
    """What came, or None for what is no JSON at all.

    Several servers write NaN: read leniently, so that a score that is one can be told from other trouble.
    """
    try:
        return Body(msgspec.json.decode(body), strict=True)
    except _UNREADABLE:
        pass
    try:
        return Body(json.loads(body), strict=False)
    except _NOT_EVEN_NEARLY:
        return None


def labels_of(features: Features, names: frozenset[str]) -> tuple[str, ...]:
    """The names on a card of some inputs, in the order of the service's file."""
    return tuple(one.label for one in features.inputs if one.name in names)
