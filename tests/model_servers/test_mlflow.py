"""MLflow's scoring server itself: what our adapter makes of a probability, and of whatever else comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_wrapper.vendors.base import NoPrediction, Prediction, Status, VersionSource
from cds_wrapper.vendors.features import Features
from cds_wrapper.vendors.peer import VendorPeer
from cds_wrapper.vendors.rest_body import BodyForm, Frame, named_inputs, records
from cds_wrapper.vendors.rest_json import Predictions, RestForm, RestJSONVendor
from cds_wrapper.vendors.score_only import Inputs
from tests.model_servers.servers import FOR_MLFLOW, ROW, ModelServer, mlflow, train
from tests.unit.vendors import models

pytestmark = pytest.mark.model_server

COLUMNS = (("age", "age"), ("stays", "stays"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def probability(folder: Path) -> float:
    return train("mlflow", FOR_MLFLOW, folder)


@pytest.fixture(scope="module")
def server(folder: Path, probability: float) -> Iterator[ModelServer]:
    with mlflow(folder, "predict_proba") as running:
        yield running


async def ask(
    server: ModelServer,
    body: BodyForm | None = None,
    features: Features | None = None,
    column: int | None = 1,
    stand_ins: Inputs | None = None,
) -> Prediction | NoPrediction:
    async with models.a_pool() as pool:
        form = RestForm(body or Frame(COLUMNS), predictions=Predictions(column))
        peer = VendorPeer(f"{server.url}/invocations", 100_000, pool)
        vendor = RestJSONVendor(peer, form, models.bare(stand_ins=stand_ins))
        found = features if features is not None else models.found(**ROW)
        return await vendor.predict(models.a_call(), models.sent(), found, models.within(20))


@pytest.mark.parametrize("form", [Frame(COLUMNS), records(COLUMNS), named_inputs(COLUMNS)])
async def test_the_second_class_is_the_models_probability_in_every_form(
    server: ModelServer, probability: float, form: BodyForm
) -> None:
    outcome = await ask(server, form)
    assert isinstance(outcome, Prediction)
    assert outcome.score == pytest.approx(probability, abs=1e-9)
    assert outcome.model.source is VersionSource.CONFIGURATION, "its answer names no version"


async def test_a_row_of_two_is_no_single_number(server: ModelServer) -> None:
    outcome = await ask(server, column=None)
    assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "wrong_shape")


MISSING = Features((models.an_input("age", 63.0), models.omitted("stays")))


async def test_a_column_that_is_missing_is_refused_and_a_stand_in_is_not(server: ModelServer) -> None:
    assert (await ask(server, features=MISSING)).status is Status.REFUSED
    assert (await ask(server, features=MISSING, stand_ins={"stays": 2.0})).status is Status.ANSWERED


async def test_null_and_text_are_refused_and_the_row_it_repeats_goes_nowhere(server: ModelServer) -> None:
    for outcome in (
        await ask(server, features=MISSING, stand_ins={"stays": None}),
        await ask(server, features=models.found(age="Jane Canary", stays=2.0)),
    ):
        assert (outcome.status, outcome.call.http_status) == (Status.REFUSED, 400)
        assert "Canary" not in repr(outcome)


async def test_a_model_saved_without_probabilities_is_told_to_give_a_class(
    folder: Path, probability: float
) -> None:
    with mlflow(folder, "predict") as server:
        for column in (1, None):
            outcome = await ask(server, column=column)
            assert (outcome.status, outcome.reason) == (Status.UNREADABLE, "score_is_a_class")
        server.kill()
        gone = await ask(server)
        assert (gone.status, gone.reason) == (Status.UNREACHABLE, "refused_connection")
