"""`keys`: a key file is made, rotated and listed without ever showing a key."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from cds_wrapper.commands.table import build
from cds_wrapper.signing import read_own_keys


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(["keys"]), ["keys", *arguments])


def names(file: Path) -> tuple[str, ...]:
    return read_own_keys(str(file)).names


def test_a_key_is_made_put_first_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert run("new", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    (old,) = names(file)
    run("new", str(file))
    kept, new = names(file)
    assert kept == old, "the new key is published and does not sign yet"
    listed = run("list", str(file))
    assert listed.output.splitlines() == [f"{old}  ES384  signs", f"{new}  ES384  published only"]
    run("first", str(file), "--kid", new)
    assert names(file) == (new, old)
    shown = json.loads(run("remove", str(file), "--kid", old, "--json").output)
    assert shown == {"keys": [{"kid": new, "algorithm": "ES384"}]} and names(file) == (new,)


def test_nothing_of_a_key_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    printed = run("new", str(file), "--algorithm", "RS384").output + run("list", str(file), "--json").output
    parts = [str(value) for value in json.loads(file.read_bytes())["keys"][0].values() if len(value) > 40]
    assert len(parts) > 5 and not [part for part in parts if part in printed]


def test_what_cannot_be_done_says_why_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    run("new", str(file))
    before, (only,) = file.read_bytes(), names(file)
    for arguments, code, words in (
        (("remove", str(file), "--kid", only), 3, "only key"),
        (("first", str(file), "--kid", "x"), 3, "there are: " + only),
        (("new", str(file), "--algorithm", "HS256"), 2, "ES384, RS384"),
        (("list", str(tmp_path / "none.json")), 2, "cannot be read"),
        (("new", str(tmp_path / "no" / "folder.json")), 2, "cannot be written"),
    ):
        result = run(*arguments)
        assert result.exit_code == code and words in result.output
    assert file.read_bytes() == before
