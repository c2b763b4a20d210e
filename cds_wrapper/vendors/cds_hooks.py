"""A vendor that itself speaks CDS Hooks: asked with the keys it asked for, byte for byte, and nothing more.

Whatever comes back is read strictly (CDS Hooks 2.0.1, "CDS Service Response"): a status of 200 and an
object with an array `cards`, or it is not an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from jmespath.parser import ParsedResult

from cds_wrapper.cds import CDSRequest, Prefetch, encode
from cds_wrapper.cds_answer import VendorAnswer, read_answer
from cds_wrapper.outbound import Answer, Deadline
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.peer import Unanswered, VendorPeer, unusable
from cds_wrapper.vendors.question import Forwarding, Unasked
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.score import NOT_FOUND, ModelPath, ScorePath, search


@dataclass(frozen=True, slots=True)
class MissingInputs:
    """Where a 412 names what is missing, and the display name of each code; unlisted codes stay unnamed."""

    path: ParsedResult
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CDSHooksVendor:
    """One CDS service of a vendor.

    `forwarding` says what it is told, `threshold` is the first listed.
    """

    peer: VendorPeer
    forwarding: Forwarding
    score: ScorePath | None
    model: ModelPath
    missing: MissingInputs | None
    threshold: float | None

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, _features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask the vendor once within the deadline; a call that would be no CDS Hooks is not sent."""
        question = self.forwarding.question(request, prefetch)
        if isinstance(question, Unasked):
            return self._nothing(Status.MISSING_INPUT, VendorCall(), question.value)
        answer, call = await self.peer.ask(encode(question), deadline, question.hookInstance)
        if isinstance(answer, Unanswered):
            return self._nothing(answer.status, call, answer.reason)
        return self.read(answer, call)

    def read(self, answer: Answer, call: VendorCall) -> Prediction | NoPrediction:
        """Turn whatever came into a prediction or the reason why there is none; pure."""
        trouble = unusable(answer.status)
        if trouble is not None:
            is_missing = trouble.status is Status.MISSING_INPUT
            named = self._missing_inputs(answer.body) if is_missing else ()
            return self._nothing(trouble.status, call, trouble.reason, named)
        document = read_answer(answer.body)
        if document is None:
            return self._nothing(Status.UNREADABLE, call, Reason.NOT_CDS_HOOKS.value)
        return self._prediction(document, call)

    def _prediction(self, answer: VendorAnswer, call: VendorCall) -> Prediction | NoPrediction:
        score, reason = self.score.read(answer.document) if self.score else (None, None)
        if reason is not None and reason != NOT_FOUND:
            return self._nothing(Status.UNREADABLE, call, reason)
        return Prediction(
            cards=answer.cards,
            score=score,
            score_kind=self.score.kind if self.score and score is not None else None,
            flagged=None if score is None or self.threshold is None else score >= self.threshold,
            model=self.model.read(answer.document),
            call=call,
            reason=reason if answer.cards else None,
            system_actions=answer.system_actions,
        )

    def _missing_inputs(self, body: bytes) -> tuple[str, ...]:
        """Names from our own table only: a vendor's words are not put on a card we write."""
        if self.missing is None:
            return ()
        try:
            codes = search(self.missing.path, msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        listed = codes if isinstance(codes, list) else [codes]
        named = [self.missing.names.get(code) for code in listed if isinstance(code, str)]
        return tuple(dict.fromkeys(name for name in named if name))

    def _nothing(
        self, status: Status, call: VendorCall, reason: str | None = None, missing: tuple[str, ...] = ()
    ) -> NoPrediction:
        return NoPrediction(status, self.model.configured, call, reason, missing)
