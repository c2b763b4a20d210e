"""A model behind a server of the Open Inference Protocol, version 2 (KServe, MLServer, Triton), over REST.

One row is sent, one for this patient, and one output is asked for by its name. What comes back is believed
only when it is that output, of that model, with one row of numbers
(<https://github.com/kserve/open-inference-protocol>, "Inference Request JSON Object").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import prod
from typing import Any, Final

import msgspec

from cds_wrapper.cds import CDSRequest, Prefetch
from cds_wrapper.outbound import Answer, Deadline
from cds_wrapper.vendors.base import ModelVersion, NoPrediction, Prediction, Status, VendorCall
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.peer import Unanswered, VendorPeer, unusable
from cds_wrapper.vendors.reasons import Reason
from cds_wrapper.vendors.score_only import BareScore, Body, Inputs, SentValue, labels_of, read_body

FLOATS: Final = frozenset({"FP16", "FP32", "FP64", "BF16"})
_INTEGERS: Final = frozenset({f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)})
_ONE_ROW: Final = 1
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input of the model: its name and datatype there, and the features it is made of, in order."""

    name: str
    datatype: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InferenceModel:
    """A model as its server knows it, and which number of which output is the score.

    `version` is the server's own name of the version that was agreed on; None asks for the server's default.
    `column` counts from 0; None for an output of one number. With `batched` a shape begins with the number of
    rows. `parameters` go with each request. `also` are further outputs that are asked for.
    """

    name: str
    version: str | None
    tensors: tuple[Tensor, ...]
    output: str
    column: int | None
    batched: bool = True
    parameters: Mapping[str, str | int | float | bool] | None = None
    also: tuple[str, ...] = ()

    def address(self, server: str) -> str:
        """Where it is asked."""
        version = f"/versions/{self.version}" if self.version else ""
        return f"{server.rstrip('/')}/v2/models/{self.name}{version}/infer"


class _Unfit(Exception):
    """A value that a tensor cannot hold; `feature` is the input's name."""

    def __init__(self, feature: str) -> None:
        super().__init__("an input is unfit for its tensor")
        self.feature = feature


