"""What the files of the two score-only services and the demonstration must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cds_wrapper.demo import news2
from cds_wrapper.demo.mlflow_scoring import COLUMNS
from cds_wrapper.demo.open_inference import METADATA, SCALE
from cds_wrapper.demo.patient_resource import MRN_SYSTEM
from cds_wrapper.demo.queries import QUERIES, SERVICES
from cds_wrapper.demo.readmission import load_model
from cds_wrapper.demo.readmission_card import THRESHOLD
from cds_wrapper.demo.stays import read_stays
from cds_wrapper.demo.supervisor import VENDOR_IN_HOOKS
from cds_wrapper.demo.train_readmission import equation, make

HOOKS = Path(__file__).parents[3] / "hooks"
DATA = Path(__file__).parents[3] / "../shared/data/real/diabetes130_dev.csv.gz"


def read(service: str, file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((HOOKS / service / file).read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("hook", QUERIES)
def test_the_queries_are_those_the_fixtures_are_filled_from(hook: str) -> None:
    service = read(SERVICES[hook], "service.yaml")
    assert service["prefetch"] == dict(QUERIES[hook])
    assert service["hook"] == hook


@pytest.mark.parametrize("service", ["deterioration", "readmission"])
def test_the_vendor_stands_where_the_demonstration_starts_it(service: str) -> None:
    written = read(service, "service.yaml")
    assert written["vendor"]["url"] == VENDOR_IN_HOOKS
    assert MRN_SYSTEM in written["identifiers"]["patient"]


def test_every_tensor_of_the_model_but_the_second_scale_is_sent_as_it_expects() -> None:
    service = read("deterioration", "service.yaml")
    expected = {one["name"]: one["datatype"] for one in METADATA["inputs"] if one["name"] != SCALE}
    sent = {one["name"]: one.get("datatype", "FP64") for one in service["vendor"]["inference"]["inputs"]}
    assert sent == expected
    assert set(service["features"]) == set(expected)


def test_the_outputs_that_are_asked_for_are_there() -> None:
    inference = read("deterioration", "service.yaml")["vendor"]["inference"]
    assert [inference["output"], *inference["also"]] == [one["name"] for one in METADATA["outputs"]]
    assert (inference["model"], inference["version"]) == (METADATA["name"], *METADATA["versions"])


def test_the_columns_of_the_model_are_those_that_are_sent() -> None:
    service = read("readmission", "service.yaml")
    assert service["vendor"]["mlflow"]["inputs"] == list(COLUMNS)
    assert set(service["features"]) == set(COLUMNS)


def test_model_and_version_are_those_of_the_demonstration() -> None:
    model = load_model()
    for service, named in (
        ("deterioration", (news2.MODEL_ID, news2.MODEL_VERSION)),
        ("readmission", (model.id, model.version)),
    ):
        written, card = read(service, "service.yaml"), read(service, "model_card.yaml")
        assert (written["vendor"]["model"]["id"], written["vendor"]["model"]["version"]) == named
        assert (card["id"], card["version"]) == named


def test_the_score_has_the_range_of_the_chart() -> None:
    assert read("deterioration", "service.yaml")["vendor"]["score"]["range"] == [0, news2.MOST_POINTS]


def test_every_input_on_a_card_has_the_label_of_an_input_of_the_service() -> None:
    for service in ("deterioration", "readmission"):
        labels = {one["label"] for one in read(service, "service.yaml")["features"].values()}
        assert {one["name"] for one in read(service, "model_card.yaml")["inputs"]} == labels


def test_the_college_is_acknowledged_where_its_score_is_used() -> None:
    for file in ("service.yaml", "model_card.yaml"):
        text = " ".join((HOOKS / "deterioration" / file).read_text(encoding="utf-8").replace("#", "").split())
        assert "Copyright Royal College of Physicians 2017" in text
    assert (
        "© Royal College of Physicians 2017" in read("deterioration", "service.yaml")["score_card"]["detail"]
    )


def test_the_card_prints_the_equation_the_vendor_computes() -> None:
    assert read("readmission", "model_card.yaml")["output"]["description"] == equation(load_model())


def test_the_figures_are_measured_at_the_services_own_threshold() -> None:
    service, card = read("readmission", "service.yaml"), read("readmission", "model_card.yaml")
    assert service["thresholds"][0]["at"] == THRESHOLD
    assert {row["threshold"] for row in card["evidence"]["metrics"] if "threshold" in row} == {THRESHOLD}


@pytest.mark.skipif(not DATA.exists(), reason="the diabetes data are not beside this checkout")
def test_made_again_from_the_public_data_every_figure_of_the_card_is_the_scripts() -> None:
    made, card = make(read_stays(DATA)), read("readmission", "model_card.yaml")
    rows = [row for row in card["evidence"]["metrics"] if not row["id"].startswith("not-found-")]
    groups = [row for row in card["training"]["demographics"] if row.get("state") != "not_reported"]
    assert rows == made.metrics
    assert groups == made.training
    assert str(f"{made.training[0]['n']:,} people with {made.stays[0]:,} stays") == card["training"]["n"]
    everybody = made.metrics[0]
    in_100 = round(100 * everybody["positives"] / everybody["n"])
    said = read("readmission", "service.yaml")["score_card"]["detail"]
    assert f"{in_100} in 100 came back" in said
