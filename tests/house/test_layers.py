"""The floors of the house: every import goes down, and every module stands on a floor.

The floors themselves are the contracts in pyproject.toml; `python3 run.py lint` prints what breaks them.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cds_wrapper"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS: dict[str, Any] = {
    contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
}

# Import name -> name on the package index, where they differ; or the package whose interface it belongs to.
OPTIONAL = "cds_wrapper/traces/otel.py"
# Programs of the benchmark, each a process of its own; commands that write or read Parquet.
PROGRAMS = ("cds_wrapper/bench/monitoring_data.py", "cds_wrapper/bench/monitoring_pandas.py")
PARQUET = (
    "cds_wrapper/ledger/outcome_parquet.py",
    "cds_wrapper/ledger/parquet.py",
    "cds_wrapper/ledger/parquet_erasure.py",
)
DISTRIBUTIONS = {
    "opentelemetry": "opentelemetry-sdk",
    "fhir": "fhir-resources",
    "ruamel": "ruamel-yaml",
    "markdown_it": "markdown-it-py",
    "pydantic_core": "pydantic",
    "markupsafe": "jinja2",
    "antlr4": "fhirpathpy",
    "lark": "ucumvert",
    "ibis": "ibis-framework",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "pint": "ucumvert",
}


def lint_imports(folder: Path) -> tuple[bool, str]:
    """Run import-linter on the checkout in `folder`."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    result = subprocess.run(
        [sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    return result.returncode == 0, result.stdout + result.stderr


def floors() -> list[set[str]]:
    """The modules of each floor, from the top, without the parentheses of those that may be missing."""
    return [set(re.findall(r"[\w.]+", layer)) for layer in CONTRACTS["layers"]["layers"]]


def modules() -> dict[str, Path]:
    """Every module with code in it, by its dotted name."""
    files = [path for path in PACKAGE.rglob("*.py") if path.read_text(encoding="utf-8").strip()]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files
    }


def test_every_import_goes_down() -> None:
    kept, output = lint_imports(ROOT)

    assert kept, output


BREAKING = {
    "Floors: every import goes down": "cds_wrapper.errors -> cds_wrapper.app",
    "Only outbound speaks HTTP": "cds_wrapper.routes -> httpx",
    "Only services reads YAML": "cds_wrapper.caveats.plan -> ruamel",
    "Only the ledger opens a database": "cds_wrapper.routes -> sqlite3",
    "The serving process loads no analysis library": "cds_wrapper.caveats.local -> pandas",
    "Formulas are pure": "cds_wrapper.monitoring.formulas.figure -> time",
    "What decides is pure": "cds_wrapper.caveats.policy -> time",
    "No circles inside a room": "cds_wrapper.patient.attributes -> cds_wrapper.patient.reading",
}


def test_an_import_that_breaks_a_floor_is_found(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "cds_wrapper", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for breaks in BREAKING.values():
        importer, imported = breaks.split(" -> ")
        with (tmp_path / (importer.replace(".", "/") + ".py")).open("a", encoding="utf-8") as file:
            file.write(f"\nimport {imported}\n")

    kept, output = lint_imports(tmp_path)

    assert not kept
    assert len(BREAKING) == len(CONTRACTS)
    # Each broken contract once more with why, under its name and a rule.
    _, *told = re.split(r"^(\w.*)\n-{10,}$", output.partition("Broken contracts")[2], flags=re.MULTILINE)
    whys = dict(zip(told[::2], told[1::2], strict=True))
    for contract, breaks in BREAKING.items():
        assert re.search(rf"^{re.escape(contract)}.*BROKEN", output, re.MULTILINE), output
        (why,) = (text for name, text in whys.items() if name.startswith(contract))
        # Of a circle the names within the room alone are told.
        within = re.sub(r"cds_wrapper\.patient(?=\.)", "", breaks)
        assert breaks in why or within in why, why


def test_every_module_stands_on_a_floor() -> None:
    placed = set().union(*floors())

    homeless = [
        name
        for name in modules()
        if name != "cds_wrapper"
        and not any(name == place or name.startswith(f"{place}.") for place in placed)
    ]

    assert homeless == [], "Give these a floor in pyproject.toml, or put their lines where they belong"


def test_no_module_stands_on_two_floors() -> None:
    names = [name for floor in floors() for name in floor]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("room", ["ehr", "patient", "vendors", "caveats", "ledger"])
def test_a_room_of_the_corridor_is_entered_by_its_modules_only(room: str) -> None:
    """An `__init__` that imports would load the whole room with any of its modules."""
    source = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")

    assert [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)
    ] == []


