"""`measure`, as an analyst runs it on a table of scores and outcomes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from cds_wrapper.commands.measured import Done
from cds_wrapper.commands.measured_json import document
from cds_wrapper.commands.table import build
from cds_wrapper.monitoring.equal_scores import Standing
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.table_file import ReadTable
from tests.unit.monitoring.report.made import known


def stays(folder: Path) -> Path:
    """Two sexes with many events each; of the men four are flagged."""
    lines = ["risk,back,sex"]
    for sex, flagged in (("f", 60), ("m", 4)):
        for place in range(400):
            is_event = place % 4 == 0 or place < 2
            lines.append(f"{0.9 if place < flagged else 0.1 + place / 10_000},{int(is_event)},{sex}")
    path = folder / "stays.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measured(file: Path, *more: str) -> dict[str, dict[str, Any]]:
    arguments = ("measure", str(file), "--score", "risk", "--event", "back", "--group", "sex")
    done = CliRunner().invoke(build(["measure"]), (*arguments, "--threshold", "0.5", "--json", *more))
    assert done.exit_code == 0, done.output
    groups = json.loads(done.stdout)["groups"]
    return {one["group"]: {row["measure"]: row for row in one["figures"]} for one in groups}


def test_a_handful_of_flagged_people_is_not_shown_nor_to_be_worked_out(tmp_path: Path) -> None:
    shown = measured(stays(tmp_path))
    everything = measured(stays(tmp_path), "--small-cells")

    assert everything["sex=m"]["flag_rate"]["value"] == 0.01
    for group in ("sex=m", "sex=f"):
        for name in ("flag_rate", "ppv", "npv", "specificity", "sensitivity_gap"):
            assert shown[group][name]["value"] is None and "n" not in shown[group][name], (group, name)
            assert not {"p", "p_adjusted", "reading"} & shown[group][name].keys(), (group, name)
        assert shown[group]["event_rate"] == everything[group]["event_rate"]


def test_a_label_mismatch_is_told_of_no_group_whose_comparison_is_hidden(tmp_path: Path) -> None:
    """Its events are many, yet what the score is used for is known of five."""
    figures = known().figures
    assert figures is not None
    (sicker,) = (one for one in known().activity.compared if one.standing is Standing.SCORES_TOO_LOW)
    many = replace(sicker, label="readmission", over_label=Figure.of(1.4, (1.3, 1.5)))
    few = replace(many, n=5)
    for compared, told in ((many, ["race=black"]), (few, [])):
        done = Done(
            ReadTable(tmp_path, None, 0, {}),
            figures,
            (compared,),
            (),
            {"illness": ""},
            "probability",
            True,
            {},
        )
        assert [one["group"] for one in document(done, False)["label_mismatch"]] == told
        assert document(done, True)["label_mismatch"]
