"""From the EHR's call to the record: payer, disability, interpreter, place and encounter key, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.commands.replay import replay
from cds_wrapper.ledger.store import LedgerReader
from tests import fakes
from tests.service.harness import Wrapper, copy_hooks, request_of, wrapper
from tests.unit.patient.neighbours import ACT_CODE, NO, answers, at, coverage, encounter, wants_interpreter

COLLECTED = """  payer: {core: false, monitor: true, display: never}
  disability: {core: false, monitor: true, display: never}
"""
PLACES = """encounter:
  sites: {"Organization/north": north}
  units: {"Location/6w": 6W}
"""
MRN, VISIT = "urn:oid:1.2.3.4", "urn:example:visit"


def collecting(folder: Path, vendor_url: str) -> Path:
    """The shipped service at a site that collects what stands beside the Patient."""
    hooks = copy_hooks(folder, vendor_url, **{"encounter: []": f'encounter: ["{VISIT}"]'})
    subgroups = hooks / "cvd-risk" / "subgroups.yaml"
    text = subgroups.read_text().replace("crossings:", f"{COLLECTED}crossings:", 1)
    text = text.replace(
        "interpreter_needed:\n", "interpreter_needed:\n    sources: [encounter, patient]\n", 1
    )
    subgroups.write_text(text + PLACES)
    return hooks


def of(patient_id: str, *resources: dict[str, Any]) -> dict[str, Any]:
    """A search answer about one patient."""
    for resource in resources:
        member = "beneficiary" if resource["resourceType"] == "Coverage" else "subject"
        resource[member] = {"reference": f"Patient/{patient_id}"}
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def full_call() -> dict[str, Any]:
    """A call with everything the wrapper asks for."""
    body = request_of("white-55")
    patient_id = body["context"]["patientId"]
    body["context"]["encounterId"] = "e1"
    came = encounter(
        class_={"system": ACT_CODE, "code": "IMP"},
        subject={"reference": f"Patient/{patient_id}"},
        identifier=[{"system": VISIT, "value": "V-1"}],
        serviceProvider={"reference": "Organization/north"},
        location=at("Location/6w", status="active"),
        extension=[wants_interpreter("373066001")],
    )
    body["prefetch"]["wrapper-coverage"] = of(patient_id, coverage("12"), coverage("211"))
    body["prefetch"]["wrapper-disability"] = of(patient_id, *answers(*[NO] * 6))
    body["prefetch"]["wrapper-encounter"] = came
    return body


async def called(folder: Path, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was recorded and what the vendor was asked, for one call."""
    async with (
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
        wrapper(folder, collecting(folder, vendor.url)) as running,
    ):
        assert (await running.call(body)).status_code == 200
        (row,) = running.rows()
    return row, vendor.asked[0]


async def listed(running: Wrapper) -> dict[str, str]:
    (service,) = (await running.http.get("/cds-services")).json()["services"]
    prefetch: dict[str, str] = service["prefetch"]
    return prefetch


async def test_discovery_lists_the_vendors_keys_and_then_ours(tmp_path: Path) -> None:
    hooks = collecting(tmp_path, "http://127.0.0.1:9/cds-services/prevent")
    async with wrapper(tmp_path, hooks) as running:
        prefetch = await listed(running)
    assert list(prefetch)[-3:] == ["wrapper-coverage", "wrapper-disability", "wrapper-encounter"]
    assert prefetch["wrapper-encounter"] == "Encounter/{{context.encounterId}}"


async def test_all_of_it_is_recorded(tmp_path: Path) -> None:
    row, _ = await called(tmp_path, full_call())
    names = ("payer", "disability", "interpreter_needed", "site", "unit", "care_setting")
    assert [row[name] for name in names] == ["dual", "all_no", "yes", "north", "6W", "inpatient"]
    assert row["encounter_key"] and row["encounter_key_source"] == VISIT
    assert row["encounter_key"] != row["encounter_fhir_key"]
    assert {"payer=dual", "disability=all_no"} <= set(json.loads(row["subgroups"]))


