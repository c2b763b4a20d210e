"""The spool's files: what was durable is read back, what is damaged is known, and no row is invented."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger.entries import Correction, KeptFile
from cds_wrapper.ledger.spool import Chunk, Spool
from cds_wrapper.ledger.spool_lines import Draft, read_line, written
from cds_wrapper.ledger.work import Feedback, Files, Piece, Record
from tests.unit.ledger.examples import entry, feedback

AT = datetime(2027, 3, 4, 12, 0, 0, 123_456, tzinfo=UTC)
MANY = 1000


def draft(piece: Piece) -> Draft:
    return Draft(piece, AT, timedelta(milliseconds=1.5))


def correction(name: str) -> Draft:
    """The shortest line there is."""
    return draft(Correction(name, None))


@contextlib.contextmanager
def opened(folder: Path, segment_bytes: int = 1_000_000) -> Iterator[Spool]:
    spool = Spool(folder / "spool", segment_bytes)
    spool.prepare()
    assert spool.is_open
    yield spool
    spool.close()


def filled(folder: Path, names: Sequence[str], segment_bytes: int = 1_000_000) -> list[Path]:
    """A spool with one line for each name, each appended by itself; its segments."""
    with opened(folder, segment_bytes) as spool:
        for name in names:
            spool.append([correction(name)])
    return sorted((folder / "spool").glob("0*.jsonl"))


def names_in(chunk: Chunk) -> list[str]:
    return [line.piece.prediction_id for line in chunk.lines if isinstance(line.piece, Correction)]


def everything(folder: Path) -> Chunk:
    """What the next process finds; and that it removes it once it is drained."""
    with opened(folder) as spool:
        chunk = spool.read(MANY, spool.end)
        spool.drained(chunk)
        assert spool.at.place >= spool.end.place
        assert spool.size == 0
    with opened(folder) as again:
        assert again.read(MANY, again.end).lines == []
        again.append([correction("next")])
        assert names_in(again.read(MANY, again.end)) == ["next"]
        again.drained(again.read(MANY, again.end))
    return chunk


# Lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        Record(entry()),
        Feedback((feedback("a", suggestions=["s"]), feedback("b", "accepted"))),
        Files((KeptFile("sha256:1", "plan", "plan.yaml", b"\x00\xffabc"),)),
        Correction("p", ("one", "two"), recorded_at=AT),
        Correction("p", None, recorded_at=AT),
    ],
    ids=["prediction", "feedback", "files", "correction", "correction of nobody knows what"],
)
def test_a_piece_of_work_comes_back_as_it_was(piece: Piece) -> None:
    (raw,), check = written([draft(piece)], 7, "before")
    line = read_line(raw)

    assert line is not None
    assert line.piece == piece
    assert (line.number, line.previous, line.check) == (8, "before", check)
    assert (line.recorded_at, line.waited) == (AT, timedelta(milliseconds=1.5))
    assert json.loads(raw)["check"] == check, "a line is JSON for whoever has to look at it"


def test_a_line_that_differs_in_any_byte_is_not_taken_for_one() -> None:
    (raw,), _ = written([correction("p")], 0, "")
    for place in range(len(raw)):
        altered = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert read_line(altered) is None, altered
        assert read_line(raw[:place]) is None
        assert read_line(raw[:place] + raw[place + 1 :]) is None


def test_a_whole_line_of_a_kind_this_version_does_not_know_is_not_guessed_at() -> None:
    (raw,), _ = written([correction("p")], 0, "")
    body = raw[: raw.index(b',"check"')].replace(b'"correction"', b'"prophecy"')
    (other,), _ = written([correction("p")], 0, "")
    assert read_line(other) is not None
    assert read_line(body + raw[raw.index(b',"check"') :]) is None


# Reading back -----------------------------------------------------------------------------------------------


def test_lines_are_read_in_order_in_chunks_and_not_behind_the_end_that_is_known(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        known = spool.append([correction(name) for name in "abc"])
        spool.append([correction("d")])
        first = spool.read(2, known)
        assert names_in(first) == ["a", "b"]
        spool.drained(first)
        assert names_in(spool.read(2, known)) == ["c"]
        spool.drained(spool.read(2, known))
        assert names_in(spool.read(2, spool.end)) == ["d"]


def test_reading_alone_moves_nothing(tmp_path: Path) -> None:
    filled(tmp_path, "abc")
    with opened(tmp_path) as spool:
        spool.read(MANY, spool.end)
    assert names_in(everything(tmp_path)) == ["a", "b", "c"]


def test_the_next_process_goes_on_where_the_cursor_stands_and_keeps_the_chain(tmp_path: Path) -> None:
    filled(tmp_path, "abc")
    with opened(tmp_path) as spool:
        spool.drained(spool.read(2, spool.end))
        spool.append([correction("d")])
    chunk = everything(tmp_path)

    assert names_in(chunk) == ["c", "d"]
    assert [line.number for line in chunk.lines] == [3, 4]
    assert (chunk.lost, chunk.out_of_place) == (0, 0)


def test_segments_that_are_in_the_ledger_are_removed_and_the_others_stay(tmp_path: Path) -> None:
    assert len(filled(tmp_path, "abcdef", segment_bytes=1)) == 6
    with opened(tmp_path) as spool:
        spool.drained(spool.read(4, spool.end))
        assert len(list((tmp_path / "spool").glob("0*"))) == 2
        spool.drained(spool.read(4, spool.end))
        spool.retire()
        assert list((tmp_path / "spool").glob("0*")) == []


def test_a_segment_that_is_drained_is_removed_while_the_process_lives(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for name in ("a", "b"):
            spool.append([correction(name)])
            spool.retire()
            assert list((tmp_path / "spool").glob("0*")), "it still holds what the ledger does not"
            chunk = spool.read(MANY, spool.end)
            assert names_in(chunk) == [name]
            spool.drained(chunk)
            spool.retire()
            assert list((tmp_path / "spool").glob("0*")) == []


@pytest.mark.parametrize("cursor", [None, "", "{", '{"form":"spool-cursor.v1"}', '{"form":"x"}'])
def test_without_a_cursor_everything_is_looked_at_again(tmp_path: Path, cursor: str | None) -> None:
    filled(tmp_path, "abc")
    with opened(tmp_path) as spool:
        spool.drained(spool.read(2, spool.end))
    path = tmp_path / "spool" / "cursor.json"
    path.unlink() if cursor is None else path.write_text(cursor)
    chunk = everything(tmp_path)

    assert names_in(chunk) == ["a", "b", "c"]
    assert chunk.lost == 0


def test_the_folder_and_what_it_holds_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o755)
    filled(tmp_path, "ab")
    (tmp_path / "spool" / "00000001.jsonl").write_text("not a line\n")
    everything(tmp_path)

    folder = tmp_path / "spool"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert {"cursor.json", "damaged.jsonl", "lock"} <= set(modes)


# Damage -----------------------------------------------------------------------------------------------------


def test_a_line_that_was_torn_off_anywhere_is_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    (segment,) = filled(tmp_path, "abc")
    whole = segment.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for size in range(last, len(whole)):
        for old in (tmp_path / "spool").glob("*[0-9n].json*"):
            old.unlink()
        segment.write_bytes(whole[:size])
        with opened(tmp_path) as spool:
            spool.append([correction("d")])
            chunk = spool.read(MANY, spool.end)
            assert names_in(chunk) == ["a", "b", "d"], size
            assert (chunk.lost, chunk.out_of_place) == (0, 0), "nobody was told that it is durable"


def test_a_damaged_line_is_kept_aside_and_the_others_are_drained(tmp_path: Path) -> None:
    (segment,) = filled(tmp_path, "abcd")
    segment.write_bytes(segment.read_bytes().replace(b'"prediction_id":"b"', b'"prediction_id":"x"'))
    chunk = everything(tmp_path)

    assert names_in(chunk) == ["a", "c", "d"]
    assert (chunk.lost, chunk.out_of_place) == (1, 0)
    aside = (tmp_path / "spool" / "damaged.jsonl").read_text()
    assert aside.count("\n") == 1 and '"prediction_id":"x"' in aside


def test_a_line_that_is_missing_is_counted(tmp_path: Path) -> None:
    (segment,) = filled(tmp_path, "abcd")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[2] + lines[3])
    chunk = everything(tmp_path)

    assert names_in(chunk) == ["a", "c", "d"]
    assert (chunk.lost, chunk.out_of_place) == (1, 0)


def test_a_segment_that_is_missing_is_counted(tmp_path: Path) -> None:
    segments = filled(tmp_path, "abcd", segment_bytes=1)
    segments[1].unlink()
    segments[2].unlink()
    chunk = everything(tmp_path)

    assert names_in(chunk) == ["a", "d"]
    assert chunk.lost == 2


def test_lines_that_were_swapped_are_drained_and_noticed(tmp_path: Path) -> None:
    (segment,) = filled(tmp_path, "abcde")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[2] + lines[1] + lines[3] + lines[4])
    chunk = everything(tmp_path)

    assert sorted(names_in(chunk)) == list("abcde")
    assert chunk.lost == 0
    assert chunk.out_of_place > 0


def test_a_line_that_was_replaced_by_another_good_one_is_noticed(tmp_path: Path) -> None:
    (segment,) = filled(tmp_path, "abc")
    lines = segment.read_bytes().splitlines(keepends=True)
    (tmp_path / "elsewhere").mkdir()
    (first,) = filled(tmp_path / "elsewhere", ["z"])
    segment.write_bytes(first.read_bytes() + lines[1] + lines[2])

    assert everything(tmp_path).out_of_place == 1


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_done_to_a_segment_no_line_is_invented_and_reading_ends(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    (segment,) = filled(folder, "abcdef")
    content = bytearray(segment.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 300)))
        content[begin:end] = data.draw(st.binary(max_size=20))
    segment.write_bytes(bytes(content))
    names = names_in(everything(folder))

    assert set(names) <= set("abcdef")
    assert len(names) == len(set(names))


# Disks ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """More is EFBIG, of the real kernel; a write that crosses the limit is cut off there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_did_not_fit_is_taken_back_and_the_next_one_goes_into_a_new_segment(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as spool:
        spool.append([correction("a")])
        size = (tmp_path / "spool" / "00000001.jsonl").stat().st_size
        with largest_file(size + 20), pytest.raises(OSError, match="File too large"):
            spool.append([correction("lost"), correction("too")])
        assert (tmp_path / "spool" / "00000001.jsonl").stat().st_size == size
        spool.append([correction("b")])
        assert len(list((tmp_path / "spool").glob("0*"))) == 2
        chunk = spool.read(MANY, spool.end)
        assert names_in(chunk) == ["a", "b"]
    chunk = everything(tmp_path)
    assert (names_in(chunk), chunk.lost, chunk.out_of_place) == (["a", "b"], 0, 0)


def test_attempts_that_fail_leave_no_files_behind(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for _ in range(5):
            with largest_file(10), pytest.raises(OSError, match="File too large"):
                spool.append([correction("lost")])
        assert list((tmp_path / "spool").glob("0*")) == []
        spool.append([correction("a")])
    assert names_in(everything(tmp_path)) == ["a"]


def test_a_cursor_that_cannot_be_saved_is_saved_later_and_nothing_is_read_twice_meanwhile(
    tmp_path: Path,
) -> None:
    filled(tmp_path, "ab")
    with opened(tmp_path) as spool:
        with largest_file(10), pytest.raises(OSError, match="File too large"):
            spool.drained(spool.read(1, spool.end))
        assert names_in(spool.read(MANY, spool.end)) == ["b"]
        spool.drained(spool.read(MANY, spool.end))
    assert everything(tmp_path).lines == []


def test_a_segment_removed_by_hand_is_noticed_before_the_next_line_is_lost_with_it(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([correction("a")])
        (tmp_path / "spool" / "00000001.jsonl").unlink()
        spool.append([correction("b")])
        chunk = spool.read(MANY, spool.end)
    assert (names_in(chunk), chunk.lost) == (["b"], 1)


def test_a_folder_that_is_away_is_no_reason_to_take_its_lines_for_lost(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([correction("a")])
        (tmp_path / "spool").rename(tmp_path / "away")
        for attempt in (lambda: spool.read(MANY, spool.end), lambda: spool.append([correction("b")])):
            with pytest.raises(OSError, match=r"removed or replaced|No such file"):
                attempt()
        (tmp_path / "away").rename(tmp_path / "spool")
        spool.open()
        assert names_in(spool.read(MANY, spool.end)) == ["a"]


# One process ------------------------------------------------------------------------------------------------

SECOND_PROCESS = """
import sys
from pathlib import Path
from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.ledger.spool import Spool
try:
    Spool(Path(sys.argv[1])).prepare()
except ConfigurationRefused as refusal:
    print(refusal)
"""


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with opened(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", SECOND_PROCESS, str(tmp_path / "spool")],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    assert "`CDS_WRAPPER_SPOOL` names" in second.stdout
    assert "another process is using" in second.stdout
    assert second.stdout.count("\n") == 1


@pytest.mark.parametrize("place", ["missing/spool", "file"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationRefused, match="CDS_WRAPPER_SPOOL"):
        Spool(tmp_path / place).prepare()


def test_a_folder_that_cannot_be_used_now_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "spool" / "cursor.json").mkdir(parents=True)
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    assert not spool.is_open


@pytest.mark.parametrize(
    ("segment", "offset"), [(9, 0), (2, 100_000), (2, 7)], ids=["ahead", "beyond", "in a line"]
)
def test_a_cursor_that_does_not_fit_the_segments_leaves_no_line_out(
    tmp_path: Path, segment: int, offset: int
) -> None:
    filled(tmp_path, "abcde", segment_bytes=1)
    cursor = {"form": "spool-cursor.v1", "segment": segment, "offset": offset, "number": 1, "check": ""}
    (tmp_path / "spool" / "cursor.json").write_text(json.dumps(cursor))
    with opened(tmp_path) as spool:
        assert names_in(spool.read(MANY, spool.end)) == list("abcde")


def test_a_file_system_without_locks_costs_no_descriptor_for_each_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    spool = Spool(tmp_path / "spool")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    spool.prepare()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="no locks"):
            spool.open()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
