"""`check --probe` asks a model about a patient who is nobody, and says in which line what is to be mended."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build
from tests import fakes
from tests.ports import free_port
from tests.unit.services.files import with_vendor

FEATURES = """\
features:
  age:
    {label: age, prefetch: patient, type: Patient, path: birthDate, kind: elapsed, unit: a, range: [18, 98],
     if_missing: required}
  sbp:
    {label: systolic pressure, prefetch: blood_pressure, codes: ["http://loinc.org|8480-6"], unit: "mm[Hg]",
     range: [60, 260], if_missing: required}
"""
MODEL = '  model: {id: prevent-base, version: "2023.1"}\n  score: {kind: probability, range: [0, 1]}\n'
INFERENCE = """\
  protocol: open-inference
  url: URL
  inference:
    model: risk
    inputs: [{name: input-0, features: [age, sbp]}]
    output: predict_proba
    column: 1
"""
LOOK_UP = """\
  protocol: rest
  url: URL
  rest:
    body: {mrn: "{patient}", visit: "{encounter}"}
    look_up: {patient: urn:mrn, encounter: urn:visit, time: at, oldest: PT6H}
"""
OUTPUT = {"name": "predict_proba", "datatype": "FP64", "shape": [1, 2], "data": [0.7, 0.3]}


def answer(**members: Any) -> dict[str, Any]:
    return {"model_name": "risk", "model_version": "2023.1", "outputs": [{**OUTPUT, **members}]}


async def probed(
    folder: Path, vendor: str, document: object, *arguments: str, status: int = 200
) -> tuple[Result, fakes.FakeVendor, Path]:
    async with fakes.running(fakes.answers(document, status=status), strict=False) as peer:
        hooks = with_vendor(folder, vendor.replace("URL", f"http://127.0.0.1:{peer.port}"))
        service = hooks / "cvd-risk" / "service.yaml"
        text = service.read_text()
        start, end = text.index("features:\n"), text.index("# Cut points")
        service.write_text(f"{text[:start]}{FEATURES}\n{text[end:]}")
        command = ["check", "--probe", "--hooks", str(hooks), *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, build(["check"]), command)
    return result, peer, service


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_WRAPPER_PROFILE", "development")
    monkeypatch.setenv("CDS_WRAPPER_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")


async def test_a_model_that_works_is_shown_with_its_inputs_its_answer_and_the_card(tmp_path: Path) -> None:
    result, peer, _ = await probed(tmp_path, INFERENCE + MODEL, answer())
    assert result.exit_code == 0, result.output
    for part in (
        "(open-inference): answered.",
        "age 58, sbp 160",
        "Score 0.3 (probability), flagged",
        "2023.1 (from response)",
        "The EHR would receive:",
    ):
        assert part in result.output
    assert peer.asked[0]["inputs"][0]["data"] == [58.0, 160.0]
    assert not (tmp_path / "ledger.db").exists(), "nothing is recorded"


async def test_a_vendor_without_probabilities_is_named_with_file_and_line_and_a_code_of_its_own(
    tmp_path: Path,
) -> None:
    result, _, service = await probed(tmp_path, INFERENCE + MODEL, answer(datatype="INT64", data=[0, 1]))
    assert result.exit_code == 8
    found = re.search(
        r"cvd-risk/service\.yaml:(\d+):\d+: `vendor\.inference\.output` gives no probability", result.output
    )
    assert found is not None, result.output
    assert "output: predict_proba" in service.read_text().splitlines()[int(found[1]) - 1]
    assert "predict_proba" in result.output


@pytest.mark.parametrize(
    ("document", "status", "key", "reason"),
    [
        (answer(data=[70.0, 30.0]), 200, "vendor.score.kind", "score_may_be_percent"),
        (answer(data=[0.7, -0.3]), 200, "vendor.score.range", "score_out_of_range"),
        (answer(name="predict"), 200, "vendor.inference.output", "wrong_output"),
        ({"error": "no such model"}, 404, "vendor.inference.model", "unknown_model"),
        ({"error": "broken"}, 500, "vendor.url", "HTTP 500"),
    ],
)
async def test_what_else_is_to_be_mended_is_named_where_it_stands(
    document: object, status: int, key: str, reason: str, tmp_path: Path
) -> None:
    result, _, _ = await probed(tmp_path, INFERENCE + MODEL, document, status=status)
    assert result.exit_code == 5
    assert re.search(
        rf"cvd-risk/service\.yaml:\d+:\d+: `{re.escape(key)}` gives no score.*{reason}", result.output
    )


@pytest.mark.parametrize(
    ("status", "key", "next_step"),
    [
        (400, "vendor.inference.inputs", "Compare names, types and number of inputs"),
        (422, "vendor.inference.inputs", "Compare names, types and number of inputs"),
        (403, "vendor.url", "See the key or certificate"),
        (503, "vendor.url", "See the server's own log"),
    ],
)
async def test_what_to_look_at_is_said_where_a_server_gives_nothing_to_judge(
    status: int, key: str, next_step: str, tmp_path: Path
) -> None:
    result, _, _ = await probed(tmp_path, INFERENCE + MODEL, {"error": "no"}, status=status)
    assert result.exit_code == 5
    assert re.search(rf"`{re.escape(key)}` gives no score: .*\(HTTP {status}\)\. {next_step}", result.output)


async def test_a_server_that_is_not_running_is_asked_after(tmp_path: Path) -> None:
    nowhere = INFERENCE.replace("URL", f"http://127.0.0.1:{free_port()}")
    result, peer, _ = await probed(tmp_path, nowhere + MODEL, answer())
    assert result.exit_code == 5 and not peer.asked
    assert "`unreachable` (refused_connection). Is the server running" in result.output


async def test_a_vendor_that_is_looked_up_need_not_know_nobody(tmp_path: Path) -> None:
    path = MODEL.replace("{kind", "{path: risk, kind")
    result, peer, _ = await probed(tmp_path, LOOK_UP + path, {"error": "unknown"}, "--json", status=404)
    assert result.exit_code == 0, result.output
    assert peer.asked == [{"mrn": "made-patient", "visit": "made-patient"}]
    (model,) = json.loads(result.output)["models"]
    assert (model["status"], model["reason"], model["mistake"]) == ("refused", "no_score_yet", None)


async def test_a_fraction_where_a_per_cent_is_declared_is_doubted(tmp_path: Path) -> None:
    percent = MODEL.replace("probability, range: [0, 1]", "percent, range: [0, 100]")
    result, _, _ = await probed(tmp_path, INFERENCE + percent, answer())
    assert result.exit_code == 0 and "should `vendor.score.kind` be `probability`?" in result.output