async def test_none_of_it_reaches_the_vendor_and_none_of_it_counts_as_its_input(tmp_path: Path) -> None:
    body = full_call()
    row, asked = await called(tmp_path, body)
    assert set(asked["prefetch"]) == set(request_of("white-55")["prefetch"])
    inputs = json.loads(row["inputs"])
    states = {key: one["state"] for key, one in inputs.items() if key != "features"}
    assert states["wrapper-coverage"] == "present", "what became of our keys is on record all the same"
    vendors = [state for key, state in states.items() if not key.startswith("wrapper-")]
    assert row["inputs_used"] == vendors.count("present") > 0


async def test_the_groups_can_be_looked_up_and_the_card_explained(tmp_path: Path) -> None:
    async with (
        fakes.running(fakes.answers(fakes.card_answer())) as vendor,
        wrapper(tmp_path, collecting(tmp_path, vendor.url)) as running,
    ):
        await running.call(full_call())
        groups = running.rows("prediction_subgroups_v1")
    levels = {row["attribute"]: row["level"] for row in groups if row["view"] == "exclusive"}
    assert (levels["payer"], levels["disability"]) == ("dual", "all_no")
    reader = LedgerReader(tmp_path / "ledger.db")
    (row,) = reader.recent(1)
    assert replay(row, reader.kept_file).mismatches == ()


@pytest.mark.parametrize(
    ("key", "value", "levels"),
    [
        ("wrapper-coverage", None, {"payer": "missing:absent"}),
        ("wrapper-coverage", {"resourceType": "Bundle", "total": 0}, {"payer": "missing:absent"}),
        ("wrapper-coverage", of("somebody-else", coverage("12")), {"payer": "missing:fetch_failed"}),
        (
            "wrapper-disability",
            {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]},
            {"disability": "missing:fetch_failed"},
        ),
        (
            "wrapper-encounter",
            {"resourceType": "Encounter", "id": "e2"},
            {"site": None, "encounter_key": None},
        ),
        ("wrapper-encounter", None, {"unit": None, "care_setting": None}),
    ],
)
async def test_what_is_missing_is_missing_for_a_reason(
    key: str, value: object, levels: dict[str, object], tmp_path: Path
) -> None:
    body = full_call()
    body["prefetch"][key] = value
    row, _ = await called(tmp_path, body)
    assert {name: row[name] for name in levels} == levels
    assert row["status"] == "answered"


async def test_a_call_without_any_of_it_is_answered_and_says_that_nothing_came(tmp_path: Path) -> None:
    row, _ = await called(tmp_path, request_of("white-55"))
    assert (row["payer"], row["disability"]) == ("missing:not_fetched", "missing:not_fetched")
    assert (row["site"], row["unit"], row["care_setting"], row["encounter_key"]) == (None,) * 4


async def test_a_policy_that_a_parent_holds_counts(tmp_path: Path) -> None:
    body = full_call()
    mother = {"reference": "Patient/the-mother"}
    held = coverage("211", policyHolder=mother, payor=[mother])
    body["prefetch"]["wrapper-coverage"] = of(body["context"]["patientId"], held)
    row, _ = await called(tmp_path, body)
    assert row["payer"] == "medicaid"


async def test_no_name_of_an_unlisted_place_is_kept_anywhere(tmp_path: Path) -> None:
    body = full_call()
    came = body["prefetch"]["wrapper-encounter"]
    came["location"] = [{"location": {"reference": "Location/zz9", "display": "Home of Mr Zzyzxson"}}]
    came["serviceProvider"] = {"reference": "Organization/zz9", "display": "Practice of Dr Zzyzxson"}
    row, asked = await called(tmp_path, body)
    assert (row["site"], row["unit"], row["care_setting"]) == (None, None, "inpatient")
    assert "zz9" not in json.dumps(row) and "Zzyzxson" not in json.dumps([row, asked])
