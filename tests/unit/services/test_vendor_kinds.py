"""`vendor` in `service.yaml` for models that answer with a bare score: what may stand there, what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_wrapper.errors import Mistake
from cds_wrapper.services.definitions import ServiceDefinition
from cds_wrapper.services.load import examine_services
from cds_wrapper.vendors.in_process import PythonCall
from cds_wrapper.vendors.open_inference import InferenceModel, Tensor
from cds_wrapper.vendors.rest_body import Frame
from cds_wrapper.vendors.rest_json import Predictions, RestForm
from tests.unit.services.files import HOOKS, with_vendor

MODEL = '  model: {id: prevent-base, version: "2023.1"}\n  score: {kind: probability, range: [0, 1]}\n'
INFERENCE = """\
  protocol: open-inference
  url: https://models.example.org
  inference:
    model: risk
    version: "3"
    inputs: [{name: input-0, features: [age, sbp]}, {name: sex, datatype: BYTES}]
    output: predict_proba
    column: 1
"""
MLFLOW = """\
  protocol: mlflow
  url: https://models.example.org
  mlflow:
    inputs: {Age: age, SBP: sbp}
    column: 1
"""
REST = """\
  protocol: rest
  url: https://risk.example.org/scores
  rest:
    body: {age: "{age}", source: ours}
"""
REST_MODEL = MODEL.replace("kind:", "path: result.risk, kind:")
PYTHON = """\
  protocol: python
  python: {call: "our_models.news2:score", folder: /srv/models}
"""
LOOK_UP = """\
  protocol: rest
  url: https://risk.example.org/scores
  rest:
    body: {mrn: "{patient}"}
    look_up: {patient: urn:oid:1.2.3, time: at, oldest: PT6H}
