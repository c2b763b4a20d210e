"""A vendor that gives a bare score, from the EHR's call to the card, its record and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.store import LedgerReader
from cds_wrapper.services.reading import digest_of
from tests import fakes
from tests.service.harness import copy_hooks, request_of, wrapper
from tests.unit.services.files import worded

VENDOR = """vendor:
  protocol: rest
  url: {url}
  rest: {{body: {{bmi: "{{bmi}}"}}}}
  score: {{path: risk, kind: percent, range: [0, 100]}}
  flags: {{red: red}}
  send_when_missing: {{bmi: 25, pulse: 70}}
  model: {{id: prevent-base, version: "2023.1"}}

features:
  bmi: {{label: body mass index, prefetch: bmi, codes: ["http://loinc.org|39156-5"], unit: kg/m2,
        if_missing: counted_as_normal}}
  pulse: {{label: pulse, prefetch: blood_pressure, codes: ["http://loinc.org|8867-4"], unit: /min,
          if_missing: counted_as_normal}}

"""
RULE = (
    "  - {name: body mass index, is_demographic: false, measured_less_well: [{where: {race: [black]},"
    ' direction: scores_too_low, recheck: "Weigh again.", source: x}]}\n'
)


def hooks_of(folder: Path, url: str, card: str, lines: str) -> Path:
    """The shipped service with a vendor that answers with a number, and a rule about one of its inputs."""
    hooks = copy_hooks(folder, url)
    file = hooks / "cvd-risk" / "service.yaml"
    before, _, rest = file.read_text().partition("vendor:\n")
    after = worded(rest[rest.index("# Cut points") :]).replace(
        "say: low, indicator: info", f"say: low, indicator: info, card: {card}"
    )
    after = after.replace(
        'detail: "Calculated from what is on file."}',
        'detail: "Of 100 such people {score}.", flags: {red: {say: A red flag was raised, at_least: high}}}',
    )
    file.write_text(before + lines.format(url=url) + after)
    model_card = file.with_name("model_card.yaml")
    model_card.write_text(model_card.read_text().replace("inputs:\n", f"inputs:\n{RULE}", 1))
    approve(model_card)
    return hooks


def approve(model_card: Path) -> None:
    """Have the board sign the changed card."""
    plan = model_card.with_name("plan.yaml")
    signed = plan.read_text().partition('model_card: "')[2].partition('"')[0]
    plan.write_text(plan.read_text().replace(signed, digest_of(model_card.read_bytes())))


async def called(
    folder: Path, case: str, answer: Any, card: str = "shown", lines: str = VENDOR
) -> tuple[Any, dict[str, Any]]:
    """The cards of one call, and its row; the replay agrees with it."""
    async with fakes.running(fakes.answers(answer), strict=False) as vendor:
        async with wrapper(folder, hooks_of(folder, vendor.url, card, lines)) as running:
            cards = (await running.call(request_of(case))).json()["cards"]
    reader = LedgerReader(folder / "ledger.db")
    (row,) = reader.recent(1)
    assert replay(row, reader.kept_file).mismatches == ()
    return cards, row


async def test_a_score_becomes_a_card_that_names_what_was_missing(tmp_path: Path) -> None:
    (card,), row = await called(tmp_path, "white-55", {"risk": 12.3, "red": False})
    assert card["summary"] == "Risk 12 %, intermediate – true score may be higher: no pulse"
    assert card["indicator"] == "info"
    assert card["source"]["label"].startswith("Demonstration model (PREVENT base equations) (")
    assert "/evidence/cvd-risk/" in card["source"]["url"]
    assert not card["source"]["url"].endswith("/model"), "no patient's card leads to the page by group"
    assert card["detail"].startswith("**Calculated without pulse, counted as normal.")
    assert card["detail"].endswith("---\n\nOf 100 such people 12 %.\n\nNot on file: pulse.")
    assert row["score"] == pytest.approx(0.123)
    assert (row["score_kind"], row["band"], row["status"]) == ("probability", "intermediate", "answered")
    assert row["inputs_missing"] == ["pulse"]
    assert row["caveat_reasons"][0] == "missing_input:scores_too_low"
    assert row["wording_ids"][0] == "M2"
    assert row["changes_made"] == []


async def test_a_flag_lifts_the_band_in_the_card_and_in_the_record(tmp_path: Path) -> None:
    (card,), row = await called(tmp_path, "white-55", {"risk": 1, "red": True})
    assert card["summary"].startswith("Risk 1 %, high")
    assert "A red flag was raised." in card["detail"]
    assert row["band"] == "high"


async def test_an_answer_that_says_nothing_of_a_flag_is_no_score(tmp_path: Path) -> None:
    (card,), row = await called(tmp_path, "white-55", {"risk": 1})
    assert "This does not mean low risk." in card["summary"]
    assert (row["status"], row["reason"]) == ("unreadable", "flag_not_found")


async def test_what_is_measured_less_well_in_a_group_is_said_and_recorded(tmp_path: Path) -> None:
    (card,), row = await called(tmp_path, "black-35", {"risk": 12, "red": False})
    assert "doubtful_input:scores_too_low" in row["caveat_reasons"]
    assert row["inputs_doubtful"] == ["body mass index"]
    assert "Body mass index is measured less accurately in similar patients. Weigh again." in card["detail"]


PULSE = VENDOR[VENDOR.index("  pulse: {{label") : VENDOR.rindex("\n\n")]


@pytest.mark.parametrize(
    ("policy", "risk", "complete", "count"),
    [
        ("shown", 1, True, 1),
        ("if_incomplete", 1, True, 0),
        ("if_incomplete", 1, False, 1),
        ("if_incomplete", 12, True, 1),
    ],
)
async def test_a_quiet_band_is_not_quiet_where_an_input_was_missing(
    tmp_path: Path, policy: str, risk: float, complete: bool, count: int
) -> None:
    lines = VENDOR.replace(PULSE, "").replace(", pulse: 70", "") if complete else VENDOR
    answer = {"risk": risk, "red": False}
    cards, row = await called(tmp_path, "white-55", answer, policy, lines)
    assert (len(cards), row["status"], len(row["cards_returned"])) == (count, "answered", count)
    assert row["inputs_missing"] == ([] if complete else ["pulse"])


async def test_a_score_that_is_too_old_is_not_shown_and_its_time_is(tmp_path: Path) -> None:
    """Looked up: the vendor scored on its own schedule, and has nothing newer."""
    look_up = "method: GET, look_up: {patient: fhir-id, time: at, oldest: PT24H}"
    lines = VENDOR.replace('body: {{bmi: "{{bmi}}"}}', look_up.replace("{", "{{").replace("}", "}}"))
    lines = lines.replace("url: {url}", "url: {url}/{{patient}}")
    (card,), row = await called(tmp_path, "white-55", {"risk": 9, "at": "2026-06-01T09:59:00Z"}, lines=lines)
    assert "last score is from 09:59 UTC on 1 June 2026. This does not mean low risk." in card["summary"]
    assert "older than 24 hours" in card["detail"]
    assert (row["status"], row["score"], row["score_at"]) == ("stale", None, "2026-06-01T09:59:00.000Z")


async def test_a_chart_that_lacks_an_input_is_not_told_to_the_operator_as_the_vendors_failure(
    tmp_path: Path,
) -> None:
    lines = VENDOR.replace("  send_when_missing: {{bmi: 25, pulse: 70}}\n", "").replace(
        "if_missing: counted_as_normal", "if_missing: required"
    )
    async with fakes.running(fakes.answers({}, status=412), strict=False) as vendor:
        async with wrapper(tmp_path, hooks_of(tmp_path, vendor.url, "shown", lines)) as running:
            (card,) = (await running.call(request_of("white-55"))).json()["cards"]
        told = {event["event"] for event in running.events()}
        assert vendor.asked == []
    assert "pulse" in card["summary"]
    assert "invocation_completed" in told and "vendor_failed" not in told
