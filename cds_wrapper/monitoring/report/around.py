"""Around the score, by group: what moved, what it was calculated from, who was answered, what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from cds_wrapper.monitoring.drift import ScoreDrift
from cds_wrapper.monitoring.feedback import Feedback
from cds_wrapper.monitoring.input_quality import InputAge
from cds_wrapper.monitoring.report.blocks import NOT_SHOWN, Block, Heading, Section, Table, Words
from cds_wrapper.monitoring.report.figures import per_cent
from cds_wrapper.monitoring.report.followed import acted_on, followed
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import capital, group_words, listed
from cds_wrapper.monitoring.report.shares import Shares, is_quiet, stands_out, without_small
from cds_wrapper.monitoring.service_equity import ServiceEquity
from cds_wrapper.monitoring.suppression import FLOOR, is_small
from cds_wrapper.monitoring.values import EVERYBODY, Group

UNLIKE: Final = 0.25
"""A usual age of inputs that differs from everybody's by this part is worth a line."""

ENOUGH: Final = 100
"""Episodes from which it is told that a group's scores moved."""


def around(known: Known) -> Section:
    """The section on everything beside performance."""
    activity = known.activity
    blocks = (
        *_service(activity.equity, known),
        *_inputs(known),
        *_feedback(activity.feedback, known),
        *followed(known),
        *acted_on(activity.strata, known),
        *_moved(activity.score_drift, known),
    )
    nothing = Words("No predictions of this service have been exported yet.", "notice")
    return Section("around", "Around the score, by group", blocks or (nothing,))


def _name(group: Group, known: Known) -> str:
    return capital(group_words(group, known.service.scheme))


def _service(rows: Sequence[ServiceEquity], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("Was everybody answered?")
    unanswered = {row.group: (row.n - row.answered, row.n) for row in rows}
    components = {row.group: (row.timed_out, row.lacking, _others(row)) for row in rows}
    answered = {row.group: (row.answered, row.n) for row in rows}
    told = Shares(
        name="service",
        caption="Calls to the service in the last quarter",
        counted="Calls",
        whole={row.group: row.n for row in rows},
        columns={
            "With a score": without_small(answered, components),
            "Too late": {row.group: (row.timed_out, row.n) for row in rows},
            "Inputs lacking": {row.group: (row.lacking, row.n) for row in rows},
            "Withheld": {row.group: (row.withheld, row.n) for row in rows},
        },
        more={
            "Usual wait": {row.group: _milliseconds(row.median_ms) for row in rows},
            "Slow (5 in 100)": {row.group: _milliseconds(row.slow_ms) for row in rows},
        },
    )
    yield from stands_out("Left without a score more often", unanswered, known)
    yield told.table(known)


def _others(row: ServiceEquity) -> int:
    return row.n - row.answered - row.timed_out - row.lacking


def _milliseconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.0f} ms"


def _inputs(known: Known) -> Iterator[Block]:
    rows = known.activity.inputs
    if not rows:
        return
    yield Heading("What was it calculated from?")
    lacking = {row.group: (row.missing, row.n) for row in rows}
    doubted = {row.group: (row.doubtful, row.n) for row in rows if row.doubtful is not None}
    yield from stands_out("Calculated without an input more often", lacking, known)
    yield from stands_out("Calculated from an input in doubt more often", doubted, known)
    yield Shares(
        name="inputs",
        caption="Scores of the last quarter, and what they were calculated from",
        counted="Scores",
        whole={row.group: row.n for row in rows},
        columns={"An input missing": lacking, **({"An input in doubt": doubted} if doubted else {})},
        more={},
        note="" if doubted else "Whether an input was in doubt is not recorded.",
    ).table(known)
    yield from _ages(known)


def _ages(known: Known) -> Iterator[Block]:
    """How old inputs were: on the page for everybody, and where a group's differ by a quarter or more."""
    rows = [row for row in known.activity.ages if row.n >= FLOOR]
    if not rows:
        return
    usual = {row.input: row.median for row in rows if row.group == EVERYBODY}
    reader = known.service.features
    labels = {one.name: one.label for one in reader.declared} if reader else {}
    yield Table(
        name="input-ages",
        caption="How old the inputs were",
        columns=("Group", "Input", "Usual age", "Nine in ten were newer than"),
        rows=tuple(
            (
                _name(row.group, known),
                labels.get(row.input, row.input),
                _hours(row.median),
                _hours(row.nine_in_ten),
            )
            for row in rows
        ),
        note="Groups whose inputs are about as old as everybody's are not listed.",
        quiet=tuple(not _is_unlike(row, usual.get(row.input)) for row in rows),
    )


def _is_unlike(row: InputAge, usual: timedelta | None) -> bool:
    if row.group == EVERYBODY or not usual:
        return True
    return not is_quiet(row.group) and abs(row.median / usual - 1) >= UNLIKE


def _hours(age: timedelta) -> str:
    seconds = age.total_seconds()
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _feedback(rows: Sequence[Feedback], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("What did clinicians do with it?")
    overridden = {row.group: (row.overridden, row.told) for row in rows}
    distrusted = {row.group: (row.distrusted, row.told) for row in rows}
    yield from stands_out("Overridden more often", overridden, known)
    yield from stands_out("Not trusted more often", distrusted, known)
    yield Shares(
        name="feedback",
        caption="Cards that were shown, and what was reported back",
        counted="Cards shown",
        whole={row.group: row.shown for row in rows},
        columns={
            "With feedback": {row.group: (row.told, row.shown) for row in rows},
            "Overridden, of these": overridden,
            "Not trusted, of these": distrusted,
        },
        more={},
        note="An override can be right. What counts is a group in which it is more frequent.",
    ).table(known)


def _moved(rows: Sequence[ScoreDrift], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("Have scores moved since the quarter before?")
    shifted = [
        group_words(row.group, known.service.scheme)
        for row in rows
        if row.shifted and row.n >= ENOUGH and not is_quiet(row.group)
    ]
    if shifted:
        yield Words(f"Scores or alerts moved for: {listed(shifted)}.", "notice")
    yield Shares(
        name="score-drift",
        caption="Scores and alerts, this quarter and the one before",
        counted="Episodes",
        whole={row.group: row.n for row in rows},
        columns={"Flagged": {row.group: (round((row.alert_rate or 0) * row.n), row.n) for row in rows}},
        more={
            "Flagged before": {row.group: _before(row) for row in rows},
            "Mean score": {row.group: f"{row.mean:.3g}" for row in rows},
            "Mean score before": {row.group: f"{row.mean_before:.3g}" for row in rows},
            "Moved by (standard deviations)": {row.group: f"{row.difference:+.2f}" for row in rows},
        },
    ).table(known)


def _before(row: ScoreDrift) -> str:
    rate = row.alert_rate_before
    if rate is None:
        return "-"
    flagged = round(rate * row.n)
    return NOT_SHOWN if is_small(flagged) or is_small(row.n - flagged) else per_cent(rate)
