"""Around the score, by group: what moved, what it was calculated from, who was answered, what was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cds_wrapper.monitoring.cells import Hidden, Parts, hidden_rows
from cds_wrapper.monitoring.drift import ScoreDrift
from cds_wrapper.monitoring.feedback import Feedback
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.input_quality import InputQuality
from cds_wrapper.monitoring.report.blocks import Block, Heading, Section, Table, Words
from cds_wrapper.monitoring.report.figures import NOT_SHOWN, people, per_cent
from cds_wrapper.monitoring.report.known import Known
from cds_wrapper.monitoring.report.names import capital, group_words, listed
from cds_wrapper.monitoring.service_equity import ServiceEquity
from cds_wrapper.monitoring.strata import FollowUp, Stratum
from cds_wrapper.monitoring.values import EVERYBODY, Group

WORTH_A_LOOK: Final = 0.05
"""A difference of shares to all patients, with its whole interval beyond 0, that is put into words."""

_ACTIONS: Final[Mapping[str, str]] = {
    "accepted": "card accepted",
    "overridden": "card overridden",
    "none": "nothing reported",
}


def around(known: Known) -> Section:
    """The section on everything beside performance."""
    activity = known.activity
    blocks = (
        *_service(activity.equity, known),
        *_inputs(known),
        *_feedback(activity.feedback, known),
        *_follow_up(activity.follow_up, known),
        *_strata(activity.strata, known),
        *_moved(activity.score_drift, known),
    )
    nothing = Words("No predictions of this service have been exported yet.", "notice")
    return Section("around", "Around the score, by group", blocks or (nothing,))


def _name(group: Group, known: Known) -> str:
    return capital(group_words(group, known.service.scheme))


def _share(part: int, whole: int) -> str:
    return per_cent(part / whole) if whole else "-"


def _count(n: int, group: Group, hidden: Hidden) -> str:
    return NOT_SHOWN if group in hidden.counts else people(n)


def _stands_out(
    what: str, rows: Sequence[tuple[Group, int, int]], hidden: Hidden, known: Known
) -> Iterator[Block]:
    """The single groups whose share is above everybody's by more than chance and by enough to matter."""
    whole = next(((part, n) for group, part, n in rows if group == EVERYBODY), None)
    if whole is None or not whole[1]:
        return
    more = [
        group_words(group, known.service.scheme)
        for group, part, n in rows
        if len(group.where) == 1 and group not in hidden.rates and _is_more(part, n, *whole)
    ]
    if more:
        yield Words(f"{what} than for all patients: {listed(more)}.", "notice")


def _is_more(part: int, n: int, whole_part: int, whole_n: int) -> bool:
    rest_part, rest_n = whole_part - part, whole_n - n
    if n <= 0 or rest_n <= 0 or part / n - rest_part / rest_n < WORTH_A_LOOK:
        return False
    return newcombe_difference(part, n, rest_part, rest_n)[0] > 0


