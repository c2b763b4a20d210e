"""The tests behind the requirements bite: with a rule switched off in a copy of the tree, its test fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract import bites
from tests.contract.bites import ROOT, Bite, Ran, bite_of, copied_tree, imported_from, run, switched_off
from tests.contract.requirements import Level, requirements
from tests.contract.switched_off import OFF, Off

ROWS = {row.id: row for row in requirements()}
IDS = [f"{off.row} {off.rule}" for off in OFF]


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with copied_tree() as copied:
        yield copied


@pytest.mark.parametrize("off", OFF, ids=IDS)
def test_a_rule_is_a_binding_row_and_its_test_is_one_the_row_names(off: Off) -> None:
    row = ROWS[off.row]
    assert row.level in {Level.SHALL, Level.SHALL_NOT} and off.test in row.tests
    assert (ROOT / off.file).read_text().count(off.text) == 1, "say how it is switched off now"


@pytest.mark.slow
@pytest.mark.parametrize("off", OFF, ids=IDS)
def test_with_the_rule_switched_off_its_test_fails(off: Off, tree: Path) -> None:
    assert bite_of(tree, off) is Bite.BITES


# The tool itself --------------------------------------------------------------------------------------------

PASSES = "def test_passes() -> None:\n    assert RULE\n"


def small_tree(folder: Path, test: str) -> Path:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_x.py").write_text(test)
    (folder / "rule.py").write_text("RULE = True\n")
    return folder


SMALL = Off("X-1", "", "rule.py", "RULE = True", "RULE = False", "test_x.py::test_passes")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "instead", "bite"),
    [
        (f"from rule import RULE\n\n\n{PASSES}", "RULE = False", Bite.BITES),
        (f"RULE = True\n\n\n{PASSES}", "RULE = False", Bite.DOES_NOT_BITE),
        (f"from rule import RULE\n\n\n{PASSES}", "RULE =", Bite.BREAKS),
        ("def test_other() -> None: ...\n", "RULE = False", Bite.BREAKS),
    ],
)
def test_a_test_that_fails_bites_and_one_that_passes_or_cannot_run_does_not(
    test: str, instead: str, bite: Bite, tmp_path: Path
) -> None:
    tree = small_tree(tmp_path, test)
    assert bite_of(tree, replace(SMALL, instead=instead)) is bite
    assert (tree / "rule.py").read_text() == "RULE = True\n", "the rule holds again"


def test_a_text_that_is_not_there_exactly_once_is_an_error(tmp_path: Path) -> None:
    tree = small_tree(tmp_path, PASSES)
    with pytest.raises(ValueError, match="0 times"), switched_off(tree, replace(SMALL, text="RULE = 1")):
        pass
    (tree / "rule.py").write_text("RULE = True\nRULE = True\n")
    with pytest.raises(ValueError, match="2 times"), switched_off(tree, SMALL):
        pass


@pytest.mark.slow
def test_a_test_that_fails_by_itself_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bites, "ROOT", small_tree(tmp_path, f"RULE = False\n\n\n{PASSES}"))
    monkeypatch.setattr(bites, "OFF", (SMALL,))
    assert bites.main([]) == 1
    assert "1 failed" in capsys.readouterr().out


@pytest.mark.slow
def test_the_copy_runs_its_own_code(tree: Path) -> None:
    assert imported_from(tree).is_relative_to(tree)
    assert not (tree / ".git").exists()


@pytest.mark.slow
def test_a_run_without_a_test_is_broken(tmp_path: Path) -> None:
    assert run(tmp_path, ["test_nowhere.py"]) == Ran(0, 0, 1)
