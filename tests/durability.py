"""Tools for tests of durability: killing a process that writes, and reading a system-call trace of it.

kill -9 proves that no answer runs ahead of its record; it cannot prove that the record is on the disk, since
the page cache survives the process. The trace proves that: it shows a completed sync of the ledger between
the write that holds a record and the write that answers for it.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import pytest

from cds_wrapper.ledger.store import LedgerReader

ROOT = Path(__file__).resolve().parents[1]
SYNCS = frozenset({"fdatasync", "fsync", "sync_file_range"})
ANSWERS = frozenset({"write", "writev", "send", "sendto", "sendmsg"})
_TRACED = ",".join(sorted(SYNCS | ANSWERS | {"pwrite64", "pwritev"}))


# Processes --------------------------------------------------------------------------------------------------


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command from the top of the checkout, its standard output as lines, its standard input open."""
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of the checkout in this environment."""
    return [sys.executable, "-m", module, *(str(argument) for argument in arguments)]


def lines(stream: IO[str] | None, count: int | None = None) -> list[str]:
    """The next `count` lines, or all there are; fails when the stream ends before."""
    assert stream is not None
    if count is None:
        return [line.rstrip("\n") for line in stream]
    read = [line.rstrip("\n") for line, _ in zip(stream, range(count), strict=False)]
    assert len(read) == count, f"the process ended after {len(read)} of {count} lines"
    return read


def kill_after(process: subprocess.Popen[str], count: int) -> list[str]:
    """Kill it (SIGKILL) once it has printed `count` lines; every line it printed until it was dead."""
    read = lines(process.stdout, count)
    process.send_signal(signal.SIGKILL)
    rest = lines(process.stdout)
    process.wait()
    return [*read, *rest]


def end(process: subprocess.Popen[str]) -> list[str]:
    """Close its standard input, which asks it to end; the lines it still printed."""
    assert process.stdin is not None
    process.stdin.close()
    rest = lines(process.stdout)
    assert process.wait() == 0
    return rest


# The ledger afterwards --------------------------------------------------------------------------------------


def deliveries(ledger: Path) -> dict[str, str]:
    """What the record says of every prediction's delivery, by id."""
    query = "SELECT prediction_id, delivery FROM predictions_v1"
    return {row["prediction_id"]: row["delivery"] for row in LedgerReader(ledger).rows(query)}


def without_record(ledger: Path, answered: Iterable[str]) -> list[str]:
    """Answered predictions that are not in the ledger."""
    recorded = deliveries(ledger)
    return [one for one in answered if one not in recorded]


def untrue_records(ledger: Path, told: Mapping[str, bool]) -> list[str]:
    """Predictions whose record disagrees with what their caller was told (True: durable).

    A caller who was told that the ledger is not available has no record, or one that says `not_returned`.
    """
    recorded = deliveries(ledger)
    allowed: dict[bool, set[str | None]] = {True: {"sent"}, False: {None, "not_returned"}}
    return [one for one, durable in told.items() if recorded.get(one) not in allowed[durable]]


def without_spool(folder: Path) -> Path:
    """Take the spool beside a ledger away, as an unmounted disk would be; where it is now."""
    return (folder / "spool").rename(folder / "spool-away")


def gaps(ledger: Path) -> list[str]:
    """Writers whose count of predictions has a gap."""
    query = "SELECT writer, count(*) AS n, max(sequence) AS last FROM predictions_v1 GROUP BY writer"
    return [row["writer"] for row in LedgerReader(ledger).rows(query) if row["n"] != row["last"]]


# System calls -----------------------------------------------------------------------------------------------


@cache
def why_no_trace() -> str | None:
    """Why system calls cannot be traced here, or None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    trial = subprocess.run(["strace", "-f", "-e", "trace=none", "true"], capture_output=True, check=False)
    return None if trial.returncode == 0 else "this machine does not allow strace to trace a process"


needs_trace = pytest.mark.skipif(why_no_trace() is not None, reason=str(why_no_trace()))


def traced(command: Sequence[str], trace: Path, inject: str | None = None) -> list[str]:
    """The command under strace, which writes syncs and writes with their data and files to `trace`.

    `inject` is an strace expression that makes system calls slow or fail, such as
    `fdatasync:delay_enter=2000000:when=5` (microseconds; the fifth call of each thread).
    """
    injection = ["-e", f"inject={inject}"] if inject else []
    options = ["-f", "-y", "-qq", "-s", "70000", "-o", str(trace), "-e", f"trace={_TRACED}", *injection]
    return ["strace", *options, *command]


@dataclass(frozen=True, slots=True)
class Call:
    """One system call, from line `began` to line `ended` of the trace; no `result` when it never ended."""

    name: str
    file: str
    arguments: str
    began: int
    ended: int
    result: int | None


_BEGUN = re.compile(r"(?P<thread>\d+)\s+(?P<name>\w+)\(\d+<(?P<file>.*?)>(?P<rest>.*)", re.DOTALL)
_RESUMED = re.compile(r"(?P<thread>\d+)\s+<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)", re.DOTALL)
_RESULT = re.compile(r"= (-?\d+)(?: [A-Z]\w+ \(.*\))?(?: \(INJECTED\)| \(DELAYED\))*$")
_NEVER = sys.maxsize


def read_trace(trace: Path) -> list[Call]:
    """The calls of a trace in the order they began."""
    calls: list[Call] = []
    running: dict[str, int] = {}
    for number, line in enumerate(trace.read_text(encoding="latin-1").split("\n")):
        if resumed := _RESUMED.match(line):
            place = running.pop(resumed["thread"])
            calls[place] = _ended(calls[place], number, resumed["rest"])
        elif begun := _BEGUN.match(line):
            call = Call(begun["name"], begun["file"], begun["rest"], number, _NEVER, None)
            if line.endswith("<unfinished ...>"):
                running[begun["thread"]] = len(calls)
                calls.append(call)
            else:
                calls.append(_ended(call, number, begun["rest"]))
    return calls


def _ended(call: Call, number: int, rest: str) -> Call:
    result = _RESULT.search(rest)
    return Call(call.name, call.file, call.arguments, call.began, number, int(result[1]) if result else None)


def is_answer(call: Call) -> bool:
    """Whether a call sends something to somebody: to a pipe or a socket, not into a file."""
    return call.name in ANSWERS and not call.file.startswith("/")


def unsynced_answers(calls: Sequence[Call], file: Path, ids: Iterable[str]) -> list[str]:
    """Ids whose answer began before their row was synced: written to `file`, and then a whole sync of it.

    An id counts as answered by the first call that sends it to a pipe or a socket. An id that was never sent
    or never written is a violation too: then the trace proves nothing about it. Give prediction ids: they
    stand first in a row, so that no id is split between two pages. `file` is a ledger or a spool's segment.
    """
    log = str(file) if file.suffix == ".jsonl" else f"{file}-wal"
    writes = [call for call in calls if call.file == log and call.name.startswith(("pwrite", "write"))]
    syncs = [call for call in calls if call.file == log and call.name in SYNCS and call.result == 0]
    answers = [call for call in calls if is_answer(call)]

    def is_synced(one: str) -> bool:
        written = next((call.ended for call in writes if one in call.arguments), _NEVER)
        durable = next((call.ended for call in syncs if call.began > written), _NEVER)
        answered = next((call.began for call in answers if one in call.arguments), -1)
        return durable < answered

    return [one for one in ids if not is_synced(one)]
