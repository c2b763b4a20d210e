"""The operator log carries what its list allows and nothing else."""

from __future__ import annotations

import io
import json
import logging
import threading
from types import ModuleType
from typing import Any

import pytest

from cds_wrapper import log
from cds_wrapper.log import call_events, every_event, process_events
from cds_wrapper.log.stream import Detached

CANARY = "Quetzalcoatl"


def line_of(event: log.Event, **fields: Any) -> dict[str, Any]:
    stream = io.StringIO()
    log.OperatorLog("cds1-0", stream).emit(event, **fields)
    written: dict[str, Any] = json.loads(stream.getvalue())
    return written


def test_a_line_starts_with_time_level_and_event_and_names_its_writer() -> None:
    line = line_of(process_events.PROCESS_STARTED, settings_digest="abc")
    assert list(line)[:3] == ["ts", "level", "event"]
    assert line["event"] == "process_started" and line["level"] == "info" and line["writer"] == "cds1-0"
    assert line["ts"].endswith("Z") and len(line["ts"]) == len("2027-03-04T09:15:27.412Z")


def test_a_field_the_event_does_not_name_is_left_out_and_counted() -> None:
    line = line_of(call_events.REQUEST_REFUSED, http_status=400, patient_name=CANARY)
    assert line["dropped"] == 1 and CANARY not in json.dumps(line)


def test_no_event_may_carry_a_score_a_caveat_or_a_subgroup() -> None:
    forbidden = {
        "score",
        "flagged",
        "caveat_level",
        "caveat_reasons",
        "disposition",
        "subgroups",
        "demographics",
    }
    forbidden |= {"patient_key", "user_key", "patient_id", "context", "body", "url", "message"}
    for event in log.EVENTS.values():
        assert not event.fields & forbidden, event.name


def test_an_object_leaves_only_its_type_and_long_text_is_cut() -> None:
    line = line_of(process_events.SETTINGS_REFUSED, problem=ValueError(CANARY))
    assert line["problem"] == "ValueError"
    assert (
        len(line_of(process_events.SETTINGS_REFUSED, problem="x" * 1000)["problem"]) == log.LONGEST_VALUE + 1
    )


def test_every_event_has_a_meaning_and_its_constant_bears_its_name() -> None:
    assert all(event.meaning.endswith(".") for event in log.EVENTS.values())
    named = {
        name: value.name
        for module in vars(every_event).values()
        if isinstance(module, ModuleType)
        for name, value in vars(module).items()
        if isinstance(value, log.Event)
    }
    assert {name.lower() for name in named} == set(named.values()) == set(log.EVENTS)


def fail_naming_the_patient() -> None:
    raise KeyError(CANARY)


def test_a_librarys_words_are_left_out_and_its_exception_leaves_class_and_place_only() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    log.quieten_libraries(log.OperatorLog("cds1-0", stream))
    try:
        try:
            fail_naming_the_patient()
        except KeyError:
            logging.getLogger("uvicorn.error").exception("while serving /Patient/%s", CANARY)
        logging.getLogger("httpx").info("GET /Patient/%s", CANARY)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["error"]) == ("library_warning", "uvicorn.error", "KeyError")
    assert CANARY not in stream.getvalue()


def test_frames_name_our_own_code_without_values() -> None:
    try:
        log.OperatorLog("w", io.StringIO()).emit(process_events.PROCESS_READY, services={object(): object()})
        log.timestamp(None)  # type: ignore[arg-type]  # a wrong value on purpose
    except AttributeError as error:
        frames = log.frames_of(error)
    assert frames and frames[-1].startswith("log/lines.py:") and frames[-1].endswith(" timestamp")


class FullDisk(io.StringIO):
    """A stream whose disk is full for the first lines."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def write(self, text: str) -> int:
        if self.failures > 0:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_full_disk_under_the_log_raises_nothing_and_the_next_line_says_how_many_were_lost() -> None:
    stream = FullDisk(failures=2)
    lines = log.OperatorLog("w", stream)
    for _ in range(3):
        lines.emit(process_events.PROCESS_DRAINING)
    assert json.loads(stream.getvalue())["lost_before"] == 2


class Stalling(io.StringIO):
    """A reader that reads nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.begun.set()
        self.let_go.wait(timeout=10)
        return super().write(text)


def test_lines_that_waited_for_a_reader_come_out_whole_and_in_order() -> None:
    stream = Stalling()
    detached = Detached(stream)
    written = [f"{number}\n" for number in range(3 * Detached.AT_ONCE)]
    for line in written:
        detached.write(line)
    stream.let_go.set()
    detached.write_out()
    assert stream.getvalue() == "".join(written)


def test_a_reader_that_has_stalled_costs_the_lines_that_nobody_can_keep() -> None:
    stream = Stalling()
    detached = Detached(stream)
    detached.write("first\n")
    assert stream.begun.wait(timeout=10)
    for _ in range(Detached.MOST_LINES):
        detached.write("waiting\n")
    with pytest.raises(OSError, match="stalled"):
        detached.write("one too many\n")
    stream.let_go.set()
    detached.write_out()
    assert stream.getvalue().count("\n") == Detached.MOST_LINES + 1
