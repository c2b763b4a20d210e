"""`review` over a real ledger: a dry run changes nothing at all, and what follows it finds the same.

One service's fault is no other's: others are reviewed, and further ledgers follow.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from cds_wrapper.commands.review import Failed, _say
from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.editions import findings_in, published_in, reviews_in
from tests.unit.commands.loop import SERVICE, content, hospital, prediction, record, review

BROKEN = "deterioration"
"""A service before the other one in order, of which a row holds what no row holds."""


def test_a_dry_run_changes_no_file_and_finds_what_the_review_after_it_publishes_everywhere(
    tmp_path: Path,
) -> None:
    ledger, further = hospital(tmp_path), tmp_path / "further.db"
    prepare(further)
    left_by_a_kill = tmp_path / ".ledger-dry-run"
    left_by_a_kill.mkdir()
    (left_by_a_kill / "outcomes.db").write_bytes(b"health data")
    record(
        ledger,
        [prediction(1, random.Random(1), prediction_id="broken", service_id=BROKEN, demographics=["no map"])],
    )
    before = content(tmp_path)

    trial = review(ledger, "--dry-run", "--json", "--also", str(further))

    assert trial.exit_code == 0, trial.output
    after = content(tmp_path)
    assert after.pop("ledger.db.review-lock") == b"" and before.pop(".ledger-dry-run/outcomes.db")
    assert after == before
    (told,) = json.loads(trial.stdout)["services"]
    assert told["opened"] and told["edition"] and told["cards"]["changed"] > 100
    assert (findings_in(ledger), published_in(ledger), reviews_in(ledger, SERVICE.id)) == ((), {}, ())

    unreachable = str(tmp_path / ("a" * 300))
    lines = ("--json", "--also", str(tmp_path / "none.db"), "--also", unreachable, "--also", str(further))
    done = review(ledger, "--service", BROKEN, *lines)

    assert done.exit_code == 2, "a service is broken, and one of the further ledgers is not there"
    assert "none.db" in done.stderr and "did NOT reach it" in done.stderr
    assert f"{unreachable} cannot be written" in done.stderr
    (failed,) = json.loads(done.stdout)["failed"]
    assert failed["service"] == BROKEN and "`review_failed` in the operator log" in failed["why"]
    assert f"{BROKEN}: not reviewed. {failed['why']}" in done.stderr.splitlines()
    (event,) = [json.loads(line) for line in done.stderr.splitlines() if '"review_failed"' in line]
    assert (event["service_id"], event["error"]) == (BROKEN, "AttributeError") and event["frames"]
    assert "no map" not in done.output
    (found,) = json.loads(done.stdout)["services"]
    assert [one["what"] for one in found["opened"]] == [one["what"] for one in told["opened"]]
    assert found["edition"] == told["edition"]
    assert findings_in(further) == findings_in(ledger) and len(findings_in(ledger)) == len(told["opened"])
    assert published_in(further) == published_in(ledger)
    assert (tmp_path / "ledger-monitoring" / "manifest.json").exists()


def test_what_stands_in_the_way_of_several_services_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    _say([Failed("one", "The disk is full."), Failed("two", "A row."), Failed("three", "The disk is full.")])
    said = capsys.readouterr().err.splitlines()
    assert said == ["one, three: not reviewed. The disk is full.", "two: not reviewed. A row."]
