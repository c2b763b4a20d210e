"""The fault table: every fault against every adapter. A cell that cannot happen says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from cds_wrapper.errors import Trouble
from cds_wrapper.vendors.base import Status
from cds_wrapper.vendors.reasons import Reason
from tests.service.harness import NOON
from tests.service.laboratory_acts import (
    BOMB,
    DEEP,
    HEAD,
    PAGE,
    PROBLEM,
    Act,
    closes_after,
    drips,
    echoes,
    is_silent,
    resets_after,
    says,
    says_as_text,
    says_half_and_stays,
    says_packed,
    sends,
    sends_without_end,
    stops_in_the_middle,
)
from tests.service.laboratory_adapters import PLANTED, Adapter, Place, Said
from tests.service.laboratory_python import CALLABLES
from tests.service.laboratory_table import (
    GIVEN,
    GOOD,
    NO_SCORE_YET,
    PAUSED,
    TIMED_OUT,
    WITHOUT_SCORE,
    Before,
    Card,
    Cell,
    Fault,
    Never,
    Outcome,
    cells,
    found,
    scores,
    unreadable,
)

_SLOW: Final = (
    "Ask the vendor how long its answers take; `vendor_ms` in the record has each. Raise `time_budget` only"
    " as far as a clinician can wait."
)
_BROKEN: Final = (
    "The vendor's process ended or a device between us cut the connection: ask both, with the time of the"
    " call."
)
_NOT_MODEL: Final = (
    "Something other than the model answered, as a rule a gateway, a sign-in page or another address: compare"
    " `vendor.url`."
)
_TOO_MUCH: Final = (
    "No score takes so much. Compare `vendor.url`; `CDS_WRAPPER_MAX_VENDOR_BYTES` is the limit."
)
_ADDRESS: Final = (
    "Compare `vendor.url`, then ask whether the vendor runs and whether the network lets us through."
)
_SCORE: Final = "The model's answer has changed, or `vendor.score` was never right: compare the two."
_VERSION: Final = (
    "Ask the vendor what has changed. The board approves the version in `plan.yaml`, or the vendor goes back."
)
_REFUSED: Final = "The vendor refuses us: ask it why. Nothing of its text is kept."
_PROGRAM: Final = "Nothing, as it says the score after all; tell the vendor."


def _timed_out(name: str, act: Act) -> Fault:
    return Fault(name, _SLOW, act, cells(TIMED_OUT), Place.HASTY, waits=True)


SLOW: Final = (
    _timed_out("answers nothing, and the connection stays", is_silent()),
    _timed_out("begins an answer and stays silent in its head", is_silent(HEAD)),
    _timed_out("sends the head byte after byte", drips(HEAD + b"x-slow: ")),
    _timed_out("sends the body byte after byte", drips(HEAD + b"content-length: 900000\r\n\r\n", b" ")),
    _timed_out("sends half a body, and the connection stays", says_half_and_stays),
    _timed_out("says again and again that it is working on it (102)", drips(b"", b"HTTP/1.1 102 X\r\n\r\n")),
)

BROKEN: Final = (
    Fault("closes at once", _BROKEN, closes_after(), cells(unreadable(Trouble.CLOSED_EARLY))),
    Fault("closes in the head", _BROKEN, closes_after(HEAD), cells(unreadable(Trouble.CLOSED_EARLY))),
    Fault("resets before its answer", _BROKEN, resets_after(), cells(unreadable(Trouble.RESET))),
    Fault(
        "resets in the middle of its answer",
        _BROKEN,
        resets_after(HEAD + b"content-length: 100\r\n\r\n{"),
        cells(unreadable(Trouble.CUT_OFF)),
    ),
    Fault(
        "closes after half a body",
        _BROKEN,
        closes_after(HEAD + b"content-length: 100\r\n\r\n{"),
        cells(unreadable(Trouble.CUT_OFF)),
    ),
    Fault(
        "speaks another protocol",
        _NOT_MODEL,
        closes_after(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        cells(unreadable(Trouble.NOT_HTTP)),
    ),
    Fault(
        "says that it is packed, and is not",
        _NOT_MODEL,
        sends(b"{}", more="content-encoding: gzip\r\n"),
        cells(unreadable(Trouble.NOT_HTTP)),
    ),
    Fault(
        "announces more than we take",
        _TOO_MUCH,
        closes_after(HEAD + b"content-length: 900000000\r\n\r\n"),
        cells(unreadable(Trouble.TOO_LARGE)),
    ),
    Fault("sends without end", _TOO_MUCH, sends_without_end, cells(unreadable(Trouble.TOO_LARGE))),
    Fault(
        "sends little that unpacks to 100 MB",
        _TOO_MUCH,
        sends(BOMB, more="content-encoding: gzip\r\n"),
        cells(unreadable(Trouble.TOO_LARGE)),
    ),
)


def _unreachable(kind: Trouble, attempts: int) -> Mapping[Adapter, Outcome]:
    return cells(Cell(Status.UNREACHABLE, kind, attempts=attempts))


NOT_THERE: Final = (
    Fault(
        "refuses connections",
        _ADDRESS,
        says(),
        _unreachable(Trouble.REFUSED_CONNECTION, 2),
        Place.REFUSED,
    ),
    Fault("has a name that does not exist", _ADDRESS, says(), _unreachable(Trouble.DNS, 2), Place.NO_NAME),
    Fault(
        "shows a certificate of another authority",
        "Do not switch anything off: ask whether the vendor changed its certificate, then set `vendor.tls.ca`"
        " or `CDS_WRAPPER_CA_BUNDLE`.",
        says(),
        _unreachable(Trouble.TLS, 1),
        Place.OTHER_CA,
    ),
)


def _refused(status: int) -> Cell:
    return Cell(Status.REFUSED, None, status)


_EMPTY: Final = replace(NO_SCORE_YET, http=204)

STATUSES: Final = (
    Fault(
        "204 without a body",
        "A vendor that has nothing to say answers so against its protocol: tell it.",
        sends(b"", 204),
        cells(unreadable(Reason.NOT_200, 204), look_up=_EMPTY),
    ),
    Fault(
        "302 to elsewhere",
        "Never followed: patient data would follow it. Set `vendor.url` to where the vendor is now.",
        sends(b"", 302, more="location: http://127.0.0.1:9/\r\n"),
        cells(unreadable(Reason.NOT_200, 302)),
    ),
    Fault("400 that repeats the question", _REFUSED, echoes, cells(_refused(400))),
    Fault(
        "401",
        "Our key or token is not taken: see `vendor.authentication` and whether the key was renewed.",
        sends(PROBLEM, 401),
        cells(_refused(401)),
    ),
    Fault(
        "404",
        "The address or the model's name is wrong, or the vendor has taken the model away. From a look-up it"
        " says that this patient has no score.",
        sends(PROBLEM, 404),
        cells(
            _refused(404),
            inference=Cell(Status.REFUSED, Reason.UNKNOWN_MODEL, 404),
            look_up=replace(NO_SCORE_YET, http=404),
        ),
    ),
    Fault(
        "412",
        "The vendor lacks inputs for this patient, and says so: nothing is broken.",
        sends(PROBLEM, 412),
        cells(Cell(Status.MISSING_INPUT, None, 412, Card.NOT_CALCULATED)),
    ),
    Fault("422", _REFUSED, sends(PROBLEM, 422), cells(_refused(422))),
    Fault(
        "429",
        "We ask more often than was agreed: ask the vendor for more, or lower `most_in_flight`.",
        sends(PROBLEM, 429, more="retry-after: 1\r\n"),
        cells(_refused(429)),
    ),
    Fault(
        "500 in plain text",
        "The vendor's own error: tell it the time of the call.",
        sends(f"Internal Server Error at {PLANTED}".encode(), 500, "text/plain"),
        cells(Cell(Status.FAILED, None, 500)),
    ),
    Fault(
        "503",
        "The vendor or the gateway before it is down or overloaded.",
        sends(PROBLEM, 503, more="retry-after: 1\r\n"),
        cells(Cell(Status.FAILED, None, 503)),
    ),
)

_NO_JSON: Final = cells(found(Reason.NOT_JSON), cds=found(Reason.NOT_CDS_HOOKS))
_OTHER_JSON: Final = cells(
    found(Reason.SCORE_NOT_FOUND),
    cds=found(Reason.NOT_CDS_HOOKS),
    inference=found(Reason.NOT_OPEN_INFERENCE),
)

BODIES: Final = (
    Fault("200 with a web page", _NOT_MODEL, sends(PAGE, kind="text/html"), _NO_JSON),
    Fault("200 with bytes that are no text", _NOT_MODEL, sends(bytes(range(256))), _NO_JSON),
    Fault("200 with nothing", _NOT_MODEL, sends(b""), _NO_JSON),
    Fault("200 with JSON that ends too soon", _NOT_MODEL, stops_in_the_middle, _NO_JSON),
    Fault("200 with 60,000 levels of JSON", _NOT_MODEL, sends(DEEP), _NO_JSON),
    Fault("200 with an empty object", _SCORE, sends(b"{}"), _OTHER_JSON),
    Fault("200 with null", _SCORE, sends(b"null"), _OTHER_JSON),
    Fault("200 with a list", _SCORE, sends(b"[1, 2]"), _OTHER_JSON),
    Fault("200 with an error in it", _SCORE, sends(PROBLEM), _OTHER_JSON),
    Fault("a right answer as text/html", _PROGRAM, says_as_text, cells(GOOD)),
    Fault("a right answer, packed", "Nothing: that is allowed.", says_packed, cells(GOOD)),
    Fault(
        "no cards",
        "Nothing: the vendor has nothing to say of this patient.",
        sends(b'{"cards": []}'),
        {
            **_OTHER_JSON,
            Adapter.CDS_HOOKS: Cell(Status.NO_CARDS, None, 200, Card.NONE),
        },
    ),
)

_CARDS_STAND: Final = "A card of the vendor's stands for itself: it is shown, and recorded without a score. "
_NOT_FOUND: Final = found(Reason.SCORE_NOT_FOUND)
_NONE_GIVEN: Final = unreadable(Reason.SCORE_NOT_FOUND)
_GIVEN_PAUSED: Final = replace(PAUSED, http=None)
_NO_ROWS: Final = Never("a card is about the one patient of the call: no rows are counted")
_NO_OUTPUTS: Final = Never("only the Open Inference Protocol names outputs")
_NO_MODEL: Final = Never("only the Open Inference Protocol names the model in its answer")
_NO_VERSION: Final = Never("MLflow's answer has no version; the one in the file is recorded")

SCORES: Final = (
    Fault(
        "null for the score",
        _CARDS_STAND + _SCORE,
        says(Said(score="null")),
        cells(
            _NOT_FOUND,
            cds=WITHOUT_SCORE,
            inference=found(Reason.SCORE_NOT_A_NUMBER),
            look_up=NO_SCORE_YET,
            python=_NONE_GIVEN,
        ),
    ),
    Fault(
        "no score where it should be",
        _CARDS_STAND + _SCORE,
        says(Said(score=None)),
        cells(
            found(Reason.WRONG_SHAPE),
            cds=WITHOUT_SCORE,
            rest=_NOT_FOUND,
            look_up=NO_SCORE_YET,
            python=_NONE_GIVEN,
        ),
    ),
    Fault("text for the score", _SCORE, says(Said(score='"0.031"')), scores(Reason.SCORE_NOT_A_NUMBER)),
    Fault("true for the score", _SCORE, says(Said(score="true")), scores(Reason.SCORE_NOT_A_NUMBER)),
    Fault(
        "NaN for the score",
        _SCORE,
        says(Said(score="NaN")),
        scores(Reason.SCORE_NOT_A_NUMBER, cds=found(Reason.NOT_CDS_HOOKS)),
    ),
    Fault(
        "a number too large for any",
        _SCORE,
        says(Said(score="1e999")),
        scores(Reason.SCORE_NOT_A_NUMBER, cds=found(Reason.NOT_CDS_HOOKS)),
    ),
    Fault(
        "a class for a probability",
        "Ask the model for probabilities (`predict_proba`). In a card of the vendor's a whole 1 is believed.",
        says(Said(score="1", datatype='"INT64"')),
        scores(Reason.SCORE_IS_A_CLASS, cds=replace(GOOD, score=1.0)),
    ),
    Fault(
        "per cent for a fraction",
        "Does the vendor give per cent? Then `kind: percent` is right.",
        says(Said(score="3.1")),
        scores(Reason.SCORE_MAY_BE_PERCENT),
    ),
    Fault("less than nothing", _SCORE, says(Said(score="-0.2")), scores(Reason.SCORE_OUT_OF_RANGE)),
    Fault("more than a hundred", _SCORE, says(Said(score="250")), scores(Reason.SCORE_OUT_OF_RANGE)),
    Fault(
        "scores of two patients",
        "The vendor is sent one row and must answer with one: tell it.",
        says(Said(rows=2)),
        scores(Reason.WRONG_SHAPE, cds=_NO_ROWS),
    ),
    Fault(
        "another output than was asked for",
        "Compare `inference.output` with the model's metadata.",
        says(Said(output='"predict"')),
        cells(_NO_OUTPUTS, inference=found(Reason.WRONG_OUTPUT)),
    ),
    Fault(
        "another model answers",
        "The server has mixed up its models: tell the vendor at once.",
        says(Said(model='"another"')),
        cells(_NO_MODEL, inference=found(Reason.OTHER_MODEL)),
    ),
)

VERSIONS: Final = (
    Fault(
        "another version",
        _VERSION,
        says(Said(version='"2024.1"')),
        cells(PAUSED, mlflow=_NO_VERSION, python=_GIVEN_PAUSED),
    ),
    Fault(
        "a version that is no version",
        _VERSION,
        says(Said(version=json.dumps(f"see {PLANTED} for news"))),
        cells(PAUSED, mlflow=_NO_VERSION, python=_GIVEN_PAUSED),
    ),
    Fault(
        "no version",
        "Nothing; but a change of the model will be seen by nobody. Ask the vendor to name it.",
        says(Said(version=None)),
        cells(GOOD, python=GIVEN),
    ),
)

_NOW: Final = Never("it is asked to score now: its answer has no time that is read")
_ASKED_WITH: Final = Never("the patient's values are sent to it, and no identifier comes back")


def _at(ago: timedelta) -> str:
    return json.dumps((NOON - ago).isoformat())


LOOK_UPS: Final = (
    Fault(
        "a score that is too old",
        "The vendor's own schedule has stopped, or it lacks this patient's data: ask it. `score_at` in the"
        " record is the score's time.",
        says(Said(at=_at(timedelta(hours=7)))),
        cells(_NOW, look_up=Cell(Status.STALE, None, 200, Card.STALE)),
    ),
    Fault(
        "a score of tomorrow",
        "Compare the clocks.",
        says(Said(at=_at(-timedelta(days=1)))),
        cells(_NOW, look_up=found(Reason.TIME_IN_THE_FUTURE)),
    ),
    Fault(
        "a score without its time",
        _SCORE,
        says(Said(at=None)),
        cells(_NOW, look_up=found(Reason.TIME_UNREADABLE)),
    ),
    Fault(
        "a time without an offset",
        "Which time zone it means is not guessed: ask the vendor for an offset or `Z`.",
        says(Said(at='"2026-06-30T11:00:00"')),
        cells(_NOW, look_up=found(Reason.TIME_UNREADABLE)),
    ),
    Fault(
        "another patient's score",
        "Stop the service (`cds-wrapper stop`) and tell the vendor: it mixes up patients.",
        says(Said(whose=f'"{PLANTED}"')),
        cells(_ASKED_WITH, look_up=found(Reason.SCORE_OF_ANOTHER_PATIENT)),
    ),
)


def _everywhere(cell: Cell) -> Mapping[Adapter, Outcome]:
    return cells(cell, python=cell)


AGAIN: Final = (
    Fault(
        "fails again and again",
        "It is given a rest, and nobody waits for it. See the calls before for why.",
        says(),
        _everywhere(Cell(Status.CIRCUIT_OPEN, attempts=0)),
        Place.FLAPPING,
        before=Before.THREE_FAIL,
    ),
    Fault(
        "works again after its rest",
        "Nothing: one call tried it, and all go through again.",
        says(),
        cells(GOOD, python=GIVEN),
        Place.FLAPPING,
        before=Before.REST_IS_OVER,
    ),
    Fault(
        "is asked for more at one time than it may be",
        "Calls that hang take its places: look for `timed_out`. Else raise `most_in_flight`.",
        says(),
        _everywhere(Cell(Status.OVERLOADED, attempts=0)),
        before=Before.ONE_HANGS,
    ),
)

TABLE: Final[Mapping[str, tuple[Fault, ...]]] = {
    "Slow": SLOW,
    "Broken off, too much, or no HTTP": BROKEN,
    "Not there": NOT_THERE,
    "Another status than 200": STATUSES,
    "Bodies": BODIES,
    "Scores": SCORES,
    "Versions": VERSIONS,
    "Scores made earlier (look-up)": LOOK_UPS,
    "A callable of the site's own (python)": CALLABLES,
    "Again and again": AGAIN,
}
FAULTS: Final = tuple(fault for faults in TABLE.values() for fault in faults)