@dataclass(frozen=True, slots=True)
class OpenInferenceVendor:
    """One model on one server; `peer` is its own address there."""

    peer: VendorPeer
    served: InferenceModel
    bare: BareScore

    async def predict(
        self, _request: CDSRequest, _prefetch: Prefetch, features: Features, deadline: Deadline
    ) -> Prediction | NoPrediction:
        """Ask once within the deadline; not at all when an input is missing that the model must have."""
        inputs = self.bare.inputs(features)
        if isinstance(inputs, NoPrediction):
            return inputs
        holes = self._holes(inputs)
        if holes:
            return self.bare.lacking(labels_of(features, holes))
        try:
            body = self.question(inputs)
        except _Unfit as unfit:
            return self.bare.lacking(labels_of(features, frozenset({unfit.feature})), Reason.INPUT_UNFIT)
        answer, call = await self.peer.ask(body, deadline)
        if isinstance(answer, Unanswered):
            return self.bare.nothing(answer.status, call, answer.reason)
        return self.read(answer, call)

    def _holes(self, inputs: Inputs) -> frozenset[str]:
        """Features missing from a tensor that has others, or all of them when nothing would be asked."""
        asked = [one for one in self.served.tensors if not inputs.keys().isdisjoint(one.features)]
        return frozenset(
            name for tensor in asked or self.served.tensors for name in tensor.features if name not in inputs
        )

    def question(self, inputs: Inputs) -> bytes:
        """The request's body; a tensor none of whose features has a value is left out."""
        tensors = [
            self._tensor(tensor, inputs)
            for tensor in self.served.tensors
            if not inputs.keys().isdisjoint(tensor.features)
        ]
        outputs = [{"name": name} for name in (self.served.output, *self.served.also)]
        question: dict[str, Any] = {"inputs": tensors, "outputs": outputs}
        if self.served.parameters:
            question["parameters"] = self.served.parameters
        return msgspec.json.encode(question)

    def _tensor(self, tensor: Tensor, inputs: Inputs) -> dict[str, Any]:
        data = [_fitting(inputs[name], tensor.datatype, name) for name in tensor.features]
        shape = [_ONE_ROW, len(data)] if self.served.batched else [len(data)]
        return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}

    # What comes back ----------------------------------------------------------------------------------------

    def read(self, answer: Answer, call: VendorCall) -> Prediction | NoPrediction:
        """Turn whatever came into a prediction or the reason why there is none; pure."""
        trouble = unusable(answer.status)
        if trouble is not None:
            is_unknown = answer.status == HTTPStatus.NOT_FOUND
            reason = Reason.UNKNOWN_MODEL.value if is_unknown else trouble.reason
            return self.bare.nothing(trouble.status, call, reason)
        body = read_body(answer.body)
        if body is None:
            return self.bare.nothing(Status.UNREADABLE, call, Reason.NOT_JSON.value)
        match body.document:
            case {"outputs": [*outputs]}:
                return self._scored(body, outputs, call)
            case _:
                return self.bare.nothing(Status.UNREADABLE, call, Reason.NOT_OPEN_INFERENCE.value)

    def _scored(self, body: Body, outputs: list[Any], call: VendorCall) -> Prediction | NoPrediction:
        name = body.document.get("model_name")
        if name is not None and name != self.served.name:
            return self.bare.nothing(Status.UNREADABLE, call, Reason.OTHER_MODEL.value)
        judged = body.judged(self._judged(outputs))
        return self.bare.prediction(judged, self._version(body.document), call, document=body.document)

    def _version(self, document: Mapping[str, Any]) -> ModelVersion:
        """The version that answered: under our own name for it when it is the one that was asked for."""
        named = document.get("model_version")
        model = self.bare.model
        agreed = named is not None and named == self.served.version
        return model.named(model.version if agreed else named or None)

    def _judged(self, outputs: list[Any]) -> tuple[float | None, str | None]:
        asked = (one for one in outputs if isinstance(one, dict) and one.get("name") == self.served.output)
        output = next(asked, None)
        if output is None:
            return None, Reason.WRONG_OUTPUT.value
        row = self._row(output)
        at = self.served.column or 0
        if row is None or not at < len(row) or (self.served.column is None and len(row) != 1):
            return None, Reason.WRONG_SHAPE.value
        if output.get("datatype") not in FLOATS:
            return self._judged_class(row[at])
        return self.bare.score.judge(row[at])

    def _judged_class(self, value: object) -> tuple[float | None, str | None]:
        """What a tensor of integers, texts or booleans holds: a class, where a probability is wanted."""
        if self.bare.score.wants_fraction:
            return None, Reason.SCORE_IS_A_CLASS.value
        return self.bare.score.judge(value)

    def _row(self, output: Mapping[str, Any]) -> list[Any] | None:
        """The one row of an output, flat; None when it has another shape, or not the shape that it says."""
        shape, data = output.get("shape"), output.get("data")
        sizes = shape if isinstance(shape, list) else []
        # Not longer than a tensor can be deep: the product of a body full of sizes takes minutes.
        if not 0 < len(sizes) <= _DEEPEST or not isinstance(data, list):
            return None
        if not all(isinstance(size, int) for size in sizes):
            return None
        row = list(_flat(data, _DEEPEST))
        is_one_row = not self.served.batched or sizes[0] == _ONE_ROW
        return row if is_one_row and prod(sizes) == len(row) else None


def _flat(data: list[Any], depth: int) -> Iterator[Any]:
    """The values of a tensor, which may come flat or nested in rows."""
    for one in data:
        if isinstance(one, list) and depth:
            yield from _flat(one, depth - 1)
        else:
            yield one


def _fitting(value: SentValue, datatype: str, feature: str) -> SentValue:
    """A value in the form of its datatype; raises `_Unfit` rather than to guess."""
    match value:
        case str() if datatype == "BYTES":
            return value
        case bool() if datatype == "BOOL":
            return value
        case bool() | int() | float() if datatype in FLOATS:
            return float(value)
        case bool() | int() | float() if datatype in _INTEGERS and value == int(value):
            return int(value)
        case _:
            raise _Unfit(feature)
