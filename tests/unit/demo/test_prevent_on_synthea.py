"""PREVENT over a public synthetic data set: how many patients could be scored, and why the others not."""

import sys
from pathlib import Path

import pytest

from cds_wrapper.demo.inpatients import INPATIENT_CASES
from cds_wrapper.demo.population import FIXTURE_DAY, SIZE, populate
from cds_wrapper.demo.survey import load_folder, main, survey

CLINICAL = Path(__file__).parents[3] / "../shared/data/synthea/clinical"


@pytest.mark.skipif(not CLINICAL.exists(), reason="the shared Synthea sample is not beside this checkout")
def test_the_synthea_sample_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = survey(load_folder(CLINICAL))
    with capsys.disabled():
        sys.stdout.write(f"\n{found.table()}\n")
    assert found.patients == 140
    assert found.now.date().isoformat() == "2021-03-31"
    assert found.scored == 33
    assert found.reasons["died before"] == 25
    assert found.reasons["HDL cholesterol missing"] == 41
    assert dict(found.egfr_codes) == {"33914-3": 17, "38483-4": 16}


def test_every_patient_is_scored_or_has_a_reason() -> None:
    found = survey(populate(FIXTURE_DAY).resources)
    assert found.patients == SIZE + len(INPATIENT_CASES)
    assert found.scored < found.patients
    assert sum(found.reasons.values()) >= found.patients - found.scored
    assert sum(found.egfr_codes.values()) == found.scored


def test_now_is_taken_from_the_data() -> None:
    assert survey(populate(FIXTURE_DAY).resources).now.date().isoformat() == FIXTURE_DAY.isoformat()


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixtures = Path(__file__).parents[3] / "fixtures" / "population.ndjson"
    for kind in ("Patient", "Observation", "Condition", "MedicationRequest"):
        marker = f'{{"resourceType":"{kind}"'
        lines = [line for line in fixtures.read_text().splitlines() if line.startswith(marker)]
        (tmp_path / f"{kind}.ndjson").write_text("\n".join(lines) + "\n")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip("\n") == survey(populate(FIXTURE_DAY).resources).table()


def test_a_folder_without_observations_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "nothing can be scored" in capsys.readouterr().err