def test_every_import_is_a_declared_dependency() -> None:
    allowed = declared(PYPROJECT["project"]["dependencies"])

    of_analysis = declared(PYPROJECT["project"]["optional-dependencies"]["monitor"])
    wing = PACKAGE / "monitoring"
    assert undeclared(wing, allowed | of_analysis) == set()
    outside = {
        line for line in undeclared(PACKAGE, allowed) if not line.startswith(f"{wing.relative_to(ROOT)}/")
    }
    assert outside == {
        f"{OPTIONAL} imports opentelemetry",
        *(f"{program} imports numpy" for program in PROGRAMS),
        f"{PROGRAMS[0]} imports pyarrow",
        f"{PROGRAMS[1]} imports pandas",
        f"{PROGRAMS[1]} imports sklearn",
        *(f"{file} imports pyarrow" for file in PARQUET),
    }


@pytest.mark.parametrize("file", [OPTIONAL, *PROGRAMS])
def test_what_imports_an_extra_is_imported_by_nobody_and_loaded_when_it_is_wanted(file: str) -> None:
    named = Path(file).with_suffix("").as_posix().replace("/", ".")

    importing = [
        path
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == named)
        or (isinstance(node, ast.Import) and named in [alias.name for alias in node.names])
    ]

    assert importing == []


def test_every_import_of_a_test_is_a_declared_dependency() -> None:
    extras = [line for lines in PYPROJECT["project"]["optional-dependencies"].values() for line in lines]
    brought_by_pytest, ours = {"packaging"}, {"tests", "docker"}
    allowed = declared([*PYPROJECT["project"]["dependencies"], *extras]) | brought_by_pytest | ours

    assert undeclared(ROOT / "tests", allowed) == set()


def test_fhir_models_are_those_of_r4b() -> None:
    """The default import is FHIR R5, which refuses nearly half of real US Core resources."""
    sources = {
        path: path.read_text(encoding="utf-8")
        for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("tests/**/*.py")]
    }

    others = [
        path.relative_to(ROOT).as_posix()
        for path, source in sources.items()
        if re.search(r"^\s*(from|import) fhir\.resources(?!\.R4B\b)", source, re.MULTILINE)
    ]

    assert others == []


def test_the_serving_process_loads_no_analysis_library() -> None:
    """By running it: one could also come in through another library, which the contract does not see."""
    unwanted = CONTRACTS["no-analysis"]["forbidden_modules"]
    code = f"import sys, cds_wrapper.app; print(sorted(set({unwanted!r}) & set(sys.modules)))"

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.stdout.strip() == "[]", result.stderr


def declared(requirements: list[str]) -> set[str]:
    """The names of requirements, in the form package indexes use."""
    return {re.split(r"[\[<>=!~; ]", line)[0].lower().replace(".", "-") for line in requirements}


def undeclared(folder: Path, allowed: set[str]) -> set[str]:
    """Which files of a folder import what is not in `allowed`."""
    return {
        f"{path.relative_to(ROOT)} imports {top}"
        for path in folder.rglob("*.py")
        for top in imported_packages(path)
        if top != "cds_wrapper" and DISTRIBUTIONS.get(top, top).replace("_", "-") not in allowed
    }


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports, the standard library's left out."""
    tops: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            tops.add(node.module.split(".")[0])
    return tops - sys.stdlib_module_names
