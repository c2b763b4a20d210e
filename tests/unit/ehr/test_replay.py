"""A token is used once: across calls, processes and restarts, and when the file cannot be written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from cds_wrapper.ehr import replay
from cds_wrapper.ehr.replay import PRUNE_EVERY, ReplayMemory
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.log import OperatorLog
from tests.service.harness import ROOT

ISSUER = "https://ehr.example/oauth2"
NOW = 1_800_000_000.0


class Opened:
    """A memory and what it logged."""

    def __init__(self, path: Path) -> None:
        self.stream = StringIO()
        self.memory = ReplayMemory(path, OperatorLog("test-0", self.stream))
        self.memory.open()

    def first(self, token_id: str, issuer: str = ISSUER, until: float = NOW + 60, now: float = NOW) -> bool:
        return self.memory.first_use(issuer, token_id, until, now)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


def rows(path: Path) -> int:
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT count(*) FROM seen").fetchone()
    database.close()
    return int(count)


def test_a_token_is_used_once_and_another_issuers_is_another(path: Path) -> None:
    opened = Opened(path)
    assert [opened.first("a"), opened.first("a"), opened.first("b")] == [True, False, True]
    assert opened.first("a", "https://other.example") and not opened.first("a", "https://other.example")
    # The two texts are told apart, whatever stands in them.
    assert opened.first("bc", "x:a") and opened.first("c", "x:ab")


def test_it_is_remembered_over_a_restart(path: Path) -> None:
    first = Opened(path)
    assert first.first("a")
    first.memory.close()
    assert not Opened(path).first("a")


def test_what_nobody_can_use_any_more_is_forgotten(path: Path) -> None:
    opened = Opened(path)
    for number in range(40):
        assert opened.first(f"old-{number}", until=NOW + 10)
    assert opened.first("long", until=NOW + 600)
    assert opened.first("new", now=NOW + 20 + PRUNE_EVERY, until=NOW + 600)
    opened.memory.close()
    assert rows(path) == 2


def test_nothing_of_a_token_is_in_the_file(path: Path) -> None:
    opened = Opened(path)
    opened.first("canary-token-id")
    opened.memory.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"canary" not in content and b"ehr.example" not in content


RACE = """
import sys, io
from pathlib import Path
from cds_wrapper.ehr.replay import ReplayMemory
from cds_wrapper.log import OperatorLog
stream = io.StringIO()
memory = ReplayMemory(Path(sys.argv[1]), OperatorLog("race", stream))
memory.open()
print("ready", flush=True)
sys.stdin.readline()
won = [n for n in range(2000) if memory.first_use("issuer", f"token-{n}", 1e10, 0)]
assert not stream.getvalue(), stream.getvalue()
print(*won, flush=True)
"""


def test_two_processes_that_race_for_one_token_get_one_yes(path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(path)]
    racers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.communicate(timeout=300)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(won[0] + won[1]) == sorted(str(number) for number in range(2000))


def test_a_file_that_cannot_be_written_is_said_and_this_process_remembers_by_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "LARGEST_PAGES", 12)
    opened = Opened(path)
    used = 0
    while "replay_memory_unavailable" not in opened.events():
        assert opened.first(f"token-{used}")
        used += 1
        assert used < 100_000, "the file never filled"
    # What the full file holds, what memory holds, and what is new.
    assert not opened.first("token-0") and not opened.first(f"token-{used - 1}")
    assert opened.first("new") and not opened.first("new")
    assert opened.events() == ["replay_memory_unavailable"]
    # Room again: the old ones have run out, and those kept in memory are still known.
    later = NOW + 30
    for again in range(200):
        opened.first(f"later-{again}", now=later + 40 + 2 * again, until=later + 10_000)
    assert opened.events()[-1] == "replay_memory_available"


def test_memory_by_itself_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MOST_IN_MEMORY", 10)
    opened = Opened(path)
    opened.memory._database = sqlite3.connect("file:/dev/null?mode=ro", uri=True)
    assert [opened.first(f"token-{number}") for number in range(50)] == [True] * 50
    assert len(opened.memory._own) == 10 and not opened.first("token-49")


def test_another_programs_file_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationRefused, match=r"CDS_WRAPPER_REPLAY.*another program"):
        Opened(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b'{"keys": []}' * 1000)
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_REPLAY"):
        Opened(path)
    assert path.read_bytes().startswith(b'{"keys"')


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="is the folder there"):
        Opened(tmp_path / "nowhere" / "replay.db")


def test_a_file_of_ours_that_a_power_failure_damaged_is_put_aside(path: Path) -> None:
    opened = Opened(path)
    for number in range(3000):
        opened.first(f"token-{number}")
    opened.memory.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    again = Opened(path)
    assert again.first("token-1") and not again.first("token-1")
    assert path.with_name("replay.db.damaged").exists()
    assert again.events() == ["replay_memory_unavailable"]
