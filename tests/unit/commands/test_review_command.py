"""`review` over a real ledger: a dry run changes nothing at all, and what follows it finds the same."""

from __future__ import annotations

import json
from pathlib import Path

from cds_wrapper.ledger.database import prepare
from cds_wrapper.ledger.editions import findings_in, published_in, reviews_in
from tests.unit.commands.loop import SERVICE, content, hospital, review


def test_a_dry_run_changes_no_file_and_finds_what_the_review_after_it_publishes_everywhere(
    tmp_path: Path,
) -> None:
    ledger, further = hospital(tmp_path), tmp_path / "further.db"
    prepare(further)
    left_by_a_kill = tmp_path / ".ledger-dry-run"
    left_by_a_kill.mkdir()
    (left_by_a_kill / "outcomes.db").write_bytes(b"health data")
    before = content(tmp_path)

    trial = review(ledger, "--dry-run", "--json", "--also", str(further))

    assert trial.exit_code == 0, trial.output
    after = content(tmp_path)
    assert after.pop("ledger.db.review-lock") == b"" and before.pop(".ledger-dry-run/outcomes.db")
    assert after == before
    (told,) = json.loads(trial.stdout)["services"]
    assert told["opened"] and told["edition"] and told["cards"]["changed"] > 100
    assert (findings_in(ledger), published_in(ledger), reviews_in(ledger, SERVICE.id)) == ((), {}, ())

    done = review(ledger, "--json", "--also", str(tmp_path / "none.db"), "--also", str(further))

    assert done.exit_code == 2, "one of the further ledgers is not there"
    assert "none.db" in done.stderr and "did NOT reach it" in done.stderr
    (found,) = json.loads(done.stdout)["services"]
    assert [one["what"] for one in found["opened"]] == [one["what"] for one in told["opened"]]
    assert found["edition"] == told["edition"]
    assert findings_in(further) == findings_in(ledger) and len(findings_in(ledger)) == len(told["opened"])
    assert published_in(further) == published_in(ledger)
    assert (tmp_path / "ledger-monitoring" / "manifest.json").exists()
