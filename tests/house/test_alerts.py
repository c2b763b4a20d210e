"""The alert rules name metrics and labels that there are, and each has its section in the runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cds_wrapper.metrics.table import METRICS, PREFIX, Kind, Metric
from cds_wrapper.patient.attributes import Missing
from cds_wrapper.vendors.base import Status

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docker" / "alerts.yaml"
TESTS = [Path(__file__).with_name(name) for name in ("alerts_test.yaml", "alerts_of_days_test.yaml")]
RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
PARTS = {Kind.HISTOGRAM: ("_bucket", "_count", "_sum"), Kind.COUNTER: ("",), Kind.GAUGE: ("",)}
NAMED = {metric.full_name + part: metric for metric in METRICS.values() for part in PARTS[metric.kind]}
FULL = {metric.full_name for metric in METRICS.values()}
QUESTIONS = ("What the clinician sees now.", "First command.", "Whom to call.")


def rules() -> list[Mapping[str, Any]]:
    document = YAML(typ="safe").load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def selected(expression: str) -> list[tuple[Metric, dict[str, str]]]:
    """Each of our metrics in an expression, with the labels it is selected by."""
    found = re.findall(rf"\b({PREFIX}\w+)(?:{{([^}}]*)}})?", expression)
    return [(NAMED[name], dict(re.findall(r'(\w+)[=!~]+"([^"]*)"', labels))) for name, labels in found]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_a_rule_names_what_there_is(rule: Mapping[str, Any]) -> None:
    metrics = selected(rule["expr"])
    assert metrics
    known = {label for metric, _ in metrics for label in metric.labels} | {"instance", "le"}
    for metric, labels in metrics:
        assert labels.keys() <= set(metric.labels)
        assert set(labels.get("status", "").split("|")) <= {"", *(status.value for status in Status)}
        assert set(labels.get("reason", "").split("|")) <= {"", *(reason.value for reason in Missing)}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known
    for grouped in re.findall(r"(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert set(grouped.split(", ")) <= known
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["runbook"] == f"docs/how-to/runbook.md#{rule['alert'].lower()}"


def test_each_alert_has_its_section_in_the_order_of_a_page_and_no_section_is_left_over() -> None:
    assert set(sections()) == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("alert", sorted(sections()))
def test_a_section_says_what_is_seen_what_to_look_at_and_whom_to_call(alert: str) -> None:
    assert [question for question in QUESTIONS if f"**{question}**" not in sections()[alert]] == []


def test_metrics_in_the_guides_are_ones_that_there_are() -> None:
    written = {
        (page.name, name)
        for page in ROOT.glob("docs/**/*.md")
        for name in re.findall(rf"\b{PREFIX}[a-z_]+\b", page.read_text())
        if page.name in {"runbook.md", "watch-it-with-prometheus.md"}
    }
    assert written and [one for one in written if one[1] not in NAMED.keys() | FULL] == []


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
def test_prometheus_itself_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
@pytest.mark.parametrize("tests_file", TESTS, ids=lambda file: file.stem)
def test_each_alert_fires_when_it_should_and_none_when_all_is_well(tmp_path: Path, tests_file: Path) -> None:
    """Prometheus compares annotations too, which are words: they are taken away for this."""
    document, tests = (YAML(typ="safe").load(file.read_text()) for file in (RULES, tests_file))
    for group in document["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "rules.json").write_text(json.dumps(document))
    (tmp_path / "tests.json").write_text(json.dumps({**tests, "rule_files": ["rules.json"]}))
    promtool("test", "rules", str(tmp_path / "tests.json"))


def test_every_alert_is_made_to_fire_in_a_test() -> None:
    fired = {
        (one["alertname"], expected["exp_labels"]["severity"])
        for file in TESTS
        for test in YAML(typ="safe").load(file.read_text())["tests"]
        for one in test["alert_rule_test"]
        for expected in one["exp_alerts"]
    }
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in rules()}
