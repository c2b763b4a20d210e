"""A vendor that itself speaks CDS Hooks: asked with the keys it asked for, byte for byte, and nothing more.

Whatever comes back is read strictly (CDS Hooks 2.0.1, "CDS Service Response"): a status of 200 and an
object with an array `cards`, or it is not an answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from cds_wrapper.cds import CDSRequest, Prefetch, encode
from cds_wrapper.cds_answer import VendorAnswer, read_answer
from cds_wrapper.errors import OutboundTrouble, Trouble
from cds_wrapper.outbound import Answer, Deadline, Outbound
from cds_wrapper.signing import Credential
from cds_wrapper.vendors.base import (
    ModelVersion,
    NoPrediction,
    Prediction,
    ScoreKind,
    Status,
    VendorCall,
    VersionSource,
)
from cds_wrapper.vendors.question import Forwarding, Unasked

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
UNREADABLE_VERSION = "unreadable"


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


@dataclass(frozen=True, slots=True)
class ModelPath:
    """Which model answers: its configured id and version, and where the answer names its version."""

    id: str
    version: str
    version_path: ParsedResult | None


@dataclass(frozen=True, slots=True)
class MissingInputs:
    """Where a 412 names what is missing, and the display name of each code; unlisted codes stay unnamed."""

    path: ParsedResult
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CDSHooksVendor:
    """One CDS service of a vendor.

    `forwarding` says what it is told, `credential` how our calls are signed, `threshold` is the first listed.
    """

    url: str
    forwarding: Forwarding
    score: ScorePath | None
    model: ModelPath
    missing: MissingInputs | None
    threshold: float | None
    size_limit: int
    outbound: Outbound = field(repr=False)
    credential: Credential | None = None

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask the vendor once within the deadline; a call that would be no CDS Hooks is not sent."""
        question = self.forwarding.question(request, prefetch)
        if isinstance(question, Unasked):
            return self._nothing(Status.MISSING_INPUT, VendorCall(), question.value)
        body = encode(question)
        started = time.perf_counter()
        authorization = self.credential.authorization(self.url) if self.credential else None
        try:
            answer = await self.outbound.post_json(self.url, body, deadline, self.size_limit, authorization)
        except OutboundTrouble as trouble:
            call = VendorCall(_since(started), None, 1, len(body), 0, question.hookInstance)
            return self._trouble(trouble.kind, call)
        call = VendorCall(
            _since(started), answer.status, 1, len(body), len(answer.body), question.hookInstance
        )
        return self.read(answer, call)

    def read(self, answer: Answer, call: VendorCall) -> Prediction | NoPrediction:
        """Turn whatever came into a prediction or the reason why there is none; pure."""
        match answer.status:
            case 200:
                pass
            case 412:
                return self._nothing(Status.MISSING_INPUT, call, missing=self._missing_inputs(answer.body))
            case status if 400 <= status < 500:
                return self._nothing(Status.REFUSED, call)
            case status if status >= 500:
                return self._nothing(Status.FAILED, call)
            case _:
                return self._nothing(Status.UNREADABLE, call, "not_200")
        document = read_answer(answer.body)
        if document is None:
            return self._nothing(Status.UNREADABLE, call, "not_cds_hooks")
        return self._prediction(document, call)

    def _prediction(self, answer: VendorAnswer, call: VendorCall) -> Prediction | NoPrediction:
        score, reason = self._score(answer.document)
        if reason is not None and reason != "score_not_found":
            return self._nothing(Status.UNREADABLE, call, reason)
        return Prediction(
            cards=answer.cards,
            score=score,
            score_kind=self.score.kind if self.score and score is not None else None,
            flagged=None if score is None or self.threshold is None else score >= self.threshold,
            model=self._model(answer.document),
            call=call,
            reason=reason if answer.cards else None,
            system_actions=answer.system_actions,
        )

    def _score(self, document: Mapping[str, Any]) -> tuple[float | None, str | None]:
        if self.score is None:
            return None, None
        value = _search(self.score.path, document)
        if value is None:
            return None, "score_not_found"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None, "score_not_a_number"
        if not self.score.lowest <= value <= self.score.highest:
            return None, "score_out_of_range"
        return (value / 100 if self.score.percent else float(value)), None

    def _model(self, document: Mapping[str, Any]) -> ModelVersion:
        """The version the answer names.

        An odd one is not taken for the configured one: that would hide a change.
        """
        named = _search(self.model.version_path, document) if self.model.version_path else None
        if named is None:
            return self._configured_model()
        readable = isinstance(named, str) and _VERSION.fullmatch(named) is not None
        return ModelVersion(self.model.id, named if readable else UNREADABLE_VERSION, VersionSource.RESPONSE)

    def _configured_model(self) -> ModelVersion:
        return ModelVersion(self.model.id, self.model.version, VersionSource.CONFIGURATION)

    def _missing_inputs(self, body: bytes) -> tuple[str, ...]:
        """Names from our own table only: a vendor's words are not put on a card we write."""
        if self.missing is None:
            return ()
        try:
            codes = _search(self.missing.path, msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        listed = codes if isinstance(codes, list) else [codes]
        named = [self.missing.names.get(code) for code in listed if isinstance(code, str)]
        return tuple(dict.fromkeys(name for name in named if name))

    def _trouble(self, kind: Trouble, call: VendorCall) -> NoPrediction:
        match kind:
            case Trouble.TIMED_OUT:
                return self._nothing(Status.TIMED_OUT, call)
            case Trouble.UNREACHABLE:
                return self._nothing(Status.UNREACHABLE, call)
            case Trouble.CLOSED_EARLY | Trouble.TOO_LARGE:
                return self._nothing(Status.UNREADABLE, call, kind.value)

    def _nothing(
        self, status: Status, call: VendorCall, reason: str | None = None, missing: tuple[str, ...] = ()
    ) -> NoPrediction:
        return NoPrediction(status, self._configured_model(), call, reason, missing)


# One for all answers: it learns where its methods are, and keeps nothing of what it searched.
_interpreter = TreeInterpreter()


def _search(path: ParsedResult, document: object) -> Any:
    """A path that trips over the answer's types finds nothing; the caller says that the types changed."""
    try:
        return _interpreter.visit(path.parsed, document)
    except JMESPathError:
        return None


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