"""


def loaded(folder: Path, vendor: str) -> ServiceDefinition:
    examined = examine_services(with_vendor(folder, vendor))
    assert examined.mistakes == ()
    return examined.services[0]


def test_a_model_of_the_open_inference_protocol(tmp_path: Path) -> None:
    vendor = loaded(tmp_path, INFERENCE + MODEL).vendor
    assert vendor.url == "https://models.example.org/v2/models/risk/versions/3/infer"
    assert isinstance(vendor.asking, InferenceModel)
    assert vendor.asking.tensors == (
        Tensor("input-0", "FP64", ("age", "sbp")),
        Tensor("sex", "BYTES", ("sex",)),
    )
    assert vendor.asking.column == 1


def test_a_model_of_mlflow(tmp_path: Path) -> None:
    vendor = loaded(tmp_path, MLFLOW + MODEL + "  send_when_missing: {sbp: 120}\n").vendor
    assert vendor.url == "https://models.example.org/invocations"
    assert vendor.asking == RestForm(Frame((("Age", "age"), ("SBP", "sbp"))), predictions=Predictions(1))
    assert vendor.stand_ins == {"sbp": 120}


def test_columns_may_be_listed_where_the_model_calls_them_alike(tmp_path: Path) -> None:
    listed = MLFLOW.replace("{Age: age, SBP: sbp}", "[age, sbp]").replace(
        "example.org", "example.org/invocations"
    )
    vendor = loaded(tmp_path, listed + MODEL).vendor
    assert isinstance(vendor.asking, RestForm)
    assert vendor.asking.body == Frame((("age", "age"), ("sbp", "sbp")))
    assert vendor.url == "https://models.example.org/invocations"


def test_a_rest_api_that_is_looked_up_by_encounter_has_the_encounter_read(tmp_path: Path) -> None:
    by_visit = LOOK_UP.replace("{patient}", "{encounter}").replace("{patient: urn", "{encounter: urn")
    service = loaded(tmp_path, by_visit + REST_MODEL)
    assert isinstance(service.vendor.asking, RestForm) and service.vendor.asking.look_up is not None
    key = service.vendor.asking.look_up.encounter_key
    assert key == "wrapper-encounter" and "the vendor's look-up" in service.own_queries[0].purposes


def test_a_callable_of_the_sites_own(tmp_path: Path) -> None:
    vendor = loaded(tmp_path, PYTHON + MODEL).vendor
    assert vendor.asking == PythonCall("our_models.news2:score", "/srv/models")
    assert vendor.url == ""


# what stands there, what somebody wrote instead, the key that is named, part of what is said
WRONG = [
    (
        INFERENCE + MODEL,
        "protocol: open-inference",
        "protocol: open-inferrence",
        "vendor.protocol",
        "one of: cds-hooks, open",
    ),
    (
        INFERENCE + MODEL,
        "    model: risk\n",
        "    model: ../risk\n",
        "vendor.inference.model",
        "in an address",
    ),
    (
        INFERENCE + MODEL,
        "datatype: BYTES",
        "datatype: STRING",
        "vendor.inference.inputs[1].datatype",
        "one of: FP16",
    ),
    (INFERENCE + MODEL, "name: sex", "name: input-0", "vendor.inference.inputs", "uses a `name` twice"),
    (INFERENCE + MODEL, "column: 1", "column: -1", "vendor.inference.column", "greater than or equal"),
    (INFERENCE + MODEL, "column: 1", "colum: 1", "vendor.inference.colum", "not a key known here"),
    (INFERENCE + MODEL, "    output: predict_proba\n", "", "vendor.inference.output", "is missing"),
    (INFERENCE + MODEL, "{kind:", "{path: score, kind:", "vendor.score.path", "not for `open-inference`"),
    (
        INFERENCE + MODEL,
        '"2023.1"}',
        '"2023.1", version_path: v}',
        "vendor.model.version_path",
        "name the version themselves",
    ),
    (
        INFERENCE + MODEL,
        "  url: ",
        "  context: [draftOrders]\n  url: ",
        "vendor.context",
        "for `cds-hooks` only",
    ),
    (
        INFERENCE + MODEL,
        "  url: ",
        "  hook_instance: fresh\n  url: ",
        "vendor.hook_instance",
        "for `cds-hooks` only",
    ),
    (INFERENCE + MODEL, "  url: ", "  options: {a: 1}\n  url: ", "vendor.options", "another package"),
    (
        INFERENCE + MODEL,
        "  url: ",
        "  send_when_missing: {age: null}\n  url: ",
        "vendor.send_when_missing.age",
        "no tensor",
    ),
    (
        INFERENCE + MODEL,
        "  url: ",
        "  send_when_missing: {age: [1]}\n  url: ",
        "vendor.send_when_missing",
        "texts, numbers",
    ),
    (INFERENCE + MODEL, "  url: https://models.example.org\n", "", "vendor.url", "`open-inference` needs it"),
    (
        INFERENCE + MODEL,
        "models.example.org",
        "models.example.org/{patient}",
        "vendor.url",
        "only `rest` fills",
    ),
    (
        INFERENCE + MODEL,
        "  score: {kind: probability, range: [0, 1]}\n",
        "",
        "vendor.score",
        "`open-inference` needs it",
    ),
    (
        MLFLOW + MODEL,
        "  mlflow:\n    inputs: {Age: age, SBP: sbp}\n    column: 1\n",
        "",
        "vendor.mlflow",
        "needs it",
    ),
    (
        MLFLOW + MODEL,
        "inputs: {Age: age, SBP: sbp}",
        "inputs: {}",
        "vendor.mlflow.inputs",
        "at least 1 item",
    ),
    (MLFLOW + MODEL, "{kind:", "{path: score, kind:", "vendor.score.path", "write one"),
    (
        MLFLOW + MODEL,
        "    column: 1",
        "    form: split\n    column: 1",
        "vendor.mlflow.form",
        "one of: dataframe_split",
    ),
    (REST + REST_MODEL, "path: result.risk, ", "", "vendor.score.path", "`rest` needs it"),
    (REST + REST_MODEL, '"{age}"', "{age}", "vendor.rest.body.age", 'write `"{age}"` in quotes'),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  rest:\n    method: GET\n",
        "vendor.rest.method",
        "only `look_up` goes with it",
    ),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  rest:\n    headers: {Authorization: x}\n",
        "vendor.rest.headers",
        "no header that can be set",
    ),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  rest:\n    headers: {Transfer-Encoding: chunked}\n",
        "vendor.rest.headers",
        "no header that can be set",
    ),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  rest:\n    headers: {x-unit: a, X-Unit: b}\n",
        "vendor.rest.headers",
        "names a header twice",
    ),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  authentication: {kind: api_key, secret: env:KEY}\n  rest:\n    headers: {X-API-Key: a}\n",
        "vendor.rest.headers.X-API-Key",
        "puts the key in",
    ),
    (REST + REST_MODEL, "org/scores", "org/{patient}", "vendor.url", "only identifiers that `look_up` names"),
    (
        REST + REST_MODEL,
        "source: ours",
        'source: "{patient}"',
        "vendor.rest.body.source",
        "which `look_up` does not name",
    ),
    (
        REST + REST_MODEL,
        "  rest:\n",
        "  mlflow: {inputs: [a]}\n  rest:\n",
        "vendor.mlflow",
        "for `mlflow` only",
    ),
    (
        LOOK_UP + REST_MODEL,
        'body: {mrn: "{patient}"}',
        "body: {}",
        "vendor.rest.look_up.patient",
        "is used nowhere",
    ),
    (
        LOOK_UP + REST_MODEL,
        "patient: urn:oid:1.2.3, ",
        "",
        "vendor.rest.look_up",
        "by what is a score looked up",
    ),
    (LOOK_UP + REST_MODEL, "oldest: PT6H", "oldest: PT0H", "vendor.rest.look_up.oldest", "more than nothing"),
    (LOOK_UP + REST_MODEL, "time: at", "time: 'at['", "vendor.rest.look_up.time", "not a JMESPath"),
    (
        LOOK_UP + REST_MODEL,
        "  rest:\n",
        "  rest:\n    method: GET\n",
        "vendor.rest.body",
        "cannot go with `GET`",
    ),
]


@pytest.mark.parametrize(
    ("right", "old", "new", "key", "said"), WRONG, ids=[f"{row[3]}: {row[2][:30]}" for row in WRONG]
)
def test_a_mistake_is_named_with_its_line(
    right: str, old: str, new: str, key: str, said: str, tmp_path: Path
) -> None:
    assert old in right
    found = examine_services(with_vendor(tmp_path, right.replace(old, new, 1))).mistakes
    (mistake,) = [one for one in found if one.key == key]
    assert said in mistake.problem and mistake.file == "cvd-risk/service.yaml"
    assert mistake.line is not None and mistake.line > line_of_vendor()


def line_of_vendor() -> int:
    lines = (HOOKS / "cvd-risk" / "service.yaml").read_text().splitlines()
    return lines.index("vendor:")


def test_a_bare_score_without_a_threshold_is_a_mistake(tmp_path: Path) -> None:
    hooks = with_vendor(tmp_path, INFERENCE + MODEL, thresholds=False)
    (mistake,) = (one for one in examine_services(hooks).mistakes if one.key == "thresholds")
    assert mistake.key == "thresholds" and "from which a patient is flagged" in mistake.problem
    assert mistake.line is not None


@pytest.mark.parametrize(
    ("vendor", "old", "new", "key", "said"),
    [
        (
            INFERENCE + MODEL,
            "predict_proba",
            "predict",
            "vendor.inference.output",
            "gives the class and no probability",
        ),
        (MLFLOW + MODEL, "    column: 1\n", "", "vendor.mlflow", 'pyfunc_predict_fn="predict_proba"'),
        (LOOK_UP + REST_MODEL, "org/scores", "org/{patient}", "vendor.url", "may log addresses"),
        (INFERENCE + MODEL, "https:", "http:", "vendor.url", "plain http"),
    ],
)
def test_what_deserves_a_second_look_is_named_with_its_line(
    vendor: str, old: str, new: str, key: str, said: str, tmp_path: Path
) -> None:
    examined = examine_services(with_vendor(tmp_path, vendor.replace(old, new)))
    assert examined.mistakes == ()
    found: list[Mistake] = [one for one in examined.warnings if one.key == key]
    assert [said in one.problem and one.line is not None for one in found] == [True]