def _service(rows: Sequence[ServiceEquity], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("Was everybody answered?")
    hidden = hidden_rows({row.group: _answers(row) for row in rows})
    unanswered = [(row.group, row.n - row.answered, row.n) for row in rows]
    yield from _stands_out("Left without a score more often", unanswered, hidden, known)
    yield Table(
        name="service",
        caption="Calls to the service in the last quarter",
        columns=(
            "Group",
            "Calls",
            "With a score",
            "Too late",
            "Inputs lacking",
            "Withheld",
            "Usual wait",
            "Slow (5 in 100)",
        ),
        rows=tuple(_service_row(row, hidden, known) for row in rows),
    )


def _answers(row: ServiceEquity) -> Parts:
    others = row.n - row.answered - row.timed_out - row.lacking
    return {"answered": row.answered, "late": row.timed_out, "lacking": row.lacking, "others": others}


def _service_row(row: ServiceEquity, hidden: Hidden, known: Known) -> tuple[str, ...]:
    name = _name(row.group, known)
    if row.group in hidden.rates:
        return (name, *(NOT_SHOWN,) * 7)
    withheld = NOT_SHOWN if 0 < row.withheld < 11 else _share(row.withheld, row.n)
    waits = ["-" if ms is None else f"{ms:.0f} ms" for ms in (row.median_ms, row.slow_ms)]
    shares = (row.answered, row.timed_out, row.lacking)
    return name, _count(row.n, row.group, hidden), *(_share(part, row.n) for part in shares), withheld, *waits


def _inputs(known: Known) -> Iterator[Block]:
    rows = known.activity.inputs
    if not rows:
        return
    yield Heading("What was it calculated from?")
    hidden = hidden_rows(
        {row.group: {"missing": row.missing, "complete": row.n - row.missing} for row in rows}
    )
    doubted = {
        row.group: {"doubtful": row.doubtful, "clear": row.n - row.doubtful}
        for row in rows
        if row.doubtful is not None
    }
    doubt_hidden = hidden | hidden_rows(doubted)
    lacking = [(row.group, row.missing, row.n) for row in rows]
    yield from _stands_out("Calculated without an input more often", lacking, hidden, known)
    yield Table(
        name="inputs",
        caption="Scores of the last quarter, and what they were calculated from",
        columns=("Group", "Scores", "An input missing", "An input in doubt"),
        rows=tuple(_input_row(row, hidden, doubt_hidden, known) for row in rows),
    )
    yield from _ages(known, hidden)


def _input_row(row: InputQuality, hidden: Hidden, doubt_hidden: Hidden, known: Known) -> tuple[str, ...]:
    doubt = "not recorded" if row.doubtful_share is None else per_cent(row.doubtful_share)
    doubt = NOT_SHOWN if row.doubtful is not None and row.group in doubt_hidden.rates else doubt
    if row.group in hidden.rates:
        return _name(row.group, known), NOT_SHOWN, NOT_SHOWN, doubt
    count = _count(row.n, row.group, hidden)
    return _name(row.group, known), count, per_cent(row.missing_share), doubt


def _ages(known: Known, hidden: Hidden) -> Iterator[Block]:
    rows = [row for row in known.activity.ages if row.group not in hidden.rates and row.n >= 11]
    if not rows:
        return
    yield Table(
        name="input-ages",
        caption="How old the inputs were",
        columns=("Group", "Input", "Usual age", "Nine in ten were newer than"),
        rows=tuple(
            (_name(row.group, known), row.input, _hours(row.median), _hours(row.nine_in_ten)) for row in rows
        ),
    )


def _hours(age: object) -> str:
    seconds = getattr(age, "total_seconds", lambda: 0.0)()
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _feedback(rows: Sequence[Feedback], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("What did clinicians do with it?")
    hidden = hidden_rows(
        {
            row.group: {
                "distrusted": row.distrusted,
                "overridden": row.overridden - row.distrusted,
                "accepted": row.told - row.overridden,
                "silent": row.shown - row.told,
            }
            for row in rows
        }
    )
    yield from _stands_out(
        "Overridden more often", [(row.group, row.overridden, row.told) for row in rows], hidden, known
    )
    yield Table(
        name="feedback",
        caption="Cards that were shown, and what was reported back",
        columns=("Group", "Cards shown", "With feedback", "Overridden, of these", "Not trusted, of these"),
        rows=tuple(_feedback_row(row, hidden, known) for row in rows),
        note="An override can be right. What counts is a group in which it is more frequent.",
    )


def _feedback_row(row: Feedback, hidden: Hidden, known: Known) -> tuple[str, ...]:
    if row.group in hidden.rates:
        return (_name(row.group, known), *(NOT_SHOWN,) * 4)
    shares = (_share(row.overridden, row.told), _share(row.distrusted, row.told))
    count = _count(row.shown, row.group, hidden)
    return _name(row.group, known), count, _share(row.told, row.shown), *shares


def _follow_up(rows: Sequence[FollowUp], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("Did we learn what became of them?")
    by_flag = {flag: [row for row in rows if row.flagged is flag] for flag in (True, False, None)}
    for flag, own in by_flag.items():
        if not own:
            continue
        hidden = hidden_rows(
            {
                row.group: {"known": row.known, "unverified": row.unverified, "cut": row.censored}
                for row in own
            }
        )
        where = "all patients" if flag is None else f"patients who were {'' if flag else 'not '}flagged"
        yield Table(
            name=f"follow-up-{'all' if flag is None else 'flagged' if flag else 'not-flagged'}",
            caption=f"Outcomes that are due, of {where}",
            columns=("Group", "Due", "Outcome known", "Looked for, of those seen to the end"),
            rows=tuple(_follow_up_row(row, hidden, known) for row in own),
        )
    yield Words(
        "Where outcomes are looked for more often among flagged patients, cases among the others go unseen:"
        " the cases found beforehand then look better than they are."
    )


def _follow_up_row(row: FollowUp, hidden: Hidden, known: Known) -> tuple[str, ...]:
    if row.group in hidden.rates:
        return (_name(row.group, known), *(NOT_SHOWN,) * 3)
    verified = "-" if row.verified_share is None else per_cent(row.verified_share)
    return _name(row.group, known), _count(row.due, row.group, hidden), per_cent(row.known_share), verified


def _strata(rows: Sequence[Stratum], known: Known) -> Iterator[Block]:
    own = [row for row in rows if row.group == EVERYBODY]
    if not own:
        return
    yield Heading("Did acting on it change the outcome?")
    yield Words(
        "A score that leads to treatment prevents some of what it predicted. So patients at and above"
        " the threshold are shown apart from those below. Fewer outcomes than predicted above it may"
        " reflect treatment; no"
        " difference below it can. Comparing those who were treated with those who were not proves nothing:"
        " they differ."
    )
    yield Table(
        name="strata",
        caption="Seen for each predicted, by whether the score was high and what was done",
        columns=("Score, card, feedback", "Outcomes known", "Seen for each predicted (range)"),
        rows=tuple(_stratum_row(row) for row in own),
    )


def _stratum_row(row: Stratum) -> tuple[str, ...]:
    where = "At or above the threshold" if row.flagged else "Below the threshold"
    shown = "card shown" if row.shown else "no card shown"
    name = f"{where}, {shown}, {_ACTIONS.get(row.action, row.action)}"
    if any(0 < part < 11 for part in (row.n, row.events, row.n - row.events)):
        return name, NOT_SHOWN, NOT_SHOWN
    ratio = row.ratio
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return name, people(row.n), "-"
    words = " - may reflect treatment" if row.flagged and ratio.high < 1 else ""
    return name, people(row.n), f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}){words}"


def _moved(rows: Sequence[ScoreDrift], known: Known) -> Iterator[Block]:
    if not rows:
        return
    yield Heading("Have scores moved since the quarter before?")
    hidden = hidden_rows({row.group: _alerts(row) for row in rows})
    shifted = [
        group_words(row.group, known.service.scheme)
        for row in rows
        if row.shifted and row.group not in hidden.rates
    ]
    if shifted:
        yield Words(f"Scores or alerts moved for: {listed(shifted)}.", "notice")
    yield Table(
        name="score-drift",
        caption="Scores and alerts, this quarter and the one before",
        columns=(
            "Group",
            "Episodes",
            "Mean score",
            "Before",
            "Moved by (standard deviations)",
            "Flagged",
            "Before",
        ),
        rows=tuple(_moved_row(row, hidden, known) for row in rows),
    )


def _alerts(row: ScoreDrift) -> Parts:
    flagged = round((row.alert_rate or 0) * row.n)
    return {"flagged": flagged, "not flagged": row.n - flagged}


def _moved_row(row: ScoreDrift, hidden: Hidden, known: Known) -> tuple[str, ...]:
    name = _name(row.group, known)
    if row.group in hidden.rates:
        return (name, *(NOT_SHOWN,) * 6)
    rates = ["-" if rate is None else per_cent(rate) for rate in (row.alert_rate, row.alert_rate_before)]
    scores = f"{row.mean:.3g}", f"{row.mean_before:.3g}", f"{row.difference:+.2f}"
    return name, _count(row.n, row.group, hidden), *scores, *rates
