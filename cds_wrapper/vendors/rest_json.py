"""A model behind a plain REST API that speaks JSON; MLflow's scoring server is one form of it.

Either it is sent a patient's inputs and scores them, or it has scored already and is asked for what it has,
by a declared identifier (`look_up`). An address that holds an identifier is made here and goes nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.outbound import Answer, Deadline
from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.look_up import LookUp
from cds_wrapper.vendors.peer import Unanswered, VendorPeer, Whom, unusable
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.rest_body import BodyForm
from cds_wrapper.vendors.score import NOT_FOUND, search
from cds_wrapper.vendors.score_only import BareScore, Body, read_body

_PLACE: Final = re.compile(r"\{(patient|encounter)\}")
_NOTHING_THERE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT})


@dataclass(frozen=True, slots=True)
class Predictions:
    """Where MLflow's scoring server puts a score: the one row of `predictions`, and a column of it from 0.

    `column` is None for a model that gives one number.
    """

    column: int | None

    def find(self, document: Any) -> Any | Reason:
        """The value that stands there, or why there is none."""
        match document, self.column:
            case {"predictions": [[*row]]}, int(at) if at < len(row):
                return row[at]
            case {"predictions": [[one]]}, None:
                return one
            case {"predictions": [int() | str() as bare]}, int():
                return bare  # a class, which the judgement says better than the shape does
            case {"predictions": [bare]}, None:
                return bare
            case {"predictions": _}, _:
                return Reason.WRONG_SHAPE
            case _:
                return Reason.SCORE_NOT_FOUND


@dataclass(frozen=True, slots=True)
class RestForm:
    """How a REST API is asked, and where its answer stands.

    `body` is None for a GET. The address and `headers` may hold `{patient}` and `{encounter}` where `look_up`
    names them. `predictions` is None where `vendor.score.path` says where the score stands.
    """

    body: BodyForm | None
    headers: Mapping[str, str] = field(default_factory=dict)
    look_up: LookUp | None = None
    predictions: Predictions | None = None


@dataclass(frozen=True, slots=True)
class RestJSONVendor:
    """One model behind one address, that of `peer`."""

    peer: VendorPeer
    form: RestForm
    bare: BareScore

    async def predict(
        self, request: CDSRequest, prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask once within the deadline; not at all when an input or identifier is missing."""
        inputs = self.bare.inputs(features)
        if isinstance(inputs, NoPrediction):
            return inputs
        look_up = self.form.look_up
        whom = look_up.identifiers(request, prefetch) if look_up else {}
        if whom is None:
            return self.bare.lacking((), Reason.IDENTIFIER_NOT_FOUND)
        body = self.form.body
        answer, call = await self.peer.ask(
            None if body is None else msgspec.json.encode(body.fill({**inputs, **whom})),
            deadline,
            whom=self._whom(whom),
        )
        if isinstance(answer, Unanswered):
            return self.bare.nothing(answer.status, call, answer.reason)
        return self.read(answer, call, whom, request.received_at)

    def _whom(self, whom: Mapping[str, str]) -> Whom:
        """Where this call goes, with the identifiers in their places."""
        encoded = {name: quote(value, safe="") for name, value in whom.items()}
        headers = {name: _named(text, whom) for name, text in self.form.headers.items()}
        return Whom(_named(self.peer.url, encoded), headers)

    def read(
        self, answer: Answer, call: VendorCall, whom: Mapping[str, str], now: datetime
    ) -> Prediction | NoPrediction:
        """Turn whatever came into a prediction or the reason why there is none; pure."""
        if self.form.look_up and answer.status in _NOTHING_THERE:
            return self.bare.nothing(Status.REFUSED, call, Reason.NO_SCORE_YET.value)
        trouble = unusable(answer.status)
        if trouble is not None:
            return self.bare.nothing(trouble.status, call, trouble.reason)
        body = read_body(answer.body)
        if body is None:
            return self.bare.nothing(Status.UNREADABLE, call, Reason.NOT_JSON.value)
        if self.form.look_up is None:
            return self._scored(body, call)
        return self._looked_up(self.form.look_up, body, call, whom, now)

    def _scored(
        self, body: Body, call: VendorCall, score_at: datetime | None = None
    ) -> Prediction | NoPrediction:
        model = self.bare.model.read(body.document)
        judged = body.judged(self._judged(body.document))
        return self.bare.prediction(judged, model, call, score_at, body.document)

    def _judged(self, document: Any) -> tuple[float | None, str | None]:
        found = self._found(document)
        if found is None or isinstance(found, Reason):
            return None, found.value if found else NOT_FOUND
        return self.bare.score.judge_models_own(found)

    def _found(self, document: Any) -> Any | Reason:
        if self.form.predictions is not None:
            return self.form.predictions.find(document)
        path = self.bare.score.path
        return search(path, document) if path else None

    def _looked_up(
        self, look_up: LookUp, body: Body, call: VendorCall, whom: Mapping[str, str], now: datetime
    ) -> Prediction | NoPrediction:
        """A score that was there already: whose is it, and of when?"""
        is_missing = self._found(body.document) is None
        if is_missing and look_up.names_nobody(body.document):  # an error, say: no answer about anybody
            return self.bare.nothing(Status.UNREADABLE, call, NOT_FOUND)
        if not look_up.is_of(body.document, whom):
            return self.bare.nothing(Status.UNREADABLE, call, Reason.SCORE_OF_ANOTHER_PATIENT.value)
        if is_missing:
            return self.bare.nothing(Status.REFUSED, call, Reason.NO_SCORE_YET.value)
        at = look_up.time_of(body.document, now)
        if isinstance(at, Reason):
            return self.bare.nothing(Status.UNREADABLE, call, at.value)
        if look_up.is_stale(at, now):
            model = self.bare.model.read(body.document)
            return NoPrediction(Status.STALE, model, call, score_at=at)
        return self._scored(body, call, at)


def _named(text: str, whom: Mapping[str, str]) -> str:
    """A text with the identifiers in their places, in one pass: an identifier may hold braces itself."""
    return _PLACE.sub(lambda found: whom.get(found[1], found[0]), text) if whom else text
