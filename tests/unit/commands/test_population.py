"""`try --population`: patients out of files of any form, searched as templates ask, never named."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_wrapper.commands.population import look
from cds_wrapper.commands.population_files import Population, read_population
from cds_wrapper.commands.population_search import answer
from cds_wrapper.commands.table import build
from cds_wrapper.services import ServiceDefinition, load_services
from tests.unit.services.files import CVD_RISK

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data"
PLACES = ("real/mimic_iv_demo_fhir_dev.ndjson.gz", "synthea/clinical", "synthea/population", "us-core")
RACE_FREE, RACE_ADJUSTED = "98979-8", "48643-1"


def patient(name: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "name": [{"family": "Quetzalcoatl"}]}


def kidney(about: str, code: str = RACE_FREE, at: str = "2026-05-01", value: float = 80) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{about}-{at}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": about},
        "effectiveDateTime": at,
        "valueQuantity": {"value": value, "unit": "mL/min/{1.73_m2}", "code": "mL/min/{1.73_m2}"},
    }


@pytest.fixture
def service() -> ServiceDefinition:
    (found,) = load_services(CVD_RISK.parent).of("cvd-risk")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three patients: in lines, in a Bundle with names of its own, in a zipped file; and what is no JSON."""
    lines = [patient("a"), kidney("Patient/a"), kidney("Patient/a", RACE_ADJUSTED, "2026-06-01")]
    (tmp_path / "some.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": patient("b")},
        {"fullUrl": "urn:uuid:2", "resource": kidney("urn:uuid:1", value=900)},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(json.dumps(patient("c")).encode()))
    (tmp_path / "README.md").write_text("about")
    return tmp_path


def test_patients_are_found_in_every_form_and_what_is_no_json_is_counted(folder: Path) -> None:
    people = read_population(folder)
    assert sorted(people.patients) == ["a", "b", "c"]
    assert [len(people.by_patient.get(name, {}).get("Observation", ())) for name in "abc"] == [2, 1, 0]
    assert people.unread == 1


def test_inputs_are_counted_with_what_is_missing_and_in_doubt(
    folder: Path, service: ServiceDefinition
) -> None:
    tally, _ = look(folder, service, None)
    assert (tally.patients, tally.scored, tally.complete, tally.empty) == (3, 3, 1, 2)
    assert dict(tally.lacks) == {("egfr", "out_of_range"): 1, ("egfr", "not_recorded"): 1}
    assert dict(tally.doubtful) == {"egfr": 1}


def test_what_lies_after_the_moment_that_is_looked_from_is_not_seen(
    folder: Path, service: ServiceDefinition
) -> None:
    tally, _ = look(folder, service, datetime(2026, 5, 15, tzinfo=UTC))
    assert dict(tally.doubtful) == {}
    assert tally.there["egfr"] == 1


def people_of(*resources: dict[str, Any]) -> Population:
    found: dict[str, dict[str, list[Any]]] = {"a": {}}
    for one in resources:
        found["a"].setdefault(one["resourceType"], []).append(one)
    return Population({"a": patient("a")}, found, 0)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Observation?patient=a", 2),
        ("Observation?patient=a&code=http://loinc.org|98979-8", 1),
        ("Observation?patient=a&code=98979-8,48643-1", 2),
        ("Observation?patient=a&status=final&date=ge2026-05-15", 1),
        ("Observation?patient=a&date=lt2026-05-15", 1),
        ("Observation?patient=a&_count=1", 1),
        ("Condition?patient=a&clinical-status=active", 1),
        ("Condition?patient=a&category=encounter-diagnosis", 0),
        ("Encounter?patient=a", 0),
        ("Patient?_id=a", 1),
    ],
)
def test_templates_are_searched_as_a_server_would(query: str, found: int) -> None:
    active = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    }
    people = people_of(
        kidney("Patient/a"),
        kidney("Patient/a", RACE_ADJUSTED, "2026-06-01"),
        {"resourceType": "Condition", "clinicalStatus": active, "subject": {"reference": "Patient/a"}},
    )
    came = answer(query, "a", people)
    assert came is not None
    assert len(came["entry"]) == found


def test_a_page_says_that_there_is_more_and_the_newest_come_first() -> None:
    people = people_of(kidney("Patient/a"), kidney("Patient/a", RACE_ADJUSTED, "2026-06-01"))
    came = answer("Observation?patient=a&_sort=-date&_count=1", "a", people)
    assert came is not None
    assert came["entry"][0]["resource"]["effectiveDateTime"] == "2026-06-01"
    assert came["link"]


def test_a_parameter_that_is_not_known_fails_the_search() -> None:
    assert answer("Observation?patient=a&value-quantity=gt5", "a", people_of(kidney("Patient/a"))) is None


def run(*arguments: str) -> Any:
    return CliRunner().invoke(
        build(["try", "check"]), ["try", *arguments], env={"CDS_WRAPPER_PROFILE": "development"}
    )


def test_the_command_prints_counts_and_nobodys_data(folder: Path) -> None:
    result = run("--population", str(folder), "--service", "cvd-risk", "--hooks", str(CVD_RISK.parent))
    assert result.exit_code == 0, result.output
    assert "The vendor reads FHIR itself, and says itself for whom there is no score." in result.output
    assert "Every input was there for 1, none at all for 2." in result.output
    assert "there 1; not_recorded 1, out_of_range 1; in doubt 1" in " ".join(result.output.split())
    assert "Quetzalcoatl" not in result.output


def test_it_is_said_for_whom_there_would_be_no_score_and_why(folder: Path) -> None:
    result = run("--population", str(folder), "--service", "readmission", "--hooks", str(CVD_RISK.parent))
    assert "0 could be scored, 3 could not." in result.output
    assert "not without length of stay: not_sent for 3" in result.output


def test_the_counts_can_be_read_by_a_script(folder: Path) -> None:
    result = run(
        "--population", str(folder), "--service", "cvd-risk", "--hooks", str(CVD_RISK.parent), "--json"
    )
    found = json.loads(result.output)
    assert (found["patients"], found["scored"], found["unread"]) == (3, None, 1)
    assert found["inputs"]["egfr"] == {
        "there": 1,
        "doubtful": 1,
        "missing": {"not_recorded": 1, "out_of_range": 1},
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--service", "cvd-risk"), "Name a file with a hook call, or `--population`"),
        (("--population", "nowhere", "--service", "cvd-risk"), "there is no such file or folder"),
        (("--population", ".", "--service", "cvd-rsk"), "Did you mean `cvd-risk`?"),
        (("--population", ".", "--service", "cvd-risk", "--at", "yesterday"), "yesterday"),
    ],
)
def test_what_cannot_be_looked_at_is_said(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments, "--hooks", str(CVD_RISK.parent))
    assert result.exit_code in {2, 3}
    assert says in " ".join(result.output.split())


@pytest.mark.skipif(not REAL.exists(), reason="the sample of real records is not beside the checkout")
@pytest.mark.parametrize("place", PLACES)
def test_real_records_go_through_every_shipped_map(place: str) -> None:
    for service in load_services(CVD_RISK.parent):
        if service.features is not None:
            tally, people = look(REAL / place, service, None)
            assert tally.patients == len(people.patients) > 0
            seen = sum(tally.there.values()) + sum(tally.lacks.values())
            assert seen == tally.patients * len(service.features.declared)
