"""The prediction stream over a real ledger: every row at least once, in order, whatever its file meets."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import sqlite3
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cds_wrapper.ledger.database import LedgerFile
from cds_wrapper.ledger.entries import Correction
from cds_wrapper.ledger.feedback import FeedbackEntry, read_feedback_entry
from cds_wrapper.ledger.sinks import FileSink, NotSynced, SocketSink
from cds_wrapper.ledger.store import SQLiteLedger
from cds_wrapper.ledger.stream import MOST_ROWS
from tests.unit.ledger.examples import LONG_ENOUGH, NOON, card_of, opened
from tests.unit.ledger.streams import append, ids, rewrite, streaming, until, written


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def feedback(prediction_id: str) -> FeedbackEntry:
    raw = {
        "card": card_of(prediction_id),
        "outcome": "overridden",
        "outcomeTimestamp": "2027-03-04T12:05:00Z",
    }
    read = read_feedback_entry(raw, "cvd-risk", "demonstration", NOON)
    assert isinstance(read, FeedbackEntry)
    return read


# What is written --------------------------------------------------------------------------------------------


async def test_every_row_becomes_a_line_in_the_order_of_its_sequence(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with streaming(tmp_path) as running:
        await append(ledger, *(f"p{number}" for number in range(40)))
        await until(lambda: len(written(tmp_path)) == 40)
        assert running.stream.health.available and running.stream.health.lag_rows == 0

    lines = written(tmp_path)
    assert ids(lines) == [f"p{number}" for number in range(40)]
    assert [line["sequence"] for line in lines] == list(range(1, 41))
    hashes = ledger.reader.rows("SELECT hash FROM predictions ORDER BY sequence")
    assert [line["hash"] for line in lines] == [row["hash"] for row in hashes]


async def test_a_correction_follows_its_prediction_and_feedback_follows_both(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    await append(ledger, "p", "q")
    await ledger.append_feedback([feedback("p")], LONG_ENOUGH)
    await ledger.close()
    correct(tmp_path / "ledger.db", "p")

    async with streaming(tmp_path):
        await until(lambda: len(written(tmp_path)) == 4)

    lines = written(tmp_path)
    assert [(line["schema"], line["prediction_id"]) for line in lines] == [
        ("prediction.v1", "p"),
        ("prediction.v1", "q"),
        ("correction.v1", "p"),
        ("feedback.v1", "p"),
    ]
    assert lines[0]["delivery"] == "sent", "the row as it was written"
    assert lines[2]["delivery"] == "not_returned"


def correct(path: Path, prediction_id: str) -> None:
    """Write a correction as the committer does."""
    file = LedgerFile(path, "host-0")
    file.begin()
    file.add_corrections([Correction(prediction_id, ("other",))])
    file.commit()
    file.discard()


async def test_rows_of_every_writer_are_written_also_those_of_a_host_that_is_gone(tmp_path: Path) -> None:
    for host in ("old", "new"):
        ledger = await opened(tmp_path / "ledger.db", host=host)
        await append(ledger, f"{host}-a", f"{host}-b")
        await ledger.close()

    async with streaming(tmp_path):
        await until(lambda: len(written(tmp_path)) == 4)

    assert {(line["writer"], line["sequence"]) for line in written(tmp_path)} == {
        ("old-0", 1),
        ("old-0", 2),
        ("new-0", 1),
        ("new-0", 2),
    }


async def test_without_a_cursor_everything_there_is_gets_written_in_several_batches(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    count = 2 * MOST_ROWS + 1
    await append(ledger, *(f"p{number}" for number in range(count)))

    async with streaming(tmp_path):
        await until(lambda: len(written(tmp_path)) == count)

    assert ids(written(tmp_path)) == [f"p{number}" for number in range(count)]


async def test_it_goes_on_where_it_ended_and_writes_nothing_twice_after_an_orderly_stop(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    for batch in (["a", "b"], ["c"], []):
        async with streaming(tmp_path):
            await append(ledger, *batch)

    assert ids(written(tmp_path)) == ["a", "b", "c"]


async def test_closing_writes_what_the_ledger_holds_by_then(tmp_path: Path, ledger: SQLiteLedger) -> None:
    async with streaming(tmp_path) as running:
        await running.stream.let_go()
        await append(ledger, *(f"p{number}" for number in range(MOST_ROWS + 5)))

    assert len(written(tmp_path)) == MOST_ROWS + 5


async def test_after_letting_go_the_ledger_closes_into_one_file(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    async with streaming(tmp_path) as running:
        await append(ledger, "a")
        await until(lambda: len(written(tmp_path)) == 1)
        await running.stream.let_go()
        await ledger.close()
        assert not (tmp_path / "ledger.db-wal").exists()


async def test_a_text_that_is_no_utf8_does_not_stop_the_rows_behind_it(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    await append(ledger, "a", "b", "c")
    rewrite(
        tmp_path / "ledger.db",
        "UPDATE predictions SET model_id = CAST(x'ff41' AS TEXT), subgroups = 'no JSON' WHERE sequence = 2",
    )

    async with streaming(tmp_path):
        await until(lambda: len(written(tmp_path)) == 3)

    assert [(line["model_id"], line["subgroups"] is None) for line in written(tmp_path)][1] == (
        "\ufffdA",
        True,
    )


# Its cursor -------------------------------------------------------------------------------------------------


async def test_the_cursor_names_the_last_row_and_is_nobody_elses_to_read(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with streaming(tmp_path):
        await append(ledger, "a", "b")

    cursor = tmp_path / "predictions.jsonl.cursor"
    (place,) = json.loads(cursor.read_bytes())["places"]
    assert (place["table"], place["writer"], place["sequence"]) == ("predictions", "host-0", 2)
    assert place["hash"] == written(tmp_path)[-1]["hash"]
    assert mode(cursor) == 0o600


async def test_the_cursor_of_another_ledger_is_told_and_all_of_this_one_is_written(tmp_path: Path) -> None:
    for name, first in (("one", "a"), ("other", "b")):
        (tmp_path / name).mkdir()
        ledger = await opened(tmp_path / name / "ledger.db", host="host")
        await append(ledger, first, f"{first}{first}")
        async with streaming(tmp_path / name):
            pass
        await ledger.close()
    shutil.copy(tmp_path / "one" / "predictions.jsonl.cursor", tmp_path / "other")

    async with streaming(tmp_path / "other") as running:
        await until(lambda: len(written(tmp_path / "other")) == 4)
        (event,) = running.events()

    assert (event["event"], event["reason"]) == ("stream_restarted", "another_ledger")
    assert ids(written(tmp_path / "other")) == ["b", "bb", "b", "bb"]


async def test_an_older_copy_of_the_ledger_put_in_its_place_is_written_whole(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    await append(ledger, "a")
    await ledger.close()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "older.db")
    ledger = await opened(tmp_path / "ledger.db", host="host")
    await append(ledger, "b")
    await ledger.close()

    async with streaming(tmp_path) as running:
        await until(lambda: ids(written(tmp_path)) == ["a", "b"])
        (tmp_path / "older.db").replace(tmp_path / "ledger.db")
        await until(lambda: ids(written(tmp_path)) == ["a", "b", "a"])
        assert running.names() == ["stream_restarted"]


async def test_a_damaged_cursor_is_told_and_everything_is_written_again(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    await append(ledger, "a")
    (tmp_path / "predictions.jsonl.cursor").write_bytes(b'{"form": "stre')

    async with streaming(tmp_path) as running:
        await until(lambda: ids(written(tmp_path)) == ["a"])
        assert [event["reason"] for event in running.events()] == ["cursor_unreadable"]


async def test_a_cursor_whose_row_was_erased_by_plan_still_fits(tmp_path: Path, ledger: SQLiteLedger) -> None:
    async with streaming(tmp_path):
        await append(ledger, "a", "b")
    rewrite(
        tmp_path / "ledger.db",
        "INSERT INTO erasures SELECT 'predictions', writer, sequence, hash, previous_hash, 'now', 'retention'"
        " FROM predictions",
        "DELETE FROM predictions",
    )
    async with streaming(tmp_path) as running:
        await append(ledger, "c")
        await until(lambda: len(written(tmp_path)) == 3)
        assert running.events() == []

    assert ids(written(tmp_path)) == ["a", "b", "c"]


class Noting:
    """A sink that keeps lines, and can fail to sync them."""

    name = "a list"

    def __init__(self, fails: int = 0) -> None:
        self.taken: list[bytes] = []
        self.synced = 0
        self._fails = fails

    def write(self, lines: Sequence[bytes]) -> int:
        self.taken += lines[:2]  # not all of them at once
        return len(lines[:2])

    def sync(self) -> None:
        if self._fails:
            self._fails -= 1
            raise NotSynced(errno.EIO, "the disk")
        self.synced = len(self.taken)

    def close(self) -> None:
        """Nothing to let go of."""


async def test_the_cursor_names_nothing_that_was_not_synced_before(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    sink = Noting()
    cursor = tmp_path / "predictions.jsonl.cursor"

    def named() -> int:
        return sum(place["sequence"] for place in json.loads(cursor.read_bytes())["places"])

    async with streaming(tmp_path, sink):
        for number in range(30):
            await append(ledger, f"p{number}")
            assert not cursor.exists() or named() <= sink.synced
        await until(lambda: cursor.exists() and named() == 30)
    assert sink.synced == 30


async def test_lines_whose_sync_failed_are_written_again(tmp_path: Path, ledger: SQLiteLedger) -> None:
    sink = Noting(fails=1)
    async with streaming(tmp_path, sink) as running:
        await append(ledger, "a", "b", "c")
        await until(lambda: len(sink.taken) == 6)
        await until(lambda: running.names() == ["stream_interrupted", "stream_resumed"])
        assert running.events()[0]["error"] == "EIO"

    assert ids([json.loads(line) for line in sink.taken]) == ["a", "b", "c"] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_stream_that_ends_over_an_error_of_its_own_says_so(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    class Wrong(Noting):
        def write(self, lines: Sequence[bytes]) -> int:
            raise ValueError("nobody foresaw this")

    async with streaming(tmp_path, Wrong()) as running:
        await append(ledger, "a")
        await until(lambda: running.names() == ["stream_interrupted"])
        await until(lambda: not running.stream.health.available)
        assert "restart the service" in running.events()[0]["problem"]


# Its file ---------------------------------------------------------------------------------------------------


async def test_files_rotate_by_size_hold_whole_lines_and_only_so_many_are_kept(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    sink = FileSink(tmp_path / "predictions.jsonl", 10_000, 3)
    async with streaming(tmp_path, sink):
        for number in range(40):
            await append(ledger, f"p{number}")

    files = sorted(path.name for path in tmp_path.glob("predictions.jsonl*"))
    assert files == [f"predictions.jsonl{end}" for end in ("", ".1", ".2", ".3", ".cursor")]
    sizes = [path.stat().st_size for path in tmp_path.glob("predictions.jsonl*")]
    assert max(sizes) <= 10_000
    assert {mode(path) for path in tmp_path.glob("predictions.jsonl*")} == {0o600}
    kept = ids(written(tmp_path))
    assert kept == [f"p{number}" for number in range(40)][-len(kept) :] and len(kept) < 40


async def test_more_files_of_an_earlier_setting_are_deleted(tmp_path: Path, ledger: SQLiteLedger) -> None:
    for number in (3, 4):
        (tmp_path / f"predictions.jsonl.{number}").write_bytes(b"{}\n")
    async with streaming(tmp_path, FileSink(tmp_path / "predictions.jsonl", 10_000, 2)):
        await append(ledger, *(f"p{number}" for number in range(10)))

    assert not list(tmp_path.glob("predictions.jsonl.[3-9]"))


async def test_nothing_is_lost_over_rotations_while_enough_files_are_kept(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with streaming(tmp_path, FileSink(tmp_path / "predictions.jsonl", 10_000, 1000)):
        await append(ledger, *(f"p{number}" for number in range(60)))

    assert ids(written(tmp_path)) == [f"p{number}" for number in range(60)]


async def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path, ledger: SQLiteLedger) -> None:
    path = tmp_path / "predictions.jsonl"
    path.touch(mode=0o644)
    path.chmod(0o644)
    async with streaming(tmp_path):
        await append(ledger, "a")

    assert mode(path) == 0o600


@pytest.mark.parametrize("what", ["renamed", "deleted", "emptied"])
async def test_a_file_rotated_by_somebody_else_is_noticed_and_a_new_one_is_made(
    what: str, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    path = tmp_path / "predictions.jsonl"
    async with streaming(tmp_path) as running:
        await append(ledger, "a", "b")
        await until(lambda: len(written(tmp_path)) == 2)
        match what:
            case "renamed":
                path.rename(tmp_path / "shipped")
            case "deleted":
                path.unlink()
            case _:
                path.write_bytes(b"")
        await append(ledger, "c")
        await until(lambda: path.exists() and ids(written(tmp_path)) == ["c"])
        assert running.events() == []

    assert mode(path) == 0o600


async def test_a_line_torn_by_a_kill_breaks_no_other(tmp_path: Path, ledger: SQLiteLedger) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b'{"whole": 1}\n{"ts":"2027-03-04T12:0')
    async with streaming(tmp_path):
        await append(ledger, "a")

    whole, torn, new = path.read_bytes().splitlines()
    assert json.loads(whole) == {"whole": 1} and torn == b'{"ts":"2027-03-04T12:0'
    assert json.loads(new)["prediction_id"] == "a"


# Trouble ----------------------------------------------------------------------------------------------------


async def test_a_folder_that_goes_away_is_told_once_and_everything_is_there_when_it_comes_back(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    folder = tmp_path / "shipping"
    folder.mkdir()
    async with streaming(tmp_path, FileSink(folder / "predictions.jsonl", 10_000, 50)) as running:
        await append(ledger, "a")
        await until(lambda: len(written(folder)) == 1)
        folder.rename(tmp_path / "away")
        await append(ledger, "b")
        await until(lambda: not running.stream.health.available)
        await append(ledger, "c")
        await until(lambda: running.stream.health.lag_rows == 2)
        (tmp_path / "away").rename(folder)
        await until(lambda: running.stream.health.available)

        interrupted, resumed = running.events()
        assert (interrupted["event"], resumed["event"]) == ("stream_interrupted", "stream_resumed")
        assert interrupted["error"] == "ENOENT" and "make its folder" in interrupted["problem"]
        assert running.stream.health.lag_rows == 0

    assert ids(written(folder)) == ["a", "b", "c"]


async def test_what_is_told_of_trouble_holds_nothing_of_a_record(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with streaming(
        tmp_path, FileSink(tmp_path / "nowhere" / "predictions.jsonl", 10_000, 2)
    ) as running:
        await append(ledger, "a", patient_fhir_key="p1:quetzal", race="quetzal")
        await until(lambda: running.names() == ["stream_interrupted"])
        assert "quetzal" not in running.told.getvalue() and '"a"' not in running.told.getvalue()


async def test_a_file_another_process_writes_is_left_to_it(tmp_path: Path, ledger: SQLiteLedger) -> None:
    path = tmp_path / "predictions.jsonl"
    first = FileSink(path, 10_000, 2)
    first.write([b"theirs\n"])
    async with streaming(tmp_path) as running:
        await append(ledger, "a")
        await until(lambda: running.names() == ["stream_interrupted"])
        assert "another process writes it" in running.events()[0]["problem"]
        assert path.read_bytes() == b"theirs\n"
        first.close()
        await until(lambda: running.stream.health.available)

    assert path.read_bytes().startswith(b"theirs\n{")


@pytest.mark.parametrize("kind", ["a folder", "a pipe"])
async def test_what_is_no_file_is_told_and_left_alone(
    kind: str, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    path = tmp_path / "predictions.jsonl"
    path.mkdir() if kind == "a folder" else os.mkfifo(path)
    async with streaming(tmp_path) as running:
        await append(ledger, "a")
        await until(lambda: running.names() == ["stream_interrupted"])


async def test_a_ledger_that_cannot_be_read_is_told_and_taken_up_again(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "ledger.db", host="host")
    await append(ledger, "a")
    await ledger.close()
    async with streaming(tmp_path) as running:
        await until(lambda: len(written(tmp_path)) == 1)
        (tmp_path / "ledger.db").rename(tmp_path / "away.db")
        await until(lambda: not running.stream.health.available)
        (tmp_path / "away.db").rename(tmp_path / "ledger.db")
        await until(lambda: running.stream.health.available)
        assert running.names() == ["stream_interrupted", "stream_resumed"]

    assert ids(written(tmp_path)) == ["a"]


async def test_another_programs_database_is_not_read(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.execute("CREATE TABLE predictions (writer, sequence)")
    async with streaming(tmp_path) as running:
        await until(lambda: running.names() == ["stream_interrupted"])
        assert "no ledger with schema number" in running.events()[0]["problem"]


# Sockets ----------------------------------------------------------------------------------------------------


class Receiver:
    """A listening socket that keeps what it is sent, one connection after the other."""

    def __init__(self, listening: socket.socket) -> None:
        self.received: list[bytes] = []
        self._listening = listening
        self._open: socket.socket | None = None
        listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._open, _ = self._listening.accept()
                self.received.append(b"")
                while content := self._open.recv(65536):
                    self.received[-1] += content

    def close(self) -> None:
        """Hang up and listen no more."""
        for one in (self._open, self._listening):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line of every connection."""
        return [
            json.loads(line)
            for connection in self.received
            for line in connection.splitlines(keepends=True)
            if line.endswith(b"\n")
        ]


