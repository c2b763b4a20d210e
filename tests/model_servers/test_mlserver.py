"""MLServer itself: what our adapter makes of a probability, and of everything else that it answers."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.vendors.base import NoPrediction, Prediction, ScoreKind, Status, VersionSource
from cds_wrapper.vendors.open_inference import InferenceModel, OpenInferenceVendor, Tensor
from cds_wrapper.vendors.peer import Unanswered, VendorPeer
from tests.model_servers.servers import FOR_MLSERVER, ROW, ModelServer, mlserver, train
from tests.unit.vendors import models

pytestmark = pytest.mark.model_server

ROW_TENSOR = (Tensor("input-0", "FP64", ("age", "stays")),)
EACH = (Tensor("age", "FP64", ("age",)), Tensor("stays", "FP64", ("stays",)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlserver")


@pytest.fixture(scope="module")
def probability(folder: Path) -> float:
    return train("mlserver", FOR_MLSERVER, folder)


@pytest.fixture(scope="module")
def server(folder: Path, probability: float) -> Iterator[ModelServer]:
    with mlserver(folder) as running:
        yield running


async def ask(
    server: ModelServer, values: dict[str, Any] | None = None, body: bytes | None = None, **members: Any
) -> Prediction | NoPrediction:
    """What our adapter makes of the answer to a row, or to a body that we would not send."""
    usual = {"name": "readmit", "version": "2", "tensors": ROW_TENSOR, "output": "predict_proba", "column": 1}
    kind = members.pop("kind", ScoreKind.PROBABILITY)
    served = InferenceModel(**{**usual, **members})
    async with models.a_pool() as pool:
        peer = VendorPeer(served.address(server.url), 100_000, pool)
        vendor = OpenInferenceVendor(peer, served, models.bare(kind=kind))
        if body is None:
            found = models.found(**(values or ROW))
            return await vendor.predict(models.a_call(), models.sent(), found, models.within(20))
        answer, call = await peer.ask(body, models.within(20))
        assert not isinstance(answer, Unanswered)
        return vendor.read(answer, call)


async def test_probabilities_asked_for_by_name_are_those_of_the_model(
    server: ModelServer, probability: float
) -> None:
    outcome = await ask(server)
    assert isinstance(outcome, Prediction)
    assert outcome.score == pytest.approx(probability, abs=1e-12)
    assert (outcome.model.version, outcome.model.source) == ("2026.1", VersionSource.RESPONSE)


async def test_without_a_version_the_server_names_its_own(server: ModelServer) -> None:
    outcome = await ask(server, version=None)
    assert (outcome.status, outcome.model.version) == (Status.ANSWERED, "2")


async def test_a_data_frame_of_one_tensor_each_gives_the_same(
    server: ModelServer, probability: float
) -> None:
    outcome = await ask(server, tensors=EACH, parameters={"content_type": "pd"})
    assert isinstance(outcome, Prediction) and outcome.score == pytest.approx(probability, abs=1e-12)


async def test_its_predict_is_told_to_be_a_class(server: ModelServer) -> None:
    outcome = await ask(server, output="predict", column=None)
    assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "score_is_a_class")


async def test_what_it_gives_unasked_is_another_output(server: ModelServer) -> None:
    question = {"inputs": [{"name": "i", "shape": [1, 2], "datatype": "FP64", "data": [63.0, 2.0]}]}
    outcome = await ask(server, body=json.dumps(question).encode())
    assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "wrong_output")


def question(data: list[Any], **members: Any) -> bytes:
    tensor = {"name": "input-0", "shape": [1, len(data)], "datatype": "FP64", "data": data, **members}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}).encode()


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("null", question([63.0, None])),
        ("text", question(["Jane", "Canary"])),
        ("another shape", question([63.0, 2.0, 1.0])),
        ("a shape that is not the data's", question([63.0, 2.0], shape=[1, 5])),
    ],
)
async def test_what_it_cannot_read_is_a_failure_of_its_own(
    server: ModelServer, what: str, body: bytes
) -> None:
    outcome = await ask(server, body=body)
    assert (outcome.status, outcome.call.http_status) == (Status.FAILED, 500), what
    assert "Canary" not in repr(outcome)


async def test_a_body_that_is_no_json_is_refused(server: ModelServer) -> None:
    outcome = await ask(server, body=b'{"inputs": [')
    assert outcome.status in {Status.REFUSED, Status.FAILED}


async def test_an_unknown_model_and_an_unknown_version_are_told(server: ModelServer) -> None:
    for outcome in (await ask(server, name="nobody"), await ask(server, version="9")):
        assert (outcome.status, outcome.reason) == (Status.REFUSED, "unknown_model")


async def test_an_output_that_the_model_has_not_is_refused(server: ModelServer) -> None:
    assert (await ask(server, output="probability")).status is Status.REFUSED


async def test_two_rows_of_answers_are_none(server: ModelServer) -> None:
    outcome = await ask(server, body=question([63.0, 2.0, 70.0, 1.0], shape=[2, 2]))
    assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "wrong_shape")


async def test_killed_in_the_middle_of_a_call_and_started_again_it_answers_as_before(
    server: ModelServer, probability: float
) -> None:
    server.signal(signal.SIGSTOP)
    call = asyncio.create_task(ask(server))
    await asyncio.sleep(0.5)
    server.kill()
    outcome = await call
    assert outcome.status in {Status.UNREADABLE, Status.UNREACHABLE}, "no whole answer came"
    gone = await ask(server)
    assert (gone.status, gone.reason) == (Status.UNREACHABLE, "refused_connection")
    await asyncio.to_thread(server.start)
    back = await ask(server)
    assert isinstance(back, Prediction) and back.score == pytest.approx(probability, abs=1e-12)
