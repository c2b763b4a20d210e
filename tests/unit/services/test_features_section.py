"""What `check` says of a wrong input: its line, what is wrong, and the nearest right spelling."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cds_wrapper.services import load_problems, load_services
from cds_wrapper.vendors.feature_map import FeatureMap
from tests.unit.services.files import CVD_RISK

RIGHT = """
features:
  systolic:
    label: systolic blood pressure
    prefetch: blood_pressure
    codes: ["http://loinc.org|8480-6"]
    unit: "mm[Hg]"
    range: [30, 300]
    within: P30D
    if_missing: required
  age:
    label: age
    prefetch: patient
    type: Patient
    path: birthDate
    kind: elapsed
    unit: a
    if_missing: required
  diabetes:
    label: diabetes
    prefetch: conditions
    type: Condition
    codes: ["http://snomed.info/sct|44054006", "http://hl7.org/fhir/sid/icd-10-cm|E11*"]
    kind: presence
    not_listed: no
    if_missing: omitted
"""


def hooks_with(folder: Path, features: str) -> Path:
    shutil.copytree(CVD_RISK, folder / "cvd-risk", dirs_exist_ok=True)
    file = folder / "cvd-risk" / "service.yaml"
    shipped = CVD_RISK.joinpath("service.yaml").read_text()
    before, _, rest = shipped.partition("\nfeatures:\n")
    file.write_text(before + "\n" + rest[rest.index("\n# Cut points") :] + features)
    return folder


def test_inputs_that_are_declared_rightly_become_a_map(tmp_path: Path) -> None:
    (service,) = load_services(hooks_with(tmp_path, RIGHT))
    assert isinstance(service.features, FeatureMap)
    assert [rule.name for rule in service.features.rules] == ["systolic", "age", "diabetes"]


@pytest.mark.parametrize(
    ("old", "new", "at", "says", "suggestion"),
    [
        ("within: P30D", "within: P1000000D", "within", "looks back further than anybody's life", None),
        ("within: P30D", "within: P99999999999999W", "within", "looks back further", None),
        ("path: birthDate", "path: birthDat", "path", "which `Patient` has not in FHIR R4", "birthDate"),
        ("path: birthDate", "path: birthDate.", "path", "is no FHIRPath", None),
        ("path: birthDate", "path: gender", "path", "no date", None),
        ("path: birthDate", "path: today()", "path", "computed again", "%asof"),
        ('"mm[Hg]"', '"mmHg"', "unit", "no UCUM unit", "mm[Hg]"),
        ('"mm[Hg]"', '"Cel"', "unit", "is no unit of http://loinc.org|8480-6", "mm[Hg]"),
        ('unit: "mm[Hg]"', "keep_value: false", "systolic", "a value in another unit would pass", None),
        ("range: [30, 300]", "range: [300, 30]", "range", "lowest to the highest", None),
        ("blood_pressure", "blood_presure", "prefetch", "no key of `prefetch`", "blood_pressure"),
        ("prefetch: blood_pressure", "prefetch: conditions", "prefetch", "which asks for Condition", None),
        ("prefetch: patient", "context: patientid", "context", "no field of the hook's context", "patientId"),
        ("http://loinc.org|8480-6", "8480-6", "8480-6", "needs its system", None),
        (
            'codes: ["http://loinc.org|8480-6"]',
            "keep_value: false",
            "systolic",
            "any Observation at all",
            None,
        ),
        ("if_missing: required", "if_missing: requird", "if_missing", "must be one of", "required"),
        ("within: P30D", "within: 30 days", "within", "no length of time", None),
        ("kind: elapsed", "kind: elapsed\n    within: P30D", "within", "has no date of its own", None),
        ("type: Condition", "type: Conditoin", "type", "no resource of FHIR R4", "Condition"),
        ("type: Patient", "type: Patiant", "type", "no resource of FHIR R4", "Patient"),
        ("kind: presence", "kind: count", "diabetes", "not_listed", None),
        ("label: systolic blood pressure", "label: a b c d e f", "label", "more than 5 words", None),
        ("unit: a", "unit: years", "age", "a `unit` of time", None),
    ],
)
def test_a_wrong_input_is_found_in_its_line(
    tmp_path: Path, old: str, new: str, at: str, says: str, suggestion: str | None
) -> None:
    assert old in RIGHT
    hooks = hooks_with(tmp_path, RIGHT.replace(old, new, 1))
    lines = (hooks / "cvd-risk" / "service.yaml").read_text().splitlines()
    found = [
        (mistake.problem, mistake.suggestion)
        for mistake in load_problems(hooks)
        if mistake.line and at in lines[mistake.line - 1]
    ]
    assert any(says in problem and suggestion == near for problem, near in found), found


@pytest.mark.parametrize(
    ("written", "also", "meant"),
    [
        ("umoll", "", "umol/L"),
        ("umoll", "molar_mass: 113.12", "umol/L"),
        ("umo", "molar_mass: 113.12", "umol/L"),
        ("umo", "", "umol"),
        ("umo/L", "", "umol/L"),
        ("\u00b5mol/L", "", "umol/L"),
        ("\u03bcmol/L", "", "umol/L"),
        ("micromol/L", "molar_mass: 113.12", "umol/L"),
        ("mgdl", "", "mg/dL"),
        ("Ul", "", "U/L"),
    ],
)
def test_the_unit_offered_for_a_misspelt_one_keeps_its_slash_and_its_size(
    tmp_path: Path, written: str, also: str, meant: str
) -> None:
    declared = RIGHT.replace("8480-6", "2160-0").replace(
        'unit: "mm[Hg]"', f'unit: "{written}"\n    {also}', 1
    )
    (mistake,) = load_problems(hooks_with(tmp_path, declared))
    assert "no UCUM unit" in mistake.problem and mistake.suggestion == meant


def loaded_for(hooks: Path) -> str:
    """Which of the libraries a process has in it that has read these services, as one that serves does."""
    code = (
        "import sys, cds_wrapper.app\n"
        "from pathlib import Path\n"
        "from cds_wrapper.services import load_services\n"
        f"load_services(Path({str(hooks)!r}))\n"
        "print(sorted({'fhirpathpy', 'antlr4', 'pint', 'ucumvert', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip() or result.stderr


def test_a_library_is_loaded_only_where_a_service_needs_it(tmp_path: Path) -> None:
    shutil.copytree(CVD_RISK, tmp_path / "none" / "cvd-risk")
    assert loaded_for(tmp_path / "none") == "[]"
    assert loaded_for(CVD_RISK.parent) == "['antlr4', 'fhirpathpy']"
    rare = RIGHT.replace('unit: "mm[Hg]"', 'unit: "mm[Hg]"\n    other_units: {odd: "dPa"}')
    assert "'ucumvert'" in loaded_for(hooks_with(tmp_path / "rare", rare))


def test_a_prefetch_key_may_not_have_the_name_of_the_inputs_in_the_record(tmp_path: Path) -> None:
    hooks = hooks_with(tmp_path, RIGHT)
    file = hooks / "cvd-risk" / "service.yaml"
    file.write_text(file.read_text().replace("  bmi:", "  features:", 1))
    assert ["call this key otherwise" in mistake.problem for mistake in load_problems(hooks)] == [True]


@pytest.mark.parametrize(
    ("protocol", "section", "near"),
    [
        (
            "open-inference",
            "inference: {model: m, output: o, inputs: [{name: x, features: [systolc]}]}",
            "systolic",
        ),
        ("mlflow", "mlflow: {inputs: {x: systolc}}", "systolic"),
        ("rest", 'rest: {body: {patient_data: [{sbp: "{systolc}"}]}}', "systolic"),
        ("rest", "rest: {}\n  send_when_missing: {systolc: 120}", "systolic"),
    ],
)
def test_what_a_vendor_is_sent_must_be_declared(
    tmp_path: Path, protocol: str, section: str, near: str
) -> None:
    hooks = hooks_with(tmp_path, RIGHT)
    file = hooks / "cvd-risk" / "service.yaml"
    text = file.read_text().replace("protocol: cds-hooks", f"protocol: {protocol}\n  {section}", 1)
    file.write_text(text)
    found = [one.suggestion for one in load_problems(hooks) if "no input under `features`" in one.problem]
    assert found == [near]
