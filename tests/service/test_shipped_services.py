"""The two score-only services as shipped: real demonstration vendor, real ledger, patient by patient."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from cds_wrapper.demo.vendor import create_vendor
from tests.service.harness import NOON, Wrapper, copy_every_service, request_of, wrapper

NEWS2_INPUTS = ("respirations", "saturation", "on_oxygen", "systolic", "pulse", "alert", "temperature")
HOOK_SERVICE = {"encounter-start": "deterioration", "encounter-discharge": "readmission"}


@contextlib.asynccontextmanager
async def demo_vendor() -> AsyncIterator[str]:
    """The demonstration vendor on a free port of loopback, as of noon."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    app = create_vendor(lambda: NOON, allow_faults=True)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([door]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        door.close()


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Wrapper, str]]:
    async with demo_vendor() as vendor:
        hooks = copy_every_service(folder, f"{vendor}/")
        async with wrapper(folder, hooks) as one:
            yield one, vendor


async def ask(one: Wrapper, patient: str, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one card that came back, and the row that was written before."""
    body = request_of(patient) | changes
    answer = await one.call(body, HOOK_SERVICE[body["hook"]])
    assert answer.status_code == 200
    (card,) = answer.json()["cards"]
    return card, one.rows()[-1]


# patient, score, band, indicator, level, texts on the card, short form
ADMITTED: list[tuple[str, float, str, str, str, list[str], str]] = [
    ("ward-low-67", 0, "low", "info", "limited", ["N2"], ""),
    ("ward-high-80", 16, "high", "critical", "limited", ["N2"], ""),
    (
        "ward-oximetry-62",
        6,
        "medium",
        "warning",
        "limited",
        ["D1"],
        "true risk may be higher for this patient",
    ),
    ("ward-same-62", 6, "medium", "warning", "limited", ["N2"], ""),
    (
        "ward-no-alertness-71",
        5,
        "medium",
        "warning",
        "limited",
        ["M2"],
        "true score may be higher: no level of consciousness",
    ),
    ("ward-no-oxygen-58", 1, "low", "info", "limited", ["M2"], "true score may be higher: no inhaled oxygen"),
    ("ward-other-units-54", 6, "medium", "warning", "limited", ["N2"], ""),
    (
        "ward-old-values-76",
        0,
        "low",
        "info",
        "limited",
        ["M2"],
        "true score may be higher: no respiratory rate, 2 more",
    ),
    ("ward-one-three-45", 3, "low-medium", "warning", "limited", ["N2"], ""),
    ("ward-young-15", 6, "medium", "warning", "reduced", ["S1"], "outside the developer's intended use"),
]


@pytest.mark.parametrize(
    ("patient", "score", "band", "indicator", "level", "texts", "short"), ADMITTED, ids=str
)
async def test_a_patient_who_is_admitted(
    tmp_path: Path,
    patient: str,
    score: float,
    band: str,
    indicator: str,
    level: str,
    texts: list[str],
    short: str,
) -> None:
    async with running(tmp_path) as (one, _):
        card, row = await ask(one, patient)
    said = {"low": "low", "low-medium": "low to medium", "medium": "medium", "high": "high"}[band]
    assert card["summary"] == f"NEWS2 {score:g} of 20 ({said})" + (f" – {short}" if short else "")
    assert card["indicator"] == indicator
    assert (row["score"], row["score_kind"], row["band"]) == (score, "index", band)
    assert (row["status"], row["caveat_level"], json.loads(row["wording_ids"])) == ("answered", level, texts)
    assert (row["model_id"], row["model_version"]) == ("news2", "2017")
    assert row["flagged"] == (score >= 5)


async def test_what_is_missing_is_named_and_said_to_count_as_normal(tmp_path: Path) -> None:
    async with running(tmp_path) as (one, _):
        card, _ = await ask(one, "ward-old-values-76")
    assert "respiratory rate, systolic blood pressure, temperature" in card["detail"]
    assert "counted as normal" in card["detail"].lower()


async def test_the_record_says_of_every_observation_where_it_came_from_or_why_not(tmp_path: Path) -> None:
    async with running(tmp_path) as (one, _):
        _, row = await ask(one, "ward-old-values-76")
        _, other = await ask(one, "ward-no-oxygen-58")
    features = json.loads(row["inputs"])["features"]
    assert set(features) == set(NEWS2_INPUTS)
    assert {name for name, found in features.items() if found.get("missing") == "too_old"} == {
        "respirations", "systolic", "temperature",
    }  # fmt: skip
    assert features["pulse"]["code"] == "http://loinc.org|8867-4"
    assert features["pulse"]["age_s"] == 40 * 60
    assert {found["source"] for found in features.values()} == {"prefetch"}
    assert json.loads(row["inputs_missing"]) == [
        "respiratory rate", "systolic blood pressure", "temperature",
    ]  # fmt: skip
    assert row["inputs_used"] == 4
    assert json.loads(other["inputs"])["features"]["on_oxygen"]["missing"] == "not_recorded"
    for value in (128, 97, 36.9):
        assert str(value) not in row["inputs"], "the record keeps no value of an input"


async def test_oximetry_is_doubted_for_the_group_it_is_measured_less_well_in_and_names_nobody(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (one, _):
        doubted, row = await ask(one, "ward-oximetry-62")
        same, other = await ask(one, "ward-same-62")
    assert "Readings may be too high: confirm with a blood gas." in doubted["detail"]
    assert "doubtful_input:scores_too_low" in json.loads(row["caveat_reasons"])
    assert "doubtful_input:scores_too_low" not in json.loads(other["caveat_reasons"])
    assert row["score"] == other["score"]
    assert "blood gas" not in same["detail"]
    assert not [word for word in ("black", "race", "white") if word in json.dumps(doubted["detail"]).lower()]


async def test_one_observation_of_three_points_is_said_and_lifts_the_band(tmp_path: Path) -> None:
    async with running(tmp_path) as (one, _):
        card, _ = await ask(one, "ward-one-three-45")
        calm, _ = await ask(one, "ward-low-67")
    assert "One observation alone scores 3." in card["detail"]
    assert "alone scores" not in calm["detail"]


async def test_with_nothing_recorded_there_is_no_score_and_no_all_clear(tmp_path: Path) -> None:
    async with running(tmp_path) as (one, _):
        card, row = await ask(one, "ward-nothing-66")
    assert card["summary"].endswith("This does not mean low risk.")
    assert "not calculated" in card["summary"]
    assert (row["status"], row["score"], row["band"]) == ("missing_input", None, None)


# patient, probability, band, indicator, level, texts, short form
DISCHARGED: list[tuple[str, float, str, str, str, list[str], str]] = [
    ("home-first-59", 0.060058, "lower", "info", "limited", ["T2"], ""),
    ("back-again-66", 0.344433, "higher", "warning", "limited", ["T2"], ""),
    (
        "no-destination-72",
        0.102643,
        "middle",
        "info",
        "limited",
        ["M2"],
        "true score may be higher: no discharge destination",
    ),
    (
        "native-discharge-59",
        0.103707,
        "middle",
        "info",
        "not_validated",
        ["N1"],
        "no results for similar patients",
    ),
    ("no-race-discharge-63", 0.070817, "lower", "info", "not_assessed", ["K1"], ""),
]


@pytest.mark.parametrize(
    ("patient", "score", "band", "indicator", "level", "texts", "short"), DISCHARGED, ids=str
)
async def test_a_patient_who_is_discharged(
    tmp_path: Path,
    patient: str,
    score: float,
    band: str,
    indicator: str,
    level: str,
    texts: list[str],
    short: str,
) -> None:
    async with running(tmp_path) as (one, _):
        card, row = await ask(one, patient)
    said = {"lower": "lower than average", "middle": "about average", "higher": "higher than average"}[band]
    in_summary = f"30-day readmission risk {score * 100:.0f} % ({said})"
    assert card["summary"] == in_summary + (f" – {short}" if short else "")
    assert card["indicator"] == indicator
    assert row["score"] == pytest.approx(score, abs=5e-7)
    assert (row["score_kind"], row["band"], row["flagged"]) == ("probability", band, score >= 0.15)
    assert (row["status"], row["caveat_level"], json.loads(row["wording_ids"])) == ("answered", level, texts)
    assert (row["model_id"], row["model_version_source"]) == ("readmission-diabetes", "configuration")


async def test_stays_that_could_not_be_counted_are_no_stays_at_all(tmp_path: Path) -> None:
    """Without the list of earlier stays there is no number of them: not known is never none."""
    body = request_of("back-again-66")
    prefetch = {key: value for key, value in body["prefetch"].items() if key != "stays"}
    cut = {
        **body["prefetch"],
        "stays": {**body["prefetch"]["stays"], "link": [{"relation": "next", "url": "x"}]},
    }
    async with running(tmp_path) as (one, _):
        absent, first = await ask(one, "back-again-66", prefetch=prefetch)
        _, second = await ask(one, "back-again-66", prefetch=cut)
    assert (first["status"], second["status"]) == ("missing_input", "missing_input")
    assert "earlier hospital stays missing. This does not mean low risk." in absent["summary"]


@pytest.mark.parametrize("patient", ["ward-low-67", "home-first-59"])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("error", "failed"),
        ("html", "unreadable"),
        ("truncated", "unreadable"),
        ("no_cards", "unreadable"),
        ("out_of_range", "unreadable"),
        ("disconnect", "unreadable"),
    ],
)
async def test_a_vendor_that_fails_gives_a_truthful_card(
    tmp_path: Path, patient: str, fault: str, status: str
) -> None:
    async with running(tmp_path) as (one, vendor):
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{vendor}/demo/fault", json={"mode": fault})).status_code == 200
        card, row = await ask(one, patient)
    assert card["summary"].endswith("no result right now. This does not mean low risk.")
    assert card["indicator"] == "info"
    assert (row["status"], row["score"]) == (status, None)


@pytest.mark.parametrize("patient", ["ward-low-67", "home-first-59"])
async def test_a_vendor_that_is_down_gives_a_truthful_card(tmp_path: Path, patient: str) -> None:
    async with demo_vendor() as vendor:
        hooks = copy_every_service(tmp_path, f"{vendor}/")
    async with wrapper(tmp_path, hooks) as one:
        card, row = await ask(one, patient)
    assert card["summary"].endswith("no result right now. This does not mean low risk.")
    assert row["status"] == "unreachable"