def on_unix(path: Path) -> Receiver:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    return Receiver(listening)


async def test_lines_go_to_a_tcp_receiver(tmp_path: Path, ledger: SQLiteLedger) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(listening)
    async with streaming(tmp_path, SocketSink(f"tcp://127.0.0.1:{listening.getsockname()[1]}")):
        await append(ledger, "a", "b")
        await until(lambda: ids(receiver.lines()) == ["a", "b"])
    receiver.close()


async def test_a_receiver_that_goes_away_and_comes_back_misses_nothing(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    path = tmp_path / "in.sock"
    first = on_unix(path)
    async with streaming(tmp_path, SocketSink(f"unix://{path}")) as running:
        await append(ledger, "a")
        await until(lambda: ids(first.lines()) == ["a"])
        first.close()
        path.unlink()
        await append(ledger, "b")
        await until(lambda: not running.stream.health.available)
        second = on_unix(path)
        await append(ledger, "c")
        await until(lambda: ids(second.lines()) == ["b", "c"])
        await until(lambda: running.stream.health.available)
        assert running.names() == ["stream_interrupted", "stream_resumed"]
    second.close()


async def test_what_a_socket_took_is_not_sent_again_after_a_stop(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    receiver = on_unix(tmp_path / "in.sock")
    for one in ("a", "b"):
        async with streaming(tmp_path, SocketSink(f"unix://{tmp_path / 'in.sock'}")):
            await append(ledger, one)
    await until(lambda: ids(receiver.lines()) == ["a", "b"])
    receiver.close()
    assert len(receiver.received) == 2


async def test_a_row_planted_far_ahead_does_not_hide_those_that_come(
    tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with streaming(tmp_path):
        await append(ledger, "a")
        await until(lambda: ids(written(tmp_path)) == ["a"])
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as intruder:
            columns = [row[1] for row in intruder.execute("PRAGMA table_info(predictions)")]
            planted = {"prediction_id": "'planted'", "sequence": str(2**40)}
            values = ", ".join(planted.get(column, column) for column in columns)
            intruder.execute(f"INSERT INTO predictions SELECT {values} FROM predictions")
        await append(ledger, "b")
        await until(lambda: len(written(tmp_path)) == 2)
    assert ids(written(tmp_path)) == ["a", "b"]
